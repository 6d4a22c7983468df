"""Who runs the units of a day: processes of this machine, or a Spark cluster."""

from __future__ import annotations

from postprocess.executor.base import Executor
from tapeline.settings import Settings

EXECUTORS = ("local", "spark")
"""Their names on a command line, the default first."""


def open_executor(name: str, settings: Settings) -> Executor:
    """The executor of that name; raises what its opening raises."""
    if name == "spark":
        from postprocess.executor.spark import spark_executor

        return spark_executor(settings)
    from postprocess.executor.local import LocalExecutor

    return LocalExecutor(settings.workers)

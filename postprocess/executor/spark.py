"""Units on Spark: a job with a task for every unit; a task that fails or whose executor dies is tried again elsewhere.

An attempt more, also one beside another, does no harm: a unit's files have the same names and the same bytes each time.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from postprocess.units import Report, Unit, failure
from postprocess.work import run_unit
from tapeline.errors import RefusedError
from tapeline.settings import PREFIX, Settings

if TYPE_CHECKING:
    from pyspark import Accumulator, SparkConf, SparkContext

Work = Callable[[Unit], Report]

_BASE_BYTES = 768 << 20
"""What a Python worker holds beside rows that wait: interpreter, kernel, Arrow, a batch on its way."""

_LOCAL_ATTEMPTS = re.compile(r"local\[[^,\]]+,\s*(\d+)\]")
_CULPRIT = re.compile(r"Task (\d+) in stage \S+ failed \d+ times, most recent failure: (.*)")


class SparkError(RefusedError):
    """Spark is not there, or does not start."""


def spark_executor(settings: Settings) -> SparkExecutor:
    """The executor on the Spark that settings and Spark's own configuration say; raises SparkError."""
    if find_spec("pyspark") is None:
        raise SparkError("Spark needs the package pyspark: pip install 'tapeline[spark]', and a Java, 8 to 17")
    return SparkExecutor(settings)


class SparkExecutor:
    """One Spark application, begun with the first units and ended by `close` or with the process."""

    def __init__(self, settings: Settings, work: Work = run_unit) -> None:
        self._settings = settings
        self._work = work
        self._context: SparkContext | None = None

    def run(self, units: Sequence[Unit]) -> Iterator[Report]:
        """See Executor. What Spark gives up on, after its `spark.task.maxFailures`, is a failed unit; the others go on."""
        left = {unit.name: unit for unit in units}
        while left:
            context = self._started()
            job = _Job(context, list(left.values()), self._work)
            for report in job.reports():
                if left.pop(report.unit.name, None) is not None:
                    yield report
            for unit, reason in job.lost(left):
                yield failure(left.pop(unit), reason)

    def close(self) -> None:
        """Ends the application."""
        if self._context is not None:
            self._context.stop()
            self._context = None

    def _started(self) -> SparkContext:
        if self._context is None:
            self._context = _start(self._settings)
        return self._context


def _start(settings: Settings) -> SparkContext:
    from py4j.protocol import Py4JError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkException

    log = settings.data_dir / "spark.log"
    first = SparkConf(loadDefaults=False).set("spark.ui.showConsoleProgress", "false")
    if settings.spark_master:
        first.setMaster(settings.spark_master)
        if settings.spark_master.startswith("local"):
            # Its own servers, too, are for this machine only.
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        gateway = _gateway(first, log)
        conf = SparkConf(loadDefaults=True, _jvm=gateway.jvm)
        for name, value in first.getAll():
            conf.set(name, value)
        _complete(conf, settings)
        return SparkContext(conf=conf, gateway=gateway)
    except (PySparkException, Py4JError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SparkError(f"Spark does not start: {reason}; it needs a Java, 8 to 17, and its log is {log}") from None


def _gateway(conf: SparkConf, log: Path) -> Any:
    """The way to Spark's own process: spark-submit's where that has started us, else one whose words go into a log."""
    from pyspark.java_gateway import launch_gateway

    launch = cast(Any, launch_gateway)
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return launch(conf)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as told:
        return launch(conf, {"stdout": told, "stderr": told})


def _complete(conf: SparkConf, settings: Settings) -> None:
    """Sets what neither spark-submit nor Spark's configuration has set."""
    conf.setIfMissing("spark.app.name", "tapeline post-process")
    # What a unit has held is given back, and what it is said to have held is its own.
    conf.setIfMissing("spark.python.worker.reuse", "false")
    cores = int(conf.get("spark.executor.cores", "1") or 1)
    overhead = cores * (settings.task_memory_bytes + _BASE_BYTES) >> 20
    conf.setIfMissing("spark.executor.memoryOverhead", f"{overhead}m")
    for name, value in os.environ.items():
        if name.startswith(PREFIX):
            conf.setExecutorEnv(name, value)
    if (conf.get("spark.master", "local") or "").startswith("local"):
        conf.setIfMissing("spark.driver.host", "127.0.0.1")
        conf.setIfMissing("spark.driver.bindAddress", "127.0.0.1")
        conf.setIfMissing("spark.ui.enabled", "false")


class _Job:
    """Units as the tasks of one Spark job, which tells of each task as it ends."""

    def __init__(self, context: SparkContext, units: Sequence[Unit], work: Work) -> None:
        self._context = context
        self._units = units
        self._work = work
        self._ended: SimpleQueue[bytes | None] = SimpleQueue()
        self._group = f"tapeline-{id(self)}"
        self._error = ""

    def reports(self) -> Iterator[Report]:
        """Of the units that come to their end, until the job does; closing it ends the job."""
        from pyspark import InheritableThread

        thread = InheritableThread(target=self._go, daemon=True)
        thread.start()
        try:
            while (data := self._ended.get()) is not None:
                yield Report.decode(data)
        finally:
            if thread.is_alive():
                self._context.cancelJobGroup(self._group)
            thread.join()

    def lost(self, left: dict[str, Unit]) -> list[tuple[str, str]]:
        """The units that need not be tried again, by name, each with the reason."""
        if not self._error:
            return [(name, "Spark told nothing of it") for name in left]
        found = _CULPRIT.search(self._error)
        unit = self._units[int(found.group(1))].name if found is not None else ""
        if found is not None and unit in left:
            return [(unit, " ".join(found.group(2).split()))]
        reason = " ".join(self._error.split("\n", 1)[0].split())
        return [(name, f"Spark ended before it: {reason}") for name in left]

    def _go(self) -> None:
        from py4j.protocol import Py4JError

        context = self._context
        try:
            context.setJobGroup(self._group, f"{len(self._units)} units of post-process")
            gathered = context.accumulator([], cast(Any, _Gathering(self._ended)))
            units = context.parallelize([unit.encode() for unit in self._units], len(self._units))
            units.foreach(partial(_attempt, gathered, self._work, _attempts(context)))
        except Py4JError as error:
            java = getattr(error, "java_exception", None)
            self._error = str(java.getMessage() if java is not None else error) or type(error).__name__
        finally:
            self._ended.put(None)


class _Gathering:
    """How Spark adds up what tasks tell: on executors as a list, here as they come; each task's once."""

    def __init__(self, ended: SimpleQueue[bytes | None] | None) -> None:
        self._ended = ended

    def __reduce__(self) -> tuple[type[_Gathering], tuple[None]]:
        return _Gathering, (None,)

    def zero(self, _: list[bytes]) -> list[bytes]:
        return []

    def addInPlace(self, one: list[bytes], two: list[bytes]) -> list[bytes]:  # noqa: N802 - Spark's name
        if self._ended is None:
            return one + two
        for data in two:
            self._ended.put(data)
        return one


def _attempts(context: SparkContext) -> int:
    """How often Spark tries a task."""
    conf = context.getConf()
    master = conf.get("spark.master", "") or ""
    if master == "local" or master.startswith("local["):
        found = _LOCAL_ATTEMPTS.fullmatch(master)
        return int(found.group(1)) if found else 1
    return int(conf.get("spark.task.maxFailures", "4") or 4)


def _attempt(gathered: Accumulator[list[bytes]], work: Work, attempts: int, data: bytes) -> None:
    """On an executor: does a unit; a failure is Spark's to try again, but for the last attempt's."""
    from pyspark import TaskContext

    unit = Unit.decode(data)
    context = TaskContext.get()
    last = context is None or context.attemptNumber() + 1 >= attempts
    try:
        report = work(unit)
        if report.failed and not last:
            raise SparkError(report.problems[-1].reason)
    except Exception as error:
        if not last:
            raise
        report = failure(unit, f"{type(error).__name__}: {error}")
    gathered.add([report.encode()])

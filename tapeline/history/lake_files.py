"""The lake's files as files of this machine: where they are there already, as they are; else fetched one by one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from tapeline.objectstore import ObjectMissingError
from tapeline.offline.lake import Lake, LakeError


class LakeFiles:
    """Gives paths; those that it fetched are gone at its end, or when they are let go."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        parts = urlsplit(lake.place)
        self._root = None if parts.scheme == "s3" else Path(unquote(parts.path) if parts.scheme else lake.place)
        self._hidden: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        if self._root is None:
            self._hidden = tempfile.TemporaryDirectory(prefix="tapeline-")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hidden is not None:
            self._hidden.cleanup()

    def path(self, key: str) -> Path:
        """A file of the lake; raises LakeError where there is none, and what the store raises."""
        if self._root is not None:
            path = self._root / key
            if not path.is_file():
                raise LakeError(f"{key} is not in {self._lake.place}, though a manifest names it")
            return path
        assert self._hidden is not None  # only inside `with`
        path = Path(self._hidden.name) / key.replace("/", "~")
        if not path.exists():
            try:
                path.write_bytes(self._lake.store.get(key))
            except ObjectMissingError:
                raise LakeError(f"{key} is not in {self._lake.place}, though a manifest names it") from None
        return path

    def drop(self, key: str) -> None:
        """Lets go of a file that is not needed any more."""
        if self._hidden is not None:
            (Path(self._hidden.name) / key.replace("/", "~")).unlink(missing_ok=True)

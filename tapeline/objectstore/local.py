"""A local directory as object store: objects appear by an atomic link, so that none is ever seen half written."""

from __future__ import annotations

import builtins
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tapeline.errors import StoreUnavailableError
from tapeline.objectstore.base import ObjectMissingError, StoreRefusedError

INCOMING = ".incoming"
"""Where objects are written before they get their name; on the same file system as the objects."""

_ABANDONED_SECONDS = 3600.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EAGAIN, errno.EMFILE, errno.ENFILE}


class LocalStore:
    """Objects as files under one directory, which is made where it is missing (`must_exist`: refused)."""

    def __init__(self, root: Path, must_exist: bool = False) -> None:
        self._root = root.absolute()
        try:
            if must_exist and not self._root.is_dir():
                raise StoreRefusedError(f"object store directory {self._root} is not there")
            self._root.mkdir(parents=True, exist_ok=True)
            self._sweep()
        except OSError as error:
            raise StoreRefusedError(f"object store directory {self._root} cannot be used: {error.strerror}") from error

    def put(self, key: str, data: bytes, if_absent: bool = True) -> bool:
        """Writes, syncs, then names the file; see ObjectStore."""
        target = self._path(key)
        try:
            return self._write(target, data, if_absent)
        except OSError as error:
            raise _explained(error, target) from error

    def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        """See ObjectStore."""
        target = self._path(key)
        try:
            root = os.open(self._root, os.O_RDONLY)
            try:
                fcntl.flock(root, fcntl.LOCK_EX)
                return (target.read_bytes() if target.is_file() else None) == old and self._write(target, new, False)
            finally:
                os.close(root)
        except OSError as error:
            raise _explained(error, target) from error

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        target = self._path(key)
        try:
            return target.read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise ObjectMissingError(f"no object {key} in {self._root}") from None
        except OSError as error:
            raise _explained(error, target) from error

    def list(self, prefix: str) -> builtins.list[str]:
        """See ObjectStore."""
        return sorted(self._walk(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """See ObjectStore."""
        found = {}
        for key in self.list(prefix):
            target = self._path(key)
            # One that is deleted meanwhile is not there.
            with suppress(FileNotFoundError):
                found[key] = target.stat().st_size
        return found

    def _walk(self, prefix: str) -> Iterator[str]:
        """Only through the folders the prefix allows."""

        def refused(error: OSError) -> None:
            # One that is gone meanwhile held nothing; of any other the objects would be missing unheard.
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                raise _explained(error, Path(error.filename or start)) from error

        folder = prefix.rpartition("/")[0]
        start = self._path(folder) if folder else self._root
        for parent, folders, files in os.walk(start, onerror=refused):
            if parent == str(self._root) and INCOMING in folders:
                folders.remove(INCOMING)
            base = Path(parent).relative_to(self._root).as_posix()
            stem = "" if base == "." else base + "/"
            folders[:] = [name for name in folders if _may_hold(stem + name + "/", prefix)]
            yield from (stem + name for name in files if (stem + name).startswith(prefix))

    def folders(self, prefix: str) -> builtins.list[str]:
        """See ObjectStore."""
        start = self._path(prefix.removesuffix("/")) if prefix else self._root
        try:
            with os.scandir(start) as entries:
                names = [entry.name for entry in entries if entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _explained(error, start) from error
        return sorted(f"{prefix}{name}/" for name in names if prefix or name != INCOMING)

    def delete(self, key: str) -> None:
        """See ObjectStore."""
        target = self._path(key)
        try:
            target.unlink(missing_ok=True)
        except OSError as error:
            raise _explained(error, target) from error

    def _sweep(self) -> None:
        """Removes what killed processes have left half written."""
        incoming = self._root / INCOMING
        for file in incoming.iterdir() if incoming.is_dir() else ():
            with suppress(FileNotFoundError, PermissionError):
                if time.time() - file.stat().st_mtime > _ABANDONED_SECONDS:
                    file.unlink()

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if any(part in ("", ".", "..") for part in parts) or parts[0] == INCOMING or "\0" in key:
            raise StoreRefusedError(f"not an object key: {key!r}")
        return self._root.joinpath(*parts)

    def _write(self, target: Path, data: bytes, if_absent: bool) -> bool:
        (self._root / INCOMING).mkdir(exist_ok=True)
        incoming = self._root / INCOMING / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            with incoming.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._make_folder(target.parent)
            if not if_absent:
                incoming.replace(target)
            else:
                try:
                    os.link(incoming, target)
                except FileExistsError:
                    return False
            _sync_folder(target.parent)
            return True
        finally:
            incoming.unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for made in reversed(missing):
            made.mkdir(exist_ok=True)
            _sync_folder(made.parent)


def _may_hold(folder: str, prefix: str) -> bool:
    return folder.startswith(prefix) or prefix.startswith(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(error: OSError, target: Path) -> StoreUnavailableError | StoreRefusedError:
    text = f"object store file {target}: {error.strerror or error}"
    return StoreUnavailableError(text) if error.errno in _FULL else StoreRefusedError(text)

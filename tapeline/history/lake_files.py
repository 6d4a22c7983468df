"""The lake's files, wherever it is, read as they are needed: a part of one costs no more than that part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import FileSystem, LocalFileSystem

from tapeline.errors import StoreUnavailableError
from tapeline.offline.lake import Lake, LakeError
from tapeline.offline.views import s3_files


class LakeFiles:
    """Opens files by key; raises LakeError where one is not there, StoreUnavailableError where it cannot be read."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._files: FileSystem
        if lake.place.startswith("s3://"):
            self._files, self._root = s3_files(lake.place)
        else:
            path = unquote(urlsplit(lake.place).path) if "://" in lake.place else lake.place
            self._files, self._root = LocalFileSystem(), str(Path(path).absolute())

    def open(self, key: str) -> pa.NativeFile:
        """A file that is read at any place in it."""
        try:
            return self._files.open_input_file(f"{self._root}/{key}")
        except FileNotFoundError:
            raise LakeError(f"{key} is not in {self.lake.place}, though a manifest names it") from None
        except OSError as error:
            raise StoreUnavailableError(f"{key} in {self.lake.place}: {error}") from None

    def rows(self, keys: Sequence[str], columns: pa.Schema) -> ds.Dataset:
        """Parquet files as one, for SQL."""
        paths = [f"{self._root}/{key}" for key in keys]
        return ds.dataset(paths, schema=columns, format="parquet", filesystem=self._files)

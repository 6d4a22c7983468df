"""Object store of raw payloads and tables: a local directory or S3, behind one seam."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from tapeline.errors import UsageError
from tapeline.objectstore.base import KEY_BYTES, ObjectMissingError, ObjectStore, StoreRefusedError
from tapeline.objectstore.local import LocalStore
from tapeline.settings import Settings

__all__ = ["KEY_BYTES", "LocalStore", "ObjectMissingError", "ObjectStore", "StoreRefusedError", "open_store"]


def open_store(url: str, endpoint: str | None = None, must_exist: bool = False) -> ObjectStore:
    """The store of a path, `file:///dir` or `s3://bucket/prefix`; raises UsageError or StoreRefusedError.

    `endpoint` is where S3 is spoken; the setting TAPELINE_S3_ENDPOINT where it is not given, else AWS.
    `must_exist` is for who only reads: a directory that is not there is refused, not made.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        if not parts.netloc or parts.query or parts.fragment:
            raise UsageError(f"object store {url!r} is not s3://bucket/prefix")
        # boto3 takes 0.3 s to import: only who needs it pays.
        from tapeline.objectstore.s3 import S3Store

        return S3Store(parts.netloc, unquote(parts.path), endpoint or Settings.from_environment().s3_endpoint)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise UsageError(f"object store {url!r} is not file:///directory")
        return LocalStore(Path(unquote(parts.path)), must_exist)
    if "://" in url or not url:
        raise UsageError(f"object store {url!r} is not a directory, file:///directory or s3://bucket/prefix")
    return LocalStore(Path(url), must_exist)

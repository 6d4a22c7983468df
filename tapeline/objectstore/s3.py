"""S3 and what speaks like it as object store: conditional puts, checksums, retries by boto3."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import boto3.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from tapeline.errors import StoreUnavailableError
from tapeline.objectstore.base import KEY_BYTES, ObjectMissingError, StoreRefusedError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_Answer = TypeVar("_Answer")

_MISSING = {"NoSuchKey", "404", "NotFound"}
_TAKEN = {"PreconditionFailed", "412"}
_RACED = {"ConditionalRequestConflict", "OperationAborted", "409"}
_REFUSED = {
    "NoSuchBucket": "there is no such bucket",
    "InvalidBucketName": "that is no bucket name",
    "PermanentRedirect": "the bucket is in another region",
    "AuthorizationHeaderMalformed": "the bucket is in another region",
    "AccessDenied": "no permission",
    "403": "no permission",
    "Forbidden": "no permission",
    "AllAccessDisabled": "no permission",
    "InvalidAccessKeyId": "the access key is unknown",
    "SignatureDoesNotMatch": "the secret key does not fit the access key",
    "ExpiredToken": "the credentials have expired",
    "InvalidToken": "the credentials are not valid",
    "KeyTooLongError": "the key is too long",
    "EntityTooLarge": "the object is too large for one put",
}
_BROKEN_OFF = (ResponseStreamingError, IncompleteReadError, ReadTimeoutError, FlexibleChecksumError)
_READ_AGAIN_SECONDS = (0.1, 0.5, 2.0)
_RACES = 8
_S3_KEY_BYTES = 1024
_OF_THE_PLACE = {"NoSuchBucket", "InvalidBucketName", "PermanentRedirect", "AuthorizationHeaderMalformed"}


class S3Store:
    """Objects in one bucket under one prefix; one client, safe in many threads."""

    def __init__(self, bucket: str, prefix: str, endpoint: str | None) -> None:
        self._bucket = bucket
        self._prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        self._place = f"s3://{bucket}/{self._prefix}"
        if len(self._prefix.encode()) > _S3_KEY_BYTES - KEY_BYTES:
            raise StoreRefusedError(
                f"object store {self._place}: its prefix is too long; allowed: {_S3_KEY_BYTES - KEY_BYTES - 1} bytes"
            )
        config = Config(
            retries={"mode": "standard", "max_attempts": 4},
            connect_timeout=5,
            read_timeout=30,
            max_pool_connections=16,
            signature_version="s3v4",
            s3={"addressing_style": "path" if endpoint else "auto"},
        )
        try:
            # A session of its own: boto3's default one keeps the first credentials it finds for the whole process.
            self._client: S3Client = boto3.session.Session().client("s3", endpoint_url=endpoint, config=config)
        except (BotoCoreError, ValueError) as error:
            raise StoreRefusedError(f"object store {self._place}: {error}") from error

    def put(self, key: str, data: bytes, if_absent: bool = True) -> bool:
        """One conditional put; see ObjectStore.

        A put that succeeded unheard and was tried again answers False: the object is there all the same.
        """
        return self._raced(key, lambda: self._put(key, data, if_absent))

    def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        """A put that holds only for the object that was read; see ObjectStore."""
        if old is None:
            done = self.put(key, new)
        else:
            try:
                found, tag = self._ask(key, lambda: self._tagged(key))
                done = found == old and self._raced(key, lambda: self._replace(key, new, tag))
            except ObjectMissingError:
                return False
        # One that succeeded unheard and was tried again finds what it wrote.
        return done or (new != old and self._holds(key, new))

    def _raced(self, key: str, put: Callable[[], None]) -> bool:
        """Whether a conditional put wrote, after as many tries as it takes to be told."""
        for race in range(_RACES):
            try:
                self._ask(key, put)
                return True
            except ObjectTakenError:
                return False
            except ConditionRacedError:
                time.sleep(0.05 * 2**race)
        raise StoreUnavailableError(f"object store {self._place}{key}: other writers hold the key")

    def _replace(self, key: str, data: bytes, tag: str) -> None:
        self._client.put_object(
            Bucket=self._bucket, Key=self._prefix + key, Body=data, IfMatch=tag, ChecksumAlgorithm="CRC32"
        )

    def _tagged(self, key: str) -> tuple[bytes, str]:
        answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        return answer["Body"].read(), answer["ETag"]

    def _holds(self, key: str, data: bytes) -> bool:
        try:
            return self.get(key) == data
        except ObjectMissingError:
            return False

    def get(self, key: str) -> bytes:
        """See ObjectStore."""
        return self._ask(key, lambda: self._body(key))

    def list(self, prefix: str) -> builtins.list[str]:
        """See ObjectStore."""
        return list(self.sizes(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """See ObjectStore."""
        return self._ask(prefix, lambda: dict(sorted(self._pages(prefix))))

    def folders(self, prefix: str) -> builtins.list[str]:
        """See ObjectStore."""
        return self._ask(prefix, lambda: sorted(self._common(prefix)))

    def delete(self, key: str) -> None:
        """See ObjectStore."""
        self._ask(key, lambda: self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key))

    def _put(self, key: str, data: bytes, if_absent: bool) -> None:
        if if_absent:
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + key, Body=data, IfNoneMatch="*", ChecksumAlgorithm="CRC32"
            )
        else:
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data, ChecksumAlgorithm="CRC32")

    def _body(self, key: str) -> bytes:
        # boto3 tries requests again, but no answer that breaks off or does not fit its checksum.
        for wait in _READ_AGAIN_SECONDS:
            try:
                return self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
            except _BROKEN_OFF:
                time.sleep(wait)
        return self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()

    def _pages(self, prefix: str) -> builtins.list[tuple[str, int]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        cut = len(self._prefix)
        return [(found["Key"][cut:], found["Size"]) for page in pages for found in page.get("Contents", [])]

    def _common(self, prefix: str) -> builtins.list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix, Delimiter="/"
        )
        cut = len(self._prefix)
        return [found["Prefix"][cut:] for page in pages for found in page.get("CommonPrefixes", [])]

    def _ask(self, key: str, call: Callable[[], _Answer]) -> _Answer:
        try:
            return call()
        except ClientError as error:
            raise self._explained(key, error) from error
        except (NoCredentialsError, PartialCredentialsError, NoRegionError, ParamValidationError) as error:
            raise StoreRefusedError(f"object store {self._place}{key}: {error}") from error
        except BotoCoreError as error:
            raise StoreUnavailableError(f"object store {self._place}{key}: {error}") from error

    def _explained(self, key: str, error: ClientError) -> Exception:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _TAKEN:
            return ObjectTakenError(key)
        if code in _RACED:
            return ConditionRacedError(key)
        if code in _MISSING:
            return ObjectMissingError(f"no object {key} in {self._place}")
        if code in _REFUSED:
            key = "" if code in _OF_THE_PLACE else key
            return StoreRefusedError(f"object store {self._place}{key}: {_REFUSED[code]} ({code})")
        return StoreUnavailableError(f"object store {self._place}{key}: {error}")


class ObjectTakenError(Exception):
    """A conditional put found its key taken."""


class ConditionRacedError(Exception):
    """Two conditional puts met; the store asks to try again."""

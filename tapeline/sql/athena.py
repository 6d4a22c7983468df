"""Athena as engine: a statement is started, waited for, and its answer read page by page; no other module knows boto3's client."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import boto3.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
)

from tapeline.errors import AwayError, RefusedError
from tapeline.offline.answer_text import Answer, Value, of_bytes, of_decimal, of_time
from tapeline.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_athena.type_defs import GetQueryResultsOutputTypeDef, RowTypeDef

_Told = TypeVar("_Told")

_WAITS = (0.05, 0.1, 0.2, 0.5, 1.0)
_RETRY = {"TooManyRequestsException", "ThrottlingException", "InternalServerException"}


class AthenaRefusedError(RefusedError):
    """Athena answers and says no: the statement is wrong, or something it needs is missing."""


class AthenaAwayError(AwayError):
    """Athena does not answer."""


class Athena:
    """One database and workgroup; statements run one after another."""

    def __init__(self, settings: Settings) -> None:
        self.database = settings.athena_database
        self._workgroup = settings.athena_workgroup
        self._output = settings.athena_output
        config = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=60)
        try:
            self._client: AthenaClient = boto3.session.Session().client(
                "athena", endpoint_url=settings.athena_endpoint, config=config
            )
        except (BotoCoreError, ValueError) as error:
            raise AthenaRefusedError(f"athena: {error}") from error

    def ask(self, sql: str) -> Answer:
        """The whole answer of one statement; raises AthenaRefusedError or AthenaAwayError. Interrupted, it stops the query."""
        started = self._start(sql)
        try:
            heads = self._wait(started)
        except KeyboardInterrupt:
            # Athena would go on, and be paid for it.
            _asked(lambda: self._client.stop_query_execution(QueryExecutionId=started))
            raise
        return self._answer(started, heads)

    def _start(self, sql: str) -> str:
        where = {"OutputLocation": self._output} if self._output else {}
        return _asked(
            lambda: self._client.start_query_execution(
                QueryString=sql,
                QueryExecutionContext={"Database": self.database},
                WorkGroup=self._workgroup,
                ResultConfiguration=where,  # type: ignore[arg-type]  # empty: the workgroup's own
            )
        )["QueryExecutionId"]

    def _wait(self, started: str) -> bool:
        """Whether the answer's first row will be its column names, as that of queries is."""
        turn = 0
        while True:
            execution = _asked(lambda: self._client.get_query_execution(QueryExecutionId=started))["QueryExecution"]
            status = execution["Status"]
            if status["State"] == "SUCCEEDED":
                return execution.get("StatementType") == "DML"
            if status["State"] in ("FAILED", "CANCELLED"):
                why = " ".join(status.get("StateChangeReason", "no reason given").split())
                raise AthenaRefusedError(f"query {status['State'].lower()}: {why}")
            time.sleep(_WAITS[min(turn, len(_WAITS) - 1)])
            turn += 1

    def _answer(self, started: str, heads: bool) -> Answer:
        page = _asked(lambda: self._client.get_query_results(QueryExecutionId=started, MaxResults=1000))
        kinds = [(c["Name"], c["Type"]) for c in page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]]
        readers = [_READERS.get(kind, _text) for _, kind in kinds]
        rows = page["ResultSet"]["Rows"][1:] if heads else page["ResultSet"]["Rows"]
        found = [_row(row, readers) for row in rows]
        while token := page.get("NextToken"):
            page = self._page(started, token)
            found += [_row(row, readers) for row in page["ResultSet"]["Rows"]]
        return Answer([name for name, _ in kinds], [kind in _NUMBERS for _, kind in kinds], found)

    def _page(self, started: str, token: str) -> GetQueryResultsOutputTypeDef:
        return _asked(
            lambda: self._client.get_query_results(QueryExecutionId=started, MaxResults=1000, NextToken=token)
        )


def _asked(call: Callable[[], _Told]) -> _Told:
    try:
        return call()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        kind = AthenaAwayError if code in _RETRY else AthenaRefusedError
        raise kind(f"athena: {error.response.get('Error', {}).get('Message') or error}") from error
    except (NoCredentialsError, PartialCredentialsError, NoRegionError, ParamValidationError) as error:
        raise AthenaRefusedError(f"athena: {error}") from error
    except BotoCoreError as error:
        raise AthenaAwayError(f"athena: {error}") from error


def _row(row: RowTypeDef, readers: list[Callable[[str], Value]]) -> list[Value]:
    values = (datum.get("VarCharValue") for datum in row["Data"])
    return [None if text is None else read(text) for text, read in zip(values, readers, strict=False)]


def _text(text: str) -> Value:
    return text


def _truth(text: str) -> Value:
    return text == "true"


def _bytes(text: str) -> Value:
    return of_bytes(bytes.fromhex(text))


_INTEGERS = ("tinyint", "smallint", "integer", "int", "bigint")
_REALS = ("real", "float", "double")
_NUMBERS = {*_INTEGERS, *_REALS, "decimal"}
_READERS: dict[str, Callable[[str], Value]] = {
    **dict.fromkeys(_INTEGERS, int),
    **dict.fromkeys(_REALS, float),
    "decimal": of_decimal,
    "boolean": _truth,
    "timestamp": of_time,
    "timestamp with time zone": of_time,
    "varbinary": _bytes,
}
"""What Athena's text of a type means."""

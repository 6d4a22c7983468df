"""Spark with Hive's own parser, metastore and SerDes, as a process: a statement a line in, its rows or its error a line out."""

from __future__ import annotations

import base64
import json
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path


def main(folder: Path) -> None:
    """Answers until its input ends; all that Hive keeps is in `folder`."""
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.driver.extraJavaOptions", f"-Dderby.system.home={folder / 'derby'} -Duser.timezone=UTC")
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .config(
            "spark.hadoop.javax.jdo.option.ConnectionURL", f"jdbc:derby:;databaseName={folder / 'hive'};create=true"
        )
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.variable.substitute", "false")  # `${day}` is for Athena
        .config("spark.sql.ansi.enabled", "true")
        .config("spark.sql.ansi.doubleQuotedIdentifiers", "true")  # views are in Trino's SQL
        .config("spark.sql.hive.convertMetastoreParquet", "false")  # Hive's SerDe, not Spark's own reader
        .enableHiveSupport()
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    print(json.dumps({"ready": session.version}), flush=True)
    for line in sys.stdin:
        try:
            rows = session.sql(json.loads(line)).collect()
            answer: dict[str, object] = {"rows": [[_plain(value) for value in row] for row in rows]}
        except Exception as error:  # noqa: BLE001  # whatever it is, the asking test shall hear of it
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, bytes | bytearray):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    return value


if __name__ == "__main__":
    main(Path(sys.argv[1]))

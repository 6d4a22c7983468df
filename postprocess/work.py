"""One unit of work: from the raw objects its plan names to its files in the lake; a function of what the stores hold."""

from __future__ import annotations

import resource
import time

import msgspec

from postprocess.canonical import MERGED, Canonical
from postprocess.ledger import Ledger
from postprocess.plan import read_plan
from postprocess.raw import DayObjects, of_keys
from postprocess.staging import ProviderFiles, Staging
from postprocess.streams import payloads
from postprocess.units import Problem, Report, Unit, failure
from tapeline.errors import TapelineError
from tapeline.identity import of_payloads
from tapeline.objectstore import open_store
from tapeline.objectstore.base import ObjectStore
from tapeline.offline.lake import Lake
from tapeline.offline.tables import LEDGER, LEDGER_GAPS, RAW_PAYLOADS, all_tables, record_tables
from tapeline.venues import Venue, load


def run_unit(unit: Unit) -> Report:
    """Makes the files of a unit and notes its report in the lake; what stops it is told in the report."""
    started, cpu = time.perf_counter(), time.process_time()
    try:
        lake = Lake(open_store(unit.lake, unit.s3_endpoint), unit.lake)
        store = open_store(unit.store, unit.s3_endpoint)
        plan = read_plan(lake, unit.date, unit.provider, unit.version)
        report = _Run(unit, load(unit.provider.lower()), of_keys(plan.objects), store, lake).report()
    except (TapelineError, msgspec.DecodeError, MemoryError) as error:
        return failure(unit, str(error) or type(error).__name__)
    report = msgspec.structs.replace(
        report,
        seconds=round(time.perf_counter() - started, 6),
        cpu_seconds=round(time.process_time() - cpu, 6),
        peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
    lake.store.put(report_key(unit), report.encode(), if_absent=False)
    return report


def report_key(unit: Unit) -> str:
    """Where a finished unit's report stands in the lake."""
    return f"{unit.work}/report-{unit.shard:04d}.json"


class _Run:
    def __init__(self, unit: Unit, venue: Venue, objects: DayObjects, store: ObjectStore, lake: Lake) -> None:
        self._unit = unit
        self._venue = venue
        self._objects = objects
        self._store = store
        self._lake = lake
        self._problems: list[Problem] = []
        self._counts = {"payloads": 0, "records": 0, "rejected": 0, "gaps": 0}

    def report(self) -> Report:
        with Staging(self._lake, self._unit) as staging:
            files = ProviderFiles(staging, self._venue.provider)
            try:
                self._fill(files)
            except BaseException:
                files.abandon()
                raise
            tables, dbn, index = staging.settle(files.rows)
        return Report(self._unit, tables, dbn, self._counts, 0.0, 0.0, 0, self._problems, index=index)

    def _fill(self, files: ProviderFiles) -> None:
        venue = self._venue
        channels = self._objects.of(venue.provider)
        instances = {instance for _, keys in channels for instance in keys}
        canonical = Canonical(venue, instances.pop() if len(instances) == 1 else MERGED)
        ledger = Ledger()
        span: tuple[int, int] | None = None
        identity = of_payloads(venue.session.routing, venue.meaning)
        for step in canonical.steps(payloads(channels, self._store, ledger, identity, self._broken)):
            files.add_rows(RAW_PAYLOADS, step.raw)
            self._counts["payloads"] += step.raw.num_rows
            stamps = step.raw.column("ts_recv").to_numpy()
            low, high = int(stamps.min()), int(stamps.max())
            span = (min(low, span[0]), max(high, span[1])) if span is not None else (low, high)
            for part in step.parts:
                files.add_rows(record_tables()[part.kind.schema], part.rows)
                files.add_records(part.kind.schema, part.data)
                self._counts["records"] += part.rows.num_rows
            files.add_places(canonical.channels(), step.numbers, step.stamps)
            for payload in step.rejected:
                ledger.note_rejected(payload.channel, payload.schema, payload.row.ts_recv)
                self._counts["rejected"] += 1
        gaps = ledger.gaps()
        self._counts["gaps"] = gaps.num_rows
        files.add_rows(LEDGER, ledger.hours())
        files.add_rows(LEDGER_GAPS, gaps)
        files.finish(all_tables(), span or (0, 0), canonical.symbols())

    def _broken(self, key: str, reason: str) -> None:
        self._problems.append(Problem("object", key, reason))

"""What `tapeline up` says before and after."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tapeline.cli.up.plan import Plan, Source
from tapeline.cli.up.report import Report, VenueReport
from tapeline.cli.up.table import delay, plain_table


def source(plan: Plan) -> str:
    """Where payloads come from, in words."""
    match plan.source:
        case Source.CAPTURES:
            pace = "as fast as possible" if plan.speed == "max" else f"at {plan.speed} × their speed"
            return f"captures of {plan.captures} {pace}"
        case Source.SYNTHETIC:
            return f"synthesised load, {plan.rate:,} payloads/s"
        case Source.LIVE:
            return "the real venues"


def opening(plan: Plan) -> str:
    """The first line: what is about to run."""
    end = f", for {plan.seconds:g} s" if plan.seconds is not None else ""
    return f"{', '.join(plan.venues)}: {source(plan)}{end}; data in {plan.data_dir}"


def print_summary(console: Console, plan: Plan, report: Report) -> None:
    """The account of a run, for a person."""
    console.print(_by_venue(report))
    console.print(_verdict(report))
    latency = report.latency_us
    whence = "venue's sending" if report.latency_from == "venue" else "receipt"
    console.print(
        f"latency, {whence} to consumer: p50 {delay(latency['p50'])}, p99 {delay(latency['p99'])}, max {delay(latency['max'])}"
    )
    console.print("CPU seconds: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in report.cpu_seconds.items()))
    filled = {name: rows for name, rows in report.tables.items() if rows}
    console.print("tables: " + (", ".join(f"{name} {rows:,}" for name, rows in filled.items()) or "none"))
    console.print(f"raw payloads in {plan.store}, tables in {plan.lake}, logs in {plan.logs}")
    console.print(f'try: tapeline query "{example(filled)}" --data-dir {plan.data_dir}', markup=False, soft_wrap=True)


def example(tables: dict[str, int]) -> str:
    """A statement that answers something."""
    name = next((name for name in ("trades", "mbp_1", "mbo") if name in tables), None)
    if name is None:
        return "SHOW TABLES"
    return f"SELECT provider, raw_symbol, count(*) AS records FROM {name} GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10"


def _by_venue(report: Report) -> Table:
    columns = ("sent", "received", "held back", "rejects", "lost", "gaps", "records")
    out = plain_table("Summary", "venue", *columns)
    for name, part in report.venues.items():
        out.add_row(name, *_cells(part))
    return out


def _cells(part: VenueReport) -> list[str]:
    held, rejected = sum(part.unpublished.values()), sum(part.rejected.values())
    numbers = (part.sent, part.received, held, rejected, part.lost, part.gaps, part.records)
    return ["–" if number is None else f"{number:,}" for number in numbers]


def _verdict(report: Report) -> str:
    rate = report.payloads / report.seconds if report.seconds else 0.0
    head = (
        f"{report.payloads:,} payloads, {report.records:,} records in {report.seconds:.1f} s ({rate:,.0f} payloads/s)"
    )
    if report.lost is None:
        return f"{head}; what the venues sent nobody knows, so neither whether all came"
    reasons: dict[str, int] = {}
    for part in report.venues.values():
        for reason, count in (*part.unpublished.items(), *part.rejected.items()):
            reasons[reason] = reasons.get(reason, 0) + count
    told = "; held back on purpose: " + ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
    return f"{head}; lost: {report.lost:,}{told if reasons else ''}"

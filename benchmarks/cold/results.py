"""The figures of the cold path: kept as JSON part by part, and written as a page of all parts there are."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.measure import machine

FOLDER = Path(__file__).parent.parent / "results"


class Size(msgspec.Struct):
    """One synthetic day through post-process."""

    times: int
    minutes: int
    """How much of the day it fills."""
    rows: int
    """Raw payloads of both instances."""
    payloads: int
    """Venue messages, after coalescing."""
    records: int
    objects: int
    in_bytes: int
    row_bytes: int
    out_bytes: int
    out_by_table: dict[str, int]
    work_bytes: int
    """The most that lay in the lake at once, with what is intermediate."""
    workers: int
    executor: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    peak_each: list[int]
    made_seconds: float
    made_cpu_seconds: float
    as_made: bool
    """Whether the ledger says exactly what was put in, hour by hour and channel by channel."""


class Task(msgspec.Struct):
    """One task by one reader: medians of the runs."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    agrees: bool
    off_by: str
    """How far its turnover is from the exact one; empty where it is exact, `-` where it is in other units."""


class Reader(msgspec.Struct):
    """A way to read the trades."""

    name: str
    disk_bytes: int
    columns: int
    tasks: dict[str, Task]
    note: str = ""


class Scale(msgspec.Struct):
    """Growth with size."""

    machine: dict[str, str]
    sizes: list[Size] = []


class Readers(msgspec.Struct):
    """Readers side by side."""

    machine: dict[str, str]
    trades: int
    symbols: int
    symbol: str
    runs: int
    readers: list[Reader] = []


class Coalesced(msgspec.Struct):
    """One way to make two instances one."""

    name: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    messages: int


class Coalescing(msgspec.Struct):
    """Ways to make two instances one, side by side."""

    machine: dict[str, str]
    provider: str
    rows: int
    payloads: int
    runs: int
    ways: list[Coalesced] = []


class Cold(msgspec.Struct):
    """Everything measured of the cold path; the parts may be of different runs."""

    scale: Scale | None = None
    readers: Readers | None = None
    coalescing: Coalescing | None = None


def load(folder: Path = FOLDER) -> Cold:
    """What was measured before."""
    path = folder / "cold.json"
    return msgspec.json.decode(path.read_bytes(), type=Cold) if path.exists() else Cold()


def save(cold: Cold, folder: Path = FOLDER) -> Path:
    """Writes `cold.json` and `cold.md`; the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cold.json").write_bytes(msgspec.json.format(msgspec.json.encode(cold), indent=1) + b"\n")
    page = folder / "cold.md"
    page.write_text("\n".join(_page(cold)) + "\n")
    return page


def here() -> dict[str, str]:
    """The machine, and what else it does just now."""
    return machine()


def _page(cold: Cold) -> list[str]:
    lines = ["# Benchmarks of the cold path", "", "Made by `make bench-cold`.", ""]
    if cold.scale is not None:
        lines += _scale(cold.scale)
    if cold.readers is not None:
        lines += _readers(cold.readers)
    if cold.coalescing is not None:
        lines += _coalescing(cold.coalescing)
    return lines[:-1]


def _on(told: dict[str, str]) -> str:
    return (
        f"{told['cores']} cores of {told['cpu']}, {told['system']}, Python {told['python']}; the load average before it began was "
        f"{told['load']}: what is above 0 is other work, which shared the cores."
    )


def _scale(scale: Scale) -> list[str]:
    first = scale.sizes[0]
    rows = [
        "## Scale",
        "",
        f"The first part of a synthetic day through `tapeline postprocess` with {first.workers} workers ({first.executor}), on {_on(scale.machine)}",
        "The rate is that of 200 million raw payloads in a whole day, from five providers through both instances.",
        "A raw payload is a row in the store; a message is what either instance or both have of the venue's. Rates are of raw payloads.",
        "Memory is resident: what processes share counts for each.",
        "",
        "| size | minutes | raw payloads | messages | records | s | CPU-s per M | payloads/s per core | against linear | largest process | all | ledger as made |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for size in scale.sizes:
        linear = size.cpu_seconds / first.cpu_seconds / (size.rows / first.rows)
        rows.append(
            f"| {size.times}× | {size.minutes:,} | {size.rows:,} | {size.payloads:,} | {size.records:,} | {size.seconds:.0f} | "
            f"{size.cpu_seconds / size.rows * 1e6:.2f} | {size.rows / size.cpu_seconds:,.0f} | {linear:.2f} | "
            f"{_mega(max(size.peak_each))} | {_mega(size.peak_bytes)} | {'yes' if size.as_made else 'no'} |"
        )
    rows += [
        "",
        "“Against linear” is CPU time against that of the first size times its growth: 1 is exactly linear.",
        "",
        "| size | objects | raw gzip | rows before gzip | tables and DBN | at most in the lake | made in |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for size in scale.sizes:
        cells = [_mega(part) for part in (size.in_bytes, size.row_bytes, size.out_bytes, size.work_bytes)]
        rows.append(f"| {size.times}× | {size.objects:,} | {' | '.join(cells)} | {size.made_seconds:.0f} s |")
    last = scale.sizes[-1]
    rows += [
        "",
        f"What is published of {last.times}×, by table:",
        "",
        "| table | size | bytes a raw payload |",
        "| --- | ---: | ---: |",
    ]
    rows += [
        f"| {name} | {_mega(much)} | {much / last.rows:.1f} |"
        for name, much in sorted(last.out_by_table.items(), key=lambda item: -item[1])
    ]
    return [*rows, ""]


_TASKS = {"vwap": "VWAP of every symbol", "hour": "one symbol, one hour", "bars": "1-minute bars of a symbol"}


def _readers(readers: Readers) -> list[str]:
    rows = [
        "## The same trades read in several ways",
        "",
        f"{readers.trades:,} trades of {readers.symbols} symbols in a day; the symbol is {readers.symbol}. On {_on(readers.machine)}",
        f"Medians of {readers.runs} runs, each in a process of its own with the files in the page cache; imports are not counted in times, but in memory.",
        "",
        "| reader | on disk | columns | "
        + " | ".join(f"{name}: s (CPU-s)" for name in _TASKS.values())
        + " | most memory | turnover off by |",
        "| --- | ---: | ---: | " + "---: | " * len(_TASKS) + "---: | --- |",
    ]
    for reader in readers.readers:
        cells = [reader.name, _mega(reader.disk_bytes), str(reader.columns)]
        for name in _TASKS:
            task = reader.tasks[name]
            cells.append(f"{task.seconds:.3f} ({task.cpu_seconds:.3f}){'' if task.agrees else ' **differs**'}")
        cells.append(_mega(max(task.peak_bytes for task in reader.tasks.values())))
        cells.append(reader.tasks["vwap"].off_by or "exact")
        rows.append("| " + " | ".join(cells) + " |")
    notes = [f"- {reader.name}: {reader.note}" for reader in readers.readers if reader.note]
    return [*rows, "", *notes, ""] if notes else [*rows, ""]


def _coalescing(made: Coalescing) -> list[str]:
    rows = [
        "## Two instances made one",
        "",
        f"{made.rows:,} raw payloads of {made.provider}, {made.payloads:,} messages. On {_on(made.machine)}",
        f"Medians of {made.runs} runs. SQL takes content that comes again for the same message, and orders by two clocks that differ.",
        "",
        "| | s | CPU-s per M raw payloads | most memory | messages missing |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for way in made.ways:
        cost = way.cpu_seconds / made.rows * 1e6
        rows.append(
            f"| {way.name} | {way.seconds:.2f} | {cost:.2f} | {_mega(way.peak_bytes)} | {made.payloads - way.messages:,} |"
        )
    return [*rows, ""]


def _mega(much: int) -> str:
    return f"{much / 1e9:,.2f} GB" if much >= 10**9 else f"{much / 1e6:,.0f} MB"

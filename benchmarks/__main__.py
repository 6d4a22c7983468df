"""`python -m benchmarks [--captures DIR] [--only PART …]`: measures, writes the results, prints the aims."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import end_to_end
from benchmarks.kernel import measure_kernel
from benchmarks.material import gather
from benchmarks.measure import machine
from benchmarks.report import Results, aims, write
from benchmarks.sdk import measure_sdk
from tapeline.errors import TapelineError

PARTS = ("kernel", "sdk", "end_to_end")


def main() -> int:
    """Measures all parts, or some of them without writing results; 1 where something could not be measured."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "--captures", type=Path, metavar="DIR", help="recorded sessions; without them load is synthesised"
    )
    parser.add_argument("--only", choices=PARTS, nargs="+", metavar="PART", help=f"some of {', '.join(PARTS)}")
    args = parser.parse_args()
    parts = args.only or PARTS
    started = time.monotonic()
    results = Results(machine())
    try:
        _measure(results, parts, args.captures)
    except TapelineError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    results.seconds = time.monotonic() - started
    for aim, measured, held in aims(results):
        _say(f"{'held  ' if held else 'MISSED'} {aim}: {measured}")
    if not args.only:
        _say(f"written to {write(results).name} in {results.seconds:.0f} s")
    return 0


def _measure(results: Results, parts: tuple[str, ...], captures: Path | None) -> None:
    if "kernel" in parts or "sdk" in parts:
        materials = gather(captures)
        if "kernel" in parts:
            for material in materials:
                results.kernel.append(measure_kernel(material))
                _say(f"{material.name}: {results.kernel[-1]['both'].median / 1e6:.2f} M payloads a CPU-second")
        if "sdk" in parts:
            results.sdk += measure_sdk(materials)
    if "end_to_end" in parts:
        with tempfile.TemporaryDirectory() as folder:
            results.levels += end_to_end.measure(Path(folder), _say)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m benchmarks.cold.coalescing`: two instances made one by the kernel, and by SQL over the same objects."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cold.results import FOLDER, Coalesced, Coalescing, here, load, save
from benchmarks.cold.synthetic_day import fill
from benchmarks.cold.task import several
from tapeline.errors import TapelineError

_WAYS = {"our kernel": "coalesce_kernel", "DuckDB, GROUP BY content": "coalesce_duckdb"}
_RUNS = 3
# Few objects: to open files is no part of what is compared.
_THRESHOLD = 600.0
_MINUTES = 60


def main(argv: Sequence[str] | None = None) -> int:
    """Compares; 1 where the kernel finds something else than was made."""
    parser = argparse.ArgumentParser(prog="coalescing", description=__doc__)
    parser.add_argument(
        "--payloads",
        type=int,
        default=4_000_000,
        metavar="N",
        help="raw payloads of five providers, of which one is taken",
    )
    parser.add_argument("--work", type=Path, metavar="DIR", help="where to work (default: a temporary folder)")
    parser.add_argument(
        "--results", type=Path, default=FOLDER, metavar="DIR", help="where the figures go (default: benchmarks/results)"
    )
    args = parser.parse_args(argv)
    told = here()
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        store = Path(folder) / "store"
        made = fill(store, args.payloads, minutes=_MINUTES, threshold=_THRESHOLD)
        truth = made.providers[0]
        coalescing = Coalescing(told, truth.provider, truth.rows, truth.payloads, _RUNS)
        given = {"place": str(store), "provider": truth.provider}
        for name, module in _WAYS.items():
            try:
                spent = several(sys.executable, module, "coalesce", given, _RUNS)
            except TapelineError as error:
                print(f"coalescing: {error}", file=sys.stderr)
                return 1
            messages = spent["answer"][0]
            found = Coalesced(name, spent["seconds"], spent["cpu_seconds"], spent["peak_bytes"], messages)
            coalescing.ways.append(found)
            missing = truth.payloads - messages
            print(
                f"{name}: {found.cpu_seconds / truth.rows * 1e6:.2f} CPU-s per million, {missing} messages missing",
                flush=True,
            )
    cold = load(args.results)
    cold.coalescing = coalescing
    print(f"written to {save(cold, args.results).name}")
    return 0 if coalescing.ways[0].messages == truth.payloads else 1


if __name__ == "__main__":
    sys.exit(main())

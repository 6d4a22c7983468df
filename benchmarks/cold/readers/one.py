"""`python one.py READER.py TASK JSON`: one task by one reader in this process; what it took and what it found, as JSON.

Stands alone: some readers run in an environment of their own, without Tapeline. The clock starts when the reader has been
imported; the peak of memory is the process's.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import sys
import time
from pathlib import Path


def main() -> int:
    """Runs the task."""
    path, task, given = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        print(f"{path} is no reader", file=sys.stderr)
        return 2
    reader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reader)
    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    answer = getattr(reader, task)(**given)
    spent = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({**spent, "peak_bytes": peak << 10, "imported_bytes": imported << 10, "answer": answer}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

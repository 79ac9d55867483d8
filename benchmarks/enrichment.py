"""Enrichment of a large file by the command `enrich`: speed, memory, and the journal's share.

`SIZE=100000 python -m benchmarks enrichment` measures as many rows.
"""

import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypedDict

from benchmarks.measure import Row
from parallel_integrations.sandbox import Sandbox

SIZE: Final = int(os.environ.get("SIZE") or 20_000)
NAMES: Final = ("with", "nonlocal", "assert", "try", "lambda")
OF_THE_JOURNAL: Final = (
    "add_batch",
    "flush",
    "finish",
    "find",
    "check_row",
    "check_total",
    "add_repeats",
    "close",
)


class Spent(TypedDict):
    """What a run of the command took: seconds, of CPU but for `elapsed`, and bytes."""

    elapsed: float
    cpu: float
    journal_cpu: float
    journal_bytes: int
    max_memory: int


def rows() -> list[Row]:
    """The rows of this file; command and sandbox are processes of their own."""
    found = []
    for ending in ("csv", "parquet"):
        few, many = _spent(ending, SIZE // 10), _spent(ending, SIZE)
        what = f"enrichment, {SIZE:,} rows, {ending}"
        cpu = f"the command in all, {many['cpu']:.2f} s CPU"
        grown = (many["max_memory"] - few["max_memory"]) / 1e6
        found += [
            Row(f"{what}, rows a second", None, SIZE / many["elapsed"], unit="", base=cpu),
            Row(
                f"{what}, growth of memory",
                50.0,
                grown,
                unit=" MB",
                base=f"{SIZE // 10:,} rows, {few['max_memory'] / 1e6:.0f} MB",
            ),
            Row(f"{what}, the journal", None, many["journal_bytes"] / 1e6, unit=" MB"),
            Row(
                f"{what}, the journal's CPU",
                5.0,
                100 * many["journal_cpu"] / many["cpu"],
                unit="%",
                base=cpu,
            ),
        ]
    return found


def _spent(ending: str, size: int) -> Spent:
    command = [sys.executable, "-m", "benchmarks.enrichment"]
    with tempfile.TemporaryDirectory() as folder, Sandbox(task_seconds=0) as sandbox:
        path = Path(folder, f"rows.{ending}")
        _write(path, size)
        connected = {"PARALLEL_API_KEY": sandbox.api_key, "PARALLEL_BASE_URL": sandbox.url}
        output = subprocess.run(
            [*command, str(path)],
            env={**os.environ, **connected},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
            text=True,
        ).stdout
    spent: Spent = json.loads(output)
    return spent


def _write(path: Path, size: int) -> None:
    statements = [NAMES[n % len(NAMES)] for n in range(size)]
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["statement", "number"])
            lines.writerows(zip(statements, range(size), strict=True))
    else:
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table({"statement": statements, "number": range(size)}), path)


def measured(path: Path) -> Spent:
    """What the command takes in this process."""
    from parallel_integrations._cli.enrich import run
    from parallel_integrations.enrichment.journal import Journal

    spent = 0.0
    calls = 0

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal spent, calls
            calls += 1
            began = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                spent += time.thread_time() - began

        return call

    for name in OF_THE_JOURNAL:
        setattr(Journal, name, timed(getattr(Journal, name)))
    began = time.perf_counter()
    statement = "What the statement does."
    journal = path.with_name("run.db")
    run(path, statement, journal, path.with_name(f"out{path.suffix}"), "lite")
    elapsed, whole = time.perf_counter() - began, time.process_time()
    began = time.thread_time()
    for _ in range(10_000):
        time.thread_time()
    clock = (time.thread_time() - began) / 10_000
    return {
        "elapsed": elapsed,
        "cpu": whole - 2 * calls * clock,
        "journal_cpu": spent - calls * clock,
        "journal_bytes": journal.stat().st_size,
        "max_memory": max_memory(),
    }


def max_memory() -> int:
    """The most bytes that this process had in memory.

    On Linux, what the system counts for a process begins with what its parent had.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most * (1 if sys.platform == "darwin" else 1024)
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    print(json.dumps(measured(Path(sys.argv[1]))))

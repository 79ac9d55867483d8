"""The journal of an enrichment: its share of the CPU that the command `enrich` takes in all."""

import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import Row
from parallel_integrations.sandbox import Sandbox

ROWS = 10_000
NAMES = ("with", "nonlocal", "assert", "try", "lambda")
CALLED = (
    "add_batch",
    "flush",
    "finish",
    "find",
    "check_row",
    "check_total",
    "add_repeats",
    "close",
)


def rows(_: str) -> list[Row]:
    """The row of this file; command and sandbox are processes of their own."""
    command = [sys.executable, "-m", "benchmarks.journal"]
    with tempfile.TemporaryDirectory() as folder, Sandbox(task_seconds=0) as sandbox:
        with (Path(folder) / "rows.csv").open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(["statement", "number"])
            lines.writerows((NAMES[n % len(NAMES)], n) for n in range(ROWS))
        connected = {"PARALLEL_API_KEY": sandbox.api_key, "PARALLEL_BASE_URL": sandbox.url}
        output = subprocess.run(
            [*command, folder],
            env={**os.environ, **connected},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
            text=True,
        ).stdout
    journal, whole = map(float, output.split())
    return [
        Row(
            f"enrichment journal, {ROWS:,} rows, of the command's CPU",
            5.0,
            100 * journal / whole,
            unit="%",
            base=f"the command in all, {whole:.2f} s CPU",
        )
    ]


def measured(folder: Path) -> tuple[float, float]:
    """CPU seconds of the journal, and of this process since it began."""
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

    for name in CALLED:
        setattr(Journal, name, timed(getattr(Journal, name)))
    statement = "What the statement does."
    run(folder / "rows.csv", statement, folder / "run.db", folder / "out.jsonl", "lite")
    whole = time.process_time()
    began = time.thread_time()
    for _ in range(10_000):
        time.thread_time()
    clock = (time.thread_time() - began) / 10_000
    return spent - calls * clock, whole - 2 * calls * clock


if __name__ == "__main__":
    print(*measured(Path(sys.argv[1])))

"""Rows in parts for the tests of engines, and what must come of them."""

import os
from pathlib import Path
from typing import Any

import pytest

from parallel_integrations.sandbox import Sandbox
from tests.engines.part import KILLED_PART
from tests.enrichment.support import rows, started

ROWS_IN_PART = 6
NUM_PARTS = 4
WITH_ENGINE = [
    pytest.mark.skipif(os.environ.get("ENGINES") != "1", reason="`make engines` runs it"),
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),  # those of Ray and Spark
]
"""Marks of what starts Ray or Spark."""


def parts() -> list[list[dict[str, Any]]]:
    """Rows that all differ, in parts."""
    given = rows(ROWS_IN_PART * NUM_PARTS)
    return [given[n : n + ROWS_IN_PART] for n in range(0, len(given), ROWS_IN_PART)]


def check(found: list[dict[str, Any]], sandbox: Sandbox, folder: Path) -> None:
    """Workers gave all rows in order, one was killed midway, and each row was paid once."""
    assert [row["part"] for row in found] == [
        number for number in range(NUM_PARTS) for _ in range(ROWS_IN_PART)
    ]
    assert len({row["run_id"] for row in found}) == ROWS_IN_PART * NUM_PARTS
    assert started(sandbox) == sandbox.ledger.count("task_run") == ROWS_IN_PART * NUM_PARTS
    killed = int((folder / "killed").read_text())
    assert killed not in {row["worker"] for row in found if row["part"] == KILLED_PART}
    assert len({row["worker"] for row in found} | {killed}) >= 2
    assert os.getpid() not in {row["worker"] for row in found}

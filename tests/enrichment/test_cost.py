"""What the journal costs a run, in what the database is asked to do: the same on every machine."""

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from parallel_integrations import ParallelClient
from parallel_integrations.sandbox import Sandbox
from tests.enrichment.support import rows, told

ROWS = 2000
GROUPS = 10


def test_a_row_costs_two_statements_and_a_group_few_transactions(
    client: ParallelClient, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[str] = Counter()
    connect = sqlite3.connect

    def watched(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.set_trace_callback(lambda statement: asked.update([statement.split()[0]]))
        return connection

    monkeypatch.setattr(sqlite3, "connect", watched)
    assert len(told(client, rows(ROWS), journal=tmp_path / "run.db")) == ROWS
    # A task before it is sent and its outcome after; a transaction for each group before it is
    # sent and one for what came back.
    assert asked["COMMIT"] <= 4 * GROUPS, asked
    assert asked["INSERT"] <= 2 * ROWS + 2 * GROUPS + 5, asked
    assert asked["SELECT"] + asked["UPDATE"] <= 5 * GROUPS, asked

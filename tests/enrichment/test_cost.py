"""Cost of the journal, in SQL statements: the same on every machine."""

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from parallel_integrations import ParallelClient
from parallel_integrations.sandbox import Sandbox
from tests.enrichment.support import enriched, rows

ROWS = 500
GROUPS = 10


def test_a_row_costs_three_statements_and_a_group_few_transactions(
    client: ParallelClient, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed: Counter[str] = Counter()
    connect = sqlite3.connect

    def watched(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **kwargs)
        connection.set_trace_callback(lambda statement: executed.update([statement.split()[0]]))
        return connection

    monkeypatch.setattr(sqlite3, "connect", watched)
    found = enriched(client, rows(ROWS), journal=tmp_path / "run.db", rows_per_group=ROWS // GROUPS)
    assert len(found) == ROWS
    # For each row its task and its key before it is sent and its outcome after; for each group a
    # look-up of its keys, a transaction before it is sent and one for its outcomes.
    assert executed["COMMIT"] <= 4 * GROUPS, executed
    assert executed["INSERT"] <= 3 * ROWS + 2 * GROUPS + 5, executed
    assert executed["SELECT"] + executed["UPDATE"] <= 10 * GROUPS, executed

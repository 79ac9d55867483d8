"""What a row costs where there are very many: no memory, and few steps of the journal."""

import gc
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from parallel_integrations import ParallelClient
from parallel_integrations.enrichment import EnrichedRow, enrich
from tests.enrichment.support import SETTINGS, enriched, rows


def reachable_bytes(*roots: object) -> int:
    """Size of what some objects hold, code apart."""
    found: dict[int, object] = {}
    left = list(roots)
    while left:
        each = left.pop()
        if id(each) not in found and not isinstance(each, type | ModuleType | FunctionType):
            found[id(each)] = each
            left += gc.get_referents(each)
    return sum(map(sys.getsizeof, found.values()))


def held(client: ParallelClient, folder: Path, count: int) -> int:
    """Bytes that a client and an enrichment hold once so many rows were yielded."""
    path = folder / f"{count}.csv"
    path.write_text("number\n" + "".join(f"{n}\n" for n in range(1000, 1000 + count)))
    operation = enrich(
        path, SETTINGS, journal=path.with_suffix(".db"), rows_per_group=5, groups_in_flight=1
    )
    left = count
    with closing(client.stream(operation)) as stream:
        while left:
            left -= isinstance(next(stream), EnrichedRow)
        next(stream)  # the progress after the last row: nothing waits to be yielded
        return reachable_bytes(operation, client)


def test_memory_does_not_grow_with_the_rows(client: ParallelClient, tmp_path: Path) -> None:
    enriched(client, rows(20), journal=tmp_path / "first.db")  # what is loaded at first use
    few, many = held(client, tmp_path, 50), held(client, tmp_path, 250)
    # One number a row would be 10 kB.
    assert many - few < 5_000


def test_a_batch_costs_one_transaction_and_one_query(
    client: ParallelClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: Counter[str] = Counter()
    connect = sqlite3.connect

    def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(lambda text: statements.update([" ".join(text.split()[:2])]))
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    enriched(client, rows(100), journal=tmp_path / "run.db", rows_per_group=10, groups_in_flight=1)
    # Beside ten batches: the settings, the last outcomes, the repeats and the number of rows.
    assert statements["BEGIN IMMEDIATE"] == 14
    assert statements["SELECT keys.input_key,"] == 10

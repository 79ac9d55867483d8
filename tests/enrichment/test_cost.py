"""What the journal costs a run of 2,000 rows, in CPU of the thread that runs it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parallel_integrations import ParallelClient
from parallel_integrations.enrichment.journal import Journal
from parallel_integrations.sandbox import Sandbox
from tests.enrichment.support import rows, told

WRITING = ("begin", "flush", "finish")
READING = ("find", "check_row")


@pytest.mark.slow
def test_the_journal_is_a_small_part_of_the_run(
    client: ParallelClient, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = dict.fromkeys((*WRITING, *READING), 0.0)

    def measured(name: str) -> Callable[..., Any]:
        method = getattr(Journal, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                spent[name] += time.thread_time() - began

        return call

    for name in spent:
        monkeypatch.setattr(Journal, name, measured(name))
    began = time.thread_time()
    assert len(told(client, rows(2000), journal=tmp_path / "run.db")) == 2000
    whole = time.thread_time() - began
    # Without the start of the process and the files, of which a run has both, and with what
    # measuring costs; a tenth leaves room for a loaded machine.
    assert sum(spent.values()) <= 0.1 * whole, spent

"""The journal as a file: of this work or refused, cut or whole, never silently empty."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from parallel_integrations import McpServer, ParallelClient, TaskSettings, Webhook
from parallel_integrations.enrichment import EnrichedRow, JournalError, enrich
from parallel_integrations.sandbox import Sandbox
from tests.enrichment.support import SETTINGS, events, leave, rows, started, told

SCHEMA = {"type": "object", "properties": {"purpose": {"type": "string"}}}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (TaskSettings(processor="base", output_schema=SETTINGS.output_schema), "processor.*'lite'"),
        (TaskSettings(processor="lite", output_schema="Something else."), "output_schema"),
        (TaskSettings(processor="lite", output_schema=SCHEMA), "output_schema"),
        (SETTINGS.model_copy(update={"input_schema": "A statement."}), "input_schema"),
        (SETTINGS.model_copy(update={"location": "gb"}), "advanced_settings"),
    ],
)
def test_a_journal_of_other_settings_is_refused(
    sandbox: Sandbox, client: ParallelClient, journal: Path, settings: TaskSettings, named: str
) -> None:
    told(client, rows(2), journal=journal)
    with pytest.raises(JournalError, match=f"other work: {named}"):
        told(client, rows(2), settings, journal=journal)
    assert started(sandbox) == 2


def test_a_journal_of_another_server_is_refused(client: ParallelClient, journal: Path) -> None:
    told(client, rows(2), journal=journal, server="http://127.0.0.1:1")
    with pytest.raises(JournalError, match=r"server differs \('http://127.0.0.1:1', now 'https"):
        told(client, rows(2), journal=journal, server="https://api.parallel.ai")
    assert len(told(client, rows(2), journal=journal)) == 2


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ([*rows(2), {"statement": "changed"}, *rows(5)[3:]], "row 2 differs"),
        (list(reversed(rows(5))), "row 0 differs"),
        (rows(4), "5 rows; this one has 4"),
        (rows(6), "5 rows; this one has more"),
        ([], "5 rows; this one has 0"),
    ],
)
@pytest.mark.parametrize("once", [False, True])
def test_a_journal_of_another_input_is_refused(
    sandbox: Sandbox,
    client: ParallelClient,
    journal: Path,
    given: list[Any],
    named: str,
    *,
    once: bool,
) -> None:
    told(client, rows(5), journal=journal)
    with pytest.raises(JournalError, match=named):
        told(client, iter(given) if once else given, journal=journal)
    assert started(sandbox) == 5
    assert len(told(client, rows(5), journal=journal)) == 5


def test_a_shorter_input_is_refused_before_it_was_read_to_its_end(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
    leave(client, 4, rows(9), journal, rows_per_group=3)
    before = started(sandbox)
    with pytest.raises(JournalError, match=r"differs|this one has 1"):
        told(client, rows(1), journal=journal)
    assert started(sandbox) == before


@pytest.mark.parametrize("full", [False, True])
def test_cut_at_any_byte(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path, *, full: bool
) -> None:
    """Refused with a message, whatever is missing; nothing is asked."""
    whole = tmp_path / "whole.db"
    if full:
        told(client, rows(12), journal=whole)
    else:
        leave(client, 4, rows(12), whole, rows_per_group=3)
    content = whole.read_bytes()
    before = started(sandbox)
    cut = tmp_path / "cut.db"
    lengths = {0, 1, 15, 16, 99, 100, 101, 511, 512, 4096, len(content) - 1}
    lengths |= set(range(0, len(content), 1021)) | set(range(0, len(content), 16_384))
    for length in sorted(lengths):
        cut.write_bytes(content[:length])
        with pytest.raises(JournalError) as caught:
            told(client, rows(12), journal=cut)
        assert "cut.db" in str(caught.value), length
        cut.with_name("cut.db-journal").unlink(missing_ok=True)
    cut.write_bytes(content)
    assert len(told(client, rows(12), journal=cut)) == 12
    assert before <= started(sandbox) == 12


def test_half_a_change_is_undone(sandbox: Sandbox, client: ParallelClient, tmp_path: Path) -> None:
    """The two files as a process leaves them that ends in the middle of a change."""
    journal, copy = tmp_path / "run.db", tmp_path / "copy"
    first = told(client, rows(40), journal=journal)
    copy.mkdir()
    writer = sqlite3.connect(journal, isolation_level=None)
    writer.execute("PRAGMA cache_size = 2")
    writer.execute("BEGIN")
    writer.execute("DELETE FROM outcomes")
    writer.execute("UPDATE tasks SET chunk = NULL")
    for name in ("run.db", "run.db-journal"):
        shutil.copy(tmp_path / name, copy / name)
    half_done = (copy / "run.db").read_bytes()
    writer.execute("ROLLBACK")
    writer.close()
    assert (copy / "run.db-journal").stat().st_size > 512
    assert told(client, rows(40), journal=copy / "run.db") == first
    assert (copy / "run.db").read_bytes() != half_done
    assert started(sandbox) == 40


@pytest.mark.parametrize(
    "content", [b"", b"not a database, but long enough to look like one" * 40, b"\0" * 8192]
)
def test_what_is_no_journal_is_left_alone(
    sandbox: Sandbox, client: ParallelClient, journal: Path, content: bytes
) -> None:
    journal.write_bytes(content)
    with pytest.raises(JournalError, match=r"run\.db"):
        told(client, rows(2), journal=journal)
    assert journal.read_bytes() == content
    assert not sandbox.requests


def test_another_database_is_left_alone(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
    other = sqlite3.connect(journal)
    other.execute("CREATE TABLE mine (a)")
    other.close()
    with pytest.raises(JournalError, match="no journal of an enrichment"):
        told(client, rows(2), journal=journal)
    assert not sandbox.requests


def test_a_later_layout_is_refused(client: ParallelClient, journal: Path) -> None:
    told(client, rows(1), journal=journal)
    later = sqlite3.connect(journal)
    later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(JournalError, match="layout 99"):
        told(client, rows(1), journal=journal)


def test_a_damaged_page_is_refused(client: ParallelClient, journal: Path) -> None:
    told(client, rows(30), journal=journal)
    content = bytearray(journal.read_bytes())
    content[16_384 * 2 : 16_384 * 2 + 200] = b"\xff" * 200
    journal.write_bytes(content)
    with pytest.raises(JournalError, match="damaged"):
        told(client, rows(30), journal=journal)


def test_a_damaged_answer_is_refused(client: ParallelClient, journal: Path) -> None:
    told(client, rows(2), journal=journal)
    hand = sqlite3.connect(journal)
    hand.execute("UPDATE outcomes SET event = substr(event, 1, 40) WHERE task = 1")
    hand.commit()
    hand.close()
    with pytest.raises(JournalError, match="the output of row 1"):
        told(client, rows(2), journal=journal)


def test_no_folder_no_journal(sandbox: Sandbox, client: ParallelClient, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="Check its folder"):
        told(client, rows(1), journal=tmp_path / "missing" / "run.db")
    with pytest.raises(JournalError):
        told(client, rows(1), journal=tmp_path)
    assert not sandbox.requests


def test_a_deleted_journal_starts_anew_unless_it_left_a_change(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
    leftover = journal.with_name("run.db-journal")
    leftover.write_bytes(b"\0" * 512)
    assert len(told(client, rows(1), journal=journal)) == 1
    journal.unlink()
    leftover.write_bytes(bytes.fromhex("d9d505f920a163d7") + b"\0" * 512)
    with pytest.raises(JournalError, match="without"):
        told(client, rows(1), journal=journal)
    assert started(sandbox) == 1


def test_without_hard_links(
    client: ParallelClient, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    for _ in range(2):
        assert len(told(client, rows(2), journal=journal)) == 2
    assert [each.name for each in journal.parent.iterdir()] == ["run.db"]


def test_it_holds_no_secret(sandbox: Sandbox, client: ParallelClient, journal: Path) -> None:
    settings = SETTINGS.model_copy(
        update={
            "mcp_servers": [
                McpServer(
                    name="docs",
                    url="https://example.com/mcp?token=url-secret",
                    headers={"authorization": "Bearer header-secret"},
                )
            ],
            "webhook": Webhook(
                url="http://127.0.0.1:9/hook-secret", event_types=["task_run.status"]
            ),
        }
    )
    leave(client, 3, rows(2), journal)
    journal.unlink()
    stream = client.stream(enrich(rows(2), settings, journal=journal))
    next(stream)
    stream.close()
    content = journal.read_bytes().decode("latin-1")
    for secret in (sandbox.api_key, "url-secret", "header-secret", "hook-secret"):
        assert secret not in content
    new_token = settings.model_copy(
        update={"mcp_servers": [settings.mcp_servers[0].model_copy(update={"headers": None})]}  # type: ignore[index]
    )
    next(client.stream(enrich(rows(2), new_token, journal=journal)))


def test_nothing_is_left_beside_it(client: ParallelClient, journal: Path) -> None:
    events(client, rows(3), journal=journal)
    assert [each.name for each in journal.parent.iterdir()] == ["run.db"]


def test_a_finished_journal_asks_nothing(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
    first = told(client, rows(5), journal=journal)
    requests = len(sandbox.requests)
    second = told(client, rows(5), journal=journal)
    assert second == first
    assert all(isinstance(row, EnrichedRow) for row in second)
    assert len(sandbox.requests) == requests

"""The journal as a file: used for its own work, refused where it is cut or damaged."""

import random
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from parallel_integrations import McpServer, ParallelClient, TaskSettings, Webhook
from parallel_integrations.enrichment import EnrichedRow, JournalError, enrich
from parallel_integrations.sandbox import Sandbox
from tests.enrichment.support import (
    FAILING,
    SETTINGS,
    enriched,
    events,
    rows,
    started,
    stop_after,
)
from tests.support.interruptions import done_within, interrupted_at, num_lines

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
    enriched(client, rows(2), journal=journal)
    with pytest.raises(JournalError, match=f"other work: {named}"):
        enriched(client, rows(2), settings, journal=journal)
    assert started(sandbox) == 2


def test_a_journal_of_another_server_is_refused(client: ParallelClient, journal: Path) -> None:
    enriched(client, rows(2), journal=journal, server="http://127.0.0.1:1")
    with pytest.raises(JournalError, match=r"server differs \('http://127.0.0.1:1', now 'https"):
        enriched(client, rows(2), journal=journal, server="https://api.parallel.ai")
    assert len(enriched(client, rows(2), journal=journal)) == 2


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
    enriched(client, rows(5), journal=journal)
    with pytest.raises(JournalError, match=named):
        enriched(client, iter(given) if once else given, journal=journal)
    assert started(sandbox) == 5
    assert len(enriched(client, rows(5), journal=journal)) == 5


@pytest.mark.parametrize(("given", "rest"), [(rows(2), "more"), ([], "0")])
def test_a_journal_of_one_row_says_so(
    client: ParallelClient, journal: Path, given: list[dict[str, Any]], rest: str
) -> None:
    enriched(client, rows(1), journal=journal)
    with pytest.raises(JournalError, match=f"is of an input of 1 row; this one has {rest}"):
        enriched(client, given, journal=journal)


def test_a_shorter_input_is_refused_before_it_was_read_to_its_end(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
    stop_after(client, 4, rows(9), journal, rows_per_group=3)
    before = started(sandbox)
    with pytest.raises(JournalError, match=r"differs|this one has 1"):
        enriched(client, rows(1), journal=journal)
    assert started(sandbox) == before


@pytest.mark.parametrize("full", [False, True])
def test_a_journal_cut_at_any_byte_is_refused(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path, *, full: bool
) -> None:
    """It is refused with a message, and nothing is sent."""
    whole = tmp_path / "whole.db"
    if full:
        enriched(client, rows(12), journal=whole)
    else:
        stop_after(client, 4, rows(12), whole, rows_per_group=3)
    content = whole.read_bytes()
    before = started(sandbox)
    cut = tmp_path / "cut.db"
    lengths = {0, 1, 15, 16, 99, 100, 101, 511, 512, 4096, len(content) - 1}
    lengths |= set(range(0, len(content), 1021)) | set(range(0, len(content), 16_384))
    for length in sorted(lengths):
        cut.write_bytes(content[:length])
        with pytest.raises(JournalError) as caught:
            enriched(client, rows(12), journal=cut)
        assert "cut.db" in str(caught.value), length
        cut.with_name("cut.db-journal").unlink(missing_ok=True)
    cut.write_bytes(content)
    assert len(enriched(client, rows(12), journal=cut)) == 12
    assert before <= started(sandbox) == 12


def test_an_unfinished_transaction_of_the_journal_is_undone(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    """Both files as they are when a process ends in the middle of a transaction."""
    journal, copy = tmp_path / "run.db", tmp_path / "copy"
    first = enriched(client, rows(40), journal=journal)
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
    assert enriched(client, rows(40), journal=copy / "run.db") == first
    assert (copy / "run.db").read_bytes() != half_done
    assert started(sandbox) == 40


@pytest.mark.parametrize(
    "content", [b"", b"not a database, but long enough to look like one" * 40, b"\0" * 8192]
)
def test_a_file_that_is_no_journal_is_refused_and_kept(
    sandbox: Sandbox, client: ParallelClient, journal: Path, content: bytes
) -> None:
    journal.write_bytes(content)
    with pytest.raises(JournalError, match=r"run\.db"):
        enriched(client, rows(2), journal=journal)
    assert journal.read_bytes() == content
    assert not sandbox.requests


def test_another_sqlite_database_is_refused(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
    other = sqlite3.connect(journal)
    other.execute("CREATE TABLE mine (a)")
    other.close()
    with pytest.raises(JournalError, match="no journal of an enrichment"):
        enriched(client, rows(2), journal=journal)
    assert not sandbox.requests


@pytest.mark.parametrize("layout", [1, 99])
def test_a_journal_of_another_layout_is_refused(
    client: ParallelClient, journal: Path, layout: int
) -> None:
    enriched(client, rows(1), journal=journal)
    other = sqlite3.connect(journal)
    other.execute(f"PRAGMA user_version = {layout}")
    other.close()
    with pytest.raises(
        JournalError, match=f"layout {layout}, .* go on with the version that began"
    ):
        enriched(client, rows(1), journal=journal)


def test_a_journal_with_a_damaged_page_is_refused(client: ParallelClient, journal: Path) -> None:
    enriched(client, rows(30), journal=journal)
    content = bytearray(journal.read_bytes())
    content[16_384 * 2 : 16_384 * 2 + 200] = b"\xff" * 200
    journal.write_bytes(content)
    with pytest.raises(JournalError, match="damaged"):
        enriched(client, rows(30), journal=journal)


def test_a_journal_with_a_damaged_output_is_refused(client: ParallelClient, journal: Path) -> None:
    enriched(client, rows(2), journal=journal)
    connection = sqlite3.connect(journal)
    connection.execute("UPDATE outcomes SET event = substr(event, 1, 40) WHERE task = 1")
    connection.commit()
    connection.close()
    with pytest.raises(JournalError, match="the output of row 1"):
        enriched(client, rows(2), journal=journal)


def edit_database(journal: Path, *changes: str) -> None:
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        for change in changes:
            connection.execute(change)


@pytest.mark.parametrize("unfinished", [False, True])
def test_a_journal_with_a_flipped_bit_is_refused_or_gives_the_same_rows(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path, *, unfinished: bool
) -> None:
    """No raw error, no other output, and nothing is sent again."""
    whole, flipped = tmp_path / "whole.db", tmp_path / "flipped.db"
    given = [*rows(7), {"statement": "with", **FAILING}, *rows(3), "one more"]
    first = enriched(client, given, journal=whole, rows_per_group=3)
    if unfinished:
        edit_database(
            whole, "DELETE FROM outcomes WHERE task > 3", "DELETE FROM facts WHERE name='rows'"
        )
    content = whole.read_bytes()
    filled = [place for place, byte in enumerate(content) if byte]
    rng = random.Random(16)
    before, refused = started(sandbox), []
    for _ in range(300):
        damaged = bytearray(content)
        place, bit = rng.choice(filled), rng.randrange(8)
        damaged[place] ^= 1 << bit
        flipped.write_bytes(damaged)
        try:
            found = enriched(client, given, journal=flipped, rows_per_group=3)
        except JournalError as error:
            refused.append(str(error))
        else:
            assert found == first, (place, bit)
        assert started(sandbox) == before, (place, bit)
    assert len(refused) > 200
    assert all("flipped.db" in each for each in refused)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE facts SET value = '[]' WHERE name = 'fingerprint'", "the fact 'fingerprint'"),
        ("UPDATE facts SET value = 'many' WHERE name = 'rows'", "the fact 'rows'"),
        ("UPDATE chunks SET taskgroup_id = 'tgrp_other' WHERE id = 2", "group number 2"),
        ("UPDATE tasks SET chunk = NULL WHERE id = 4", "row 4"),
        ("UPDATE tasks SET input_key = zeroblob(16) WHERE id = 1", "row 1"),
        ("UPDATE repeats SET task = 1 WHERE number = 5", "row 5"),
        (
            "UPDATE outcomes SET event = replace(event, 'a', 'b') WHERE task = 3",
            "the output of row 3",
        ),
        ("UPDATE outcomes SET event = NULL, error = 'x' WHERE task = 3", "the output of row 3"),
        ("UPDATE outcomes SET run_id = CAST(x'ff' AS TEXT) WHERE task = 3", "the output of row 3"),
        ("DELETE FROM chunks WHERE id = 1", "row 0"),
        ("DELETE FROM tasks WHERE id = 1", "the output of row 1"),
        ("DELETE FROM repeats WHERE number = 6", "row 7, the last"),
        ("DROP TABLE repeats", "its tables"),
        ("ALTER TABLE tasks RENAME COLUMN place TO plane", "its tables"),
    ],
)
def test_a_changed_part_of_a_journal_is_named_before_anything_is_sent(
    sandbox: Sandbox, client: ParallelClient, journal: Path, change: str, named: str
) -> None:
    given = [*rows(5), *rows(2), "one more"]
    enriched(client, given, journal=journal, rows_per_group=2)
    before = len(sandbox.requests)
    edit_database(journal, change)
    with pytest.raises(JournalError, match=rf"run\.db is damaged \({named}"):
        enriched(client, given, journal=journal)
    assert len(sandbox.requests) == before


def test_a_repeat_of_a_row_that_is_sent_again_makes_no_gap_in_the_journal(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
    """A row after it is sent before the row that it repeats: what is noted has no gap."""
    given = [*rows(2), *rows(1), *rows(9)[2:]]
    options: dict[str, Any] = {"rows_per_group": 2, "groups_in_flight": 1, "settle_seconds": 0}
    sandbox.faults.add(path="*/runs", method="POST", times=1, status=500)
    stream = client.stream(enrich(given, SETTINGS, journal=journal, **options))
    while started(sandbox) < 2:
        next(stream)
    stream.close()
    found = enriched(client, given, journal=journal, **options)
    assert [row.error for row in found] == [None] * 10
    assert started(sandbox) == 9


def test_a_journal_in_a_missing_folder_is_refused(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    with pytest.raises(JournalError, match="Check its folder"):
        enriched(client, rows(1), journal=tmp_path / "missing" / "run.db")
    with pytest.raises(JournalError):
        enriched(client, rows(1), journal=tmp_path)
    assert not sandbox.requests


def test_a_deleted_journal_starts_again_unless_its_rollback_journal_is_left(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
    leftover = journal.with_name("run.db-journal")
    leftover.write_bytes(b"\0" * 512)
    assert len(enriched(client, rows(1), journal=journal)) == 1
    journal.unlink()
    leftover.write_bytes(bytes.fromhex("d9d505f920a163d7") + b"\0" * 512)
    with pytest.raises(JournalError, match="without"):
        enriched(client, rows(1), journal=journal)
    assert started(sandbox) == 1


def test_a_journal_can_be_made_on_a_file_system_without_hard_links(
    client: ParallelClient, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    for _ in range(2):
        assert len(enriched(client, rows(2), journal=journal)) == 2
    assert [each.name for each in journal.parent.iterdir()] == ["run.db"]


def test_the_journal_holds_no_secret(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
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
    stop_after(client, 3, rows(2), journal)
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


def test_no_file_is_left_beside_the_journal(client: ParallelClient, journal: Path) -> None:
    events(client, rows(3), journal=journal)
    assert [each.name for each in journal.parent.iterdir()] == ["run.db"]


def test_a_finished_journal_sends_no_request(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
    first = enriched(client, rows(5), journal=journal)
    requests = len(sandbox.requests)
    second = enriched(client, rows(5), journal=journal)
    assert second == first
    assert all(isinstance(row, EnrichedRow) for row in second)
    assert len(sandbox.requests) == requests


def test_an_enrichment_interrupted_at_any_line_of_its_journal_is_resumed(
    client: ParallelClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Each interruption leaves a journal with which the next run goes on; nothing is paid twice."""

    def interrupted(line: int, path: Path) -> bool:
        return interrupted_at(
            line, lambda: enriched(client, rows(3), journal=path), ["enrichment/journal.py"]
        )

    def interrupt_everywhere() -> int:
        line, interruptions = 40, 0
        while interrupted(line, path := tmp_path / f"{line}.db"):
            interruptions += 1
            found = enriched(client, rows(3), journal=path, settle_seconds=0.1)
            assert [row.error for row in found] == [None] * 3, f"interrupted at line {line}"
            line += 23
        return interruptions

    with ThreadPoolExecutor(1) as thread:  # it takes the errors that it was handling along
        assert thread.submit(interrupt_everywhere).result() > 10


def test_an_interruption_while_the_journal_is_closed_unlocks_it(
    client: ParallelClient, tmp_path: Path
) -> None:
    files = ["enrichment/journal.py"]

    def enrich_one(path: Path) -> list[EnrichedRow]:
        return enriched(client, rows(1), journal=path, settle_seconds=0.1)

    def interrupt_the_end() -> None:
        def interrupted(line: int) -> bool:
            return interrupted_at(line, lambda: enrich_one(tmp_path / f"{line}.db"), files)

        line = num_lines(lambda: enrich_one(tmp_path / "whole.db"), files) - 12
        # How many lines a run takes differs a little: it looks again until the task is done.
        while interrupted(line):
            assert [row.error for row in enrich_one(tmp_path / f"{line}.db")] == [None], line
            line += 1

    with ThreadPoolExecutor(1) as thread:
        thread.submit(interrupt_the_end).result()


def test_a_run_takes_nothing_from_another_that_began_meanwhile(
    client: ParallelClient, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.db"
    enriched(client, rows(1), journal=whole)
    path, rollback = tmp_path / "run.db", tmp_path / "run.db-journal"

    def is_refused(line: int) -> bool:
        """Whether the run is, where another begins at its n-th line."""
        with closing(sqlite3.connect(":memory:", timeout=0)) as other:

            def begin() -> None:
                if not path.exists():
                    shutil.copy(whole, path)
                with suppress(sqlite3.OperationalError):  # locked: the run has the journal
                    other.execute("ATTACH ? AS journal", (str(path),))
                    other.execute("DELETE FROM journal.facts")

            def run() -> None:
                with closing(client.stream(enrich(rows(1), SETTINGS, journal=path))) as stream:
                    next(stream)

            refusal = None
            try:
                done_within(line, run, ["enrichment/journal.py"], begin)
            except JournalError as error:
                refusal = str(error)
            assert refusal is None or ("in use" in refusal and rollback.exists()), (line, refusal)
            other.rollback()
            return refusal is not None

    line = 1
    while is_refused(line):
        path.unlink()
        line += 1
    assert line > 20

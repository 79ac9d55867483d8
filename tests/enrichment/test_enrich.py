"""Runs of an enrichment: order, cost, failed rows, errors that stop a run."""

import asyncio
import json
import pickle
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from parallel_integrations import (
    ArgumentTypeError,
    AuthenticationError,
    ParallelClient,
    PaymentRequiredError,
    ServerError,
    TaskSettings,
    TaskTimeoutError,
)
from parallel_integrations.api import run_task_group
from parallel_integrations.enrichment import EnrichedRow, EnrichmentProgress, JournalError, enrich
from parallel_integrations.sandbox import Sandbox
from tests.enrichment.support import (
    FAILING,
    SETTINGS,
    enriched,
    events,
    only_rows,
    rows,
    started,
    stop_after,
)


class Purpose(BaseModel):
    """What a statement is for."""

    purpose: str
    example: str | None = None


def stable(found: list[EnrichedRow]) -> list[dict[str, Any]]:
    return [row.model_dump(exclude={"run_id"}) for row in found]


async def test_blocking_and_awaiting_enrichment_yield_the_same_rows(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    given = rows(7)
    called = await asyncio.to_thread(enriched, client, given, rows_per_group=3)
    awaited = [event async for event in client.astream(enrich(given, SETTINGS, rows_per_group=3))]
    assert stable(called) == stable(only_rows(awaited))
    assert [row.number for row in called] == list(range(7))
    assert [row.input for row in called] == given
    assert all(row.output and row.output.basis and row.run_id for row in called)


def test_an_output_is_parsed_into_the_schema_class(client: ParallelClient, tmp_path: Path) -> None:
    settings = TaskSettings(processor="lite", output_schema=Purpose)
    for _ in range(2):
        (row,) = enriched(client, ["The with statement"], settings, journal=tmp_path / "run.db")
        assert isinstance(row.parsed, Purpose)
        assert row.validation_error is None


def test_equal_rows_are_paid_once(sandbox: Sandbox, client: ParallelClient, tmp_path: Path) -> None:
    given = [{"a": 1, "b": 2}, "with", {"b": 2, "a": 1}, "with", {"a": 1}, "with"]
    for _ in range(2):
        found = enriched(client, given, journal=tmp_path / "run.db", rows_per_group=2)
        assert [row.number for row in found] == list(range(6))
        assert found[0].run_id == found[2].run_id
        assert len({row.run_id for row in found}) == 3
        assert started(sandbox) == 3


@pytest.mark.parametrize("journal", [None, "run.db"])
def test_without_a_journal_the_log_names_the_group_of_a_run_that_is_left(
    sandbox: Sandbox,
    client: ParallelClient,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    journal: str | None,
) -> None:
    path = tmp_path / journal if journal else None
    stream = client.stream(enrich(rows(2), SETTINGS, journal=path))
    next(event for event in stream if started(sandbox))
    stream.close()
    group = sandbox.requests[-1].path.split("/")[4]
    expected = (
        "2 rows are not done and no longer waited for: task_group_runs(…) lists the runs of the "
        f"task group {group}"
    )
    assert caplog.messages == ([] if journal else [expected])
    caplog.clear()
    assert len(enriched(client, rows(2), journal=path)) == 2
    assert not caplog.messages


def test_an_endless_input_is_read_as_it_is_sent(sandbox: Sandbox, client: ParallelClient) -> None:
    """Rows are read as they are sent, not all before."""
    read = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal read
        while True:
            read += 1
            yield {"number": read}

    stream = client.stream(enrich(endless(), SETTINGS, rows_per_group=5, groups_in_flight=2))
    first = [event for event, _ in zip(stream, range(60), strict=False)]
    stream.close()
    assert len(only_rows(first)) > 20
    assert read < 200


def test_an_empty_input_costs_nothing(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    for _ in range(2):
        (first, *_, last) = events(client, [], journal=tmp_path / "run.db")
        assert isinstance(first, EnrichmentProgress)
        assert isinstance(last, EnrichmentProgress)
        assert (last.total, last.finished, last.max_usd) == (0, 0, 0.0)
    assert not sandbox.requests


def test_a_failed_row_keeps_its_reason_until_it_is_retried(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    journal = tmp_path / "run.db"
    given: list[Any] = ["with", {"name": "nonlocal", **FAILING}, "assert"]
    for _ in range(2):
        found = enriched(client, given, journal=journal)
        assert [row.error is None for row in found] == [True, False, True]
        assert found[1].run_id
        assert found[1].output is None
        assert started(sandbox) == 3
    again = enriched(client, given, journal=journal, retry_failed=True)
    assert [row.run_id for row in again if not row.error] == [found[0].run_id, found[2].run_id]
    assert again[1].run_id != found[1].run_id
    assert started(sandbox) == 4
    assert sandbox.ledger.count("task_run") == 2


def test_progress_counts_rows_and_money(sandbox: Sandbox, client: ParallelClient) -> None:
    given: list[Any] = [*rows(5), {"name": "nonlocal", **FAILING}, *rows(2)]
    seen = [
        each
        for each in events(client, given, rows_per_group=3)
        if isinstance(each, EnrichmentProgress)
    ]
    assert (seen[0].total, seen[0].finished, seen[0].max_usd) == (8, 0, 0.04)
    assert (seen[-1].finished, seen[-1].failed, seen[-1].in_flight) == (8, 1, 0)
    assert seen[-1].cost_usd == seen[-1].max_usd == sandbox.ledger.usd == 0.025
    assert max(each.reserved_usd or 0 for each in seen) <= 0.03
    for one, other in pairwise(seen):
        assert one.finished <= other.finished


@pytest.mark.parametrize("rows_per_group", [1, 2, 200])
def test_the_cost_limit_is_never_passed(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path, rows_per_group: int
) -> None:
    given: list[Any] = [{"name": "nonlocal", **FAILING}, *rows(6), *rows(2), "one more"]
    options: dict[str, Any] = {"journal": tmp_path / "run.db", "rows_per_group": rows_per_group}
    found = enriched(client, given, max_cost_usd=0.0155, **options)
    assert [row.submitted for row in found] == [True] * 4 + [False] * 3 + [True] * 2 + [False]
    assert "max_cost_usd" in (found[4].error or "")
    assert sandbox.ledger.usd == 0.015  # the failed one is free
    same = enriched(client, given, max_cost_usd=0.015, **options)
    assert stable(same) == stable(found)
    assert started(sandbox) == 4
    found = enriched(client, given, max_cost_usd=0.035, **options)
    assert all(row.submitted for row in found)
    assert sandbox.ledger.usd == 0.035


def test_a_cost_limit_of_zero_submits_nothing(sandbox: Sandbox, client: ParallelClient) -> None:
    assert [row.submitted for row in enriched(client, rows(3), max_cost_usd=0)] == [False] * 3
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"max_cost_usd": -1}, "max_cost_usd=-1"),
        ({"max_cost_usd": float("nan")}, "max_cost_usd=nan"),
        ({"price_per_row_usd": float("inf")}, "price_per_row_usd=inf"),
        ({"rows_per_group": 0}, "rows_per_group=0"),
        ({"rows_per_group": 1001}, "1 to 1000"),
        ({"rows_per_group": "5"}, "rows_per_group='5' must be a whole number from 1 to 1000"),
        ({"rows_per_group": 1.5}, "rows_per_group=1.5 must be a whole number"),
        ({"rows_per_group": True}, "rows_per_group=True must be a whole number"),
        ({"groups_in_flight": 0}, "groups_in_flight=0 must be a whole number, 1 or more"),
        ({"groups_in_flight": None}, "groups_in_flight=None must be a whole number"),
        ({"limit": "5"}, "limit='5' must be a whole number"),
        ({"settle_seconds": None}, "settle_seconds=None must be a number of seconds"),
        ({"settle_seconds": "1"}, "settle_seconds='1' must be a number of seconds"),
        ({"retry_failed": "no"}, "retry_failed='no' must be True or False"),
        ({"journal": 5}, "journal=5 must be a file's path"),
        ({"journal": b"run.db"}, "journal=b'run.db' must be a file's path"),
        ({"deadline_seconds": 0}, "deadline_seconds=0"),
        ({"settle_seconds": -1}, "settle_seconds=-1"),
    ],
)
def test_wrong_enrich_arguments_are_refused_at_once(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        enrich(rows(1), SETTINGS, **wrong)


@pytest.mark.parametrize("settings", ["lite", {"processor": "lite"}, TaskSettings])
def test_settings_that_are_none_are_refused_at_once(settings: Any) -> None:
    for make in (enrich, run_task_group):
        with pytest.raises(
            ArgumentTypeError, match=r"settings=.* must be TaskSettings\(processor="
        ):
            make(rows(1), settings)


def test_a_cost_limit_needs_a_known_price(sandbox: Sandbox, client: ParallelClient) -> None:
    newer = TaskSettings(processor="newer")
    with pytest.raises(ValueError, match="price of processor 'newer' is not known"):
        enrich(rows(1), newer, max_cost_usd=1.0)
    enrich(rows(1), newer, max_cost_usd=1.0, price_per_row_usd=0.5)


def test_a_402_in_the_middle_of_a_run_loses_no_row(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    journal, given = tmp_path / "run.db", rows(9)
    found = []
    stream = client.stream(
        enrich(given, SETTINGS, journal=journal, rows_per_group=3, groups_in_flight=3)
    )
    with pytest.raises(PaymentRequiredError):  # noqa: PT012 - what came before it counts
        for event in stream:
            if isinstance(event, EnrichmentProgress) and event.in_flight == 6:
                sandbox.faults.add(path="*/runs", method="POST", times=1, status=402)
            elif isinstance(event, EnrichedRow):
                found.append(event)
    assert [row.number for row in found] == list(range(6))  # what was in flight came in
    assert started(sandbox) == 6
    sandbox.faults.clear()
    assert [row.error for row in enriched(client, given, journal=journal)] == [None] * 9
    assert started(sandbox) == 9


@pytest.mark.parametrize("status", [401, 403, 422])
def test_an_error_that_concerns_all_rows_stops_the_run(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path, status: int
) -> None:
    sandbox.faults.add(path="*/runs", method="POST", times=1, status=status)
    with pytest.raises(Exception, match=str(status)) as caught:
        enriched(client, rows(3), journal=tmp_path / "run.db")
    assert getattr(caught.value, "taskgroup_id", None)
    assert len(enriched(client, rows(3), journal=tmp_path / "run.db", settle_seconds=60)) == 3
    assert started(sandbox) == 3


def test_a_rate_limit_is_waited_out_where_rows_are_sent(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    without_retries = ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0)
    sandbox.faults.add(path="/v1/tasks/groups", method="POST", times=1, status=429, retry_after=0.1)
    sandbox.faults.add(path="*/runs", method="POST", times=2, status=429, retry_after=0.1)
    assert len(enriched(without_retries, rows(3))) == 3
    assert started(sandbox) == 3


@pytest.mark.parametrize(
    "fault",
    [
        {"reset": "headers"},
        {"status": 500},
        {"reset": "before"},
        {"status": 200, "body": "no JSON"},
    ],
)
def test_rows_whose_add_has_no_response_are_found_in_their_group(
    sandbox: Sandbox, client: ParallelClient, fault: dict[str, Any]
) -> None:
    sandbox.faults.add(path="*/runs", method="POST", times=1, **fault)
    found = enriched(client, rows(4), rows_per_group=2, settle_seconds=0.3)
    assert [row.error for row in found] == [None] * 4
    assert started(sandbox) == sandbox.ledger.count("task_run") == 4


def test_adds_that_never_have_a_response_stop_the_run(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    sandbox.faults.add(path="*/runs", method="POST", times=None, status=500)
    with pytest.raises(ServerError) as caught:
        enriched(client, rows(2), journal=tmp_path / "run.db", settle_seconds=0)
    assert caught.value.taskgroup_id
    sandbox.faults.clear()
    found = enriched(client, rows(2), journal=tmp_path / "run.db", settle_seconds=0)
    assert [row.error for row in found] == [None] * 2
    assert started(sandbox) == 2


def test_the_run_after_a_deadline_continues_its_work(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    sandbox.faults.add(path="*", method="GET", times=None, status=503)
    with pytest.raises(TaskTimeoutError, match="same call") as late:
        enriched(client, rows(3), journal=tmp_path / "run.db", deadline_seconds=0.001)
    assert late.value.taskgroup_id
    sandbox.faults.clear()
    assert len(enriched(client, rows(3), journal=tmp_path / "run.db")) == 3
    assert started(sandbox) == 3


def test_runs_without_a_number_are_never_sent_again(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    journal = tmp_path / "run.db"
    stop_after(client, 2, rows(2), journal)
    run = {"run_id": "trun_x", "status": "completed", "is_active": False}
    event = json.dumps({"type": "task_run.state", "event_id": "e1", "run": run})
    sandbox.faults.add(
        path="*/runs",
        method="GET",
        times=None,
        status=200,
        body=f"data: {event}\n\n",
        content_type="text/event-stream",
    )
    for row in enriched(client, rows(2), journal=journal, settle_seconds=0):
        assert "without the number" in (row.error or "")
    sandbox.faults.clear()
    assert [row.error for row in enriched(client, rows(2), journal=journal)] == [None] * 2
    assert started(sandbox) == 2


def test_a_group_is_not_listed_at_every_poll(tmp_path: Path) -> None:
    """One listing for each group, though each is polled several times."""
    with (
        Sandbox(task_seconds=0.3) as slow,
        ParallelClient(api_key=slow.api_key, base_url=slow.url) as client,
    ):
        found = enriched(client, rows(8), rows_per_group=2, groups_in_flight=4)
        listings = [each for each in slow.requests if each.method == "GET" and "/runs" in each.path]
        assert len(found) == 8
        assert len(listings) == 4


def test_a_wrong_key_stops_the_run_and_is_not_recorded(sandbox: Sandbox, tmp_path: Path) -> None:
    wrong = ParallelClient(api_key="wrong-key-0000", base_url=sandbox.url)
    with pytest.raises(AuthenticationError) as caught:
        enriched(wrong, rows(2), journal=tmp_path / "run.db")
    assert "wrong-key-0000" not in str(caught.value)
    assert b"wrong-key-0000" not in (tmp_path / "run.db").read_bytes()


def test_enriched_rows_can_be_pickled(client: ParallelClient) -> None:
    found = enriched(client, rows(2))
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_journal_error_is_a_parallel_error() -> None:
    from parallel_integrations import ParallelError

    assert issubclass(JournalError, ParallelError)

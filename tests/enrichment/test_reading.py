"""Reading of outputs: one that cannot be read costs no other, and an outage is waited out."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parallel_integrations import (
    AuthenticationError,
    ParallelClient,
    PaymentRequiredError,
    TaskTimeoutError,
)
from parallel_integrations.enrichment import (
    EnrichedRow,
    EnrichmentProgress,
    engine,
    enrich,
)
from parallel_integrations.enrichment import (
    submitted_batches as batches_module,
)
from parallel_integrations.sandbox import Sandbox
from tests.enrichment.support import SETTINGS, enriched, events, only_rows, rows, started
from tests.support.raw_server import RawServer, Talk

GROUPS: dict[str, Any] = {"rows_per_group": 2, "groups_in_flight": 3}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


def sent(client: ParallelClient, sandbox: Sandbox, journal: Path, count: int = 6) -> list[str]:
    """Send all rows and leave before any is read; the groups they are in."""
    stream = client.stream(enrich(rows(count), SETTINGS, journal=journal, **GROUPS))
    while started(sandbox) < count:
        next(stream)
    stream.close()
    return [
        request.path.split("/")[-2]
        for request in sandbox.requests
        if request.method == "POST" and request.path.endswith("/runs")
    ]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 404},
        {"status": 403},
        {"status": 410},
        {"status": 422},
        {"status": 200, "body": "<html>", "content_type": "text/html"},
        {"status": 200, "body": {"taskgroup_id": 3}},
        {"redirect": "https://elsewhere.example"},
    ],
)
def test_a_group_that_cannot_be_read_costs_its_own_rows_alone(
    sandbox: Sandbox, client: ParallelClient, journal: Path, fault: dict[str, Any]
) -> None:
    group = sent(client, sandbox, journal)[1]
    sandbox.faults.add(path=f"/v1/tasks/groups/{group}*", method="GET", times=None, **fault)
    for _ in range(2):
        found = enriched(client, rows(6), journal=journal, **GROUPS)
        assert [row.error is None for row in found] == [True, True, False, False, True, True]
        assert group in (found[2].error or "")
        assert "may be paid for" in (found[2].error or "")
        assert started(sandbox) == 6
    sandbox.faults.clear()
    assert [row.error for row in enriched(client, rows(6), journal=journal, **GROUPS)] == [None] * 6
    assert started(sandbox) == sandbox.ledger.count("task_run") == 6


def test_a_group_whose_listing_is_gone_costs_its_own_rows_alone(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
    group = sent(client, sandbox, journal)[0]
    sandbox.faults.add(path=f"/v1/tasks/groups/{group}/runs", method="GET", times=None, status=404)
    found = enriched(client, rows(6), journal=journal, **GROUPS)
    assert [row.error is None for row in found] == [False, False, True, True, True, True]


def test_rows_that_cannot_be_read_are_paid_again_only_with_retry_failed(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
    options: dict[str, Any] = {"journal": journal, **GROUPS}
    group = sent(client, sandbox, journal)[1]
    sandbox.faults.add(path=f"*/{group}*", method="GET", times=None, status=404)
    # It fails for the first time here: that it is to be retried was messages of others.
    found = enriched(client, rows(6), retry_failed=True, **options)
    assert [row.error is None for row in found] == [True, True, False, False, True, True]
    assert started(sandbox) == 6
    # Six may be paid for, and one more may not be.
    found = enriched(client, rows(6), retry_failed=True, max_cost_usd=0.0349, **options)
    assert [row.error is None for row in found] == [True, True, False, False, True, True]
    assert all(row.submitted for row in found)
    assert started(sandbox) == 6
    seen = events(client, rows(6), retry_failed=True, max_cost_usd=0.04, **options)
    assert [row.error for row in only_rows(seen)] == [None] * 6
    assert started(sandbox) == 8
    last = seen[-1]
    assert isinstance(last, EnrichmentProgress)
    assert (last.cost_usd, last.reserved_usd) == (0.03, 0.01)
    # What may be paid twice counts from then on.
    again = events(client, rows(6), max_cost_usd=0.04, **options)
    assert only_rows(again) == only_rows(seen)
    assert again[-1] == last
    assert started(sandbox) == 8


def test_retried_rows_that_can_be_read_again_are_not_paid_again(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
    group = sent(client, sandbox, journal)[1]
    sandbox.faults.add(path=f"*/{group}*", method="GET", times=None, status=404)
    enriched(client, rows(6), journal=journal, **GROUPS)
    sandbox.faults.clear()
    found = enriched(client, rows(6), journal=journal, retry_failed=True, **GROUPS)
    assert [row.error for row in found] == [None] * 6
    assert started(sandbox) == 6


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (402, PaymentRequiredError)]
)
def test_an_error_that_keeps_every_group_from_being_read_stops_the_run(
    sandbox: Sandbox, client: ParallelClient, journal: Path, status: int, error: type[Exception]
) -> None:
    sent(client, sandbox, journal)
    sandbox.faults.add(path="*", method="GET", times=None, status=status)
    with pytest.raises(error):
        enriched(client, rows(6), journal=journal, **GROUPS)
    sandbox.faults.clear()
    assert [row.error for row in enriched(client, rows(6), journal=journal, **GROUPS)] == [None] * 6
    assert started(sandbox) == 6


class Group:
    """A group of four whose listing and results say what they are enriched to."""

    def __init__(self, outputs: list[bytes], results: dict[int, tuple[str, bytes]]) -> None:
        self.outputs = outputs
        self.results = results
        self.paid = 0

    def play(self, talk: Talk, request: bytes) -> None:
        line = request.split(b"\r\n", 1)[0].decode()
        status = {"num_task_runs": 4, "task_run_status_counts": {"completed": 4}}
        if line.startswith("POST /v1/tasks/groups "):
            talk.respond(b'{"taskgroup_id": "tgrp_1"}')
        elif line.startswith("POST"):
            self.paid += 1
            talk.respond(b'{"run_ids": ["a", "b", "c", "d"]}')
        elif "/result" in line:
            number = int(line.split("trun_")[1][0])
            code, body = self.results.get(number, ("404 Not Found", b"{}"))
            talk.respond(body, status=code)
        elif "/runs" in line:
            with_output = "include_output" in line
            frames = b""
            for number, output in enumerate(self.outputs):
                frames += b"data: " + (output if with_output else run(number)) + b"\n\n"
            talk.respond(frames, content_type="text/event-stream")
        else:
            talk.respond(json.dumps({"taskgroup_id": "tgrp_1", "status": status}).encode())


def run(number: int, output: bytes = b"null", more: bytes = b"") -> bytes:
    return (
        b'{"type": "task_run.state", "run": {"run_id": "trun_%d", "status": "completed", '
        b'"metadata": {"parallel_index": %d}%b}, "output": %b}' % (number, number, more, output)
    )


FOUND = b'{"type": "text", "content": "Found."}'
EMPTY = b'{"type": "json", "content": null}'
WHOLE = [run(n, FOUND) for n in range(4)]
RESULT = b'{"run": {"run_id": "trun_1", "status": "completed"}, "output": %b}' % FOUND


@pytest.mark.parametrize(
    "damaged",
    [
        run(1, b"[]"),
        run(1, b'{"type": 1}'),
        run(1, b"[" * 5000 + b"]" * 5000),
        b"{" + run(1),
        b"no JSON at all",
        run(1, b"null"),
        run(1, EMPTY),
    ],
)
@pytest.mark.parametrize("result", ["none", "garbage", "empty", "whole"])
def test_an_output_that_cannot_be_read_costs_its_row_alone(
    journal: Path, damaged: bytes, result: str
) -> None:
    results = {
        "none": {},
        "garbage": {1: ("200 OK", b"{")},
        "empty": {1: ("200 OK", RESULT.replace(FOUND, EMPTY))},
        "whole": {1: ("200 OK", RESULT)},
    }[result]
    results |= {n: ("200 OK", RESULT.replace(b"_1", b"_%d" % n)) for n in (0, 2, 3)}
    group = Group([WHOLE[0], damaged, *WHOLE[2:]], results)
    with (
        RawServer(group.play) as server,
        ParallelClient(api_key="k", base_url=server.url) as client,
    ):
        found = enriched(client, rows(4), journal=journal)
        readable = result == "whole"
        assert [row.error is None for row in found] == [True, readable, True, True]
        if not readable:
            assert "cannot be read" in (found[1].error or "")
            assert found[1].run_id == "trun_1"
        if result == "empty":
            assert "GET /v1/tasks/runs/trun_1/result" in (found[1].error or "")
        assert enriched(client, rows(4), journal=journal) == found
        group.outputs, before = WHOLE, group.paid
        assert not [row.error for row in enriched(client, rows(4), journal=journal) if row.error]
        assert group.paid == before == 1


@pytest.mark.parametrize(
    "odd",
    [
        run(1, b'{"type": "text", "content": "a\\ud800b"}'),
        run(1, b'{"type": "text", "content": "Found.", "basis": 3}'),
        run(1, b'{"type": 5, "content": "Found.", "basis": [null, {"field": {}}]}'),
        run(1, FOUND, b', "warnings": 7'),
        run(1, FOUND, b', "error": "text"'),
    ],
)
def test_malformed_fields_beside_an_output_do_not_cost_it(journal: Path, odd: bytes) -> None:
    group = Group([WHOLE[0], odd, *WHOLE[2:]], {})
    with (
        RawServer(group.play) as server,
        ParallelClient(api_key="k", base_url=server.url) as client,
    ):
        found = enriched(client, rows(4), journal=journal)
        assert [row.error for row in found] == [None] * 4
        assert found[1].output
        assert found[1].output.content in ("Found.", "a\ufffdb")
        assert enriched(client, rows(4), journal=journal) == found


def test_an_error_within_the_listing_costs_no_row_behind_it(journal: Path) -> None:
    error = b'{"type": "error", "error": {"message": "run 1 is gone"}}'
    results = {n: ("200 OK", RESULT.replace(b"_1", b"_%d" % n)) for n in (0, 2, 3)}
    group = Group([WHOLE[0], error, *WHOLE[2:]], results)
    with (
        RawServer(group.play) as server,
        ParallelClient(api_key="k", base_url=server.url) as client,
    ):
        found = enriched(client, rows(4), journal=journal)
    assert [row.error is None for row in found] == [True, False, True, True]
    assert group.paid == 1


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        ({"status": 429, "retry_after": 0.01}, 20),
        ({"status": 429}, 5),
        ({"status": 500, "retry_after": 0}, 20),
        ({"status": 503, "retry_after": 0}, 20),
        ({"status": 408, "retry_after": 0}, 20),
    ],
)
def test_a_rate_limit_or_an_outage_is_waited_out_where_outputs_are_read(
    sandbox: Sandbox, client: ParallelClient, journal: Path, fault: dict[str, Any], times: int
) -> None:
    sent(client, sandbox, journal)
    waiting = ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0)
    sandbox.faults.add(path="*", method="GET", times=times, **fault)
    seen = events(waiting, rows(6), journal=journal, **GROUPS)
    assert [row.error for row in only_rows(seen)] == [None] * 6
    assert started(sandbox) == 6
    reasons = {each.waiting_reason for each in seen if isinstance(each, EnrichmentProgress)}
    assert {each for each in reasons if each and str(fault["status"]) in each}
    assert isinstance(seen[-1], EnrichmentProgress)
    assert seen[-1].waiting_reason is None


def test_a_connection_that_breaks_again_and_again_is_waited_out(
    sandbox: Sandbox, client: ParallelClient, journal: Path
) -> None:
    sent(client, sandbox, journal)
    waiting = ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0)
    sandbox.faults.add(path="*", method="GET", times=30, reset="before")
    assert [row.error for row in enriched(waiting, rows(6), journal=journal)] == [None] * 6


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429, "retry_after": 30}, {"delay": 30}]
)
def test_an_outage_is_waited_out_until_the_deadline(
    sandbox: Sandbox,
    client: ParallelClient,
    journal: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
) -> None:
    from parallel_integrations.enrichment import engine

    monkeypatch.setattr(engine, "LAST_POLL_SECONDS", 0.2)
    groups = sent(client, sandbox, journal)
    sandbox.faults.add(path="*", method="GET", times=None, **fault)
    began = time.monotonic()
    with pytest.raises(TaskTimeoutError, match="the same call waits") as late:
        enriched(client, rows(6), journal=journal, deadline_seconds=0.5)
    assert time.monotonic() - began < 10
    assert late.value.taskgroup_id in groups
    assert all(group in str(late.value) for group in groups)
    sandbox.faults.clear()
    assert [row.error for row in enriched(client, rows(6), journal=journal)] == [None] * 6
    assert started(sandbox) == 6


def test_waiting_ends_where_no_group_can_be_read(
    sandbox: Sandbox, client: ParallelClient, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_module, "READ_TIMEOUT_SECONDS", 0.2)
    sent(client, sandbox, journal)
    sandbox.faults.add(path="*", method="GET", times=None, status=503, retry_after=0)
    with pytest.raises(TaskTimeoutError, match=r"cannot be read since .* 503") as late:
        enriched(client, rows(6), journal=journal)
    assert late.value.taskgroup_id


def test_one_group_that_always_fails_does_not_hold_up_the_others(
    sandbox: Sandbox, client: ParallelClient, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_module, "READ_TIMEOUT_SECONDS", 0.2)
    group = sent(client, sandbox, journal)[0]
    sandbox.faults.add(path=f"*/{group}*", method="GET", times=None, status=500, retry_after=0)
    found = enriched(client, rows(6), journal=journal, **GROUPS)
    assert [row.error is None for row in found] == [False, False, True, True, True, True]
    assert "500" in (found[0].error or "")


def test_groups_are_made_through_an_outage_once_something_was_read(
    sandbox: Sandbox, client: ParallelClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "FIRST_PAUSE_SECONDS", 0.01)

    def slowly() -> Iterator[dict[str, Any]]:
        yield from rows(2)
        sandbox.faults.add(path="/v1/tasks/groups", method="POST", times=4, reset="before")
        yield from rows(4)[2:]

    found = [
        event
        for event in client.stream(enrich(slowly(), SETTINGS, rows_per_group=2))
        if isinstance(event, EnrichedRow)
    ]
    assert [row.error for row in found] == [None] * 4
    assert started(sandbox) == 4

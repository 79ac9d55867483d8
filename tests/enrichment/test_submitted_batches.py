"""Task groups that the sandbox never shows: runs that end one by one, are missing, or wait."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from parallel_integrations import ParallelClient
from parallel_integrations.enrichment import (
    EnrichedRow,
    EnrichmentProgress,
    enrich,
)
from parallel_integrations.enrichment import (
    submitted_batches as batches_module,
)
from tests.enrichment.support import SETTINGS, enriched, only_rows, rows

OUTPUT = {"type": "text", "content": "Found.", "basis": []}


class Groups(httpx.MockTransport):
    """Groups whose runs have the status that `status_of` gives for a place and the polls so far."""

    def __init__(self, status_of: Callable[[int, int], str | None]) -> None:
        super().__init__(self._respond)
        self.status_of = status_of
        self.groups: dict[str, list[dict[str, Any]]] = {}
        self.polls: dict[str, int] = {}
        self.listed: list[int] = []
        self.without_output: set[int] = set()

    def _respond(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.split("/")[3:]
        if request.method == "POST" and path == ["groups"]:
            name = f"tgrp_{len(self.groups)}"
            self.groups[name], self.polls[name] = [], 0
            return httpx.Response(200, json=self._group(name))
        if path[0] == "runs":
            run = {"run_id": path[1], "status": "completed"}
            return httpx.Response(200, json={"run": run, "output": OUTPUT})
        name = path[1]
        if request.method == "POST":
            self.groups[name] = [each["metadata"] for each in json.loads(request.content)["inputs"]]
            ids = [f"trun_{name}_{place}" for place in range(len(self.groups[name]))]
            return httpx.Response(200, json={"run_ids": ids, **self._group(name)})
        if path[-1] == "runs":
            return self._list(name, request.url.params)
        self.polls[name] += 1
        return httpx.Response(200, json=self._group(name))

    def _statuses(self, name: str) -> Iterator[tuple[int, str]]:
        for place, _ in enumerate(self.groups[name]):
            if status := self.status_of(place, self.polls[name]):
                yield place, status

    def _group(self, name: str) -> dict[str, Any]:
        counts: dict[str, int] = {}
        for _, status in self._statuses(name):
            counts[status] = counts.get(status, 0) + 1
        status = {
            "num_task_runs": len(self.groups[name]),
            "task_run_status_counts": counts,
            "is_active": "running" in counts,
        }
        return {"taskgroup_id": name, "status": status}

    def _list(self, name: str, params: httpx.QueryParams) -> httpx.Response:
        first = int(params["last_event_id"][1:]) if "last_event_id" in params else 0
        frames = []
        for place, status in self._statuses(name):
            if place < first:
                continue
            run = {
                "run_id": f"trun_{name}_{place}",
                "status": status,
                "metadata": self.groups[name][place],
            }
            event: dict[str, Any] = {
                "type": "task_run.state",
                "event_id": f"e{place + 1}",
                "run": run,
            }
            if status == "completed" and place not in self.without_output:
                event["output"] = OUTPUT
            frames.append(f"data: {json.dumps(event)}\n\n")
        self.listed.append(len(frames))
        body = "".join(frames)
        return httpx.Response(200, text=body, headers={"content-type": "text/event-stream"})


@pytest.fixture
def at() -> Iterator[Callable[[Groups], ParallelClient]]:
    opened: list[httpx.Client] = []

    def client(groups: Groups) -> ParallelClient:
        opened.append(httpx.Client(transport=groups))
        return ParallelClient(api_key="key", http_client=opened[-1])

    yield client
    for each in opened:
        each.close()


def test_rows_are_reported_while_their_group_is_at_work(
    at: Callable[[Groups], ParallelClient],
) -> None:
    """One run ends at each poll: the group is not listed at each, nor again from its start."""
    groups = Groups(lambda place, polls: "completed" if place < polls else "running")
    seen = []
    for event in at(groups).stream(enrich(rows(40), SETTINGS)):
        if isinstance(event, EnrichedRow):
            seen.append((event.number, groups.polls["tgrp_0"]))
        else:
            assert isinstance(event, EnrichmentProgress)
    assert [number for number, _ in seen] == list(range(40))
    assert seen[9][1] == 10
    assert seen[19][1] == 20
    assert groups.listed == [40, 30, 20, 10]


def test_rows_whose_runs_end_in_another_order_are_yielded_in_order(
    at: Callable[[Groups], ParallelClient],
) -> None:
    groups = Groups(lambda place, polls: "completed" if place >= 40 - 4 * polls else "running")
    found = enriched(at(groups), rows(40))
    assert [row.number for row in found] == list(range(40))
    assert [row.run_id for row in found] == [f"trun_tgrp_0_{n}" for n in range(40)]
    assert sum(groups.listed) <= 5 * 40


def test_a_finished_row_is_recorded_while_its_group_is_at_work(
    at: Callable[[Groups], ParallelClient], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A single row is journalled long before a fourth of its group is finished."""
    monkeypatch.setattr(batches_module, "LIST_AFTER_SECONDS", 0.0)
    groups = Groups(lambda place, polls: "completed" if place == 0 else "running")
    stream = at(groups).stream(enrich(rows(40), SETTINGS, journal=tmp_path / "run.db"))
    row = next(event for event in stream if isinstance(event, EnrichedRow))
    stream.close()
    assert row.number == 0
    groups.status_of = lambda place, polls: "completed" if place else "failed"
    assert enriched(at(groups), rows(40), journal=tmp_path / "run.db")[0].error is None


def test_a_run_that_needs_action_is_read_again_and_not_paid_again(
    at: Callable[[Groups], ParallelClient], tmp_path: Path
) -> None:
    """It is neither worked on nor over: asking again could pay twice."""
    groups = Groups(lambda place, polls: "action_required" if place == 1 else "completed")
    options: dict[str, Any] = {"journal": tmp_path / "run.db"}
    found = enriched(at(groups), rows(3), **options)
    assert [row.error is None for row in found] == [True, False, True]
    assert "action_required" in (found[1].error or "")
    assert enriched(at(groups), rows(3), **options) == found
    groups.status_of = lambda place, polls: "completed"
    again = enriched(at(groups), rows(3), retry_failed=True, **options)
    assert [row.error for row in again] == [None] * 3
    assert again[1].run_id == found[1].run_id
    assert list(groups.groups) == ["tgrp_0"]


def test_a_row_that_its_group_lacks_fails_and_can_be_retried(
    at: Callable[[Groups], ParallelClient], tmp_path: Path
) -> None:
    groups = Groups(lambda place, polls: None if place == 1 else "completed")
    options: dict[str, Any] = {"journal": tmp_path / "run.db"}
    found = enriched(at(groups), rows(3), **options)
    assert [row.error for row in found] == [None, "the group holds no run for this row", None]
    groups.status_of = lambda place, polls: "completed"
    assert not any(row.error for row in enriched(at(groups), rows(3), retry_failed=True, **options))
    assert [len(each) for each in groups.groups.values()] == [3, 1]


def test_an_output_that_the_listing_lacks_is_fetched(
    at: Callable[[Groups], ParallelClient], tmp_path: Path
) -> None:
    groups = Groups(lambda place, polls: "completed")
    groups.without_output = {1}
    found = enriched(at(groups), rows(3), journal=tmp_path / "run.db")
    assert [row.output.content for row in found if row.output] == ["Found."] * 3
    assert enriched(at(groups), rows(3), journal=tmp_path / "run.db") == found


def test_a_listing_that_lags_is_read_again(at: Callable[[Groups], ParallelClient]) -> None:
    lagging = Groups(lambda place, polls: "completed" if place == 0 or polls > 2 else None)
    assert [row.error for row in enriched(at(lagging), rows(3))] == [None] * 3


async def test_awaiting_rows_are_reported_while_their_group_is_at_work() -> None:
    groups = Groups(lambda place, polls: "completed" if place < polls else "running")
    async with httpx.AsyncClient(transport=groups) as http:
        client = ParallelClient(api_key="key", http_async_client=http)
        events = [event async for event in client.astream(enrich(rows(20), SETTINGS))]
    assert [row.number for row in only_rows(events)] == list(range(20))
    assert groups.listed == [20, 15, 10, 5]

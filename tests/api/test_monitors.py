"""Monitors: made, changed, listed page by page; null says something else than nothing."""

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from parallel_integrations import (
    CreateMonitorRequest,
    CreateTaskRunRequest,
    EventStreamSettings,
    InvalidRequestError,
    NotFoundError,
    ParallelClient,
    SnapshotSettings,
    SourcePolicy,
    UpdateMonitorRequest,
    Webhook,
)
from parallel_integrations.api import (
    all_monitor_events,
    all_monitors,
    cancel_monitor,
    create_monitor,
    findall_events,
    list_monitors,
    monitor_events,
    retrieve_monitor,
    run_task,
    run_task_group,
    task_group_events,
    task_group_runs,
    trigger_monitor,
    update_monitor,
    wait_task_group,
)
from parallel_integrations.errors import InvalidArgumentError, UnexpectedAnswerError
from parallel_integrations.models import Monitor, MonitorEvent
from parallel_integrations.sandbox import Sandbox
from tests.support.scripted_operation import BOTH, ScriptPlayer, check_repetitions, listen, run

HOOK = Webhook(url="https://a.example/hook", event_types=["monitor.event.detected"])


class News(BaseModel):
    """What an event is to hold."""

    title: str | None


def watching(query: str = "with statement", **more: Any) -> CreateMonitorRequest:
    """A monitor of a query."""
    settings = EventStreamSettings(query=query, **more.pop("settings", {}))
    return CreateMonitorRequest(type="event_stream", frequency="1d", settings=settings, **more)


# ------------------------------------------------------------------------------ on the sandbox


@BOTH
async def test_a_monitor_from_its_beginning_to_its_end(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    monitor = await run(
        client,
        create_monitor(watching(metadata={"k": "v"}, settings={"include_backfill": True})),
        awaiting=awaiting,
    )
    monitor_id = monitor.monitor_id
    assert (monitor.status, monitor.frequency, monitor.metadata) == ("active", "1d", {"k": "v"})
    found = await run(client, retrieve_monitor(monitor_id), awaiting=awaiting)
    assert found.settings["query"] == "with statement"

    change = UpdateMonitorRequest(
        frequency="2w", settings=EventStreamSettings(query="decorator"), metadata=None
    )
    changed = await run(client, update_monitor(monitor_id, change), awaiting=awaiting)
    assert (changed.frequency, changed.settings["query"], changed.metadata) == (
        "2w",
        "decorator",
        None,
    )
    assert sandbox.requests[-1].body == {
        "frequency": "2w",
        "metadata": None,
        "type": "event_stream",
        "settings": {"query": "decorator"},
    }

    assert await run(client, trigger_monitor(monitor_id), awaiting=awaiting) is None
    everything = monitor_events(monitor_id, include_completions=True)
    page = await run(client, everything, awaiting=awaiting)
    assert page.events[0].event_type == "completion"
    news = await run(client, monitor_events(monitor_id), awaiting=awaiting)
    assert {event.event_type for event in news.events} == {"event_stream"}
    group_id = news.events[0].event_group_id
    assert group_id
    one = await run(client, monitor_events(monitor_id, event_group_id=group_id), awaiting=awaiting)
    assert {event.event_group_id for event in one.events} == {group_id}

    for _ in range(2):
        gone = await run(client, cancel_monitor(monitor_id), awaiting=awaiting)
        assert gone.status == "cancelled"
    with pytest.raises(InvalidRequestError):
        await run(client, trigger_monitor(monitor_id), awaiting=awaiting)


@BOTH
async def test_what_is_published_becomes_an_event(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    monitor = await run(client, create_monitor(watching("zebra crossing")), awaiting=awaiting)
    before = await run(client, monitor_events(monitor.monitor_id), awaiting=awaiting)
    assert not before.events
    sandbox.publish(
        url="https://news.example/zebra",
        title="A zebra crossing opens",
        text="The zebra crossing in the main street opens today.",
    )
    after = await run(client, monitor_events(monitor.monitor_id), awaiting=awaiting)
    [event] = after.events
    assert event.event_type == "event_stream"
    assert event.event_id
    assert event.output.basis[0].citations[0].url == "https://news.example/zebra"
    assert await listen(client, all_monitor_events(monitor.monitor_id), awaiting=awaiting) == [
        event
    ]


@BOTH
async def test_a_snapshot_monitor_watches_a_task(client: ParallelClient, awaiting: bool) -> None:
    task = CreateTaskRunRequest(input="What does with do?", processor="lite")
    result = await run(client, run_task(task), awaiting=awaiting)
    request = CreateMonitorRequest(
        type="snapshot",
        frequency="12h",
        settings=SnapshotSettings(task_run_id=result.run.run_id),
    )
    monitor = await run(client, create_monitor(request), awaiting=awaiting)
    assert monitor.type == "snapshot"
    assert monitor.settings["task_run_id"] == result.run.run_id
    assert monitor.output.latest_snapshot.content == result.output.content


@BOTH
async def test_monitors_are_listed_page_by_page(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    made = [
        (await run(client, create_monitor(watching(word)), awaiting=awaiting)).monitor_id
        for word in ("with", "del", "global")
    ]
    await run(client, cancel_monitor(made[0]), awaiting=awaiting)
    page = await run(client, list_monitors(limit=1), awaiting=awaiting)
    assert [one.monitor_id for one in page.monitors] == [made[2]]
    assert page.next_cursor
    rest = await run(client, list_monitors(cursor=page.next_cursor), awaiting=awaiting)
    assert [one.monitor_id for one in rest.monitors] == [made[1]]
    everything = all_monitors(status=["active", "cancelled"], type=["event_stream", "snapshot"])
    found = await listen(client, everything, awaiting=awaiting)
    assert [one.monitor_id for one in found] == made[::-1]
    sent = [pair for pair in sandbox.requests[-1].query.multi_items() if pair[0] != "limit"]
    assert sent == [
        ("type", "event_stream"),
        ("type", "snapshot"),
        ("status", "active"),
        ("status", "cancelled"),
    ]


@BOTH
async def test_an_unknown_monitor_is_not_found(client: ParallelClient, awaiting: bool) -> None:
    change = UpdateMonitorRequest(frequency="1d")
    for operation in (
        retrieve_monitor("m_none"),
        update_monitor("m_none", change),
        cancel_monitor("m_none"),
        trigger_monitor("m_none"),
        monitor_events("m_none"),
    ):
        with pytest.raises(NotFoundError):
            await run(client, operation, awaiting=awaiting)
    with pytest.raises(NotFoundError):
        await listen(client, all_monitor_events("m_none"), awaiting=awaiting)


# ------------------------------------------------------------------------------ pages, scripted


def paged(items: str, *cursors: str | None) -> ScriptPlayer:
    """Pages of one item each, with these cursors to the next."""
    key = "monitor_id" if items == "monitors" else "event_id"
    numbers = count()

    def respond(_: Any) -> Any:
        number = next(numbers)
        return {items: [{key: str(number)}], "next_cursor": cursors[number % len(cursors)]}

    return ScriptPlayer(respond)


@pytest.mark.parametrize("items", ["monitors", "events"])
@pytest.mark.parametrize(
    ("cursors", "pages"),
    [
        ((None,), 1),
        (("",), 1),
        (("a", "b", None), 3),
        (("a", "a"), 2),
        (("a", "b", "a"), 3),
        (("a", "b", "c", "b"), 4),
    ],
)
def test_all_pages_are_walked_and_no_cursor_twice(
    items: str, cursors: tuple[str | None, ...], pages: int
) -> None:
    player = paged(items, *cursors)
    player.play(all_monitors() if items == "monitors" else all_monitor_events("m1"))
    assert len(player.sends) == len(player.events) == pages
    requested = [dict(send.params).get("cursor") for send in player.sends]
    assert requested == [None, *cursors[: pages - 1]]


@pytest.mark.parametrize("items", ["monitors", "events"])
def test_pages_of_nothing_that_never_end_are_an_error_in_the_end(items: str) -> None:
    numbers = count()
    player = ScriptPlayer(lambda _: {items: [], "next_cursor": f"c{next(numbers)}"})
    with pytest.raises(UnexpectedAnswerError, match=r"To go on all the same, .* cursor='c99'"):
        player.play(all_monitors() if items == "monitors" else all_monitor_events("m1"))
    assert len(player.sends) == 100


@pytest.mark.parametrize("items", ["monitors", "events"])
def test_no_cursor_ends_a_listing_because_of_its_type(items: str) -> None:
    def listing() -> Any:
        return all_monitors() if items == "monitors" else all_monitor_events("m1")

    player = ScriptPlayer([{items: [], "next_cursor": 7}, {items: []}])
    player.play(listing())
    assert [dict(send.params).get("cursor") for send in player.sends] == [None, "7"]
    with pytest.raises(UnexpectedAnswerError, match="next_cursor"):
        ScriptPlayer([{items: [], "next_cursor": {"after": 7}}]).play(listing())


def test_pages_are_read_as_they_are_wanted() -> None:
    operation = all_monitors()
    next(operation)
    page = {"monitors": [{"monitor_id": "1"}], "next_cursor": "a"}
    first = operation.send(httpx.Response(200, json=page))
    assert first.event.monitor_id == "1"
    operation.close()


@pytest.mark.parametrize("limit", [0, -1, 10_001, "5", 2.5, True, float("nan")])
def test_a_page_of_monitors_has_limits(limit: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 10000"):
        list_monitors(limit=limit)
    assert next(list_monitors(limit=10_000)).params == (("limit", "10000"),)


@pytest.mark.parametrize("limit", [0, -1, 101, "5", 2.5, True, [5]])
def test_a_page_of_events_has_limits(limit: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 100"):
        monitor_events("m1", limit=limit)
    assert next(monitor_events("m1", limit=100)).params == (("limit", "100"),)


@pytest.mark.parametrize(
    "operation",
    [
        lambda: list_monitors(cursor=5),
        lambda: list_monitors(status="active"),
        lambda: next(all_monitors(type=5)),
        lambda: list_monitors(type=["snapshot", 5]),
        lambda: monitor_events("m1", event_group_id=7),
        lambda: next(task_group_runs("tg_1", status=["failed"])),
        lambda: next(task_group_events("tg_1", last_event_id=7)),
        lambda: next(findall_events("f1", last_event_id=b"7")),
        lambda: next(wait_task_group("tg_1", "3")),
        lambda: next(run_task_group(5)),
    ],
)
def test_a_parameter_of_another_type_is_refused(operation: Callable[[], Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^\w+=.* must be a "):
        operation()


# ------------------------------------------------------------------------------ what is sent


def test_a_full_request_is_rendered() -> None:
    request = watching(
        "new syntax",
        processor="base",
        webhook=HOOK,
        metadata={"k": "v"},
        memory_scope_key="team",
        settings={
            "output_schema": News,
            "include_backfill": False,
            "source_policy": SourcePolicy(include_domains=["python.org"], exclude_domains=None),
            "location": "de",
        },
    )
    body = request.body("v1")
    schema = body["settings"].pop("output_schema")
    assert (schema["type"], schema["json_schema"]["required"]) == ("json", ["title"])
    assert body == {
        "type": "event_stream",
        "frequency": "1d",
        "processor": "base",
        "webhook": {"url": "https://a.example/hook", "event_types": ["monitor.event.detected"]},
        "metadata": {"k": "v"},
        "memory_scope_key": "team",
        "settings": {
            "query": "new syntax",
            "include_backfill": False,
            "advanced_settings": {
                "source_policy": {"include_domains": ["python.org"]},
                "location": "de",
            },
        },
    }


def test_what_is_none_is_not_sent_on_creation() -> None:
    request = watching(webhook=None, settings={"location": None, "source_policy": None})
    assert request.body("v1") == {
        "type": "event_stream",
        "frequency": "1d",
        "settings": {"query": "with statement"},
    }
    snapshot = CreateMonitorRequest(
        type="snapshot", frequency="1h", settings=SnapshotSettings(task_run_id="trun_1")
    )
    assert snapshot.body("v1")["settings"] == {"task_run_id": "trun_1"}


def settings(**values: Any) -> EventStreamSettings:
    return EventStreamSettings(**values)


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"webhook": None}, {"webhook": None}),
        ({"metadata": None}, {"metadata": None}),
        ({"metadata": {}}, {"metadata": {}}),
        ({"frequency": "1w"}, {"frequency": "1w"}),
        ({"processor": "base"}, {"processor": "base"}),
        (
            {"settings": settings(query="q")},
            {"type": "event_stream", "settings": {"query": "q"}},
        ),
        (
            {"settings": settings(source_policy=None, location=None)},
            {"type": "event_stream", "settings": {"advanced_settings": None}},
        ),
        (
            {"settings": settings(location="de")},
            {"type": "event_stream", "settings": {"advanced_settings": {"location": "de"}}},
        ),
        (
            {"settings": settings(include_backfill=False)},
            {"type": "event_stream", "settings": {"include_backfill": False}},
        ),
    ],
)
def test_an_update_reports_null_from_nothing(changes: dict[str, Any], body: Any) -> None:
    assert UpdateMonitorRequest(**changes).body("v1") == body


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, "nothing to change"),
        ({"frequency": None}, "frequency cannot be cleared"),
        ({"settings": None}, "settings cannot be cleared"),
        ({"processor": None}, "processor cannot be cleared"),
        ({"settings": settings()}, "nothing to change"),
        ({"settings": settings(query=None)}, "query cannot be cleared"),
        ({"settings": settings(output_schema=None)}, "output_schema cannot be cleared"),
        ({"settings": settings(include_backfill=None)}, "include_backfill cannot be cleared"),
        ({"settings": settings(location=None)}, "location cannot be cleared alone"),
        (
            {"settings": settings(source_policy=None, location="de")},
            "source_policy cannot be cleared alone",
        ),
        ({"metadata": {"k" * 17: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata"),
    ],
)
def test_an_update_that_cannot_be_right_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=named):
        UpdateMonitorRequest(**changes)


@pytest.mark.parametrize("frequency", ["1h", "24h", "720h", "1d", "30d", "1w", "4w", "007d"])
def test_a_frequency_is_taken(frequency: str) -> None:
    request = watching().model_copy(update={"frequency": frequency})
    assert CreateMonitorRequest.model_validate(request.__dict__).frequency == frequency
    assert UpdateMonitorRequest(frequency=frequency).frequency == frequency


@pytest.mark.parametrize(
    "frequency",
    "31d|0h|x||h|1|721h|5w|-1h|1.5h|1 h|1m|1H|٣h|1h |".split("|"),
)
def test_a_frequency_is_refused(frequency: str) -> None:
    plain = {"type": "event_stream", "settings": settings(query="q")}
    for make in (
        lambda: CreateMonitorRequest(frequency=frequency, **plain),
        lambda: UpdateMonitorRequest(frequency=frequency),
    ):
        with pytest.raises(InvalidArgumentError, match="frequency"):
            make()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"type": "snapshot"}, "SnapshotSettings"),
        ({"settings": SnapshotSettings(task_run_id="t")}, "EventStreamSettings"),
        ({"settings": settings()}, "settings.query is missing"),
        ({"settings": {"query": ""}}, "settings"),
        ({"settings": {"query": "q", "location": "deu"}}, "location"),
        ({"settings": {"query": "q", "output_schema": "words"}}, "output_schema"),
        ({"settings": {"query": "q", "output_schema": {"type": "auto"}}}, "output_schema"),
        ({"settings": {"task_run_id": ""}}, "task_run_id"),
        ({"type": "cron"}, "type"),
        ({"processor": ""}, "processor"),
        ({"metadata": {"k": 1}}, "metadata"),
        ({"metadata": {"": "v"}}, "metadata"),
        ({"memory_scope_key": "a b"}, "memory_scope_key"),
    ],
)
def test_what_cannot_be_right_is_refused_at_once(values: dict[str, Any], named: str) -> None:
    plain = {"type": "event_stream", "frequency": "1d", "settings": {"query": "q"}}
    with pytest.raises(InvalidArgumentError, match=named):
        CreateMonitorRequest(**plain | values)


@pytest.mark.parametrize("monitor_id", ["", ".", ".."])
def test_what_is_no_id_is_refused_before_anything_is_sent(monitor_id: str) -> None:
    change = UpdateMonitorRequest(frequency="1d")
    for operation in (
        lambda: retrieve_monitor(monitor_id),
        lambda: update_monitor(monitor_id, change),
        lambda: cancel_monitor(monitor_id),
        lambda: trigger_monitor(monitor_id),
        lambda: monitor_events(monitor_id),
        lambda: all_monitor_events(monitor_id),
    ):
        player = ScriptPlayer([])
        with pytest.raises(ValueError, match="is not an id"):
            player.play(operation())
        assert not player.sends
    assert next(retrieve_monitor("a/b")).path == "/v1/monitors/a%2Fb"


# ------------------------------------------------------------------------------ responses


def test_events_are_read_whatever_they_are() -> None:
    body = {
        "events": [
            {
                "event_type": "event_stream",
                "event_id": "1",
                "monitor_group_id": "g",
                "event_date": "2026-05",
                "output": {"type": "text", "content": "x"},
            },
            {
                "event_type": "snapshot",
                "event_group_id": "g",
                "changed_output": {"type": "json", "content": '{"a": 1}'},
                "previous_output": None,
            },
            {"event_type": "completion", "timestamp": "t"},
            {"event_type": "error", "timestamp": "t", "error_message": "no"},
            {"event_type": "not_invented_yet", "more": 1},
        ],
        "next_cursor": None,
        "warnings": None,
    }
    page = ScriptPlayer([json.loads(json.dumps(body))]).play(monitor_events("m1"))
    assert [event.event_group_id for event in page.events[:2]] == ["g", "g"]
    assert page.events[0].event_date == "2026-05"
    assert page.events[1].changed_output.content == {"a": 1}
    assert page.events[3].error_message == "no"
    assert page.events[4].model_extra == {"more": 1}
    assert isinstance(page.events[4], MonitorEvent)
    monitor = Monitor.model_validate({"monitor_id": "m", "metadata": {"n": 1}, "output": None})
    assert monitor.metadata == {"n": 1}


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        (lambda: create_monitor(watching()), "create"),
        (lambda: trigger_monitor("m1"), "create"),
        (lambda: list_monitors(), "read"),
        (lambda: retrieve_monitor("m1"), "read"),
        (lambda: update_monitor("m1", UpdateMonitorRequest(frequency="1d")), "read"),
        (lambda: cancel_monitor("m1"), "read"),
        (lambda: monitor_events("m1"), "read"),
        (lambda: all_monitors(), "read"),
        (lambda: all_monitor_events("m1"), "read"),
    ],
)
def test_what_is_repeated(operation: Any, kind: str) -> None:
    check_repetitions(operation, kind)

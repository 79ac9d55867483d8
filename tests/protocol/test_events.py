"""Event streams that can be resumed: cut anywhere, nothing is lost and nothing emitted twice."""

import json
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations import ParallelClient, ParallelError, StreamInterruptedError
from parallel_integrations._protocol import events
from parallel_integrations._protocol.events import EventFollower
from parallel_integrations._protocol.flow import Send
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.api import (
    findall_events,
    task_group_events,
    task_group_runs,
    task_run_events,
)
from parallel_integrations.models import (
    FindallCandidateEvent,
    FindallStatusEvent,
    StreamEvent,
    TaskGroupStatusEvent,
    TaskRunStateEvent,
    UnreadableEvent,
)
from tests.support.raw_server import RawServer, Talk
from tests.support.scripted_operation import BOTH, ScriptPlayer, listen

SEND = Send("GET", "/v1/events", retry=RetryPolicy.READ, stream=True)
HEADERS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


def framed(data: Any) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def numbered(count: int) -> list[bytes]:
    """Events of a group, each with its cursor; the last says that it is done."""
    runs = [
        {"type": "task_run.state", "event_id": f"e{n}", "run": {"run_id": f"trun_{n}"}}
        for n in range(1, count)
    ]
    over = {"num_task_runs": count - 1, "is_active": False}
    last = {"type": "task_group_status", "event_id": f"e{count}", "status": over}
    return [framed(each) for each in [*runs, last]]


def after(frames: list[bytes], cursor: str | None) -> list[bytes]:
    """What a server sends after a cursor."""
    return frames[int(cursor[1:]) :] if cursor else frames


def cursor_of(send: Send) -> str | None:
    return dict(send.params).get("last_event_id")


def ids(found: Iterable[StreamEvent]) -> list[str | None]:
    return [event.event_id for event in found]


def test_a_stream_cut_at_every_byte_loses_and_repeats_nothing() -> None:
    frames = numbered(4)
    whole = b": hello\n\nid: 7\n\n" + b"".join(frames)
    for ending in (None, httpx.ReadError("cut"), httpx.ReadTimeout("idle_timeout_seconds")):
        for cut in range(len(whole)):
            left = [[whole[:cut], *([ending] if ending else [])]]

            def respond(send: Send, left: list[Any] = left) -> Any:
                if not send.stream:
                    return {"taskgroup_id": "tg_1", "status": {"is_active": True}}
                return left.pop() if left else [b"".join(after(frames, cursor_of(send)))]

            player = ScriptPlayer(respond)
            player.play(task_group_events("tg_1"))
            assert ids(player.events) == ["e1", "e2", "e3", "e4"], (cut, ending)


CUTS = st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=5)


@given(st.integers(1, 6), CUTS, st.integers(1, 50))
def test_however_often_it_is_cut_nothing_is_lost(
    count: int, cuts: list[tuple[int, bool]], size: int
) -> None:
    frames = numbered(count)
    left = list(cuts)

    def respond(send: Send) -> Any:
        if not send.stream:
            return {"taskgroup_id": "tg_1", "status": {"is_active": True}}
        body = b"".join(after(frames, cursor_of(send)))
        if left:
            cut, broken = left.pop()
            body = body[:cut]
            chunks: list[Any] = [body[at : at + size] for at in range(0, len(body), size)]
            return [*chunks, httpx.ReadError("cut")] if broken else chunks
        return [body]

    player = ScriptPlayer(respond, max_retries=9)
    player.play(task_group_events("tg_1"))
    assert ids(player.events) == [f"e{n}" for n in range(1, count + 1)]


@given(
    st.lists(st.sampled_from(["search", "plan", "result"]), max_size=6),
    st.integers(0, 700),
    st.booleans(),
)
def test_a_replayed_stream_loses_and_repeats_nothing(
    texts: list[str], cut: int, broken: bool
) -> None:
    run = {"run_id": "trun_1", "status": "running"}
    kind = "task_run.progress_msg.search"
    first = framed({"type": "task_run.state", "run": run})
    messages = [framed({"type": kind, "message": text, "timestamp": None}) for text in texts]
    output = {"type": "text", "content": "x"}
    done = {"type": "task_run.state", "run": {**run, "status": "completed"}, "output": output}
    whole = b"".join([first, *messages, framed(done)])

    def respond(send: Send) -> Any:
        if not send.stream:
            return run
        if len(player.sends) > 1:
            return [whole]
        return [whole[:cut], httpx.ReadError("cut")] if broken else [whole[:cut]]

    player = ScriptPlayer(respond)
    player.play(task_run_events("trun_1"))
    assert [event.message for event in player.events if hasattr(event, "message")] == texts
    assert [event.run.status for event in player.events if hasattr(event, "run")] == [
        "running",
        "completed",
    ]


@BOTH
@pytest.mark.parametrize("ending", ["fin", "chunked", "reset"])
async def test_a_cut_on_the_wire_is_mended(
    monkeypatch: pytest.MonkeyPatch, awaiting: bool, ending: str
) -> None:
    monkeypatch.setattr(events, "RECONNECT_SECONDS", 0.01)
    frames = numbered(4)

    def play(talk: Talk, request: bytes) -> None:
        line = request.split(b"\r\n")[0].decode()
        cursor = line.partition("last_event_id=")[2].partition(" ")[0] or None
        body = b"".join(after(frames, cursor))
        if len(server.requests) > 2:
            talk.send(HEADERS + b"connection: close\r\n\r\n" + body)
            talk.finish()
            return
        part = body[: len(frames[0]) + 20]
        if ending == "fin":
            talk.send(HEADERS + b"connection: close\r\n\r\n" + part)
            talk.finish()
        else:
            headers = HEADERS + b"transfer-encoding: chunked\r\n\r\n"
            talk.send(headers + f"{len(part):x}\r\n".encode() + part + b"\r\n")
            talk.finish() if ending == "chunked" else talk.reset()

    with RawServer(play) as server:
        async with ParallelClient(api_key="some-key", base_url=server.url) as client:
            found = await listen(client, task_group_events("tg_1"), awaiting=awaiting)
    assert ids(found) == ["e1", "e2", "e3", "e4"]


@pytest.mark.parametrize(
    "tail",
    [b"", b"data: [DONE]\n\n", b"data: [DONE]", b": bye\n\n", b"id: 9\n\n", b"event: x\n\n"],
)
def test_what_is_no_event_does_no_harm(tail: bytes) -> None:
    player = ScriptPlayer([[b": hello\n\n", b"retry: 5\n\n", b"".join(numbered(2)) + tail]])
    player.play(task_group_events("tg_1"))
    assert ids(player.events) == ["e1", "e2"]
    assert len(player.sends) == 1


def test_a_last_event_without_its_blank_line_counts() -> None:
    body = b"".join(numbered(3)).rstrip(b"\n")
    player = ScriptPlayer([[body]])
    player.play(task_group_events("tg_1"))
    assert ids(player.events) == ["e1", "e2", "e3"]


def test_a_listing_cut_within_a_run_is_gone_on_with() -> None:
    frames = numbered(4)[:3]
    whole = b"".join(frames)

    def respond(send: Send) -> Any:
        body = b"".join(after(frames, cursor_of(send)))
        return [body] if len(player.sends) > 1 else [whole[:-10]]

    player = ScriptPlayer(respond)
    player.play(task_group_runs("tg_1"))
    assert ids(player.events) == ["e1", "e2", "e3"]
    assert cursor_of(player.sends[1]) == "e2"


def test_unknown_events_are_handed_on_as_they_are() -> None:
    strange = {"type": "group.paused", "event_id": "e1", "why": {"so": [1]}}
    deeper = {"type": "task_run.progress_msg", "message": "m"}
    untyped = {"event_id": "e2"}
    frames = [framed(strange), framed(deeper), b"event: later\n" + framed(untyped)]
    player = ScriptPlayer([[*frames, *numbered(1)]])
    player.play(task_group_events("tg_1"))
    assert [type(event) for event in player.events[:3]] == [StreamEvent] * 3
    assert player.events[0].model_extra == {"why": {"so": [1]}}
    assert player.events[2].type == "later"


def test_events_have_their_types() -> None:
    run = {"findall_id": "f1", "status": {"status": "completed", "is_active": False}}
    frames = [
        {"type": "findall.candidate.enriched", "event_id": "1", "data": {"output": {"a": 1}}},
        {"type": "findall.candidate.not_invented_yet", "event_id": "2", "data": {}},
        {"type": "findall.status", "event_id": "3", "data": run, "timestamp": "t"},
    ]
    player = ScriptPlayer([[framed(each) for each in frames]])
    player.play(findall_events("f1"))
    kinds = [FindallCandidateEvent, FindallCandidateEvent, FindallStatusEvent]
    assert [type(event) for event in player.events] == kinds
    player = ScriptPlayer([numbered(2)])
    player.play(task_group_events("tg_1"))
    assert [type(event) for event in player.events] == [TaskRunStateEvent, TaskGroupStatusEvent]


@pytest.mark.parametrize(
    "garbage",
    [
        b"data: {\n\n",
        b"data: null\n\n",
        b"data: [1]\n\n",
        b'data: {"type": "task_run.state", "run": null}\n\n',
        b'data: {"type": "task_group_status", "status": {"is_active": "so"}}\n\n',
        b"data: " + b"[" * 5000 + b"\n\n",
        b"data: \xff\xfe\n\n",
    ],
)
def test_garbage_in_a_stream_is_our_error(garbage: bytes) -> None:
    player = ScriptPlayer([[garbage, *numbered(2)]])
    with pytest.raises(StreamInterruptedError, match="cannot be read") as caught:
        player.play(task_group_events("tg_1"))
    assert caught.value.taskgroup_id == "tg_1"
    assert len(str(caught.value)) < 800


def test_a_stream_that_ends_in_garbage_each_time_is_given_up() -> None:
    player = ScriptPlayer([[b'data: {"type": "task_group_sta']])
    with pytest.raises(StreamInterruptedError, match="cannot be read"):
        player.play(task_group_runs("tg_1"))
    assert len(player.sends) == 3


def test_a_run_that_cannot_be_read_does_not_end_a_listing() -> None:
    broken = b'data: {"type": "task_run.state", "run": {"run_id": "trun_9"}, "output": 5}\n\n'
    player = ScriptPlayer([[numbered(3)[0], broken, b"data: [1]\n\n", numbered(3)[1]]])
    player.play(task_group_runs("tg_1"))
    kinds = [TaskRunStateEvent, UnreadableEvent, UnreadableEvent, TaskRunStateEvent]
    assert [type(event) for event in player.events] == kinds
    assert "trun_9" in player.events[1].text
    assert "output" in player.events[1].fault
    assert len(player.sends) == 1


def test_resuming_where_nothing_is_left_ends() -> None:
    """The server has nothing to say after the last event; the group itself says it is over."""

    def respond(send: Send) -> Any:
        return [] if send.stream else {"taskgroup_id": "tg_1", "status": {"is_active": False}}

    player = ScriptPlayer(respond)
    player.play(task_group_events("tg_1", last_event_id="e9"))
    assert (player.events, player.clock) == ([], 0)
    assert [cursor_of(send) for send in player.sends if send.stream] == ["e9", "e9"]


def test_what_is_said_between_end_and_look_up_is_not_lost() -> None:
    last = numbered(1)
    script: list[Any] = [[], {"taskgroup_id": "tg_1", "status": {"is_active": False}}, last]
    player = ScriptPlayer(script)
    player.play(task_group_events("tg_1"))
    assert ids(player.events) == ["e1"]


def test_a_group_without_events_is_followed_as_long_as_it_works() -> None:
    active = {"taskgroup_id": "tg_1", "status": {"is_active": True}}
    nothing = [httpx.ReadTimeout("idle_timeout_seconds")]
    player = ScriptPlayer([*[nothing, active] * 20, numbered(2)])
    player.play(task_group_events("tg_1"))
    assert ids(player.events) == ["e1", "e2"]


@pytest.mark.parametrize("max_retries", [0, 3])
def test_a_stream_that_keeps_breaking_is_an_error(max_retries: int) -> None:
    player = ScriptPlayer([[httpx.ReadError("gone")]], max_retries=max_retries)
    with pytest.raises(StreamInterruptedError, match=r"broke 1 time w|broke 4 times"):
        player.play(EventFollower(SEND, {}).events())
    assert len(player.sends) == max_retries + 1


def test_news_make_timeout_new() -> None:
    def respond(send: Send) -> Any:
        number = int((cursor_of(send) or "e0")[1:]) + 1
        if number > 20:
            return numbered(number)[-1:]
        return [framed({"event_id": f"e{number}"}), httpx.ReadError("gone")]

    player = ScriptPlayer(respond)
    player.play(task_group_events("tg_1"))
    assert len(player.events) == 21


def test_a_time_limit_of_the_caller_s_is_the_end() -> None:
    for stream in (task_group_events("tg_1", timeout=5), findall_events("f1", timeout=5)):
        player = ScriptPlayer([[]])
        player.play(stream)
        assert len(player.sends) == 1
        assert player.sends[0].params == (("timeout", "5"),)
        assert player.sends[0].timeout_seconds == 5
        assert player.sends[0].wait_seconds == 0


def test_what_is_requested_is_in_the_address() -> None:
    player = ScriptPlayer([[]])
    player.play(
        task_group_runs(
            "tg_1",
            status="failed",
            include_input=True,
            include_output=True,
            last_event_id="e3",
        )
    )
    assert player.sends[0].params == (
        ("status", "failed"),
        ("include_input", "true"),
        ("include_output", "true"),
        ("last_event_id", "e3"),
    )


KINDS = st.sampled_from(
    [
        "task_run.state",
        "task_run.progress_stats",
        "task_run.progress_msg.plan",
        "task_group_status",
        "findall.status",
        "findall.candidate.matched",
        "findall.schema.updated",
        "error",
        "x",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from(["run", "status", "data", "output", "event_id", "message", "error", "y"])


@given(KINDS, st.dictionaries(FIELDS, JSON, max_size=4))
def test_no_event_raises_anything_but_our_errors(kind: str, fields: dict[str, Any]) -> None:
    frame = framed({"type": kind, **fields})
    for stream in (task_group_events("tg_1", timeout=1), findall_events("f1", timeout=1)):
        player = ScriptPlayer([[frame]], max_retries=0)
        try:
            player.play(stream)
        except ParallelError:
            continue
        assert len(player.events) == 1


@given(st.binary(max_size=60))
def test_no_bytes_make_a_stream_hang(body: bytes) -> None:
    for stream in (task_group_events("tg_1"), findall_events("f1"), task_run_events("trun_1")):
        player = ScriptPlayer(lambda send: [body] if send.stream else {}, max_retries=1)
        with pytest.raises(ParallelError):
            player.play(stream)

"""A server's text is scrubbed before it is shortened: no part of a key is left at a cut."""

import html
import json
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parallel_integrations import (
    ChatRequest,
    CreateTaskRunRequest,
    ExtractRequest,
    ParallelClient,
    ParallelError,
    RespondRequest,
    SearchRequest,
    TaskFailedError,
)
from parallel_integrations._documents.reading import unreadable
from parallel_integrations.api import (
    chat,
    create_task_group,
    extract,
    retrieve_task_group,
    run_task,
    search,
    stream_chat,
    stream_response,
    task_group_events,
    task_group_runs,
    task_run_events,
)
from tests.support.raw_server import RawServer, Talk

KEY: Final = "9f3Kq-Zt0_aB7xLw2vR8mNc5yHd1sJg6uEp4oTiQbXz"
SEARCH: Final = SearchRequest(search_queries=["with statement exceptions"])
CHAT: Final = ChatRequest(messages=[{"role": "user", "content": "What is a closure?"}])
TASK: Final = CreateTaskRunRequest(input="What is a closure?")
STREAM: Final = "text/event-stream"
MAX_PART: Final = 7

# No key holds a blank, so no part of one stands in this.
Made = tuple[int, str, bytes]


class Server:
    """Responds to every request with what it was given last."""

    def __init__(self) -> None:
        self.made: Made = (200, "application/json", b"{}")

    def play(self, talk: Talk, _: bytes) -> None:
        status, kind, body = self.made
        talk.respond(body, status=f"{status} Status", content_type=kind)


@pytest.fixture(scope="module")
def at() -> Iterator[tuple[Server, str]]:
    played = Server()
    with RawServer(played.play) as server:
        yield played, server.url


def filler(length: int) -> str:
    return ("~ " * (length // 2 + 1))[:length]


def everything(error: BaseException) -> str:
    """All that an error shows: words, repr, attributes, notes, traceback, and of its causes."""
    shown = []
    inner: BaseException | None = error
    while inner is not None:
        shown += [str(inner), repr(inner), repr(vars(inner)), *getattr(inner, "__notes__", ())]
        inner = inner.__cause__ or inner.__context__
    shown += [line for line in traceback.format_exception(error) if "File " not in line]
    return "\n".join(shown)


def parts_left(text: str, key: str) -> list[str]:
    """Parts of the key of eight characters and more, however they are written."""
    parts = [key[at : at + 8] for at in range(len(key) - 7)]
    texts = [text, html.unescape(text), unquote(text), text.replace("\\\\", "\\")]
    return [
        part
        for part in parts
        if any(part in each for each in texts) or any(write(part) in text for write in WRITTEN)
    ]


def as_json(key: str) -> str:
    return json.dumps(key)[1:-1]


def as_escapes(key: str) -> str:
    return "".join(f"\\u{ord(each):04X}" for each in key)


def as_url(key: str) -> str:
    return quote(key, safe="").replace("%2B", "%2b")


def as_all_percent(key: str) -> str:
    return "".join(f"%{ord(each):02x}" for each in key)


def plain(key: str) -> str:
    return key


WRITTEN: Final[list[Callable[[str], str]]] = [
    plain,
    as_json,
    as_escapes,
    as_url,
    as_all_percent,
    html.escape,
]


def error_message(text: str) -> Made:
    return 403, "application/json", json.dumps({"error": {"message": text}}).encode()


def error_reference(text: str) -> Made:
    body = {"error": {"message": "no", "ref_id": text, "detail": [text]}}
    return 403, "application/json", json.dumps(body).encode()


def validation(text: str) -> Made:
    body = {"detail": [{"loc": ["body", text], "msg": text}]}
    return 422, "application/json", json.dumps(body).encode()


def error_without_message(text: str) -> Made:
    return 403, "application/json", json.dumps({"you": {"said": text}}).encode()


def odd_status(text: str) -> dict[str, Any]:
    """Whether a group is at work is never guessed: the error names what comes before, too."""
    status = {"task_run_status_counts": {text: "none"}, "is_active": "perhaps"}
    return {"taskgroup_id": "tgrp_1", "status": status}


def odd_group(text: str) -> Made:
    return 200, "application/json", json.dumps(odd_status(text)).encode()


def odd_group_event(text: str) -> Made:
    event = json.dumps({"type": "task_group_status", **odd_status(text)})
    return 200, STREAM, f"data: {event}\n\n".encode()


def failed_response(text: str) -> Made:
    failed = {"status": "failed", "error": {"message": text, "code": text}}
    event = json.dumps({"type": "response.failed", "response": failed})
    return 200, STREAM, f"data: {event}\n\n".encode()


def error_page(text: str) -> Made:
    return 502, "text/html", f"<p>{text}".encode()


def huge_page(text: str) -> Made:
    return 502, "text/html", f"{text}{filler(1_100_000)}".encode()


def page(text: str) -> Made:
    return 200, "text/html", f"{text}</p>".encode()


def odd_type(text: str) -> Made:
    return 200, f"text/{text}", b"<p>"


def event_error(text: str) -> Made:
    body = json.dumps({"type": "error", "error": {"message": text, "ref_id": text}})
    return 200, STREAM, f"data: {body}\n\n".encode()


def event_garbage(text: str) -> Made:
    return 200, STREAM, f"data: {text}\n\n".encode()


def chunk_error(text: str) -> Made:
    body = json.dumps({"error": {"message": text}})
    return 200, STREAM, f"data: {body}\n\n".encode()


def broken_after(text: str) -> Made:
    """The response repeats the key, and is broken off within or behind it."""
    chunk = json.dumps({"choices": [{"delta": {"content": text}}]})
    return 200, STREAM, f"data: {chunk}\n\ndata: {{\n\n".encode()


def check_hidden(client: ParallelClient, call: Callable[[ParallelClient], Any], key: str) -> None:
    """The call fails, and its error shows no part of the key."""
    with pytest.raises(ParallelError) as caught:
        call(client)
    assert not parts_left(everything(caught.value), key)


def searched(client: ParallelClient) -> None:
    client.run(search(SEARCH))


def followed(client: ParallelClient) -> None:
    list(client.stream(task_run_events("trun_1")))


def grouped(client: ParallelClient) -> None:
    client.run(retrieve_task_group("tgrp_1"))


def followed_group(client: ParallelClient) -> None:
    list(client.stream(task_group_events("tgrp_1")))


def responded(client: ParallelClient) -> None:
    list(client.stream(stream_response(RespondRequest(input="What is a closure?"))))


def chatted(client: ParallelClient) -> None:
    list(client.stream(stream_chat(CHAT)))


CASES: Final[list[tuple[Callable[[str], Made], Callable[[ParallelClient], None]]]] = [
    (error_message, searched),
    (error_reference, searched),
    (validation, searched),
    (error_without_message, searched),
    (error_page, searched),
    (odd_group, grouped),
    (odd_group_event, followed_group),
    (failed_response, responded),
    (page, searched),
    (page, chatted),
    (odd_type, searched),
    (event_error, followed),
    (event_garbage, followed),
    (chunk_error, chatted),
    (event_garbage, chatted),
    (broken_after, chatted),
]
# Without vowels, a key is no word of ours.
KEY_CHARACTERS: Final = st.characters(
    min_codepoint=33, max_codepoint=126, exclude_characters="aeiouAEIOU["
)
NEAR_A_CUT: Final = st.sampled_from([0, 160, 200, 800, 1000, 1600, 2000, 3200, 8000])


@pytest.mark.parametrize(("make", "call"), CASES, ids=lambda each: each.__name__)
@settings(max_examples=40, deadline=None)
@given(
    write=st.sampled_from(WRITTEN),
    key=st.text(KEY_CHARACTERS, min_size=6, max_size=58).map("Z{}Z".format),  # in quotes: refused
    cut=NEAR_A_CUT,
    before=st.integers(-70, 10),
    times=st.integers(1, 60),
    shown=st.integers(8, 60),
)
@example(write=plain, key=KEY, cut=200, before=-42, times=1, shown=60)
@example(write=plain, key=KEY, cut=2000, before=-21, times=1, shown=60)
@example(write=plain, key=KEY, cut=0, before=0, times=60, shown=60)
@example(write=plain, key=KEY, cut=0, before=0, times=1, shown=42)
@example(write=as_json, key="\\\"'&<>%/\\u0041", cut=200, before=-5, times=1, shown=60)
def test_no_part_of_a_key_is_left_wherever_it_stands(
    at: tuple[Server, str],
    make: Callable[[str], Made],
    call: Callable[[ParallelClient], None],
    write: Callable[[str], str],
    key: str,
    cut: int,
    before: int,
    times: int,
    shown: int,
) -> None:
    """`shown` characters of the key, `times` in a row, from a place near where texts are cut."""
    if make is odd_type and any(each in key for each in '"\\'):
        key = key.replace('"', "q").replace("\\", "b")
    server, url = at
    said = " ".join([write(key[:shown])] * times)
    server.made = make(filler(max(0, cut + before)) + said)
    with ParallelClient(api_key=key, base_url=url, max_retries=0) as client:
        check_hidden(client, call, key)


def test_the_beginning_of_a_huge_page_is_scrubbed(at: tuple[Server, str]) -> None:
    server, url = at
    with ParallelClient(api_key=KEY, base_url=url, max_retries=0) as client:
        for before in (0, 157, 199):
            server.made = huge_page(filler(before) + KEY * 40_000)
            check_hidden(client, searched, KEY)


def test_what_is_not_the_key_is_shown_as_it_is(at: tuple[Server, str]) -> None:
    server, url = at
    with ParallelClient(api_key=KEY, base_url=url, max_retries=0) as client:
        body = f"100 % wrong: %2f \\u0041 &amp; {KEY[:MAX_PART]}, {KEY}?"
        server.made = error_message(body)
        with pytest.raises(ParallelError) as caught:
            searched(client)
    assert body.replace(KEY, "[hidden]") in str(caught.value)


@pytest.mark.parametrize("key", ["test", "EMPTY", "parallel"])
def test_a_short_key_does_not_take_words_out_of_a_response(
    at: tuple[Server, str], key: str
) -> None:
    server, url = at
    title = f"{key} and other words"
    body = {"search_id": "s", "results": [{"url": "https://a.example", "title": title}]}
    server.made = (200, "application/json", json.dumps(body).encode())
    with ParallelClient(api_key=key, base_url=url) as client:
        assert client.run(search(SEARCH)).results[0].title == title


def test_a_response_that_repeats_the_key_does_not_bring_it_into_later_errors(
    at: tuple[Server, str],
) -> None:
    server, url = at
    failed = {"url": "https://a.example", "error_type": "fetch_error", "content": f"401 {KEY}"}
    body: dict[str, Any] = {"extract_id": "e", "results": [], "errors": [failed]}
    server.made = (200, "application/json", json.dumps(body).encode())
    with ParallelClient(api_key=KEY, base_url=url) as client:
        response = client.run(extract(ExtractRequest(urls=["https://a.example"])))
    assert "fetch_error: 401 [hidden]. Try" in str(unreadable(response.errors))


@pytest.mark.parametrize(
    ("data", "call"),
    [
        (
            {"type": "task_run.progress_msg.search", "message": f"said: {KEY}"},
            lambda: task_run_events("trun_1"),
        ),
        (
            {"type": "response.output_text.delta", "delta": f"said: {KEY}"},
            lambda: stream_response(RespondRequest(input="What is a closure?")),
        ),
        (f'{{"type": "task_run.state", "run": "said: {KEY}"', lambda: task_group_runs("tgrp_1")),
    ],
    ids=["progress", "delta", "unreadable"],
)
def test_an_event_that_repeats_the_key_does_not_hold_it(
    at: tuple[Server, str], data: Any, call: Callable[[], Any]
) -> None:
    server, url = at
    text = data if isinstance(data, str) else json.dumps(data)
    server.made = (200, STREAM, f"data: {text}\n\ndata: {{}}\n\n".encode())
    seen: list[Any] = []
    with (
        ParallelClient(api_key=KEY, base_url=url, max_retries=0) as client,
        suppress(ParallelError),
    ):
        seen.extend(client.stream(call()))
    assert "said: [hidden]" in repr(seen)
    assert KEY not in repr([vars(event) for event in seen])


@pytest.mark.parametrize("kind", ["application/json", "text/html", STREAM])
@pytest.mark.parametrize("call", [chatted, followed, responded], ids=lambda each: each.__name__)
def test_a_response_that_breaks_off_is_scrubbed(
    kind: str, call: Callable[[ParallelClient], None]
) -> None:
    """What is no HTTP is quoted in the transport's own error, on which ours may hang."""

    def play(talk: Talk, _: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
        talk.send(head.encode() + b"2\r\n{ \r\n" + f"no chunk: {KEY}\r\n".encode())

    with (
        RawServer(play) as server,
        ParallelClient(api_key=KEY, base_url=server.url, max_retries=0) as client,
    ):
        check_hidden(client, call, KEY)


def test_a_failed_run_that_repeats_the_key_does_not_show_it() -> None:
    run = {
        "run_id": "trun_1",
        "status": "failed",
        "is_active": False,
        "error": {"message": f"the server of yours said: {KEY}", "ref_id": "r"},
    }

    def play(talk: Talk, request: bytes) -> None:
        if b"/result" in request.split(b" ")[1]:
            talk.respond(b"{}", status="404 Not Found")
        else:
            talk.respond(json.dumps(run).encode())

    with (
        RawServer(play) as server,
        ParallelClient(api_key=KEY, base_url=server.url) as client,
        pytest.raises(TaskFailedError, match=r"said: \[hidden\]") as caught,
    ):
        client.run(run_task(TASK))
    assert not parts_left(everything(caught.value), KEY)


@pytest.mark.parametrize("said", [KEY, f"trun_{KEY}", f"trun_{KEY[:42]}", KEY[1:]])
def test_an_id_that_repeats_the_key_is_in_no_note(at: tuple[Server, str], said: str) -> None:
    server, url = at
    group = {"taskgroup_id": said, "status": 5}
    server.made = (200, "application/json", json.dumps(group).encode())
    with (
        ParallelClient(api_key=KEY, base_url=url) as client,
        pytest.raises(ParallelError) as caught,
    ):
        client.run(create_task_group())
    assert not parts_left(everything(caught.value), KEY)


async def test_a_whole_chat_response_is_scrubbed_alike(at: tuple[Server, str]) -> None:
    server, url = at
    async with ParallelClient(api_key=KEY, base_url=url, max_retries=0) as client:
        for before in (157, 158, 199, 1957):
            server.made = error_message(filler(before) + KEY)
            with pytest.raises(ParallelError) as caught:
                await client.arun(chat(CHAT))
            assert not parts_left(everything(caught.value), KEY)

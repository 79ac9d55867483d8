"""Search and extract without an account, against a server built with the official MCP SDK."""

import asyncio
import copy
import json
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from parallel_integrations import (
    AuthenticationError,
    ChatRequest,
    CreateTaskRunRequest,
    ExtractRequest,
    FetchPolicy,
    InvalidRequestError,
    MissingKeyError,
    NotServedError,
    ParallelClient,
    RateLimitError,
    SearchMcp,
    SearchRequest,
    ServerError,
    SourcePolicy,
    UnexpectedAnswerError,
)
from parallel_integrations.api import chat, create_task_run, extract, search, stream_chat
from parallel_integrations.sandbox import Sandbox
from tests.support.mcp_server import PAGE, McpServer
from tests.support.raw_server import RawServer, Talk
from tests.support.scripted_operation import BOTH, run

KEY = "a-key-of-32-characters-0123456789"
SEARCH = SearchRequest(objective="What is a closure?", search_queries=["closure", "nonlocal"])
CHAT = ChatRequest(messages=[{"role": "user", "content": "x"}])
KINDS = {
    f"{'no ' if stateless else ''}sessions, {'JSON' if json_response else 'events'}": (
        stateless,
        json_response,
    )
    for stateless in (False, True)
    for json_response in (False, True)
}


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS)
def running(request: pytest.FixtureRequest) -> Iterator[McpServer]:
    stateless, json_response = request.param
    with McpServer(stateless=stateless, json_response=json_response) as server:
        yield server


@pytest.fixture
def server(running: McpServer) -> McpServer:
    running.clear()
    return running


@pytest.fixture
def free(server: McpServer) -> Iterator[ParallelClient]:
    with ParallelClient(route=SearchMcp(url=server.url)) as client:
        yield client


@BOTH
async def test_a_search(server: McpServer, free: ParallelClient, awaiting: bool) -> None:
    request = SEARCH.model_copy(
        update={"session_id": "0" * 32, "client_model": "some-model", "max_results": 3}
    )
    found = await run(free, search(request), awaiting=awaiting)
    assert [page.url for page in found.results] == [f"{PAGE}/{number}" for number in range(3)]
    assert found.results[0].text == "What is a closure?"
    assert found.search_id == "search_1"
    assert found.session_id == "0" * 32
    assert server.calls == [
        (
            "web_search",
            {
                "objective": "What is a closure?",
                "search_queries": ["closure", "nonlocal"],
                "session_id": "0" * 32,
                "model_name": "some-model",
            },
        )
    ]
    assert free.usage.counts == {"search_free": 1}
    assert free.usage.usd == 0
    assert not [each for each in server.headers if "authorization" in each or "x-api-key" in each]


@BOTH
async def test_an_extract(server: McpServer, free: ParallelClient, awaiting: bool) -> None:
    request = ExtractRequest(urls=[PAGE, PAGE + "/2"], objective="closures", full_content=True)
    found = await run(free, extract(request), awaiting=awaiting)
    assert [(page.url, page.title) for page in found.results] == [(PAGE, "T"), (PAGE + "/2", "T")]
    assert server.calls[0][1]["full_content"] is True
    assert free.usage.counts == {"extract_free": 2}


def test_a_session_of_any_name(server: McpServer, free: ParallelClient) -> None:
    """The server takes UUIDs: what shares a name shares one of them."""
    requests = [SEARCH.model_copy(update={"session_id": name}) for name in ("a", "a", "b")]
    assert [free.run(search(each)).session_id for each in requests] == ["a", "a", "b"]
    names = [arguments["session_id"] for _, arguments in server.calls]
    assert names[0] == names[1] != names[2]
    assert all(str(UUID(name)) == name for name in names)


def test_queries_alone_are_the_objective_as_well(server: McpServer, free: ParallelClient) -> None:
    free.run(search(SearchRequest(search_queries=["closure", "nonlocal"])))
    assert server.calls[0][1]["objective"] == "closure; nonlocal"


async def test_calls_share_a_session(server: McpServer, free: ParallelClient) -> None:
    await asyncio.gather(*(free.arun(search(SEARCH)) for _ in range(20)))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: free.run(search(SEARCH)), range(8)))
    assert len(server.calls) == 28
    # initialize and its confirmation once, then the calls
    assert len(server.headers) == 30
    assert len({each.get("mcp-session-id") for each in server.headers[1:]}) == 1
    assert {each.get("mcp-protocol-version") for each in server.headers[1:]} == {"2025-06-18"}


@BOTH
async def test_a_session_that_ended_is_opened_again(
    server: McpServer, free: ParallelClient, awaiting: bool
) -> None:
    if server.stateless:
        return  # there is none that could end
    await run(free, search(SEARCH), awaiting=awaiting)
    server.end_session()
    found = await run(free, search(SEARCH), awaiting=awaiting)
    assert len(found.results) == 10
    assert len(server.calls) == 2, "a call that reached no session was paid"
    assert free.usage.counts == {"search_free": 2}


@BOTH
async def test_a_key_goes_as_bearer(server: McpServer, awaiting: bool) -> None:
    async with ParallelClient(api_key=KEY, route=SearchMcp(url=server.url)) as client:
        request = SEARCH.model_copy(update={"mode": "fast"})
        await run(client, search(request), awaiting=awaiting)
        assert {each["authorization"] for each in server.headers} == {f"Bearer {KEY}"}
        assert client.usage.counts == {"search_fast": 1}


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (ValueError("429: Too Many Requests"), RateLimitError),
        (ValueError("upstream responded with status 503"), ServerError),
        (ValueError(f"HTTP 401: invalid key {KEY}"), AuthenticationError),
        (ValueError("objective must have at most 500 characters"), InvalidRequestError),
    ],
)
def test_a_tool_that_fails(server: McpServer, failure: Exception, error: type[Exception]) -> None:
    server.fail = failure
    client = ParallelClient(api_key=KEY, route=SearchMcp(url=server.url), max_retries=0)
    with client, pytest.raises(error) as caught:
        client.run(search(SEARCH))
    assert KEY not in repr(caught.value)
    assert "web_search" in str(caught.value)


@BOTH
async def test_the_cache_knows_no_sessions(
    server: McpServer, tmp_path: Path, awaiting: bool
) -> None:
    """What one client kept serves another, whose session is another; equal calls become one."""
    route = SearchMcp(url=server.url)
    async with ParallelClient(route=route, cache=str(tmp_path)) as one:
        await asyncio.gather(*(one.arun(search(SEARCH)) for _ in range(5)))
        assert len(server.calls) == 1
        assert one.usage.saved == {"search_free": 4}
        assert one.usage.saved_usd == 0
    async with ParallelClient(route=route, cache=str(tmp_path)) as other:
        again = SEARCH.model_copy(update={"session_id": "f" * 32})
        found = await run(other, search(again), awaiting=awaiting)
        assert (len(found.results), found.session_id) == (10, "f" * 32)
        assert len(server.calls) == 1
        await run(other, search(SearchRequest(objective="another")), awaiting=awaiting)
        await run(other, extract(ExtractRequest(urls=[PAGE])), awaiting=awaiting)
        assert [name for name, _ in server.calls] == ["web_search", "web_search", "web_fetch"]


REFUSED: dict[str, tuple[Any, str]] = {
    "mode": (SearchRequest(objective="x", mode="fast"), "mode='fast'"),
    "location": (SearchRequest(objective="x", location="us"), "location='us'"),
    "sources": (
        SearchRequest(objective="x", source_policy=SourcePolicy(include_domains=["a.org"])),
        "source_policy",
    ),
    "freshness": (
        SearchRequest(objective="x", fetch_policy=FetchPolicy(max_age_seconds=600)),
        "fetch_policy",
    ),
    "many": (SearchRequest(objective="x", max_results=11), "max_results=11"),
    "excerpts": (SearchRequest(objective="x", max_chars_per_result=5000), "max_chars_per_result"),
    "model": (SearchRequest(objective="x", client_model="m" * 101), "client_model"),
    "page length": (
        ExtractRequest(urls=[PAGE], full_content={"max_chars_per_result": 5}),
        "full_content",
    ),
    "page total": (ExtractRequest(urls=[PAGE], max_chars_total=5), "max_chars_total"),
    "page age": (
        ExtractRequest(urls=[PAGE], fetch_policy=FetchPolicy(max_age_seconds=600)),
        "fetch_policy",
    ),
}


@pytest.mark.parametrize(("request_", "named"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_ignored_is_refused(sandbox: Sandbox, request_: Any, named: str) -> None:
    operation = search if isinstance(request_, SearchRequest) else extract
    client = ParallelClient(route=SearchMcp(url=sandbox.url + "/mcp"))
    with client, pytest.raises(ValueError, match=named) as caught:
        client.run(operation(request_))
    assert "SearchMcp" in str(caught.value)
    assert not sandbox.requests


OTHERS = {
    "task": lambda: create_task_run(CreateTaskRunRequest(input="x")),
    "chat": lambda: chat(CHAT),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@BOTH
async def test_other_operations_say_what_they_need(
    sandbox: Sandbox, other: Any, awaiting: bool
) -> None:
    route = SearchMcp(url=sandbox.url + "/mcp")
    with pytest.raises(MissingKeyError, match=r"needs an API key.*PARALLEL_API_KEY"):
        await run(ParallelClient(route=route), other(), awaiting=awaiting)
    with pytest.raises(NotServedError, match="no route="):
        await run(ParallelClient(route=route, api_key=KEY), other(), awaiting=awaiting)
    with pytest.raises(MissingKeyError):
        list(ParallelClient(route=route).stream(stream_chat(CHAT)))
    assert not sandbox.requests


@BOTH
async def test_a_limit_that_is_reached(sandbox: Sandbox, awaiting: bool) -> None:
    client = ParallelClient(route=SearchMcp(url=sandbox.url + "/mcp"))
    await run(client, search(SEARCH), awaiting=awaiting)
    sandbox.faults.add(path="/mcp", status=429, retry_after=0)
    assert (await run(client, search(SEARCH), awaiting=awaiting)).results
    sandbox.faults.add(path="/mcp", status=429, retry_after=3600)
    with pytest.raises(RateLimitError, match="without an account is limited") as caught:
        await run(client, search(SEARCH), awaiting=awaiting)
    assert "PARALLEL_API_KEY" in str(caught.value)
    assert caught.value.retry_after == 3600
    assert client.usage.counts == {"search_free": 2}
    assert sandbox.ledger.usd == 0


async def test_a_limit_that_is_reached_while_opening(sandbox: Sandbox) -> None:
    """Those who wait for the session are given the error, and do not knock in turn."""
    client = ParallelClient(route=SearchMcp(url=sandbox.url + "/mcp"), max_retries=0)
    sandbox.faults.add(path="/mcp", status=429, retry_after=3600, times=None, delay=0.05)
    outcomes = await asyncio.gather(
        *(client.arun(search(SEARCH)) for _ in range(10)), return_exceptions=True
    )
    assert {type(each) for each in outcomes} == {RateLimitError}
    assert len(sandbox.requests) == 1


def wait_for_request(sandbox: Sandbox) -> None:
    for _ in range(10_000):
        if sandbox.requests:
            return
        threading.Event().wait(0.001)


async def test_a_blocking_call_within_the_loop_that_opens_the_session(sandbox: Sandbox) -> None:
    client = ParallelClient(route=SearchMcp(url=sandbox.url + "/mcp"), timeout=20)
    sandbox.faults.add(path="/mcp", delay=0.05)
    task = asyncio.create_task(client.arun(search(SEARCH)))
    await asyncio.to_thread(wait_for_request, sandbox)
    assert client.run(search(SEARCH)).results
    assert (await task).results


def test_a_cancelled_opening_keeps_nobody_waiting(sandbox: Sandbox) -> None:
    client = ParallelClient(route=SearchMcp(url=sandbox.url + "/mcp"), timeout=20)

    async def cancelled() -> None:
        sandbox.faults.add(path="/mcp", delay=0.2)
        first = asyncio.create_task(client.arun(search(SEARCH)))
        await asyncio.to_thread(wait_for_request, sandbox)
        second = asyncio.create_task(client.arun(search(SEARCH)))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).results

    asyncio.run(cancelled())


def rpc(number: Any, result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode()


PAGES = {"results": [{"url": PAGE, "title": "A \ud800 page", "excerpts": ["e"]}]}
UNUSUAL: dict[str, Any] = {
    "text only": lambda n: rpc(n, {"content": [{"type": "text", "text": json.dumps(PAGES)}]}),
    "text after a picture": lambda n: rpc(
        n, {"content": [{"type": "image", "data": ""}, {"type": "text", "text": json.dumps(PAGES)}]}
    ),
    "wrapped": lambda n: rpc(n, {"content": [], "structuredContent": {"result": PAGES}}),
    "batch": lambda n: b"[" + rpc("other", {}) + b"," + rpc(n, {"structuredContent": PAGES}) + b"]",
    "notifications first": lambda n: (
        b'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/progress"}\n\n'
        b": ping\n\ndata: not JSON\n\ndata: " + rpc(n, {"structuredContent": PAGES}) + b"\n\n"
    ),
}


def scripted(respond: Any) -> RawServer:
    def server(talk: Talk, request: bytes) -> None:
        body = json.loads(request.partition(b"\r\n\r\n")[2])
        match body["method"]:
            case "initialize":
                opened = {"protocolVersion": "2025-03-26", "capabilities": {}}
                talk.respond(rpc(body["id"], opened))
            case "notifications/initialized":
                talk.respond(b"", status="202 Accepted", content_type=None)
            case _:
                content = respond(body["id"])
                events = content.startswith((b"event:", b"data:"))
                kind = "text/event-stream; charset=utf-8" if events else "application/json"
                talk.respond(content, content_type=kind)

    return RawServer(server)


@pytest.mark.parametrize("respond", UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_responses_are_read(respond: Any) -> None:
    with scripted(respond) as server, ParallelClient(route=SearchMcp(url=server.url)) as client:
        page = client.run(search(SEARCH)).results[0]
        assert (page.url, page.title) == (PAGE, "A \ufffd page")
        assert b"mcp-protocol-version: 2025-03-26" in server.requests[-1].lower()


UNREADABLE: dict[str, Any] = {
    "nothing": lambda _: b"",
    "another's": lambda _: rpc("other", {"structuredContent": PAGES}),
    "no object": lambda n: rpc(n, {"content": [{"type": "text", "text": "Three pages: …"}]}),
    "no result": lambda n: rpc(n, None),
    "a page": lambda _: b"<html>",
    "cut events": lambda n: b'data: {"jsonrpc": "2.0", "id"',
    "results of another kind": lambda n: rpc(n, {"structuredContent": {"results": "none"}}),
}


@pytest.mark.parametrize("respond", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_responses_are_errors(respond: Any) -> None:
    """And are not requested again: they have been paid for."""
    with scripted(respond) as server, ParallelClient(route=SearchMcp(url=server.url)) as client:
        with pytest.raises(UnexpectedAnswerError):
            client.run(search(SEARCH))
        assert len(server.requests) == 3


@BOTH
async def test_a_page_that_the_server_does_not_mention_is_named(awaiting: bool) -> None:
    other = f"{PAGE}/2"
    request = ExtractRequest(urls=[PAGE, other, other])
    with scripted(lambda n: rpc(n, {"structuredContent": PAGES})) as server:
        async with ParallelClient(route=SearchMcp(url=server.url)) as client:
            found = await run(client, extract(request), awaiting=awaiting)
    assert [page.url for page in found.results] == [PAGE]
    assert [(error.url, error.error_type) for error in found.errors] == [(other, "not_returned")]
    assert not found.is_whole


def test_a_page_may_come_back_under_another_address() -> None:
    with (
        scripted(lambda n: rpc(n, {"structuredContent": PAGES})) as server,
        ParallelClient(route=SearchMcp(url=server.url)) as client,
    ):
        found = client.run(extract(ExtractRequest(urls=["https://example.com/moved"])))
        assert len(found.results) == 1
        assert not found.errors


def test_a_pickled_and_a_copied_client_open_a_session_of_their_own(sandbox: Sandbox) -> None:
    client = ParallelClient(api_key=sandbox.api_key, route=SearchMcp(url=sandbox.url + "/mcp"))
    client.run(search(SEARCH))
    pickled = pickle.dumps(client)
    assert sandbox.api_key.encode() not in pickled
    for other in (pickle.loads(pickled), copy.deepcopy(client)):
        assert other.run(search(SEARCH)).results
    names = {each.headers.get("mcp-session-id") for each in sandbox.requests}
    assert len(names - {None}) == 3


def test_errors_of_the_protocol() -> None:
    def respond(number: int) -> bytes:
        error = {"code": -32602, "message": f"unknown tool, {KEY}"}
        return json.dumps({"jsonrpc": "2.0", "id": number, "error": error}).encode()

    with scripted(respond) as server:
        client = ParallelClient(api_key=KEY, route=SearchMcp(url=server.url))
        with client, pytest.raises(InvalidRequestError, match="unknown tool") as caught:
            client.run(search(SEARCH))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": "http://search.example/mcp"}, "https"),
        ({"url": ""}, "url="),
        ({"url": 5}, "url="),
        ({"url": "https://user:secret@search.example/mcp"}, "user name"),
    ],
)
def test_addresses_that_cannot_be_right(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        ParallelClient(route=SearchMcp(**arguments))
    assert "secret" not in str(caught.value)


def test_settings_that_contradict_it() -> None:
    with pytest.raises(ValueError, match="base_url"):
        ParallelClient(route=SearchMcp(), base_url="https://api.example")
    with pytest.raises(ValueError, match="api_version"):
        ParallelClient(route=SearchMcp(), api_version="v1beta")


def test_the_default_is_the_vendors_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLEL_BASE_URL", "https://elsewhere.example")
    client = ParallelClient(route=SearchMcp())
    assert client.settings.base_url == "https://search.parallel.ai/mcp"

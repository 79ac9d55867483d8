"""What a call costs, counted in function calls: the same on every machine, however busy it is.

Each figure is a ratio to plain httpx, or to an adapter that builds nothing, counted in the same
run, so that a new version of a framework or of httpx shifts both sides. Seconds are measured by
`make bench`.
"""

import asyncio
import json
import sys
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Self

import httpx
import pytest
from llama_index.core.base.llms.types import ChatMessage

from benchmarks.empty import EmptyLangChain, EmptyLlamaIndex
from parallel_integrations import ChatRequest, ParallelClient, SearchRequest
from parallel_integrations.api import search, stream_chat
from parallel_integrations.evaluation import Statement, TextJudge
from parallel_integrations.langchain import (
    ChatParallel,
    ParallelSearchRetriever,
    ParallelSearchTool,
)
from parallel_integrations.llama_index import ParallelLLM, ParallelReader, ParallelRetriever
from tests.support.raw_server import RawServer, Talk
from tests.support.requests import QUESTION

TOLERANCE = 1.2
"""Between versions of Python and of the libraries; a fifth more fails."""
QUERIES = ["statement handle exceptions"]
CHUNKS = 50
PAGE = {"title": "Page", "publish_date": "2026-01-31", "excerpts": ["word " * 400] * 3}
PAGES = {
    "results": [{"url": f"https://example.com/{number}", **PAGE} for number in range(10)],
    "warnings": None,
    "usage": [{"name": "sku_search", "count": 1}],
}
SEARCH_RESPONSE = json.dumps({"search_id": "s", "session_id": "t", **PAGES}).encode()
CHAT_RESPONSE = json.dumps({"choices": [{"message": {"content": "A word."}}], "basis": []}).encode()
LARGE = "The quick brown fox jumps over the lazy dog. " * 2200
STREAM = b"".join(
    b"%x\r\n%s\r\n" % (len(event), event)
    for event in [b'data: {"id": "", "choices": [{"index": 0, "delta": {"content": "word "}}]}\n\n']
    * CHUNKS
    + [b"data: [DONE]\n\n"]
)
STREAM_HEADERS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)

Run = Callable[[], object]


def respond(talk: Talk, request: bytes) -> None:
    if b"/v1/search" in request.partition(b"\r\n")[0]:
        talk.respond(SEARCH_RESPONSE)
    elif b'"stream":true' in request:
        talk.send(STREAM_HEADERS + STREAM + b"0\r\n\r\n")
    else:
        talk.respond(CHAT_RESPONSE)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server that responds at once and always the same."""
    with RawServer(respond) as server:
        yield server.url


PARSERS = {"from_json", "loads", "validate_json"}


class Calls:
    """Function calls, of Python and of C, in this thread and while it is entered.

    Attributes:
        count: How many.
        parsers: How many of them parse JSON, by name.
    """

    def __enter__(self) -> Self:
        self.count = 0
        self.parsers = Counter[str]()
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, arg: object) -> None:
        if event in ("call", "c_call"):
            self.count += 1
            name = frame.f_code.co_name if event == "call" else getattr(arg, "__name__", "")
            if name in PARSERS:
                self.parsers[name] += 1


def counted(run: Run) -> int:
    """Function calls of a run, the minimum of a few times."""
    counts = []
    for _ in range(5):
        with Calls() as calls:
            run()
        counts.append(calls.count)
    return min(counts)


def ratio(run: Run, base: Run) -> float:
    run(), base()  # what is built at first use
    return counted(run) / counted(base)


@pytest.fixture
def plain_search(url: str) -> Iterator[Run]:
    """What anyone would write with httpx."""
    body = {"objective": QUESTION, "search_queries": QUERIES}
    path, headers = f"{url}/v1/search", {"x-api-key": "some-key"}
    with httpx.Client() as client:
        yield lambda: json.loads(client.post(path, json=body, headers=headers).content)


@pytest.fixture
def plain_stream(url: str) -> Iterator[Run]:
    """The same, streamed."""
    body = {"messages": [{"role": "user", "content": QUESTION}], "stream": True}

    def run() -> None:
        with client.stream("POST", f"{url}/chat/completions", json=body) as response:
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    json.loads(line[6:])

    with httpx.Client() as client:
        yield run


def connection(url: str) -> dict[str, Any]:
    return {"api_key": "some-key", "base_url": url}


def within(usual: float, found: float) -> bool:
    """Whether a ratio is what it usually is, or less."""
    return found <= usual * TOLERANCE


def test_a_search(url: str, plain_search: Run) -> None:
    request = SearchRequest(objective=QUESTION, search_queries=QUERIES)
    with ParallelClient(**connection(url)) as client:
        assert within(0.68, ratio(lambda: client.run(search(request)), plain_search))


@pytest.mark.parametrize("awaiting", [False, True])
def test_three_functions_of_ours_lie_between_a_call_and_its_connection(
    url: str, awaiting: bool
) -> None:
    """What a reader of a traceback, or of a profile, has to follow."""
    request = SearchRequest(objective=QUESTION, search_queries=QUERIES)
    connections = ("handle_request", "handle_async_request")
    found: set[tuple[str, ...]] = set()  # a coroutine is entered again each time it goes on

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_name in connections and "httpx" in code.co_filename:
            above = (each for each, _ in traceback.walk_stack(frame.f_back))
            own = (f for f in above if f.f_globals["__name__"].startswith("parallel_integrations."))
            found.add(tuple(f.f_code.co_name for f in own))

    client = ParallelClient(**connection(url))
    sys.setprofile(note)
    try:
        if awaiting:
            asyncio.run(client.arun(search(request)))
        else:
            client.run(search(request))
    finally:
        sys.setprofile(None)
        client.close()
    a = "a" if awaiting else ""
    assert found == {("open", f"{a}take_step", f"{a}run")}


def test_a_response_is_parsed_once(url: str, tmp_path: Path) -> None:
    """Also where it is kept, and where it was: what else is parsed there is small."""
    request = SearchRequest(objective=QUESTION, search_queries=QUERIES)
    # To be kept, the request is read for its name; where it is found, what was kept begins with a
    # line of JSON.
    for cache, short_texts in ((None, 0), (tmp_path, 1), (tmp_path, 2)):
        with ParallelClient(**connection(url), cache=cache) as client, Calls() as calls:
            client.run(search(request))
        assert calls.parsers == Counter(validate_json=1, from_json=short_texts)


def test_langchain_s_retriever(url: str, plain_search: Run) -> None:
    ours = ParallelSearchRetriever(**connection(url))
    empty = EmptyLangChain(fetch=plain_search)
    assert within(1.0, ratio(partial(ours.invoke, QUESTION), partial(empty.invoke, QUESTION)))


def test_llama_index_s_retriever_and_reader(url: str, plain_search: Run) -> None:
    empty = partial(EmptyLlamaIndex(plain_search).retrieve, QUESTION)
    retriever = ParallelRetriever(**connection(url))
    reader = ParallelReader(**connection(url))
    assert within(1.05, ratio(partial(retriever.retrieve, QUESTION), empty))
    assert within(0.95, ratio(partial(reader.load_data, QUESTION), empty))


def test_langchain_s_search_tool(url: str, plain_search: Run) -> None:
    tool = ParallelSearchTool(**connection(url))
    inputs = {"objective": QUESTION, "search_queries": QUERIES}
    assert within(1.25, ratio(partial(tool.invoke, inputs), plain_search))


def test_a_short_response(url: str, plain_search: Run) -> None:
    langchain, llama_index = ChatParallel(**connection(url)), ParallelLLM(**connection(url))
    assert within(0.98, ratio(partial(langchain.invoke, QUESTION), plain_search))
    assert within(0.93, ratio(partial(llama_index.complete, QUESTION), plain_search))


def test_a_streamed_response(url: str, plain_stream: Run) -> None:
    request = ChatRequest(messages=[{"role": "user", "content": QUESTION}])
    langchain, llama_index = ChatParallel(**connection(url)), ParallelLLM(**connection(url))
    inputs = [ChatMessage(content=QUESTION)]
    with ParallelClient(**connection(url)) as client:
        assert within(0.99, ratio(lambda: list(client.stream(stream_chat(request))), plain_stream))
    assert within(1.63, ratio(lambda: list(langchain.stream(QUESTION)), plain_stream))
    assert within(1.52, ratio(lambda: list(llama_index.stream_chat(inputs)), plain_stream))


def test_constructing_an_adapter(url: str, plain_search: Run) -> None:
    """A part of one call: no connection, no TLS context."""
    adapters = (ChatParallel, ParallelSearchTool, ParallelRetriever, ParallelLLM)
    for adapter in (ParallelClient, *adapters):
        assert within(0.35, ratio(partial(adapter, **connection(url)), plain_search)), adapter


def test_a_large_response_takes_no_more_memory_than_httpx_and_json() -> None:
    """Calls do not show what happens in C: a copy of the whole response would show here."""
    pages = [{"url": f"https://example.com/{n}", **PAGE, "excerpts": [LARGE]} for n in range(10)]
    respond = json.dumps({"search_id": "s", "results": pages}).encode()
    headers = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    whole = headers % len(respond) + respond  # once: the server's memory is counted, too
    with RawServer(lambda talk, request: talk.send(whole)) as server, httpx.Client() as client:
        path = f"{server.url}/v1/search"
        plain = peak_bytes(lambda: json.loads(client.post(path, json={}).content))
        ours = [
            ParallelSearchRetriever(**connection(server.url)).invoke,
            ParallelRetriever(**connection(server.url)).retrieve,
        ]
        for ask in ours:
            assert peak_bytes(partial(ask, QUESTION)) <= plain * 0.71 * TOLERANCE


def peak_bytes(run: Run) -> int:
    """How much memory Python's objects take at most meanwhile; the least of a few times."""
    run()  # what is built at first use
    peaks = []
    for _ in range(5):
        tracemalloc.start()
        try:
            run()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(peaks)


def test_a_call_costs_the_same_however_many_there_are_at_once(url: str) -> None:
    """httpx's own pool goes through all its connections and requests for each."""
    request = SearchRequest(objective=QUESTION, search_queries=QUERIES)

    async def per_call(at_once: int) -> float:
        async with ParallelClient(**connection(url)) as client:

            async def burst() -> None:
                await asyncio.gather(*(client.arun(search(request)) for _ in range(at_once)))

            await burst()
            with Calls() as calls:
                await burst()
            return calls.count / at_once

    few, many = asyncio.run(per_call(10)), asyncio.run(per_call(100))
    assert many <= few * 1.1


def test_a_long_page_is_looked_through_in_proportion_to_its_length() -> None:
    def cost(count: int) -> int:
        page = " ".join(f"Sentence {number} of {count} says so." for number in range(count))
        with Calls() as calls:
            TextJudge()(Statement(text="The bridge is 412 m long."), page)
        return calls.count

    assert cost(900) <= 3 * TOLERANCE * cost(300)  # more than what is kept of texts

"""Rows about single calls: search to documents, the search tool, a short chat response."""

import json
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson

from benchmarks import peers
from benchmarks.empty import (
    EmptyLangChain,
    EmptyLangChainModel,
    EmptyLlamaIndex,
    EmptyLlamaIndexModel,
    EmptyTool,
    UncheckedLlamaIndex,
)
from benchmarks.measure import KEY, QUESTION, SEARCH, Call, Row, row
from benchmarks.unchecked import UncheckedLangChain
from parallel_integrations import ParallelClient, SearchRequest
from parallel_integrations.api import search
from parallel_integrations.langchain import (
    ChatParallel,
    ParallelSearchRetriever,
    ParallelSearchTool,
)
from parallel_integrations.llama_index import ParallelLLM, ParallelReader, ParallelRetriever

CHAT = {"model": "speed", "messages": [{"role": "user", "content": QUESTION}]}


def plain(url: str, body: dict[str, Any], loads: Any) -> Call:
    """What anyone would write with httpx."""
    client = httpx.Client(timeout=60)
    headers = {"x-api-key": KEY}
    return lambda: loads(client.post(url, json=body, headers=headers).content)


def rows(url: str) -> list[Row]:
    """The rows of this file."""
    small, large = f"{url}/60", f"{url}/1000"
    return [*searches(small), *large_searches(large), tool(small), kept(small), *chats(url)]


def searches(url: str) -> list[Row]:
    """Search to documents, 60 kB, against a retriever that builds nothing."""
    base = "httpx + orjson + empty retriever"
    fetch = plain(f"{url}/v1/search", SEARCH, orjson.loads)
    connection: dict[str, Any] = {"api_key": KEY, "base_url": url}
    ours: list[tuple[str, str, float, Call, Call]] = [
        (
            "LangChain",
            "LangChain retriever",
            1.15,
            partial(EmptyLangChain(fetch=fetch).invoke, QUESTION),
            partial(ParallelSearchRetriever(**connection).invoke, QUESTION),
        ),
        (
            "LlamaIndex",
            "LlamaIndex retriever",
            1.20,
            partial(EmptyLlamaIndex(fetch).retrieve, QUESTION),
            partial(ParallelRetriever(**connection).retrieve, QUESTION),
        ),
        (
            "LlamaIndex",
            "LlamaIndex reader",
            1.20,
            partial(EmptyLlamaIndex(fetch).retrieve, QUESTION),
            partial(ParallelReader(**connection).load_data, QUESTION),
        ),
    ]
    unchecked: dict[str, Call] = {
        "LangChain": partial(UncheckedLangChain(fetch=fetch).invoke, QUESTION),
        "LlamaIndex": partial(UncheckedLlamaIndex(fetch).retrieve, QUESTION),
    }
    found = []
    for framework, name, bar, empty, call in ours:
        others = peers.retrievers(url)[framework]
        beside = {"the same unchecked": unchecked[framework]}
        what = f"search to documents, 60 kB, {name}"
        found.append(row(what, bar, (base, empty), call, others, calls=5, beside=beside))
    return found


def large_searches(url: str) -> list[Row]:
    """Search to documents, 1 MB, against plain httpx and the standard library's JSON."""
    base = "httpx + json"
    connection: dict[str, Any] = {"api_key": KEY, "base_url": url}
    ours: dict[str, Call] = {
        "LangChain": partial(ParallelSearchRetriever(**connection).invoke, QUESTION),
        "LlamaIndex": partial(ParallelRetriever(**connection).retrieve, QUESTION),
    }
    found = []
    for framework, call in ours.items():
        fetch = plain(f"{url}/v1/search", SEARCH, json.loads)
        what = f"search to documents, 1 MB, {framework} retriever"
        others = peers.retrievers(url)[framework]
        found.append(row(what, 0.85, (base, fetch), call, others, calls=2))
    return found


def tool(url: str) -> Row:
    """The search tool: content and artifact."""
    base = "httpx + json"
    ours = ParallelSearchTool(api_key=KEY, base_url=url)
    fetch = plain(f"{url}/v1/search", SEARCH, json.loads)
    what = "search tool, content and artifact, 60 kB"
    call = partial(ours.invoke, SEARCH)
    beside: dict[str, Call] = {"an empty tool": partial(EmptyTool(fetch=fetch).invoke, SEARCH)}
    return row(what, 1.35, (base, fetch), call, peers.tools(url), calls=5, beside=beside)


def kept(url: str) -> Row:
    """A response that is in a directory: found, checked against its seal, and read."""
    request = SearchRequest(**SEARCH)
    with TemporaryDirectory() as folder:
        plain = ParallelClient(api_key=KEY, base_url=url)
        cached = ParallelClient(api_key=KEY, base_url=url, cache=folder)
        return row(
            "search found in the cache, 60 kB",
            None,
            ("the call without a cache", lambda: plain.run(search(request))),
            lambda: cached.run(search(request)),
            {},
            calls=5,
        )


def chats(url: str) -> list[Row]:
    """A short response in one piece."""
    base = "httpx + json"
    langchain = ChatParallel(api_key=KEY, base_url=url)
    llama_index = ParallelLLM(api_key=KEY, base_url=url)
    ours: dict[str, Call] = {
        "LangChain": lambda: langchain.invoke(QUESTION),
        "LlamaIndex": lambda: llama_index.complete(QUESTION),
    }
    fetch = plain(f"{url}/chat/completions", CHAT, json.loads)
    empty: dict[str, Call] = {
        "LangChain": partial(EmptyLangChainModel(fetch=fetch).invoke, QUESTION),
        "LlamaIndex": partial(EmptyLlamaIndexModel(fetch=fetch).complete, QUESTION),
    }
    found = []
    for framework, call in ours.items():
        others = peers.chats(url)[framework]
        beside = {"an empty model": empty[framework]}
        what = f"chat, short response, {framework}"
        found.append(row(what, 1.4, (base, fetch), call, others, calls=5, beside=beside))
    return found

"""`x-parallel-integration`: every adapter says what it is part of, and shares all else."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from parallel_integrations import ParallelClient, SearchRequest, __version__, langchain, llama_index
from parallel_integrations.api import search
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection
from tests.support.requests import QUESTION

HEADER = "x-parallel-integration"
PAGE = "https://docs.python.org/3/reference/compound_stmts.html"
SEARCH = {"objective": QUESTION, "search_queries": ["with statement", "exceptions", "context"]}


class OwnRetriever(langchain.ParallelSearchRetriever):
    """A user's subclass."""


Use = Callable[[dict[str, Any]], Any]
LANGCHAIN: dict[str, Use] = {
    "retriever": lambda c: langchain.ParallelSearchRetriever(**c).invoke(QUESTION),
    "awaiting": lambda c: asyncio.run(langchain.ParallelSearchRetriever(**c).ainvoke(QUESTION)),
    "subclass": lambda c: OwnRetriever(**c).invoke(QUESTION),
    "tool": lambda c: langchain.ParallelSearchTool(**c).invoke(SEARCH),
    "toolkit": lambda c: langchain.ParallelToolkit(**c).get_tools()[0].invoke(SEARCH),
    "loader": lambda c: langchain.ParallelExtractLoader(urls=[PAGE], **c).load(),
    "entities": lambda c: langchain.ParallelEntityRetriever(**c).invoke(QUESTION),
    "memory": lambda c: langchain.ParallelMemoryTool(**c).invoke(QUESTION),
    "monitors": lambda c: langchain.ParallelMonitor(**c).list(),
    "chat": lambda c: langchain.ChatParallel(**c).invoke(QUESTION),
    "streamed chat": lambda c: list(langchain.ChatParallel(**c).stream(QUESTION)),
    "research": lambda c: langchain.ParallelDeepResearch(**c).invoke(QUESTION),
}
LLAMA_INDEX: dict[str, Use] = {
    "retriever": lambda c: llama_index.ParallelRetriever(**c).retrieve(QUESTION),
    "reader": lambda c: llama_index.ParallelReader(**c).load_data(QUESTION),
    "pages": lambda c: llama_index.ParallelExtractReader(**c).load_data([PAGE]),
    "tools": lambda c: llama_index.ParallelToolSpec(**c).to_tool_list()[0].call(**SEARCH),
    "entities": lambda c: llama_index.ParallelEntityRetriever(**c).retrieve(QUESTION),
    "monitors": lambda c: llama_index.ParallelMonitor(**c).list(),
    "model": lambda c: llama_index.ParallelLLM(**c).complete(QUESTION),
    "query engine": lambda c: llama_index.ParallelQueryEngine(**c).query(QUESTION),
}
USES = [
    pytest.param(use, f"{name}/{__version__}", id=f"{name} {what}")
    for name, uses in (("langchain", LANGCHAIN), ("llama-index", LLAMA_INDEX))
    for what, use in uses.items()
]


@pytest.mark.parametrize("given", [False, True], ids=["shared client", "given client"])
@pytest.mark.parametrize(("use", "expected"), USES)
def test_an_adapter_says_what_it_is_part_of(
    sandbox: Sandbox, client: ParallelClient, use: Use, expected: str, given: bool
) -> None:
    use({"client": client} if given else connection(sandbox))
    assert {each.headers.get(HEADER) for each in sandbox.requests} == {expected}


def test_the_core_says_nothing(sandbox: Sandbox, client: ParallelClient) -> None:
    client.run(search(SearchRequest(objective=QUESTION)))
    assert HEADER not in sandbox.requests[0].headers


def test_usage_connections_and_cache_are_the_clients_own(sandbox: Sandbox, tmp_path: Path) -> None:
    at = connection(sandbox)
    before = sandbox.connections
    with ParallelClient(cache=str(tmp_path), **at) as client:
        langchain.ParallelSearchRetriever(client=client, k=3).invoke(QUESTION)
        llama_index.ParallelRetriever(client=client, max_results=3).retrieve(QUESTION)
        assert len(sandbox.requests) == 1, "equal requests of both frameworks are one"
        assert client.usage.counts == {"search": 1}
        assert client.usage.saved == {"search": 1}
        client.run(search(SearchRequest(objective="another")))
        assert sandbox.connections - before == 1


def test_a_header_of_the_users_own_is_kept(sandbox: Sandbox) -> None:
    at = connection(sandbox)
    client = ParallelClient(headers={"X-Parallel-Integration": "my-agent/2"}, **at)
    langchain.ParallelSearchRetriever(client=client).invoke(QUESTION)
    assert sandbox.requests[0].headers.getlist(HEADER) == ["my-agent/2"]


def test_a_name_that_no_header_carries(client: ParallelClient) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        client.on_behalf_of("a\nb")


@pytest.mark.parametrize("name", ["", " ", None, ["my-agent/1"], 5])
def test_what_is_no_name_is_refused(client: ParallelClient, name: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"integration=.* must be a name and version"):
        client.on_behalf_of(name)


def test_clients_of_many_names_are_not_kept(client: ParallelClient) -> None:
    kept = [ref(client.on_behalf_of(f"for-user/{number}")) for number in range(100)]
    assert sum(each() is not None for each in kept) < 40
    assert client.on_behalf_of("for-user/99") is kept[-1]()


class Limiter:
    """A rate limiter that counts."""

    def __init__(self) -> None:
        self.calls = 0

    def acquire(self) -> bool:
        self.calls += 1
        return True

    async def aacquire(self) -> bool:
        return self.acquire()


def test_a_paced_client_stays_paced(sandbox: Sandbox, client: ParallelClient) -> None:
    limiter = Limiter()
    paced = client.paced(limiter)
    langchain.ParallelSearchRetriever(client=client).invoke(QUESTION)
    langchain.ParallelSearchRetriever(client=paced).invoke(QUESTION)
    llama_index.ParallelRetriever(client=paced).retrieve(QUESTION)
    assert limiter.calls == 2
    names = [each.headers[HEADER].partition("/")[0] for each in sandbox.requests]
    assert names == ["langchain", "langchain", "llama-index"]

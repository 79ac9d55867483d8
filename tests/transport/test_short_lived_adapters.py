"""Adapters that come and go with each request of a program share their connections."""

import asyncio
import gc
import os
import subprocess
import sys
import textwrap

import pytest

from parallel_integrations import SearchRequest
from parallel_integrations import client as clients
from parallel_integrations._protocol.settings import Settings
from parallel_integrations._transport import connection_pool
from parallel_integrations.api import search
from parallel_integrations.client import ParallelClient
from parallel_integrations.langchain import ParallelSearchRetriever
from parallel_integrations.llama_index import ParallelRetriever
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection
from tests.support.requests import QUESTION

SEARCH = SearchRequest(search_queries=["with statement"], max_results=1)


def test_fifteen_in_turn_make_one_connection(own: Sandbox) -> None:
    for _ in range(15):
        ParallelSearchRetriever(**connection(own), k=1).invoke(QUESTION)
        gc.collect(0)
    for _ in range(5):
        ParallelRetriever(**connection(own), max_results=1).retrieve(QUESTION)
        gc.collect(0)
    assert len(own.requests) == 20
    assert own.connections == 1


def test_fifteen_in_turn_in_an_event_loop_make_one_connection(own: Sandbox) -> None:
    async def handlers() -> None:
        for _ in range(15):
            await ParallelSearchRetriever(**connection(own), k=1).ainvoke(QUESTION)
            gc.collect(0)

    asyncio.run(handlers())
    assert own.connections == 1
    asyncio.run(handlers())  # another loop never takes over a connection of the first
    assert own.connections == 2


def test_what_was_spent_counts_for_the_adapters_that_live(own: Sandbox) -> None:
    """Connections outlive the last adapter; its usage goes with it, as before."""
    first = ParallelSearchRetriever(**connection(own), k=1)
    first.invoke(QUESTION)
    assert sum(first.resolved_client().usage.counts.values()) == 1
    del first
    gc.collect()
    again = ParallelSearchRetriever(**connection(own), k=1)
    assert again.resolved_client().usage.counts == {}


def test_only_the_last_few_are_kept() -> None:
    with Sandbox() as first, Sandbox() as last:
        ParallelClient.shared(Settings(**connection(first))).run(search(SEARCH))
        for number in range(clients.MAX_KEPT_POOLS):
            other = Settings(**connection(last), timeout=10 + number)
            ParallelClient.shared(other).run(search(SEARCH))
        gc.collect()
        assert settled(first) == 0
        assert last.open_connections == clients.MAX_KEPT_POOLS


def test_what_is_idle_for_too_long_is_closed(own: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    ParallelClient.shared(Settings(**connection(own))).run(search(SEARCH))
    gc.collect()
    monkeypatch.setattr(connection_pool, "KEEP_ALIVE_SECONDS", -1.0)
    ParallelClient.shared(Settings(base_url="http://127.0.0.1:1"))  # any other one will do
    assert settled(own) == 0


def settled(sandbox: Sandbox) -> int:
    """How many connections are open, once the server has read the ends of those that are not."""
    for _ in range(20_000):
        if not sandbox.open_connections:
            break
        asyncio.run(asyncio.sleep(0.001))
    return sandbox.open_connections


SCRIPT = textwrap.dedent(
    """
    import asyncio, gc, os, sys
    from parallel_integrations.langchain import ParallelSearchRetriever

    def ask():
        ParallelSearchRetriever(k=1).invoke("How does the with statement handle exceptions?")
        gc.collect()

    async def aask():
        asyncio.get_running_loop().slow_callback_duration = 60  # a busy machine is no fault
        await ParallelSearchRetriever(k=1).ainvoke("How does the with statement work?")

    ask()
    asyncio.run(aask(), debug=False)  # which says what a busy machine does slowly
    if hasattr(os, "fork"):
        child = os.fork()
        if child == 0:
            ask()
            sys.exit()
        assert os.waitpid(child, 0)[1] == 0
    ask()
    """
)


def test_at_exit_and_after_a_fork(own: Sandbox) -> None:
    """No warning at exit, nobody's socket in a child, and the parent's connection stays good."""
    settings = {"PARALLEL_API_KEY": own.api_key, "PARALLEL_BASE_URL": own.url}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", SCRIPT],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    blocking = 1 + hasattr(os, "fork")
    assert own.connections == blocking + 1
    assert len(own.requests) == blocking + 2

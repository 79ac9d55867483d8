"""Rows about many calls at once: what each costs, and the first burst of a new client.

A contender has a process of its own, without the others' imports: with a thousand calls in flight,
Python's garbage collector goes through all that a process holds.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from typing import Any, NamedTuple, TypeAlias

import httpx

from benchmarks.measure import KEY, QUESTION, SEARCH, Row

OURS = "ours"
HTTPX = "httpx's own pool"
HTTPX2 = "httpx2's own pool"
AIOHTTP = "httpx on aiohttp"
UNCHECKED = "the same unchecked"
CLIENT = "ParallelClient alone"
LANGCHAIN_PARALLEL = "langchain-parallel"
TIMEOUT_SECONDS = 60
KEPT_UP = 2000
TURNS = 3
Ask: TypeAlias = Callable[[], Awaitable[Any]]


class Spent(NamedTuple):
    """What many calls took, per call, in seconds."""

    elapsed: float
    cpu: float


def ours(url: str) -> Ask:
    """Search to documents."""
    from parallel_integrations.langchain import ParallelSearchRetriever

    retriever = ParallelSearchRetriever(api_key=KEY, base_url=url, timeout=TIMEOUT_SECONDS)
    return partial(retriever.ainvoke, QUESTION)


def client(url: str) -> Ask:
    """Search to typed results, without a framework."""
    from parallel_integrations import ParallelClient, SearchRequest
    from parallel_integrations.api import search

    request = SearchRequest.model_validate(SEARCH)
    client = ParallelClient(api_key=KEY, base_url=url, timeout=TIMEOUT_SECONDS)
    return lambda: client.arun(search(request))


def unchecked(url: str) -> Ask:
    """Search to the same documents, on aiohttp's connections."""
    import orjson

    from benchmarks.unchecked import UncheckedLangChain

    ask = aiohttp(url)

    async def fetch() -> Any:
        return orjson.loads(await ask())

    return partial(UncheckedLangChain(fetch=fetch).ainvoke, QUESTION)


def langchain_parallel(url: str) -> Ask:
    """Search to documents."""
    from langchain_parallel import ParallelSearchRetriever

    retriever = ParallelSearchRetriever(api_key=KEY, base_url=url, max_results=10)
    return partial(retriever.ainvoke, QUESTION)


def aiohttp(url: str) -> Ask:
    """Bytes."""
    from httpx_aiohttp import AiohttpTransport

    return partial(
        _bytes, httpx.AsyncClient(transport=AiohttpTransport(), timeout=TIMEOUT_SECONDS), url
    )


def plain(url: str) -> Ask:
    """Bytes, with the client set up as most SDKs do it."""
    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
    return partial(_bytes, httpx.AsyncClient(limits=limits, timeout=TIMEOUT_SECONDS), url)


def httpx2(url: str) -> Ask:
    """Bytes, with a connection for each call."""
    from httpx2 import AsyncClient, Limits

    limits = Limits(max_connections=1000, max_keepalive_connections=1000)
    return partial(_bytes, AsyncClient(limits=limits, timeout=TIMEOUT_SECONDS), url)


async def _bytes(client: Any, url: str) -> bytes:
    response = await client.post(f"{url}/v1/search", json=SEARCH, headers={"x-api-key": KEY})
    return response.content


async def first_use(ask: Ask, calls: int) -> Spent:
    """All at once, with no connection open and nothing loaded."""
    return await _burst(ask, calls)


async def at_once(ask: Ask, calls: int) -> Spent:
    """All at once on open connections; the best of some, since others can only make it longer."""
    await _burst(ask, calls)
    spent = [await _burst(ask, calls) for _ in range(3 if calls > 10 else 20)]
    return Spent(min(one.elapsed for one in spent), min(one.cpu for one in spent))


async def kept_up(ask: Ask, calls: int) -> Spent:
    """Each that ends begins another, on open connections."""
    await _burst(ask, calls)
    waiting = iter(range(KEPT_UP))

    async def work() -> None:
        for _ in waiting:
            await ask()

    return await _timed(asyncio.gather(*(work() for _ in range(calls))), KEPT_UP)


async def _burst(ask: Ask, calls: int) -> Spent:
    return await _timed(asyncio.gather(*(ask() for _ in range(calls))), calls)


async def _timed(work: Awaitable[object], calls: int) -> Spent:
    elapsed, cpu = time.perf_counter(), time.process_time()
    await work
    return Spent((time.perf_counter() - elapsed) / calls, (time.process_time() - cpu) / calls)


CONTENDERS = {
    OURS: ours,
    CLIENT: client,
    UNCHECKED: unchecked,
    HTTPX: plain,
    HTTPX2: httpx2,
    AIOHTTP: aiohttp,
    LANGCHAIN_PARALLEL: langchain_parallel,
}
FIRST_USE = "as the first use"
PATTERNS = {"at once": at_once, "in flight all along": kept_up, FIRST_USE: first_use}


def rows(url: str) -> list[Row]:
    """The rows of this file."""
    spend = partial(_spent, f"{url}/slow")
    # The first use of 100 is, for the greater part, what a framework loads at its first call.
    found = [
        _row(f"{calls:,} async searches {pattern}", partial(spend, pattern, calls))
        for pattern in PATTERNS
        for calls in (100, 1000)
        if calls > 100 or pattern != FIRST_USE
    ]
    few, many = (spend("at once", calls, OURS) for calls in (10, 1000))
    base = f"10 at once, {few.cpu * 1e3:.2f} ms CPU a call"
    found.append(
        Row("async searches, CPU per call, 1,000 at once", 1.3, many.cpu / few.cpu, base=base)
    )
    return found


def _row(what: str, spend: Callable[[str], Spent]) -> Row:
    """How long it takes beside what comes nearest to the floor: aiohttp, which builds nothing."""
    from benchmarks import peers

    base = AIOHTTP if peers.AIOHTTP else HTTPX
    near = (base, OURS, CLIENT, *([UNCHECKED] if peers.AIOHTTP else []))
    others = {HTTPX2: peers.HTTPX2, LANGCHAIN_PARALLEL: peers.LANGCHAIN_PARALLEL}
    # By turns, since the machine's speed drifts, and the best of some; who is far off has one turn.
    best = dict.fromkeys(near, inf)
    for name in near * TURNS:
        best[name] = min(best[name], spend(name).elapsed)
    best |= {name: spend(name).elapsed for name, there in others.items() if there}
    floor, own = best.pop(base), best.pop(OURS)
    return Row(
        what,
        1.15 if peers.AIOHTTP else None,
        own / floor,
        base=f"{base}, {floor * 1e3:.2f} ms a call",
        peers={name: elapsed / floor for name, elapsed in best.items()},
    )


def _spent(url: str, pattern: str, calls: int, name: str) -> Spent:
    command = [sys.executable, "-m", "benchmarks.many", url, name, pattern, str(calls)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode:  # calls that ran out of their time
        return Spent(inf, inf)
    return Spent(*map(float, done.stdout.split()))


async def _main(url: str, name: str, pattern: str, calls: str) -> Spent:
    return await PATTERNS[pattern](CONTENDERS[name](url), int(calls))


if __name__ == "__main__":
    print(*asyncio.run(_main(*sys.argv[1:])))

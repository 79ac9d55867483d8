"""Rows about many calls at once: what each costs, and the first burst of a new client."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import httpx

from benchmarks import peers
from benchmarks.calls import SEARCH
from benchmarks.measure import KEY, QUESTION, Row
from parallel_integrations import ParallelClient, SearchRequest
from parallel_integrations.api import search
from parallel_integrations.langchain import ParallelSearchRetriever

BURST_SECONDS = 30
KEPT_UP = 2000
AIOHTTP = "httpx on aiohttp"
HTTPX = "httpx's own pool"
LANGCHAIN_PARALLEL = "langchain-parallel"
Ask: TypeAlias = Callable[[], Awaitable[Any]]


@dataclass
class Spent:
    """What a number of calls at once took, per call, in seconds."""

    wall: float
    cpu: float


async def at_once(ask: Ask, calls: int, rounds: int) -> Spent:
    """The best of some rounds: others on the machine can only make it longer."""
    await asyncio.gather(*(ask() for _ in range(calls)))
    spent = []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(ask() for _ in range(calls)))
        done = Spent((time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls)
        spent.append(done)
    return Spent(min(one.wall for one in spent), min(one.cpu for one in spent))


async def kept_up(ask: Ask, calls: int) -> Spent:
    """Calls in flight of which each that ends begins another, on connections that are open."""
    await asyncio.gather(*(ask() for _ in range(calls)))
    waiting = iter(range(KEPT_UP))

    async def work() -> None:
        for _ in waiting:
            await ask()

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(calls)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Spent(wall / KEPT_UP, cpu / KEPT_UP)


def rows(url: str) -> list[Row]:
    """The rows of this file."""
    return asyncio.run(_rows(f"{url}/slow"))


async def _rows(url: str) -> list[Row]:
    return [*await throughput(url), await growth(url), *await first_burst(url)]


async def throughput(url: str) -> list[Row]:
    """How many times the throughput of langchain-parallel; without it, of httpx's own pool."""
    ours = partial(ParallelSearchRetriever(api_key=KEY, base_url=url).ainvoke, QUESTION)
    other = peers.async_retriever(url)
    name = LANGCHAIN_PARALLEL if other else HTTPX
    slow = partial(other, QUESTION) if other else partial(_plain, httpx_client(), url)
    ways: dict[str, Callable[[Ask, int], Awaitable[Spent]]] = {
        "at once": partial(at_once, rounds=2),
        "in flight all along": kept_up,
    }
    found = []
    for way, spent in ways.items():
        for calls in (100, 1000):
            fast, against = await spent(ours, calls), await spent(slow, calls)
            shown = f"{name}, {against.wall * 1e3:.2f} ms a call"
            what = f"async searches, {calls} {way}, throughput of {name}"
            row = Row(what, 4, against.wall / fast.wall, base=shown, at_least=True)
            if (client := peers.aiohttp_client()) is not None:
                async with client:
                    plain = await spent(partial(_plain, client, url), calls)
                row.peers[AIOHTTP] = against.wall / plain.wall
            found.append(row)
    return found


async def growth(url: str) -> Row:
    """What a call costs at 1,000 at once, as a ratio to what it costs at 10."""
    ours = ParallelSearchRetriever(api_key=KEY, base_url=url)
    ask = partial(ours.ainvoke, QUESTION)
    few, many = await at_once(ask, 10, 20), await at_once(ask, 1000, 3)
    shown = f"10 at once, {few.cpu * 1e3:.2f} ms CPU a call"
    return Row("async searches, CPU per call, 1,000 at once", 1.3, many.cpu / few.cpu, base=shown)


async def first_burst(url: str) -> list[Row]:
    """1,000 searches at once as a client's first use."""
    aiohttp = peers.aiohttp_client()
    took = {}
    async with ParallelClient(api_key=KEY, base_url=url, timeout=BURST_SECONDS) as client:
        request = SearchRequest(**SEARCH)
        took["ours"] = await _burst(lambda: client.arun(search(request)))
    others = [HTTPX]
    async with httpx_client() as plain:
        took[HTTPX] = await _burst(partial(_plain, plain, url))
    if (peer := peers.async_retriever(url)) is not None:
        took[LANGCHAIN_PARALLEL] = await _burst(partial(peer, QUESTION))
        others.append(LANGCHAIN_PARALLEL)
    what = "1,000 at once as the first use, time until all are answered"
    if aiohttp is None:
        return [Row(what, None, took["ours"], "s", peers={name: took[name] for name in others})]
    async with aiohttp:
        base = took[AIOHTTP] = await _burst(partial(_plain, aiohttp, url))
    return [
        Row(
            what,
            3,
            took["ours"] / base,
            base=f"{AIOHTTP}, {base:.2f} s for all",
            peers={name: took[name] / base for name in others},
        )
    ]


def httpx_client() -> httpx.AsyncClient:
    """As most SDKs set it up."""
    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=100)
    return httpx.AsyncClient(limits=limits, timeout=BURST_SECONDS)


async def _plain(client: httpx.AsyncClient, url: str) -> bytes:
    response = await client.post(f"{url}/v1/search", json=SEARCH, headers={"x-api-key": KEY})
    return response.content


async def _burst(ask: Ask) -> float:
    start = time.perf_counter()
    answers = await asyncio.gather(*(ask() for _ in range(1000)), return_exceptions=True)
    took = time.perf_counter() - start
    failed = sum(isinstance(answer, BaseException) for answer in answers)
    return took if not failed else float("inf")

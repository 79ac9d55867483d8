"""Thousands of searches at once, some of which fail in every way: each ends, nothing is left over.

`make soak` makes 20,000 searches, 200 at a time, and 50,000 of which the client cancels a fifth;
other runs make few.
"""

import asyncio
import ctypes
import gc
import itertools
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import pytest

from parallel_integrations import ParallelClient, ParallelError, SearchRequest, api
from tests.faults.selection import SOAK

SEARCHES: Final = 20_000 if SOAK else 400
AT_ONCE: Final = 200 if SOAK else 60
WARM_UP: Final = 2_000 if SOAK else 200
FAILING: Final = 0.05
TIMEOUT_SECONDS: Final = 2.0 if SOAK else 1.0
MAX_TTL_SECONDS: Final = 30.0
"""For one call: three attempts, each within the timeout, and the pauses between them."""
MAX_GROWTH_BYTES: Final = 30_000_000
REQUEST: Final = SearchRequest(search_queries=["with statement exceptions"], max_results=3)


@dataclass
class Flaky:
    """A sandbox in another process."""

    process: "subprocess.Popen[str]"
    url: str
    api_key: str

    def ask(self) -> tuple[int, int]:
        """How many connections it has open, and how many requests it got."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        connections, requests = self.process.stdout.readline().split()
        return int(connections), int(requests)

    def settle(self) -> tuple[int, int]:
        """The same, once no connection is open or none more closes."""
        for _ in range(200):
            connections, requests = self.ask()
            if connections == 0:
                break
            time.sleep(0.01)
        return connections, requests


@pytest.fixture
def flaky() -> Iterator[Flaky]:
    """A sandbox that fails 5 % of the requests."""
    yield from _sandbox_process(FAILING)


@pytest.fixture(scope="module")
def steady() -> Iterator[Flaky]:
    """A sandbox that fails none, for all tests."""
    yield from _sandbox_process(0.0)


def _sandbox_process(failing: float) -> Iterator[Flaky]:
    command = [sys.executable, "-m", "tests.faults.sandbox_process", str(failing)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        url, api_key = process.stdout.readline().split()
        yield Flaky(process, url, api_key)
        assert process.stdin is not None
        process.stdin.close()


def _resident_bytes() -> int:
    gc.collect()
    fields = Path("/proc/self/statm").read_text("ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


class Tally:
    """What came of the calls."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.came: Counter[str] = Counter()
        self.max_seconds = 0.0

    def response(self, found: int, start: float) -> None:
        """Count a response."""
        self._took(start)
        self.came["response" if found else "empty response"] += 1

    def error(self, error: BaseException, start: float) -> None:
        """Count an error."""
        self._took(start)
        ours = isinstance(error, ParallelError) and self._key not in f"{error}{error.__cause__!r}"
        self.came[f"{'' if ours else 'not ours: '}{type(error).__name__}"] += 1

    def _took(self, start: float) -> None:
        self.max_seconds = max(self.max_seconds, time.monotonic() - start)


def _blocking(client: ParallelClient, count: int, tally: Tally) -> None:
    left: SimpleQueue[int] = SimpleQueue()
    for number in range(count):
        left.put(number)

    def work() -> None:
        while True:
            try:
                left.get_nowait()
            except Empty:
                return
            start = time.monotonic()
            try:
                tally.response(len(client.run(api.search(REQUEST)).results), start)
            except BaseException as error:  # noqa: BLE001 - whatever comes is counted
                tally.error(error, start)

    threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def _awaiting(client: ParallelClient, count: int, tally: Tally) -> None:
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            start = time.monotonic()
            try:
                tally.response(len((await client.arun(api.search(REQUEST))).results), start)
            except BaseException as error:  # noqa: BLE001 - whatever comes is counted
                tally.error(error, start)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    await client.aclose()


@pytest.mark.timeout(1800 if SOAK else 180)
def test_every_call_ends_and_nothing_is_left_over(flaky: Flaky) -> None:
    tally = Tally(flaky.api_key)
    client = ParallelClient(
        api_key=flaky.api_key, base_url=flaky.url, timeout=TIMEOUT_SECONDS, max_retries=2
    )

    def go(count: int) -> None:
        asyncio.run(_awaiting(client, count // 2, tally))
        _blocking(client, count - count // 2, tally)

    start = time.monotonic()
    go(WARM_UP)
    before = _resident_bytes()
    go(SEARCHES - WARM_UP)
    grown = _resident_bytes() - before
    client.close()
    connections, requests = flaky.settle()
    summary = (
        f"{SEARCHES} searches, {AT_ONCE} at a time, {requests} requests in "
        f"{time.monotonic() - start:.0f} s; the longest call {tally.max_seconds:.1f} s; "
        f"{grown / 1e6:+.1f} MB; {connections} connections open at the end\n"
        + "\n".join(f"{count:6} {name}" for name, count in tally.came.most_common())
    )
    print(f"\n{summary}")
    assert tally.came.total() == SEARCHES
    assert tally.came["empty response"] == 0, summary
    assert not [name for name in tally.came if name.startswith("not ours")], summary
    # A busy machine may let calls time out; that they end, and how, is what is tested.
    ended = tally.came["response"] + tally.came["RequestTimeoutError"]
    assert ended > SEARCHES * 0.9, summary
    assert len(tally.came) > (9 if SOAK else 3), summary
    if SOAK:
        assert tally.max_seconds < MAX_TTL_SECONDS, summary
    assert connections == 0, summary
    assert grown < MAX_GROWTH_BYTES, summary


CANCELLED: Final = 0.2
CALLS: Final = 50_000 if SOAK else 1_200
MAX_SECONDS: Final = 170.0
"""Long enough for a busy machine; a call that waits for what another left behind takes it all."""


class Interrupted(BaseException):
    """Raised in a thread from outside, as Ctrl+C is in the main one."""


class ForgetfulCache:
    """Keeps nothing: equal requests that are under way at the same time are one, later ones not."""

    def get(self, key: str) -> None:
        """Nothing is found."""

    def set(self, key: str, value: bytes, *, expire: float) -> None:
        """Nothing is kept."""


def _is_enough(number: int, count: int, came: Counter[str]) -> bool:
    """Whether `count` calls were made and enough of them were cancelled before they ended."""
    return number >= count and came["cancelled"] > count * CANCELLED / 4


def _question(number: int) -> SearchRequest:
    return SearchRequest(search_queries=[f"with statement {number % 50}"], max_results=1)


async def _cancelling_tasks(client: ParallelClient, count: int, came: Counter[str]) -> None:
    chance = random.Random(1)
    numbers = itertools.count()

    async def work() -> None:
        for number in numbers:
            if _is_enough(number, count, came):
                break
            call = asyncio.create_task(client.arun(api.search(_question(number))))
            if chance.random() < CANCELLED:
                asyncio.get_running_loop().call_later(chance.random() * 0.05, call.cancel)
            try:
                came["response" if (await call).results else "empty response"] += 1
            except asyncio.CancelledError:
                came["cancelled"] += 1
            except Exception as error:  # noqa: BLE001 - whatever comes is counted
                came[f"{type(error).__name__}: {error}"] += 1

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    await client.aclose()


def _interrupting_threads(client: ParallelClient, count: int, came: Counter[str]) -> None:
    chance = random.Random(2)
    numbers = itertools.count()
    calling: dict[int, bool] = {}

    def work() -> None:
        me = threading.get_ident()
        while True:
            try:
                if _is_enough(number := next(numbers), count, came):
                    break
                calling[me] = True
                found = client.run(api.search(_question(number))).results
                calling.pop(me, None)
                came["response" if found else "empty response"] += 1
            except Interrupted:
                came["cancelled"] += 1
            except Exception as error:  # noqa: BLE001 - whatever comes is counted
                came[f"{type(error).__name__}: {error}"] += 1
            finally:
                calling.pop(me, None)

    def guarded() -> None:
        with suppress(Interrupted):  # one that was on its way when the last call ended
            work()
        with suppress(Interrupted):
            time.sleep(0.01)

    threads = [threading.Thread(target=guarded) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.001)
        running = list(calling)
        lacking = round(CANCELLED * (sum(came.values()) + 10)) - came["cancelled"]
        for thread_id in chance.sample(running, max(0, min(lacking, len(running)))):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread_id), ctypes.py_object(Interrupted)
            )
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("cached", [False, True], ids=["no cache", "cache"])
@pytest.mark.parametrize("kind", ["tasks", "threads"])
@pytest.mark.timeout(1800 if SOAK else 180)
def test_calls_that_are_cancelled_cost_no_other_call_anything(
    kind: str, cached: bool, steady: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Interruptions that fall into a finalizer go here. pytest's hook imports, and interrupting an
    # import leaves Python's own lock taken.
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    came: Counter[str] = Counter()
    client = ParallelClient(
        api_key=steady.api_key,
        base_url=steady.url,
        timeout=MAX_SECONDS,
        max_retries=0,
        cache=ForgetfulCache() if cached else None,
    )
    start = time.monotonic()
    if kind == "tasks":
        asyncio.run(_cancelling_tasks(client, CALLS // 4, came))
    else:
        _interrupting_threads(client, CALLS // 4, came)
    client.run(api.search(_question(0)))
    client.close()
    connections, _ = steady.settle()
    print(
        f"\n{kind}, {'cache' if cached else 'no cache'}: {sum(came.values())} calls, {AT_ONCE} at "
        f"a time, in {time.monotonic() - start:.0f} s: {dict(came)}"
    )
    assert came.keys() <= {"response", "cancelled"}, came
    assert time.monotonic() - start < MAX_SECONDS or SOAK
    assert connections == 0

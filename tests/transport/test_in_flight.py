"""Equal requests at the same time are one request, whatever sends it and becomes of it."""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from parallel_integrations import ExtractRequest, ParallelClient, SearchRequest, errors
from parallel_integrations.api import extract, search
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection
from tests.support.raw_server import RawServer, Talk

SEARCH = SearchRequest(search_queries=["with statement exceptions"], max_results=3)
PAGE = "https://docs.python.org/3/reference/compound_stmts.html"
MANY = 100


@pytest.fixture
def client(sandbox: Sandbox, tmp_path: Path) -> Iterator[ParallelClient]:
    """A client of the sandbox with a cache."""
    settings = connection(sandbox)
    with ParallelClient(**settings, cache=tmp_path) as client:  # type: ignore[arg-type]
        yield client


def in_threads(client: ParallelClient, count: int = MANY) -> list[Any]:
    """What came of so many equal searches at the same time: responses and errors."""
    ready = threading.Barrier(count)

    def ask(_: int) -> Any:
        ready.wait()
        try:
            return client.run(search(SEARCH))
        except errors.ParallelError as error:
            return error

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(ask, range(count)))


async def in_tasks(client: ParallelClient, count: int = MANY) -> list[Any]:
    """The same, in tasks."""
    calls = (client.arun(search(SEARCH)) for _ in range(count))
    return await asyncio.gather(*calls, return_exceptions=True)


def run_equal(client: ParallelClient, runner: str, count: int = MANY) -> list[Any]:
    """What came of so many equal searches at the same time, blocking or awaiting."""
    if runner == "threads":
        return in_threads(client, count)
    return asyncio.run(in_tasks(client, count))


async def sent(sandbox: Sandbox) -> None:
    """A request has arrived."""
    for _ in range(500):
        if sandbox.requests:
            break
        await asyncio.sleep(0.01)
    assert sandbox.requests


BOTH = pytest.mark.parametrize("runner", ["threads", "tasks"])


@BOTH
def test_a_hundred_equal_searches_are_one_request(
    runner: str, sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(delay=0.2)
    responses = run_equal(client, runner)
    assert len(sandbox.requests) == sandbox.ledger.count("search") == 1
    assert len(responses) == MANY
    assert all(response == responses[0] for response in responses)
    assert responses[0].results
    assert client.usage.counts == {"search": 1}
    assert client.usage.saved == {"search": MANY - 1}


@BOTH
def test_extracts_too_even_where_a_page_is_missing(
    runner: str, sandbox: Sandbox, client: ParallelClient
) -> None:
    """What is not worth keeping is worth sharing: none of them could have got another response."""
    sandbox.faults.add(delay=0.2)
    request = ExtractRequest(urls=[PAGE, "https://no-such-site.example/page.html"])

    async def ask() -> list[Any]:
        return await asyncio.gather(*(client.arun(extract(request)) for _ in range(10)))

    if runner == "tasks":
        responses = asyncio.run(ask())
    else:
        with ThreadPoolExecutor(10) as threads:
            responses = list(threads.map(lambda _: client.run(extract(request)), range(10)))
    assert len(sandbox.requests) == 1
    assert all(len(response.errors) == 1 for response in responses)


def test_threads_and_event_loops_share_one_request(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(delay=0.4)

    def ask(number: int) -> list[Any]:
        return in_threads(client, 5) if number % 2 else asyncio.run(in_tasks(client, 5))

    with ThreadPoolExecutor(6) as threads:
        responses = [response for part in threads.map(ask, range(6)) for response in part]
    assert len(sandbox.requests) == 1
    assert len({response.search_id for response in responses}) == 1


def test_other_searches_do_not_wait(tmp_path: Path) -> None:
    over = threading.Event()

    def respond(talk: Talk, request: bytes) -> None:
        assert b"another" in request or over.wait(20)
        talk.respond(b'{"results": [], "search_id": "s"}')

    with (
        RawServer(respond) as server,
        ParallelClient(api_key="some-key", base_url=server.url, cache=tmp_path) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        slow = threads.submit(client.run, search(SEARCH))
        while not server.requests:
            time.sleep(0.01)
        assert client.run(search(SearchRequest(objective="another"))).search_id == "s"
        assert not slow.done()
        over.set()
        assert slow.result().search_id == "s"


@BOTH
@pytest.mark.parametrize("fault", [{"status": 503}, {"reset": "before"}], ids=["status", "reset"])
def test_who_fails_together_repeats_together(
    runner: str, fault: dict[str, Any], sandbox: Sandbox, client: ParallelClient
) -> None:
    """Each comes back at a moment of its own, yet there is one second request."""
    sandbox.faults.add(delay=0.2, **fault)
    responses = run_equal(client, runner)
    assert all(response.results for response in responses)
    assert len(sandbox.requests) == 2


@BOTH
def test_what_fails_for_good_fails_for_all_without_a_storm(
    runner: str, sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(status=503, delay=0.1, retry_after=0.1, times=None)
    failures = run_equal(client, runner)
    assert all(isinstance(error, errors.ServerError) for error in failures)
    # One call alone makes 3. A thread that a busy machine starts after the first response makes its
    # own.
    assert 3 <= len(sandbox.requests) < MANY // 10
    assert len({id(error) for error in failures}) == MANY, "everybody has an error of its own"
    assert client.usage.counts == client.usage.saved == {}
    sandbox.faults.clear()
    assert client.run(search(SEARCH)).results, "nobody is left waiting for it"


def test_an_outage_is_no_storm_though_everybody_repeats_at_a_moment_of_its_own(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(status=503, delay=0.2)
    sandbox.faults.add(status=503, times=None)
    failures = run_equal(client, "tasks")
    assert all(isinstance(error, errors.ServerError) for error in failures)
    assert len(sandbox.requests) == 3


def test_what_must_not_be_repeated_is_not(sandbox: Sandbox, client: ParallelClient) -> None:
    for fault, error in (
        ({"status": 429, "retry_after": 999}, errors.RateLimitError),
        ({"cut_after_bytes": 10}, errors.ConnectionFailedError),
        ({"reset": "headers"}, errors.ConnectionFailedError),
        ({"body": "<html>"}, errors.UnexpectedAnswerError),
    ):
        before = len(sandbox.requests)
        sandbox.faults.add(delay=0.5, **fault)
        failures = in_threads(client, 20)
        assert all(isinstance(each, error) for each in failures), failures
        assert len(sandbox.requests) - before == 1
        causes = [each.__cause__ for each in failures if each.__cause__ is not None]
        assert len({id(cause) for cause in causes}) == len(causes), "one error in many threads"
        if error is errors.RateLimitError:
            assert {each.retry_after for each in failures} == {999.0}


@BOTH
def test_nobody_waits_longer_than_the_timeout(
    runner: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.faults.add(delay=30, times=None)
    settings = connection(sandbox)
    with ParallelClient(**settings, cache=tmp_path, timeout=1) as client:
        failures = run_equal(client, runner, 20)
    assert all(isinstance(error, errors.RequestTimeoutError) for error in failures)
    assert len(sandbox.requests) == 1


async def test_a_cancelled_leader_hands_over(sandbox: Sandbox, client: ParallelClient) -> None:
    sandbox.faults.add(delay=30)
    tasks = [asyncio.create_task(client.arun(search(SEARCH))) for _ in range(10)]
    await sent(sandbox)
    tasks[0].cancel()
    responses = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(responses[0], asyncio.CancelledError)
    assert len({response.search_id for response in responses[1:]}) == 1  # type: ignore[union-attr]
    assert len(sandbox.requests) == 2


async def test_a_cancelled_waiter_takes_nobody_along(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(delay=0.3)
    tasks = [asyncio.create_task(client.arun(search(SEARCH))) for _ in range(10)]
    await sent(sandbox)
    for task in tasks[3:8]:
        task.cancel()
    responses = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(response, asyncio.CancelledError) for response in responses) == 5
    assert len(sandbox.requests) == 1


def test_an_event_loop_that_ends_hands_over_to_a_thread(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(delay=30)

    async def begin_and_leave() -> None:
        begun = asyncio.create_task(client.arun(search(SEARCH)))
        await sent(sandbox)
        waiters = [threads.submit(client.run, search(SEARCH)) for _ in range(3)]
        await asyncio.sleep(0.1)
        assert not any(waiter.done() for waiter in waiters)
        left.extend(waiters)
        del begun

    left: list[Any] = []
    with ThreadPoolExecutor(3) as threads:
        asyncio.run(begin_and_leave())
        assert len({waiter.result(15).search_id for waiter in left}) == 1
    assert len(sandbox.requests) == 2


def test_a_loop_that_ends_while_it_waits_troubles_nobody(
    sandbox: Sandbox, client: ParallelClient, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add(delay=1)

    async def wait_a_little() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.arun(search(SEARCH)), 0.1)

    with ThreadPoolExecutor(1) as threads:
        leader = threads.submit(client.run, search(SEARCH))
        while not sandbox.requests:
            time.sleep(0.01)
        asyncio.run(wait_a_little())
        assert leader.result().results
    assert not caplog.records
    assert len(sandbox.requests) == 1


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no such signals on this system")
def test_an_interrupted_leader_hands_over(sandbox: Sandbox, client: ParallelClient) -> None:
    class Interrupt(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupt

    def follow() -> Any:
        while not sandbox.requests:
            time.sleep(0.01)
        # Time enough to begin to wait; who begins later finds no leader, and is one.
        threading.Timer(0.2, signal.pthread_kill, [main, signal.SIGALRM]).start()
        return client.run(search(SEARCH))

    sandbox.faults.add(delay=30)
    main = threading.get_ident()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with ThreadPoolExecutor(1) as threads:
            waiter = threads.submit(follow)
            with pytest.raises(Interrupt):
                client.run(search(SEARCH))
            assert waiter.result(15).results
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(sandbox.requests) == 2


async def test_a_blocking_call_inside_the_loop_does_not_wait_for_that_loop(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    """It would hold up the very task that it waits for."""
    sandbox.faults.add(delay=0.3)
    task = asyncio.create_task(client.arun(search(SEARCH)))
    await sent(sandbox)
    assert client.run(search(SEARCH)).results
    assert (await task).results
    assert len(sandbox.requests) == 2


async def test_blocking_calls_in_all_of_a_loops_threads_do_not_lock_it(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    """Were the cache read in those threads, it would queue behind those who wait for it."""
    sandbox.faults.add(delay=0.2)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    busy = [asyncio.create_task(asyncio.to_thread(time.sleep, 0.1)) for _ in range(2)]
    blocking = [
        asyncio.create_task(asyncio.to_thread(client.run, search(SEARCH))) for _ in range(6)
    ]
    await asyncio.sleep(0)
    call = client.arun(search(SEARCH))
    response, *others = await asyncio.wait_for(asyncio.gather(call, *blocking), 30)
    assert {other.search_id for other in others} == {response.search_id}
    assert len(sandbox.requests) == 1
    await asyncio.gather(*busy)


async def test_who_takes_over_has_no_more_time_than_it_had(tmp_path: Path) -> None:
    given: list[float] = []
    requested = asyncio.Event()

    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            given.append(request.extensions["timeout"]["read"])
            requested.set()
            await asyncio.sleep(given[-1])
            raise httpx.ReadTimeout("no response")

    async with (
        httpx.AsyncClient(transport=Silent()) as http,
        ParallelClient(
            api_key="some-key", http_async_client=http, cache=tmp_path, timeout=10
        ) as client,
    ):
        leader = asyncio.create_task(client.arun(search(SEARCH)))
        await requested.wait()
        requested.clear()
        waiter = asyncio.create_task(client.arun(search(SEARCH)))
        await asyncio.sleep(0.5)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        await requested.wait()
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
    first, second = given
    assert (first, second <= 9.6) == (10, True)


def test_two_clients_share_what_is_kept_not_what_is_in_flight(tmp_path: Path) -> None:
    def respond(talk: Talk, request: bytes) -> None:
        time.sleep(0.2)
        talk.respond(b'{"results": []}')

    with RawServer(respond) as server, ThreadPoolExecutor(2) as threads:
        clients = [
            ParallelClient(api_key="any-key", base_url=server.url, cache=tmp_path) for _ in range(2)
        ]
        list(threads.map(lambda client: client.run(search(SEARCH)), clients))
        assert len(server.requests) == 2
        for client in clients:
            client.run(search(SEARCH))
            client.close()
        assert len(server.requests) == 2

"""Connections: shared, kept, never left behind, never used by two event loops."""

import asyncio
import copy
import gc
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from parallel_integrations import (
    ConnectionFailedError,
    ParallelClient,
    SearchRequest,
)
from parallel_integrations._protocol.settings import Settings
from parallel_integrations.api import chat, search, stream_chat
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import CHAT
from tests.support.scripted_operation import BOTH, run

SEARCH = SearchRequest(search_queries=["with statement"], max_results=1)


@BOTH
async def test_calls_in_a_row_share_a_connection(
    sandbox: Sandbox, client: ParallelClient, awaiting: bool
) -> None:
    before = sandbox.connections
    for _ in range(20):
        await run(client, search(SEARCH), awaiting=awaiting)
    assert sandbox.connections - before == 1


async def test_an_error_does_not_cost_the_connection(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    before = sandbox.connections
    for _ in range(3):
        sandbox.faults.add(status=503, retry_after=0)
        client.run(search(SEARCH))
        sandbox.faults.add(status=503, retry_after=0)
        await client.arun(search(SEARCH))
    assert sandbox.connections - before == 2


def test_threads_share_a_client(sandbox: Sandbox, client: ParallelClient) -> None:
    before = sandbox.connections
    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(lambda _: client.run(search(SEARCH)), range(400)))
    assert len(responses) == 400
    assert all(response.results for response in responses)
    assert len({response.search_id for response in responses}) == 400, "responses were mixed up"
    assert sandbox.connections - before <= 8


async def test_tasks_share_a_client(sandbox: Sandbox, client: ParallelClient) -> None:
    responses = await asyncio.gather(*(client.arun(search(SEARCH)) for _ in range(100)))
    assert len({response.search_id for response in responses}) == 100


def test_one_event_loop_after_the_other(sandbox: Sandbox, client: ParallelClient) -> None:
    """A pool kept from a loop that has ended fails, or sends a question twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for count in (1, 2, 3):
            assert asyncio.run(client.arun(search(SEARCH))).results
            assert len(sandbox.requests) == count
            gc.collect()  # what was left open would warn here
    assert len({request.client for request in sandbox.requests}) == 3


def test_no_socket_stays_open_where_a_loop_is_closed_without_winding_up(sandbox: Sandbox) -> None:
    """LlamaIndex closes its loops so; what was left open would warn, which is an error here."""
    client = ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url)
    for _ in range(2):  # the second closes what the first left
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(client.arun(search(SEARCH))).results
        loop.close()
    del loop
    gc.collect()
    assert _settled(sandbox, 1) == 1
    del client
    gc.collect()
    assert _settled(sandbox) == 0


def test_event_loops_at_the_same_time(sandbox: Sandbox, client: ParallelClient) -> None:
    async def ask() -> int:
        responses = await asyncio.gather(*(client.arun(search(SEARCH)) for _ in range(10)))
        return len(responses)

    with ThreadPoolExecutor(4) as threads:
        counts = list(threads.map(lambda _: asyncio.run(ask()), range(8)))
    assert counts == [10] * 8
    assert len(sandbox.requests) == 80


@pytest.fixture
def sandbox(own: Sandbox) -> Sandbox:
    """Each test counts connections."""
    return own


def _settled(sandbox: Sandbox, num_kept: int = 0) -> int:
    """Open connections, once those just left have been noticed."""
    for _ in range(2000):
        if sandbox.open_connections == num_kept:
            break
        time.sleep(0.01)
    return sandbox.open_connections


def test_an_event_loop_that_ends_keeps_no_connection(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    asyncio.run(client.arun(search(SEARCH)))
    assert _settled(sandbox) == 0


def test_a_closed_client_keeps_no_connection_and_can_go_on(sandbox: Sandbox) -> None:
    client = ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url)
    client.run(search(SEARCH))
    client.close()
    client.close()
    assert _settled(sandbox) == 0
    assert client.run(search(SEARCH)).results
    client.close()


async def test_a_client_closed_from_a_loop_keeps_no_connection(sandbox: Sandbox) -> None:
    async with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.run(search(SEARCH))
        await client.arun(search(SEARCH))
        assert sandbox.open_connections == 2
    assert await asyncio.to_thread(_settled, sandbox) == 0
    assert (await client.arun(search(SEARCH))).results
    await client.aclose()
    await client.aclose()


def test_a_forgotten_client_keeps_no_connection(sandbox: Sandbox) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()  # what other tests forgot
    client = ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url)
    client.run(search(SEARCH))
    del client
    gc.collect()
    assert _settled(sandbox) == 0


def test_a_connection_that_the_server_dropped_meanwhile_is_replaced(sandbox: Sandbox) -> None:
    with Sandbox() as other:
        port = int(other.url.rpartition(":")[2])
        client = ParallelClient(api_key=other.api_key, base_url=other.url)
        client.run(search(SEARCH))
    with Sandbox(port=port) as other:
        assert client.run(search(SEARCH)).results
        assert len(other.requests) == 1
    client.close()


def test_equal_settings_share_a_client_as_long_as_it_lives() -> None:
    settings = Settings(base_url="https://a.example")
    client = ParallelClient.shared(settings)
    assert ParallelClient.shared(Settings(base_url="https://a.example/")) is client
    assert ParallelClient.shared(Settings(base_url="https://b.example")) is not client
    assert ParallelClient.shared(Settings(base_url="https://a.example", timeout=3)) is not client
    assert copy.deepcopy(client) is not client


def test_another_key_is_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLEL_API_KEY", "one-key")
    one = ParallelClient.shared(Settings())
    monkeypatch.setenv("PARALLEL_API_KEY", "another-key")
    assert ParallelClient.shared(Settings()) is not one


def test_making_a_client_costs_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TLS context, no pool, no thread before the first call; its calls are counted elsewhere."""

    def refused(*args: Any, **settings: Any) -> None:
        raise AssertionError("nothing is to be sent")

    for opened in ("ssl.SSLContext", "httpx.Client.__init__", "httpx.AsyncClient.__init__"):
        monkeypatch.setattr(opened, refused)
    threads = threading.active_count()
    clients = [ParallelClient(api_key="some-key") for _ in range(100)]
    assert threading.active_count() == threads
    assert len(clients) == 100


async def test_http_clients_of_the_user_are_used_and_stay_open(sandbox: Sandbox) -> None:
    with httpx.Client(headers={"x-mine": "yes"}, follow_redirects=True) as own:
        async with httpx.AsyncClient(follow_redirects=True) as own_async:
            async with ParallelClient(
                api_key=sandbox.api_key,
                base_url=sandbox.url,
                http_client=own,
                http_async_client=own_async,
            ) as client:
                assert client.run(search(SEARCH)).results
                assert (await client.arun(search(SEARCH))).results
                assert list(client.stream(stream_chat(CHAT)))
                sandbox.faults.add(redirect=sandbox.url)
                with pytest.raises(Exception, match="redirect"):
                    client.run(search(SEARCH))
            assert not own.is_closed
            assert not own_async.is_closed


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    "proxy",
    [
        "gopher://user:pr0xy-password@127.0.0.1:1",
        "http://user:pr0xy-password@127.0.0.1:99999",
        "user:pr0xy-password@127.0.0.1:port",
    ],
)
async def test_a_proxy_that_cannot_be_used_is_an_error_without_its_password(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str
) -> None:
    monkeypatch.setenv(variable, proxy)
    async with ParallelClient(api_key="k", base_url="https://api.example", max_retries=0) as client:
        for awaiting in (False, True):
            with pytest.raises(
                ConnectionFailedError, match="No connection can be set up"
            ) as caught:
                await client.arun(search(SEARCH)) if awaiting else client.run(search(SEARCH))
            assert "pr0xy-password" not in str(caught.value)
            assert "HTTPS_PROXY" in str(caught.value)


def test_a_socks_proxy_without_its_library_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "socksio", None)
    with (
        ParallelClient(api_key="k", base_url="https://api.example", max_retries=0) as client,
        pytest.raises(ConnectionFailedError, match=r"pip install 'httpx\[socks\]'"),
    ):
        client.run(search(SEARCH))


async def test_a_cancelled_call_gives_its_connection_up(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    sandbox.faults.add(delay=5)
    task = asyncio.create_task(client.arun(chat(CHAT)))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(_settled, sandbox) == 0
    assert (await client.arun(search(SEARCH))).results

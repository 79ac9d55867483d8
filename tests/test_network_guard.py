import asyncio
import socket
from collections.abc import Callable

import httpx
import pytest

from parallel_integrations import ParallelClient, SearchRequest
from parallel_integrations.api import search
from parallel_integrations.sandbox import Sandbox
from tests.support.network_guard import NetworkBlockedError, NetworkGuard, is_local

OUTSIDE = "192.0.2.1"  # reserved for documentation: nobody is there


def _connect(host: str) -> None:
    with socket.socket() as sock:
        sock.settimeout(1)
        sock.connect((host, 80))


def _connect_ex(host: str) -> None:
    with socket.socket() as sock:
        sock.settimeout(1)
        sock.connect_ex((host, 80))


def _send_datagram(host: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"?", (host, 53))


BLOCKING: list[Callable[[str], object]] = [
    _connect,
    _connect_ex,
    _send_datagram,
    lambda host: socket.create_connection((host, 80), 1),
    lambda host: socket.getaddrinfo(host, 80),
    lambda host: socket.gethostbyname(host),
    lambda host: socket.gethostbyname_ex(host),
    lambda host: socket.gethostbyaddr(host),
    lambda host: socket.getnameinfo((host, 80), 0),
    lambda host: httpx.get(f"http://{host}/"),
]


@pytest.mark.parametrize("reach", BLOCKING)
def test_nothing_outside_is_reached(
    network_guard: NetworkGuard, reach: Callable[[str], object]
) -> None:
    with pytest.raises(NetworkBlockedError, match=OUTSIDE):
        reach(OUTSIDE)
    assert network_guard.attempts == [OUTSIDE]
    network_guard.attempts.clear()


@pytest.mark.parametrize("host", ["api.parallel.ai", "localhost.example.com", "127.0.0.1.nip.io"])
def test_no_name_is_looked_up(network_guard: NetworkGuard, host: str) -> None:
    with pytest.raises(NetworkBlockedError, match=host):
        socket.getaddrinfo(host, 443)
    network_guard.attempts.clear()


async def test_nothing_outside_is_reached_from_an_event_loop(network_guard: NetworkGuard) -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(NetworkBlockedError):
        await asyncio.open_connection(OUTSIDE, 80)
    with pytest.raises(NetworkBlockedError):
        await loop.getaddrinfo("api.parallel.ai", 443)
    async with httpx.AsyncClient() as client:
        with pytest.raises(NetworkBlockedError, match=r"api\.parallel\.ai"):
            await client.get("https://api.parallel.ai/")
    assert len(network_guard.attempts) == 3
    network_guard.attempts.clear()


async def test_the_client_does_not_take_the_network_guard_for_a_network_failure(
    network_guard: NetworkGuard,
) -> None:
    """It would be repeated, and a test could expect it by mistake."""
    request = SearchRequest(objective="Is anybody there?")
    async with ParallelClient(api_key="any") as client:
        with pytest.raises(NetworkBlockedError):
            client.run(search(request))
        with pytest.raises(NetworkBlockedError):
            await client.arun(search(request))
    assert network_guard.attempts == ["api.parallel.ai", "api.parallel.ai"]
    network_guard.attempts.clear()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", b"localhost", None])
def test_loopback_is_no_outside(host: object) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["0.0.0.0.example", "10.0.0.1", "169.254.169.254", "fe80::1%1"])
def test_a_private_network_is_outside(host: str) -> None:
    assert not is_local(host)


def test_the_sandbox_is_inside(sandbox: Sandbox, client: ParallelClient) -> None:
    assert client.run(search(SearchRequest(objective="What is a metaclass?"))).results


def test_a_pair_of_unix_sockets_is_inside() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"x")
        assert right.recv(1) == b"x"


def test_the_network_guard_restores_everything(network_guard: NetworkGuard) -> None:
    before = socket.getaddrinfo, socket.socket.connect
    with NetworkGuard() as second:
        with pytest.raises(NetworkBlockedError):
            socket.getaddrinfo(OUTSIDE, 80)
        assert second.attempts == [OUTSIDE]
    assert (socket.getaddrinfo, socket.socket.connect) == before

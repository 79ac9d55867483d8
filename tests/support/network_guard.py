"""Network guard: what tests connect to or look up is loopback, or an error.

The error is no `OSError`, so that no HTTP library takes it for a network failure and tries again.
What was refused is kept in `attempts`: a test fails for it even where the code under test
swallowed the error.
"""

import ipaddress
import socket
from collections.abc import Callable
from typing import Any, Final, Self

LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


class NetworkBlockedError(RuntimeError):
    """A test tried to leave the machine."""


class NetworkGuard:
    """Patches the places where Python's sockets begin to talk to a host."""

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self._undo: list[tuple[Any, str, Any, bool]] = []

    def __enter__(self) -> Self:
        for name in ("connect", "connect_ex"):
            self._replace(socket.socket, name, self._by_address)
        self._replace(socket.socket, "sendto", self._by_last_argument)
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
            self._replace(socket, name, self._by_host)
        self._replace(socket, "getnameinfo", self._by_sockaddr)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for owner, name, original, was_own in reversed(self._undo):
            if was_own:
                setattr(owner, name, original)
            else:
                delattr(owner, name)
        self._undo.clear()

    def check(self, host: object) -> None:
        """Raise unless `host` is this machine."""
        if not is_local(host):
            shown = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
            self.attempts.append(shown)
            raise NetworkBlockedError(
                f"a test tried to reach {shown!r}: use the sandbox or a cassette"
            )

    def _replace(self, owner: Any, name: str, guard: Callable[[Any], Any]) -> None:
        original = getattr(owner, name)
        self._undo.append((owner, name, original, name in vars(owner)))
        setattr(owner, name, guard(original))

    def _by_address(self, original: Any) -> Any:
        def guarded(sock: socket.socket, address: Any) -> Any:
            if sock.family != getattr(socket, "AF_UNIX", None):
                self.check(address[0])
            return original(sock, address)

        return guarded

    def _by_last_argument(self, original: Any) -> Any:
        def guarded(sock: socket.socket, data: Any, *flags_and_address: Any) -> Any:
            if sock.family != getattr(socket, "AF_UNIX", None):
                self.check(flags_and_address[-1][0])
            return original(sock, data, *flags_and_address)

        return guarded

    def _by_host(self, original: Any) -> Any:
        def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
            self.check(host)
            return original(host, *args, **kwargs)

        return guarded

    def _by_sockaddr(self, original: Any) -> Any:
        def guarded(sockaddr: Any, flags: int) -> Any:
            self.check(sockaddr[0])
            return original(sockaddr, flags)

        return guarded


def is_local(host: object) -> bool:
    """Whether a host, as sockets take it, is this machine."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host is None or host == "":  # the wildcard, which is what servers bind
        return True
    name = str(host).lower().rstrip(".")
    if name in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False

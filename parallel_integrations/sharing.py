"""Answers that need no request of their own: kept from before, or on their way for somebody else.

Like an operation, the talk is a generator: it says what it needs, and each driver of the client
gets that in its own way.
"""

import asyncio
import json
import logging
import os
import time
import zlib
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import httpx
from pydantic_core import from_json, to_json

from parallel_integrations.api.flow import Keep
from parallel_integrations.api.redaction import SECRET_HEADERS
from parallel_integrations.cache import AnswerCache
from parallel_integrations.single_flight import Flight, Flights, Landing
from parallel_integrations.trip import Trip

THREADS: Final = 8
CHECKSUM_DIGITS: Final = 8
# What may differ between two requests that ask the same.
INCIDENTAL_HEADERS: Final = frozenset({"user-agent", "content-length", "connection"})

log = logging.getLogger("parallel_integrations")


class Fetch:
    """Asks the driver to send the request and read its whole answer."""

    __slots__ = ()


FETCH: Final = Fetch()


@dataclass(frozen=True, slots=True)
class Wait:
    """Asks the driver to wait until a flight has landed; it tells whether it did in time."""

    flight: Flight
    seconds: float


@dataclass(frozen=True, slots=True)
class Do:
    """Asks the driver to call something that may block for a moment."""

    call: Callable[[], Any]


Talk: TypeAlias = Generator[Fetch | Wait | Do, Any, httpx.Response]


class Sharing:
    """What a client with `cache=` has besides.

    Args:
        cache: Where answers are kept.
        ttl_seconds: For how long.
    """

    def __init__(self, cache: AnswerCache, ttl_seconds: float) -> None:
        self.cache = cache
        self.ttl_seconds = ttl_seconds
        self._flights = Flights()
        self._warned: set[str] = set()
        self._threads: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def anew(self) -> "Sharing":
        """Another one for the same cache, with nothing on its way."""
        return Sharing(self.cache, self.ttl_seconds)

    def share(
        self,
        trip: Trip,
        request: httpx.Request,
        keep: Keep,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> Talk:
        """Get an answer: a kept one, the one that somebody waits for already, or a new one."""
        key = _key(request, keep)
        while True:
            own = Flight(key, loop)
            # An interruption may come at any instant: whatever was entered is taken off again, else
            # later callers would wait for a request that nobody sends.
            try:
                flight = self._flights.board(own, trip.flight)
                trip.flight = flight
                if flight is own:
                    return (yield from self._send(flight, trip, request, keep))
            finally:
                self._flights.end(own)
            left = trip.seconds_left()
            if left <= 0 or not (yield Wait(flight, left)):
                raise httpx.ReadTimeout("the same request was on its way, but no answer came")
            landing = flight.landed.result()
            if landing is not None:
                return _received(landing, trip, request)
            trip.hurry()

    def _send(self, flight: Flight, trip: Trip, request: httpx.Request, keep: Keep) -> Talk:
        longest = min(self.ttl_seconds, keep.longest_seconds)
        kept = yield Do(partial(self._look, flight.key, longest))
        if kept is not None:
            flight.landed.set_result(kept)
            return _received(kept, trip, request)
        try:
            response: httpx.Response = yield FETCH
        except httpx.HTTPError as failure:
            flight.landed.set_result(Landing.failed(failure, trip.head))
            raise
        # Before it is kept: nobody should wait for that, and nobody lose a paid answer by it.
        landing = Landing.of(response)
        flight.landed.set_result(landing)
        if response.is_success and not _holds_secret(response) and keep.worth(response):
            yield Do(partial(self._store, flight.key, landing, longest))
        return response

    def _look(self, key: str, longest: float) -> Landing | None:
        try:
            held = self.cache.get(key)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a cache, there is the API
            self._warn("read", f"{type(error).__name__}: {error}")
            return None
        if held is None:
            return None
        try:
            return _unpacked(held, longest)
        except (ValueError, TypeError, KeyError):
            self._warn("read", "it holds something that was not written by this package")
            return None

    def _store(self, key: str, landing: Landing, longest: float) -> None:
        try:
            self.cache.set(key, _packed(landing), expire=longest)
        except Exception as error:  # noqa: BLE001 - the answer has been paid for and is there
            self._warn("written", f"{type(error).__name__}: {error}")

    def _warn(self, what: str, reason: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            log.warning("The cache cannot be %s (%s); calls go on without it", what, reason)

    async def do(self, need: Do) -> Any:
        """Call something that may block, for a coroutine.

        Not in the loop's own threads: those may all be taken by blocking calls that wait for it.
        """
        threads = self._threads
        if threads is None or self._process != os.getpid():  # threads do not survive a fork
            self._process = os.getpid()
            threads = self._threads = ThreadPoolExecutor(THREADS, "parallel-cache")
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, need.call)
        except RuntimeError:  # the interpreter is about to end and starts no thread any more
            return need.call()


def _received(landing: Landing, trip: Trip, request: httpx.Request) -> httpx.Response:
    if landing.failure is not None:
        trip.head = landing.response(request) if landing.status else None
        raise copy(landing.failure)
    response = landing.response(request)
    if response.is_success:
        trip.saved()
    return response


def _key(request: httpx.Request, keep: Keep) -> str:
    """Names what is asked and who asks; neither can be read from it."""
    secrets = blake2b(person=b"parallel-secret", digest_size=32)
    for name in SECRET_HEADERS:
        _add(secrets, request.headers.get(name, "").encode())
    digest = blake2b(key=secrets.digest(), person=b"parallel-answer1", digest_size=32)
    for part in (request.method, str(request.url)):
        _add(digest, part.encode())
    for name, value in sorted(request.headers.multi_items()):
        if name not in INCIDENTAL_HEADERS and name not in SECRET_HEADERS:
            _add(digest, f"{name}: {value}".encode())
    _add(digest, _essence(request.content, keep))
    return digest.hexdigest()


def _essence(content: bytes, keep: Keep) -> bytes:
    body = from_json(content)
    return to_json({name: value for name, value in body.items() if name not in keep.labels})


def _add(digest: blake2b, part: bytes) -> None:
    digest.update(len(part).to_bytes(8, "big"))
    digest.update(part)


def _holds_secret(response: httpx.Response) -> bool:
    headers = response.request.headers
    secrets = (headers.get(name, "").removeprefix("Bearer ") for name in SECRET_HEADERS)
    kept = response.content + response.headers.get("content-type", "").encode()
    return any(secret and secret.encode() in kept for secret in secrets)


def _packed(landing: Landing) -> bytes:
    kind = dict(landing.headers).get("content-type")
    head = json.dumps({"at": time.time(), "status": landing.status, "type": kind})
    record = head.encode() + b"\n" + landing.content
    return b"%08x" % zlib.crc32(record) + record


def _unpacked(held: Any, longest: float) -> Landing | None:
    if not isinstance(held, bytes | bytearray | memoryview):
        raise TypeError
    data = bytes(held)
    record = data[CHECKSUM_DIGITS:]
    if int(data[:CHECKSUM_DIGITS], 16) != zlib.crc32(record):
        raise ValueError
    head, _, content = record.partition(b"\n")
    fields = json.loads(head)
    # Its writer may have kept it for longer than its reader wants.
    if abs(time.time() - fields["at"]) >= longest:
        return None
    kind = fields["type"]
    return Landing(fields["status"], (("content-type", kind),) if kind else (), content)

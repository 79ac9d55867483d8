"""Response cache and in-flight sharing: one request for all who ask the same.

What a client with `cache=` puts around an operation. It hands every step on, except a request whose
response others could use: that is looked up in the cache first, then joined with an equal request
that is under way (across threads, tasks and event loops), and sent only if there is neither.
"""

import asyncio
import hmac
import json
import logging
import os
import threading
import time
from collections.abc import Awaitable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from typing import Any, Final, Generic, TypeVar

import httpx
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from parallel_integrations._protocol.flow import RESULT_KEY, Do, Keep, Send, Step, Wait, relay
from parallel_integrations._protocol.redaction import SECRET_HEADERS, secrets_of
from parallel_integrations._protocol.retry import conditions_of
from parallel_integrations._transport.cache import ResponseCache
from parallel_integrations._transport.call_state import CallState

NAME_DIGITS: Final = 64
DIGEST_BYTES: Final = 32
# What may differ between two requests that ask the same.
INCIDENTAL_HEADERS: Final = frozenset(
    {"user-agent", "content-length", "connection", "x-parallel-integration"}
)
MAX_REMEMBERED: Final = 32
MAX_REMEMBERED_BYTES: Final = 256 * 1024

OfClient = TypeVar("OfClient")

log = logging.getLogger("parallel_integrations")


@dataclass(frozen=True, slots=True)
class Failed:
    """A request that failed, for everybody who waited.

    Attributes:
        failure: What broke.
        begun: The beginning of the response, had its headers come.
        is_begun: Whether any byte of it had: that decides on repeating.
    """

    failure: httpx.HTTPError
    begun: httpx.Response | None
    is_begun: bool


@dataclass(slots=True)
class CachedResponse:
    """A response out of the cache.

    Attributes:
        entry: The bytes that the cache gave.
        at: When the response came, in seconds since the epoch.
        response: The response.
        result: What an operation read from it; None until one has.
    """

    entry: bytes
    at: float
    response: httpx.Response
    result: object = None


class InFlightRequest:
    """One in-flight request.

    Attributes:
        key: Names the request and its sender.
        outcome: What came of it; None where its sender gave up, and another caller has to send it.
        next: The request of those who shared this one and have to ask again.
    """

    __slots__ = ("_loop", "_thread", "key", "next", "outcome")

    def __init__(self, key: str, loop: asyncio.AbstractEventLoop | None) -> None:
        self.key = key
        self.outcome: Future[httpx.Response | Failed | None] = Future()
        self.next: InFlightRequest | None = None
        self._loop = loop
        self._thread = threading.get_ident()

    def can_be_awaited_by(self, other: "InFlightRequest") -> bool:
        """Whether another's waiting lets this go on: a blocking call inside its loop would not."""
        return (
            self.outcome.done()
            or self._thread != other._thread  # noqa: SLF001 - its own class
            or (other._loop is not None and other._loop is self._loop)  # noqa: SLF001
        )


class InFlightRequests:
    """The requests of one client that are under way."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._lock = threading.RLock()  # a signal handler may ask, too
        self._by_key: dict[str, InFlightRequest] = {}
        self._process = os.getpid()

    def join(self, own: InFlightRequest, last: InFlightRequest | None) -> InFlightRequest:
        """The request to wait for: an earlier equal one that can be awaited, or the caller's own.

        Args:
            own: A new request of the caller's; where it is returned, the caller has to send it.
            last: The request that the caller shared before. Those who failed together ask again
                together, though each comes back at its own time.
        """
        if self._process != os.getpid():  # what is under way in the parent never arrives here
            self._forget()
        with self._lock:
            if last is not None and last.key != own.key:
                last = None
            found = last.next if last is not None else None
            if found is None:
                found = self._by_key.get(own.key)
                if found is last:
                    found = None
            if found is None:
                found = self._by_key[own.key] = own
            if last is not None and last.next is None:
                last.next = found
        # Waiting for a request that only the caller's own thread can carry on would never end: it
        # is sent once more instead.
        return found if found is own or found.can_be_awaited_by(own) else own

    def end(self, request: InFlightRequest) -> None:
        """Take a request off the list; where nothing came of it, another who waits has to send."""
        with self._lock:
            if self._by_key.get(request.key) is request:
                del self._by_key[request.key]
        if not request.outcome.done():
            request.outcome.set_result(None)


class SharedRequests:
    """What a client with `cache=` has besides.

    Args:
        cache: Where responses are kept.
        ttl_seconds: For how long.
    """

    def __init__(self, cache: ResponseCache, ttl_seconds: float) -> None:
        self.cache = cache
        self.ttl_seconds = ttl_seconds
        self.in_flight = InFlightRequests()
        self._remembered: dict[str, CachedResponse] = {}  # the oldest first
        self._warned: set[str] = set()

    def renewed(self) -> "SharedRequests":
        """Another one for the same cache, with nothing under way."""
        return SharedRequests(self.cache, self.ttl_seconds)

    def around(
        self, call: CallState, operation: Any, loop: asyncio.AbstractEventLoop | None = None
    ) -> Generator[Step, Any, Any]:
        """The same operation, whose requests may be spared.

        Args:
            call: The call that carries it out.
            operation: The operation.
            loop: The event loop that the call runs in; None where it blocks.
        """
        sharing = _Sharing(self, call, loop)
        try:
            result = yield from relay(operation, sharing.handle)
            yield from sharing.store_what_was_read()
            return result
        finally:
            sharing.end()

    def look_up(self, key: str, max_seconds: float) -> CachedResponse | None:
        """What the cache has for a key, at most so old; None where anything is wrong with it."""
        name, seal = _name_and_seal(key)
        try:
            entry = _taken(self.cache.get(name), "get")
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a cache, there is the API
            self._warn("read", f"{type(error).__name__}: {error}")
            return None
        if entry is None:
            return None
        found = self._remembered.get(key)
        if found is None or found.entry != entry:
            try:
                found = _unpacked(entry, seal)
            except Exception:  # noqa: BLE001 - whatever stands in a cache, there is the API
                self._warn("read", "it holds something that was not written by this package")
                return None
        # Its writer may have kept it for longer than its reader wants.
        return found if abs(time.time() - found.at) < max_seconds else None

    def remember(self, key: str, found: CachedResponse, result: object) -> None:
        """Keep what was read from a cached response, for as long as the cache gives the same bytes.

        To check the seal of 60 kB, to parse and to validate them takes five times as long as to
        copy the result.
        """
        if len(found.entry) <= MAX_REMEMBERED_BYTES:
            found.result = _copied(result)  # the caller may change its own
            self._remembered[key] = found
        if len(self._remembered) > MAX_REMEMBERED:
            with suppress(KeyError, RuntimeError):  # another thread does the same
                del self._remembered[next(iter(self._remembered))]

    def store(self, key: str, response: httpx.Response, max_seconds: float) -> None:
        """Keep a response for so long; where that fails it is said once."""
        name, seal = _name_and_seal(key)
        try:
            _taken(self.cache.set(name, _packed(response, seal), expire=max_seconds), "set")
        except Exception as error:  # noqa: BLE001 - the response has been paid for and is there
            self._warn("written", f"{type(error).__name__}: {error}")

    def _warn(self, what: str, reason: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            log.warning("The cache cannot be %s (%s); calls go on without it", what, reason)


class PartOfCall(Generic[OfClient]):
    """What is put around an operation, in one call.

    Args:
        shared: What the client's calls share.
        call: The call.
        loop: The event loop that the call runs in; None where it blocks.
    """

    def __init__(
        self, shared: OfClient, call: CallState, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self._shared = shared
        self._call = call
        self._loop = loop

    def paused(self, send: Send) -> Generator[Step, Any, Send]:
        """Wait before a request is shared: nobody else should wait for this call's pause."""
        if send.delay_seconds:
            yield Wait(None, send.delay_seconds)
            send = replace(send, delay_seconds=0.0)
        return send

    def failed(self, failure: httpx.HTTPError) -> Failed:
        """What the others who wait for this call's request are given."""
        conditions = self._call.conditions
        return Failed(copy(failure), conditions.response, conditions.is_begun)

    def received(self, outcome: httpx.Response | Failed, request: httpx.Request) -> httpx.Response:
        """Another's response, as if it had come for this call's request; its failure is raised."""
        if isinstance(outcome, Failed):
            conditions = self._call.conditions
            conditions.response = outcome.begun and _response_to(request, outcome.begun)
            conditions.is_begun = outcome.is_begun
            raise self._call.failed(copy(outcome.failure))
        return self._call.arrived(_response_to(request, outcome))


def _response_to(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    response = copy(response)
    response.request = request
    return response


class _Sharing(PartOfCall[SharedRequests]):
    """What a call shares now, and what it has to keep."""

    _own: InFlightRequest | None = None
    _last: InFlightRequest | None = None
    _to_store: tuple[str, Keep, httpx.Response, CachedResponse | None] | None = None

    def handle(self, step: Step) -> Generator[Step, Any, Any]:
        """Take one step of the operation, sharing its request if others could ask the same."""
        yield from self.store_what_was_read()
        if not isinstance(step, Send) or step.keep is None:
            return (yield step)
        keep = step.keep
        return (yield from self._share((yield from self.paused(step)), keep))

    def store_what_was_read(self) -> Generator[Step, Any, None]:
        """Put the last response into the cache, now that the operation could read it.

        Not before: what cannot be read is not kept, and its body would have to be parsed twice.
        Until then the request counts as under way, so that nobody sends it once more in between.
        """
        if self._to_store is not None:
            (key, keep, response, found), self._to_store = self._to_store, None
            result = conditions_of(response).result
            if result is None or not keep.worth(result):
                pass
            elif found is not None:
                self._shared.remember(key, found, result)
            else:
                max_seconds = min(self._shared.ttl_seconds, keep.max_seconds)
                yield Do(partial(self._shared.store, key, response, max_seconds))
        self.end()

    def end(self) -> None:
        """Take the call's own request off the list, wherever the call ends."""
        if self._own is not None:
            self._shared.in_flight.end(self._own)
            self._own = None

    def _share(self, send: Send, keep: Keep) -> Generator[Step, Any, httpx.Response]:
        request = self._call.request(send)
        key = _key(request, keep)
        while True:
            # Noted before it is entered: an interruption may come at any instant, and what stayed
            # on the list would make later callers wait for a request that nobody sends.
            self._own = InFlightRequest(key, self._loop)
            self._last = found = self._shared.in_flight.join(self._own, self._last)
            if found is self._own:
                return (yield from self._send(found, send, keep))
            left = self._call.seconds_left()
            if left <= 0 or not (yield Wait(found.outcome, left)):
                raise httpx.ReadTimeout("the same request was under way, but no response came")
            if (outcome := found.outcome.result()) is not None:
                return self.received(outcome, request)
            self._call.hurry()

    def _send(
        self, own: InFlightRequest, send: Send, keep: Keep
    ) -> Generator[Step, Any, httpx.Response]:
        max_seconds = min(self._shared.ttl_seconds, keep.max_seconds)
        found: CachedResponse | None
        found = yield Do(partial(self._shared.look_up, own.key, max_seconds))
        if found is not None:
            own.outcome.set_result(found.response)
            response = self.received(found.response, self._call.request(send))
            if found.result is None:
                self._to_store = (own.key, keep, response, found)
            else:
                response.extensions[RESULT_KEY] = _copied(found.result)
            return response
        try:
            came: httpx.Response = yield send
        except httpx.HTTPError as failure:
            own.outcome.set_result(self.failed(failure))
            raise
        # Before it is stored: nobody should wait for that, and nobody lose a paid response by it.
        own.outcome.set_result(came)
        if came.is_success and not _holds_secret(came):
            self._to_store = (own.key, keep, came, None)
        return came

    def received(self, outcome: httpx.Response | Failed, request: httpx.Request) -> httpx.Response:
        response = super().received(outcome, request)
        if response.is_success:
            self._call.spared()
        return response


def _key(request: httpx.Request, keep: Keep) -> str:
    """Names a request and its sender; neither can be read from it.

    The first half is the name that a response is kept under. Nobody without the key knows the
    second half, which seals the response.
    """
    # Sorted: the order of headers changes nothing, and a route may send them in another.
    headers = sorted((name.lower().decode(), value) for name, value in request.headers.raw)
    found = dict(headers)
    secrets = blake2b(person=b"parallel-secret", digest_size=32)
    for name in SECRET_HEADERS:
        _add(secrets, found.get(name, b""))
    digest = blake2b(key=secrets.digest(), person=b"parallel-answer3", digest_size=64)
    for part in (request.method, str(request.url)):
        _add(digest, part.encode())
    for name, value in headers:
        if name not in INCIDENTAL_HEADERS and name not in SECRET_HEADERS:
            _add(digest, name.encode())
            _add(digest, value)
    _add(digest, _essence(request.content, keep))
    return digest.hexdigest()


def _essence(content: bytes, keep: Keep) -> bytes:
    body = from_json(content)
    return to_json({name: value for name, value in body.items() if name not in keep.labels})


def _add(digest: blake2b, part: bytes) -> None:
    digest.update(len(part).to_bytes(8, "big"))
    digest.update(part)


def _holds_secret(response: httpx.Response) -> bool:
    # A response that repeats the key is not kept: what is kept may lie on a disk for days.
    kept = response.content + response.headers.get("content-type", "").encode()
    return any(secret.encode() in kept for secret in secrets_of(response))


def _name_and_seal(key: str) -> tuple[str, bytes]:
    """Under what name a response is kept, and the secret that it is sealed with."""
    return key[:NAME_DIGITS], bytes.fromhex(key[NAME_DIGITS:])


def _taken(value: Any, method: str) -> Any:
    """What a cache gave, unless that would have to be awaited."""
    if isinstance(value, Awaitable):
        if isinstance(value, Coroutine):
            value.close()
        raise TypeError(f"its {method} must block, not be awaited")
    return value


def _packed(response: httpx.Response, seal: bytes) -> bytes:
    kind = response.headers.get("content-type")
    fields = json.dumps({"at": time.time(), "status": response.status_code, "type": kind})
    record = fields.encode() + b"\n" + response.content
    return _digest(record, seal) + record


def _unpacked(entry: Any, seal: bytes) -> CachedResponse:
    """The response in an entry.

    Raises:
        ValueError: It was written by somebody without the key, for another request, or damaged.
        TypeError: It is not made of bytes.
    """
    if not isinstance(entry, bytes | bytearray | memoryview):
        raise TypeError
    data = bytes(entry)
    record = data[DIGEST_BYTES:]
    if not hmac.compare_digest(data[:DIGEST_BYTES], _digest(record, seal)):
        raise ValueError
    line, _, content = record.partition(b"\n")
    fields = from_json(line)
    at, status, kind = fields["at"], fields["status"], fields["type"]
    # Without any key in the request, the seal is no secret: nothing is taken on trust.
    if not isinstance(at, float) or type(status) is not int or not 200 <= status < 300:
        raise ValueError
    if kind is not None and not (isinstance(kind, str) and kind.isascii() and kind.isprintable()):
        raise ValueError
    headers = {"content-type": kind} if kind else {}
    return CachedResponse(data, at, httpx.Response(status, headers=headers, content=content))


def _copied(value: Any) -> Any:
    """A copy with models, lists and objects of its own, for a fifth of what `deepcopy` takes."""
    if isinstance(value, list):
        return [held if isinstance(held, str) else _copied(held) for held in value]
    if isinstance(value, dict):
        return {name: _copied(held) for name, held in value.items()}
    if isinstance(value, BaseModel):
        value = value.model_copy()
        for fields in (vars(value), value.model_extra or {}):
            for name, held in fields.items():
                if held is not None and not isinstance(held, str):
                    fields[name] = _copied(held)
    return value


def _digest(record: bytes, seal: bytes) -> bytes:
    # Of 60 kB it takes half as long as `hashlib.blake2b`: OpenSSL knows the processor's own way.
    return hmac.digest(seal, record, "sha256")

"""Carries operations to the API, blocking and awaiting."""

import asyncio
import logging
import os
import pickle
import threading
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, suppress
from copy import deepcopy
from functools import lru_cache, partial
from inspect import signature
from math import inf
from typing import TYPE_CHECKING, Any, Final, Never, NoReturn, Self, TypeVar, cast
from weakref import WeakValueDictionary

import httpx
from pydantic import SecretStr

from parallel_integrations._protocol.flow import Emit, Operation, Stream
from parallel_integrations._protocol.pacing import RateLimiter, aacquire, check_rate_limiter
from parallel_integrations._protocol.routes import CHAT_PATH, DIRECT, CloudflareGateway
from parallel_integrations._protocol.settings import (
    MAX_RESPONSE_BYTES,
    MAX_RETRIES,
    Settings,
)
from parallel_integrations._transport.cache import CacheArgument, ResponseCache, opened
from parallel_integrations._transport.call_state import CallState
from parallel_integrations._transport.connection_pool import Pools
from parallel_integrations._transport.driver import atake_step, take_step
from parallel_integrations._transport.in_flight import SharedRequests
from parallel_integrations._transport.usage import Usage
from parallel_integrations.errors import ArgumentTypeError, InvalidArgumentError, ParallelError
from parallel_integrations.models._validation import is_number, unknown_argument
from parallel_integrations.models.shared import ApiVersion, RequestModel

if TYPE_CHECKING:
    from parallel_integrations._protocol.search_mcp import SearchMcp
    from parallel_integrations._transport.mcp_sessions import McpSessions

Result = TypeVar("Result")
Event = TypeVar("Event")
CACHE_TTL_SECONDS: Final = 3600
MAX_KEPT_POOLS: Final = 8
_LEAD: Final = (
    ". Operations are functions, which a client carries out: client.run(search(SearchRequest("
    "objective='…'))), or arun to await it, with search from parallel_integrations.api and "
    "SearchRequest from parallel_integrations"
)
INTEGRATION_HEADER: Final = "x-parallel-integration"
MAX_INTEGRATIONS: Final = 32

log = logging.getLogger("parallel_integrations")


class ParallelClient:
    """Carries operations to the API, blocking or awaiting; one pool of connections per client.

    The client is safe to share between threads, tasks, event loops and forked children. A pickle
    of it holds no key: the loaded client reads `PARALLEL_API_KEY`. After `close` it opens
    new connections when it is used again.

    Args:
        api_key: Parallel's key; `PARALLEL_API_KEY` if left out. Needed at the first call only.
        base_url: Where the API is; `PARALLEL_BASE_URL`, else the public API. https only, loopback
            excepted; a path is kept.
        timeout: Seconds in which a response must arrive whole, or in which a stream must begin
            and go on; each repetition has as many. By default each operation has its own (search
            90, extract 120, chat 60 for `speed` and 600 for other models).
        max_retries: How often a failed call is repeated where that cannot be paid twice; 2.
        retry_timeouts: True repeats search, extract and chat after a read timeout too, at the
            price of perhaps paying twice.
        plain_http_hosts: Hosts of your own network, such as `["litellm"]`, that may be called by
            plain http, which sends the key unencrypted; besides those in
            `PARALLEL_PLAIN_HTTP_HOSTS`, with commas between.
        route: `CloudflareGateway(…)` to go through Cloudflare's AI Gateway; `SearchMcp()` for
            search and extract without an account.
        api_version: `"v1"`, `"v1beta"`, or `"v1beta-processor"` for the oldest search body.
        chat_path: Where Chat is found; `/chat/completions`.
        headers: Sent with every request; `parallel-beta` is merged with what an operation needs.
        cache: A directory's path, or an object with `get(key)` and `set(key, value,
            expire=seconds)` such as a `diskcache.Cache`: responses of search and extract are kept
            there, and equal requests at the same time become one. None, the default: neither.
        cache_ttl_seconds: How old a kept response may be; 3600.
        max_response_bytes: Most bytes of one response, decompressed, or of one event of a stream;
            100 million. A larger one raises `UnexpectedAnswerError`.
        http_client: Your own `httpx.Client` for blocking calls (proxies, CAs); you close it.
        http_async_client: Your own `httpx.AsyncClient`; it belongs to one event loop, yours.

    Attributes:
        usage: What this client's calls cost, by SKU: see `parallel_integrations.Usage`.

    Raises:
        ValueError: An argument that cannot be right; the message names it and the remedy.

    Example:
        ```python
        from parallel_integrations import ParallelClient, SearchRequest
        from parallel_integrations.api import search

        with ParallelClient() as client:
            response = client.run(search(SearchRequest(objective="What is a metaclass?")))
        ```
    """

    def __init__(
        self,
        *unnamed: Never,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        retry_timeouts: bool = False,
        plain_http_hosts: Sequence[str] = (),
        route: "CloudflareGateway | SearchMcp | None" = None,
        api_version: ApiVersion = "v1",
        chat_path: str | None = None,
        headers: Mapping[str, str] | None = None,
        cache: CacheArgument | None = None,
        cache_ttl_seconds: float = CACHE_TTL_SECONDS,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        http_client: httpx.Client | None = None,
        http_async_client: httpx.AsyncClient | None = None,
        **unknown: Never,
    ) -> None:
        if unnamed:
            raise ArgumentTypeError(
                "ParallelClient takes its arguments by name, like ParallelClient(api_key=…)"
            )
        for name in unknown:
            raise unknown_argument("ParallelClient", name, _ARGUMENTS)
        _check_kind("http_client", http_client, httpx.Client)
        _check_kind("http_async_client", http_async_client, httpx.AsyncClient)
        if headers is not None and not isinstance(headers, Mapping):
            raise InvalidArgumentError(f"headers= must be a mapping, not {type(headers).__name__}")
        hosts = plain_http_hosts if isinstance(plain_http_hosts, list | tuple) else [None]
        if not all(isinstance(host, str) for host in hosts):
            raise InvalidArgumentError(
                f"plain_http_hosts={plain_http_hosts!r:.100} must be a list of host names, like "
                "['litellm']"
            )
        settings = Settings(
            api_key=SecretStr(api_key) if isinstance(api_key, str) else api_key,
            base_url=base_url or "",
            timeout=timeout,
            max_retries=MAX_RETRIES if max_retries is None else max_retries,
            retry_timeouts=retry_timeouts,
            plain_http_hosts=tuple(plain_http_hosts),
            route=route or DIRECT,
            api_version=api_version,
            chat_path=chat_path or CHAT_PATH,
            headers=tuple((headers or {}).items()),
            max_response_bytes=max_response_bytes,
        )
        self._set_up(
            settings,
            Pools(settings.base_url, http_client, http_async_client),
            _shared_requests(opened(cache), cache_ttl_seconds),
        )

    if not TYPE_CHECKING:  # a type checker knows what there is

        def __getattr__(self, name: str) -> NoReturn:
            # Not for private names: copies and pickles look for some.
            lead = "" if name.startswith("_") else _LEAD
            raise AttributeError(f"ParallelClient has no {name!r}{lead}")

    @classmethod
    def shared(cls, settings: Settings) -> "ParallelClient":
        """The one client of all adapters with these settings, as long as any of them lives.

        Its connections outlive it: the next client with these settings takes them over. Those of
        the last `MAX_KEPT_POOLS` settings are kept, each until it was idle for as long as any
        connection may be.
        """
        # Adapters come and go with each request of a program: with a client each, or none left in
        # between, they would pay a handshake each.
        with _shared_lock:
            pools = _kept_pools.pop(settings, None)
            client = _shared.get(settings)
            if client is None:
                client = _shared[settings] = cls.__new__(cls)
                client._set_up(settings, pools or Pools(settings.base_url))  # noqa: SLF001
            _kept_pools[settings] = client._pools  # noqa: SLF001 - its own class
            if len(_kept_pools) > MAX_KEPT_POOLS:
                del _kept_pools[next(iter(_kept_pools))]  # the one that was used longest ago
            for kept in _kept_pools.values():
                kept.close_expired()
            return client

    # `shared`, copies and pickles come here directly: they have settings, not the arguments.
    def _set_up(
        self,
        settings: Settings,
        pools: Pools,
        shared: SharedRequests | None = None,
        usage: Usage | None = None,
    ) -> None:
        self.settings = settings
        self.usage = usage or Usage()
        self._pools = pools
        self._shared = shared
        self._on_behalf: dict[str, ParallelClient] = {}
        self._sessions = _sessions(settings) if settings.route.has_sessions else None

    def run(self, operation: Operation[Result]) -> Result:
        """Carry an operation out, blocking.

        Args:
            operation: What an operation of `parallel_integrations.api` returned.

        Returns:
            The operation's typed result.

        Raises:
            ParallelError: See `parallel_integrations.errors`.
            TypeError: It is no operation, or a stream.
            ValueError: It was carried out before; each goes once.
        """
        with self._call(operation) as call:
            call.expect_result()
            while call.step is not None:
                take_step(call, self._pools)
            return cast(Result, call.result)

    async def arun(self, operation: Operation[Result]) -> Result:
        """Carry an operation out, awaiting on asyncio; everything else as in `run`."""
        async with self._call(operation, _running_loop()) as call:
            call.expect_result()
            while call.step is not None:
                await atake_step(call, self._pools)
            return cast(Result, call.result)

    def stream(self, operation: Stream[Event]) -> Generator[Event, None, None]:
        """Iterate a streaming operation's events.

        Closing, exhausting or dropping the iterator closes the connection.

        Args:
            operation: What a streaming operation of `parallel_integrations.api` returned.

        Yields:
            The operation's typed events.

        Raises:
            ParallelError: See `parallel_integrations.errors`.
            TypeError: It is no operation, or one without events.
            ValueError: It was carried out before; each goes once.
        """
        with self._call(operation) as call:
            while call.step is not None:
                if isinstance(call.step, Emit):
                    yield call.step.event
                    call.send(None)
                else:
                    take_step(call, self._pools)
            call.expect_events()

    async def astream(self, operation: Stream[Event]) -> AsyncGenerator[Event, None]:
        """Iterate a streaming operation's events on asyncio; everything else as in `stream`."""
        async with self._call(operation, _running_loop()) as call:
            while call.step is not None:
                if isinstance(call.step, Emit):
                    yield call.step.event
                    call.send(None)
                else:
                    await atake_step(call, self._pools)
            call.expect_events()

    def _call(self, operation: Any, loop: asyncio.AbstractEventLoop | None = None) -> CallState:
        layers = [layer for layer in (self._shared, self._sessions) if layer is not None]
        around = partial(_around, layers, loop) if layers else None
        return CallState(operation, self.settings, self.usage, around)

    def estimate(self, *priced: Operation[Any] | Stream[Any] | RequestModel) -> Usage:
        """What calls cost at most, before anything is sent.

        Args:
            *priced: Requests, or operations that have not begun; they can be carried out
                afterwards. A FindAll run is counted with all matches that it may find.

        Returns:
            Counts by SKU and US dollars at the prices of `self.usage`; 0 for what is not billed,
            and, with a warning in the log, for what has no price there.
            Of a monitor only its first execution is in it; a triggered one is taken for the
            dearest.

        Raises:
            ValueError: An operation that has begun, or whose price only the API knows
                (`extend_findall`, `enrich_findall`).
            TypeError: Neither a request nor an operation.
        """
        # Imported here: it brings the models of tasks and FindAll along, a tenth of what the import
        # of a chat model costs.
        from parallel_integrations._protocol.estimates import max_skus

        estimate = self.usage.renewed()
        for each in priced:
            estimate.add(max_skus(each, self.settings))
        if unknown := sorted(estimate.counts.keys() - estimate.prices.keys()):
            log.warning(
                "no price is known for %s, which counts as 0: set client.usage.prices[%r]",
                ", ".join(unknown),
                unknown[0],
            )
        return estimate

    def paced(self, rate_limiter: RateLimiter) -> "ParallelClient":
        """This client, which waits for a rate limiter before each call.

        Connections, cache and usage are shared with this one.

        Args:
            rate_limiter: LangChain's or LlamaIndex's, or any object with `acquire()` for blocking
                calls, and `aacquire()` or `async_acquire()` for awaiting ones.

        Raises:
            ValueError: It has not both.
        """
        return _PacedClient(self, rate_limiter)

    def on_behalf_of(self, integration: str) -> "ParallelClient":
        """The same client, whose requests say which integration they come from.

        Connections, cache and usage are shared with this one. The adapters of this package call it
        (docs/reference/facts.md, 18.5); a header of that name given as `headers=` is kept.

        Args:
            integration: Name and version, such as `my-agent/1.2`; sent as `x-parallel-integration`.

        Raises:
            ValueError: It is empty, or not one line of printable ASCII.
        """
        if not isinstance(integration, str) or not integration.strip():
            raise InvalidArgumentError(
                f"integration={integration!r:.100} must be a name and version, like 'my-agent/1.2'"
            )
        known = self._on_behalf.get(integration)
        if known is None:
            if any(name == INTEGRATION_HEADER for name, _ in self.settings.headers):
                return self
            settings = _with_integration(self.settings, integration)
            known = self._on_behalf[integration] = object.__new__(type(self))
            vars(known).update(vars(self) | {"settings": settings, "_on_behalf": {}})
            if len(self._on_behalf) > MAX_INTEGRATIONS:  # such as one for each user
                with suppress(KeyError, RuntimeError):  # another thread does the same
                    del self._on_behalf[next(iter(self._on_behalf))]
        return known

    def close(self) -> None:
        """Close the blocking pool; a client that you gave (`http_client=`) stays open."""
        self._pools.close()

    async def aclose(self) -> None:
        """Close the running loop's pool and the blocking one."""
        await self._pools.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        key = "set" if self.settings.api_key else "missing"
        return f"ParallelClient(base_url={self.settings.base_url!r}, api_key={key})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "ParallelClient":
        copy = object.__new__(type(self))
        shared = self._shared.renewed() if self._shared else None
        copy._set_up(self.settings, self._pools.renewed(), shared, self.usage.renewed())
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        # An HTTP client holds sockets and TLS contexts, which no other process could use.
        if self._pools.given:
            raise ParallelError(
                "A client with its own http_client= or http_async_client= cannot be pickled; "
                "build the adapter in the other process, or leave the HTTP client to the package."
            )
        state = self.settings.without_secrets()
        if self._shared is None:
            return _unpickle, (state,)
        cache, ttl = self._shared.cache, self._shared.ttl_seconds
        check_picklable(
            cache,
            f"A client with cache={type(cache).__name__}",
            "give it a directory's path instead, or build the client in the other process",
        )
        return _unpickle, (state, cache, ttl)


def check_picklable(value: object, holder: str, remedy: str) -> None:
    """Refuse a user's object that cannot be pickled, before the program's own pickling fails at it.

    Args:
        value: The object.
        holder: Whose pickle would hold it.
        remedy: What to do instead.

    Raises:
        ParallelError: It cannot be pickled.
    """
    try:
        pickle.dumps(value)
    except Exception as error:  # it may raise anything
        raise ParallelError(
            f"{holder} cannot be pickled, because that cannot; {remedy}."
        ) from error


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ParallelError(
            "arun and astream need a running event loop of asyncio: asyncio.run(main()), or, where "
            "another library runs the loop, run and stream in a thread (trio.to_thread.run_sync). "
            "Nothing was sent."
        ) from None


def _sessions(settings: Settings) -> "McpSessions":
    # Imported here: few clients need it, and it brings the models of search and extract along.
    from parallel_integrations._transport.mcp_sessions import McpSessions

    route = cast("SearchMcp", settings.route)
    return McpSessions(route, has_key=settings.api_key is not None)


def _around(
    layers: "list[SharedRequests | McpSessions]",
    loop: asyncio.AbstractEventLoop | None,
    call: CallState,
    operation: Any,
) -> Any:
    # The cache is nearest to the operation: what it keeps is independent of a session.
    for layer in layers:
        operation = layer.around(call, operation, loop)
    return operation


class _PacedClient(ParallelClient):
    """A client that waits for a rate limiter before each call."""

    def __init__(self, client: ParallelClient, rate_limiter: RateLimiter) -> None:
        vars(self).update(vars(client))  # connections, cache, usage: all of them are its own, too
        self._on_behalf = {}
        self._client = client
        self._rate_limiter = check_rate_limiter(rate_limiter)

    def run(self, operation: Operation[Result]) -> Result:
        self._rate_limiter.acquire()
        return super().run(operation)

    async def arun(self, operation: Operation[Result]) -> Result:
        await aacquire(self._rate_limiter)
        return await super().arun(operation)

    def stream(self, operation: Stream[Event]) -> Generator[Event, None, None]:
        self._rate_limiter.acquire()
        yield from super().stream(operation)

    async def astream(self, operation: Stream[Event]) -> AsyncGenerator[Event, None]:
        await aacquire(self._rate_limiter)
        async with aclosing(super().astream(operation)) as events:
            async for event in events:
                yield event

    def __deepcopy__(self, memo: dict[int, Any]) -> ParallelClient:
        return deepcopy(self._client, memo).paced(self._rate_limiter)  # whose budget is one

    def __reduce__(self) -> tuple[Any, ...]:
        return _PacedClient, (self._client, self._rate_limiter)


def _unpickle(
    state: dict[str, Any],
    cache: ResponseCache | None = None,
    ttl_seconds: float = CACHE_TTL_SECONDS,
) -> ParallelClient:
    settings = Settings(**state)
    if cache is None:
        return ParallelClient.shared(settings)
    client = ParallelClient.__new__(ParallelClient)
    shared = SharedRequests(cache, ttl_seconds)
    client._set_up(settings, Pools(settings.base_url), shared)  # noqa: SLF001 - its own class
    return client


def _check_kind(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise InvalidArgumentError(
            f"{name}= must be an httpx.{kind.__name__}, not {type(value).__name__}"
        )


def _shared_requests(cache: ResponseCache | None, ttl_seconds: float) -> SharedRequests | None:
    if not (is_number(ttl_seconds) and 0 < ttl_seconds < inf):
        raise InvalidArgumentError(
            f"cache_ttl_seconds={ttl_seconds!r} must be a number of seconds above 0"
        )
    return SharedRequests(cache, ttl_seconds) if cache is not None else None


# An adapter that is made for one request asks for the same as the one before it.
@lru_cache(maxsize=2 * MAX_KEPT_POOLS)
def _with_integration(settings: Settings, integration: str) -> Settings:
    return settings.with_header(INTEGRATION_HEADER, integration)


_shared: WeakValueDictionary[Settings, ParallelClient] = WeakValueDictionary()
_kept_pools: dict[Settings, Pools] = {}  # the last used at the end
_shared_lock = threading.RLock()  # a signal handler may make an adapter, too


def _renew_lock() -> None:
    global _shared_lock
    _shared_lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


_ARGUMENTS: Final = tuple(signature(ParallelClient).parameters)

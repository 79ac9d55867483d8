"""Carries operations to the API, blocking and awaiting: one driver for each world."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, Self, TypeAlias, TypeVar, cast
from weakref import WeakValueDictionary

import httpx
from pydantic import SecretStr

from parallel_integrations.api.errors import ParallelError
from parallel_integrations.api.flow import Emit, Flow, More, Send, Stream
from parallel_integrations.api.models import ApiVersion
from parallel_integrations.api.routes import CHAT_PATH, DIRECT, CloudflareGateway
from parallel_integrations.api.settings import MAX_RETRIES, Settings
from parallel_integrations.pools import Pools
from parallel_integrations.trip import Trip

Result = TypeVar("Result")
Event = TypeVar("Event")
Operation: TypeAlias = Generator[Send | More | Emit[Any], Any, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """The last step of a driver: the operation's result."""

    result: Any


class ParallelClient:
    """Carries operations to the API, blocking or awaiting; one pool of connections per client.

    The client is safe to share between threads, tasks, event loops and forked children. A pickle
    of it holds no key: the loaded client reads `PARALLEL_API_KEY`. After `close` it opens
    connections anew when it is used again.

    Args:
        api_key: Parallel's key; `PARALLEL_API_KEY` if left out. Needed at the first call only.
        base_url: Where the API is; `PARALLEL_BASE_URL`, else the public API. https only, loopback
            excepted; a path is kept.
        timeout: Seconds a call may take, or a stream may be silent; by default each operation has
            its own (search 90, extract 120, chat 60 for `speed` and 600 for other models).
        max_retries: How often a failed call is repeated where that cannot be paid twice; 2.
        retry_timeouts: True repeats search, extract and chat after a read timeout too, at the
            price of perhaps paying twice.
        route: `CloudflareGateway(…)` to go through Cloudflare's AI Gateway.
        api_version: `"v1"`, `"v1beta"`, or `"v1beta-processor"` for the oldest search body.
        chat_path: Where Chat is found; `/chat/completions`.
        headers: Sent with every request; `parallel-beta` is merged with what an operation needs.
        http_client: Your own `httpx.Client` for blocking calls (proxies, CAs); you close it.
        http_async_client: Your own `httpx.AsyncClient`; it belongs to one event loop, yours.

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
        *,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        retry_timeouts: bool = False,
        route: CloudflareGateway | None = None,
        api_version: ApiVersion = "v1",
        chat_path: str | None = None,
        headers: Mapping[str, str] | None = None,
        http_client: httpx.Client | None = None,
        http_async_client: httpx.AsyncClient | None = None,
    ) -> None:
        self._set_up(
            Settings(
                api_key=SecretStr(api_key) if isinstance(api_key, str) else api_key,
                base_url=base_url or "",
                timeout=timeout,
                max_retries=MAX_RETRIES if max_retries is None else max_retries,
                retry_timeouts=retry_timeouts,
                route=route or DIRECT,
                api_version=api_version,
                chat_path=chat_path or CHAT_PATH,
                headers=tuple((headers or {}).items()),
            ),
            http_client,
            http_async_client,
        )

    @classmethod
    def shared(cls, settings: Settings) -> "ParallelClient":
        """The one client of all adapters with these settings, as long as any of them lives."""
        with _shared_lock:
            client = _shared.get(settings)
            if client is None:
                client = _shared[settings] = cls.__new__(cls)
                client._set_up(settings)  # noqa: SLF001 - its own class
            return client

    def _set_up(
        self,
        settings: Settings,
        http_client: httpx.Client | None = None,
        http_async_client: httpx.AsyncClient | None = None,
    ) -> None:
        self.settings = settings
        self._pools = Pools(settings.base_url, http_client, http_async_client)

    def run(self, flow: Flow[Result]) -> Result:
        """Carry an operation out, blocking.

        Args:
            flow: What an operation of `parallel_integrations.api` returned.

        Returns:
            The operation's typed result.

        Raises:
            ParallelError: See `parallel_integrations.api.errors`.
        """
        result: Any = None
        for step in self._drive(flow):
            if isinstance(step, Done):
                result = step.result
        return cast(Result, result)

    async def arun(self, flow: Flow[Result]) -> Result:
        """Carry an operation out, awaiting; everything else as in `run`."""
        result: Any = None
        async for step in self._adrive(flow):
            if isinstance(step, Done):
                result = step.result
        return cast(Result, result)

    def stream(self, operation: Stream[Event]) -> Generator[Event, None, None]:
        """Iterate a streaming operation's events.

        Closing, exhausting or dropping the iterator closes the connection.

        Args:
            operation: What a streaming operation of `parallel_integrations.api` returned.

        Yields:
            The operation's typed events.

        Raises:
            ParallelError: See `parallel_integrations.api.errors`.
        """
        with closing(self._drive(operation)) as steps:
            for step in steps:
                if isinstance(step, Emit):
                    yield step.event

    async def astream(self, operation: Stream[Event]) -> AsyncGenerator[Event, None]:
        """Iterate a streaming operation's events, awaiting; everything else as in `stream`."""
        async with aclosing(self._adrive(operation)) as steps:
            async for step in steps:
                if isinstance(step, Emit):
                    yield step.event

    def _drive(self, operation: Operation) -> Generator[Emit[Any] | Done, None, None]:
        trip = Trip(self.settings)
        response: httpx.Response | None = None
        chunks: Iterator[bytes] = iter(())
        try:
            step = next(operation)
            while True:
                outcome: Any = None
                try:
                    if isinstance(step, More):
                        outcome = next(chunks, b"")
                        trip.observe()
                    elif isinstance(step, Send):
                        if response is not None:
                            response.close()
                        if step.delay_seconds:
                            trip.announce(step)
                            time.sleep(step.delay_seconds)
                        response = self._pools.open(trip.request(step))
                        trip.begin(response)
                        if step.stream and response.is_success:
                            chunks = response.iter_bytes()
                        else:
                            response.read()
                        outcome = trip.arrived(response)
                    else:
                        yield step
                except httpx.HTTPError as failure:
                    step = operation.throw(trip.failed(failure))
                else:
                    step = operation.send(outcome)
        except StopIteration as end:
            yield Done(end.value)
        finally:
            operation.close()
            if response is not None:
                response.close()

    async def _adrive(self, operation: Operation) -> AsyncGenerator[Emit[Any] | Done, None]:
        trip = Trip(self.settings)
        response: httpx.Response | None = None
        chunks: AsyncIterator[bytes] | None = None
        try:
            step = next(operation)
            while True:
                outcome: Any = None
                try:
                    if isinstance(step, More):
                        outcome = await anext(chunks, b"") if chunks else b""
                        trip.observe()
                    elif isinstance(step, Send):
                        if response is not None:
                            await response.aclose()
                        if step.delay_seconds:
                            trip.announce(step)
                            await asyncio.sleep(step.delay_seconds)
                        response = await self._pools.aopen(trip.request(step))
                        trip.begin(response)
                        if step.stream and response.is_success:
                            chunks = response.aiter_bytes()
                        else:
                            await response.aread()
                        outcome = trip.arrived(response)
                    else:
                        yield step
                except httpx.HTTPError as failure:
                    step = operation.throw(trip.failed(failure))
                else:
                    step = operation.send(outcome)
        except StopIteration as end:
            yield Done(end.value)
        finally:
            operation.close()
            if response is not None:
                await response.aclose()

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
        copy.settings = self.settings
        copy._pools = self._pools.anew()
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        if self._pools.given:
            raise ParallelError(
                "A client with its own http_client= or http_async_client= cannot be pickled; "
                "build the adapter in the other process, or leave the HTTP client to the package."
            )
        return _unpickle, (self.settings.without_secrets(),)


def _unpickle(state: dict[str, Any]) -> ParallelClient:
    return ParallelClient.shared(Settings(**state))


_shared: WeakValueDictionary[Settings, ParallelClient] = WeakValueDictionary()
_shared_lock = threading.Lock()

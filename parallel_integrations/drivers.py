"""Carry operations out, blocking and awaiting: what there is two of, and nothing else."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack, ExitStack, closing
from types import GeneratorType
from typing import Any, Final, TypeAlias, TypeVar, cast

import httpx

from parallel_integrations.api.flow import Emit, Keep, More, Send
from parallel_integrations.api.settings import Settings
from parallel_integrations.connection import Body
from parallel_integrations.pieces import alast_piece, last_piece
from parallel_integrations.pools import Pools
from parallel_integrations.sharing import Do, Sharing, Wait
from parallel_integrations.trip import Trip
from parallel_integrations.usage import Usage

Result = TypeVar("Result")
Operation: TypeAlias = Generator[Send | More | Emit[Any], Any, Result]
"""A flow, a stream, or a flow that follows one."""

HAS_EVENTS: Final = (
    "This operation is a stream of events: iterate client.stream(…) or client.astream(…)."
)
HAS_A_RESULT: Final = (
    "This operation has a result and no events: client.run(…) or client.arun(…) gives it."
)


class Driver:
    """What carries a client's operations.

    Attributes:
        settings: How requests are made.
        usage: Where they are counted.
        pools: What sends them.
        sharing: What spares some of them; None without a cache.
    """

    def __init__(
        self, settings: Settings, usage: Usage, pools: Pools, sharing: Sharing | None = None
    ) -> None:
        self.settings = settings
        self.usage = usage
        self.pools = pools
        self.sharing = sharing

    def drive(
        self, operation: Operation[Any], results: list[Any] | None
    ) -> Generator[Any, None, None]:
        """Carry an operation out, blocking; yields its events, or puts its result aside.

        Args:
            operation: The operation.
            results: Takes the result of an operation without events; None for one that has them.

        Raises:
            TypeError: It is no operation, or one of the other kind.
            ValueError: It was carried out before.
        """
        _check_new(operation)
        emitted = False
        trip = Trip(self.settings, self.usage)
        response: httpx.Response | None = None
        chunks: Iterator[bytes] = iter(())
        try:
            step = next(operation)
            if results is not None and isinstance(step, Send) and step.stream:
                raise TypeError(HAS_EVENTS)
            while True:
                outcome: Any = None
                try:
                    if isinstance(step, More):
                        if step.seconds is None or response is None:
                            outcome = next(chunks, b"")
                        else:
                            outcome = last_piece(response, chunks, step.seconds)
                        trip.observe()
                    elif isinstance(step, Send):
                        if response is not None:
                            response.close()
                        if step.delay_seconds:
                            trip.announce(step)
                            time.sleep(step.delay_seconds)
                        request = trip.request(step)
                        if step.keep is not None and self.sharing is not None:
                            response = self._share(self.sharing, trip, request, step.keep)
                        else:
                            response = self.pools.open(request, trip.deadline)
                            trip.begin(response)
                            if step.stream and response.is_success:
                                chunks = iter(cast(Body, response.stream))
                            else:
                                response.read()
                        outcome = trip.arrived(response)
                    else:
                        if results is not None:
                            raise TypeError(f"{HAS_EVENTS} It began with {step.event!r:.300}.")
                        emitted = True
                        yield step.event
                except httpx.HTTPError as failure:
                    step = operation.throw(trip.failed(failure))
                else:
                    step = operation.send(outcome)
        except StopIteration as end:
            _put_aside(end.value, results, emitted=emitted)
        finally:
            operation.close()
            if response is not None:
                response.close()

    async def adrive(
        self, operation: Operation[Any], results: list[Any] | None
    ) -> AsyncGenerator[Any, None]:
        """Carry an operation out, awaiting; everything else as in `drive`."""
        _check_new(operation)
        emitted = False
        trip = Trip(self.settings, self.usage)
        response: httpx.Response | None = None
        chunks: AsyncIterator[bytes] | None = None
        try:
            step = next(operation)
            if results is not None and isinstance(step, Send) and step.stream:
                raise TypeError(HAS_EVENTS)
            while True:
                outcome: Any = None
                try:
                    if isinstance(step, More):
                        if chunks is None:
                            outcome = b""
                        elif step.seconds is None:
                            outcome = await anext(chunks, b"")
                        else:
                            outcome = await alast_piece(chunks, step.seconds)
                        trip.observe()
                    elif isinstance(step, Send):
                        if response is not None:
                            await response.aclose()
                        if step.delay_seconds:
                            trip.announce(step)
                            await asyncio.sleep(step.delay_seconds)
                        request = trip.request(step)
                        if step.keep is not None and self.sharing is not None:
                            response = await self._ashare(self.sharing, trip, request, step.keep)
                        else:
                            response = await self.pools.aopen(request, trip.deadline)
                            trip.begin(response)
                            if step.stream and response.is_success:
                                chunks = aiter(cast(Body, response.stream))
                            else:
                                await response.aread()
                        outcome = trip.arrived(response)
                    else:
                        if results is not None:
                            raise TypeError(f"{HAS_EVENTS} It began with {step.event!r:.300}.")
                        emitted = True
                        yield step.event
                except httpx.HTTPError as failure:
                    step = operation.throw(trip.failed(failure))
                else:
                    step = operation.send(outcome)
        except StopIteration as end:
            _put_aside(end.value, results, emitted=emitted)
        finally:
            operation.close()
            if response is not None:
                await response.aclose()

    def _share(
        self, sharing: Sharing, trip: Trip, request: httpx.Request, keep: Keep
    ) -> httpx.Response:
        with closing(sharing.share(trip, request, keep)) as talk:
            try:
                need = next(talk)
                while True:
                    try:
                        if isinstance(need, Wait):
                            got: Any = need.flight.wait(need.seconds)
                        elif isinstance(need, Do):
                            got = need.call()
                        else:
                            got = self._fetch(trip, request)
                    except httpx.HTTPError as failure:
                        need = talk.throw(failure)
                    else:
                        need = talk.send(got)
            except StopIteration as end:
                return cast(httpx.Response, end.value)

    async def _ashare(
        self, sharing: Sharing, trip: Trip, request: httpx.Request, keep: Keep
    ) -> httpx.Response:
        loop = asyncio.get_running_loop()
        with closing(sharing.share(trip, request, keep, loop)) as talk:
            try:
                need = next(talk)
                while True:
                    try:
                        if isinstance(need, Wait):
                            got: Any = await need.flight.wait_awaiting(need.seconds)
                        elif isinstance(need, Do):
                            got = await sharing.do(need)
                        else:
                            got = await self._afetch(trip, request)
                    except httpx.HTTPError as failure:
                        need = talk.throw(failure)
                    else:
                        need = talk.send(got)
            except StopIteration as end:
                return cast(httpx.Response, end.value)

    def _fetch(self, trip: Trip, request: httpx.Request) -> httpx.Response:
        response = self.pools.open(request, trip.deadline)
        with ExitStack() as failing:
            failing.callback(response.close)
            trip.begin(response)
            response.read()
            failing.pop_all()
        return response

    async def _afetch(self, trip: Trip, request: httpx.Request) -> httpx.Response:
        response = await self.pools.aopen(request, trip.deadline)
        async with AsyncExitStack() as failing:
            failing.push_async_callback(response.aclose)
            trip.begin(response)
            await response.aread()
            failing.pop_all()
        return response


def _check_new(operation: object) -> None:
    if not isinstance(operation, GeneratorType):
        raise TypeError(
            f"A client carries out what an operation returns, such as "
            f"search(SearchRequest(objective=…)), and this is a {type(operation).__name__}."
        )
    if operation.gi_frame is None:
        raise ValueError(
            "This operation was carried out before, and each goes once: make another, such as "
            "search(request)."
        )


def _put_aside(result: Any, results: list[Any] | None, *, emitted: bool) -> None:
    if results is not None:
        results.append(result)
    # A stream returns how long it took, if anything.
    elif not emitted and not isinstance(result, float | None):
        raise TypeError(HAS_A_RESULT)

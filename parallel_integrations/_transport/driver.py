"""Takes an operation's steps, blocking and awaiting: what there is two of, and nothing else."""

import asyncio
import logging
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, cast

import httpx

from parallel_integrations._protocol.flow import Do, Emit, More, Send, Wait
from parallel_integrations._transport.call_state import HAS_EVENTS, CallState
from parallel_integrations._transport.connection import Body
from parallel_integrations._transport.connection_pool import Pools
from parallel_integrations.errors import ArgumentTypeError

MAX_THREADS: Final = 8

log = logging.getLogger("parallel_integrations")


def take_step(call: CallState, pools: Pools) -> None:
    """Do what a call asks for next, blocking, and give its operation the outcome."""
    step = call.step
    try:
        if isinstance(step, More):
            if call.chunks is None:
                outcome: Any = b""
            elif step.seconds is None:
                outcome = next(call.chunks, b"")
            else:
                outcome = _last_chunk(call, step.seconds)
        elif isinstance(step, Send):
            # Before the pause: an open response would keep its connection from others.
            if call.response is not None:
                call.response.close()
            if step.delay_seconds:
                _announce(step)
                time.sleep(step.delay_seconds)
            request = call.request(step)
            response = pools.blocking().open(request, call.deadline)
            call.begin(response)
            if step.stream and response.is_success:
                call.chunks = iter(cast(Body, response.stream))
            else:
                response.read()
            outcome = call.arrived(response)
        elif isinstance(step, Wait):
            outcome = _wait(step)
        elif isinstance(step, Emit):
            raise ArgumentTypeError(f"{HAS_EVENTS} It began with {step.event!r:.300}.")
        else:
            outcome = cast(Do, step).call()
    except httpx.HTTPError as failure:
        call.throw(failure)
    else:
        call.send(outcome)


async def atake_step(call: CallState, pools: Pools) -> None:
    """As `take_step`, awaiting."""
    step = call.step
    try:
        if isinstance(step, More):
            if call.chunks is None:
                outcome: Any = b""
            elif step.seconds is None:
                outcome = await anext(call.chunks, b"")
            else:
                outcome = await _alast_chunk(call, step.seconds)
        elif isinstance(step, Send):
            if call.response is not None:
                await call.response.aclose()
            if step.delay_seconds:
                _announce(step)
                await asyncio.sleep(step.delay_seconds)
            request = call.request(step)
            response = await (await pools.awaiting()).open(request, call.deadline)
            call.begin(response)
            if step.stream and response.is_success:
                call.chunks = aiter(cast(Body, response.stream))
            else:
                await response.aread()
            outcome = call.arrived(response)
        elif isinstance(step, Wait):
            outcome = await _await(step)
        elif isinstance(step, Emit):
            raise ArgumentTypeError(f"{HAS_EVENTS} It began with {step.event!r:.300}.")
        else:
            outcome = await _call_in_thread(cast(Do, step))
    except httpx.HTTPError as failure:
        call.throw(failure)
    else:
        call.send(outcome)


def _announce(send: Send) -> None:
    log.info("%s %s again in %.1f s", send.method, send.path, send.delay_seconds)


def _last_chunk(call: CallState, seconds: float) -> bytes:
    """What may still come within a time, after which there is nothing; a connection is cut then."""
    response = cast(httpx.Response, call.response)
    if cast(Body, response.stream).end_within(seconds):
        try:
            return cast(bytes, next(call.chunks, b""))
        except httpx.TimeoutException:
            return b""
    # A client from outside: its reading can only be ended from another thread.
    network = response.extensions.get("network_stream")
    connection = network.get_extra_info("socket") if network is not None else None
    if connection is None:
        return b""  # with nothing to cut, the wait could be as long as the stream's idle timeout
    # A second handle on the same connection: the first is another library's, perhaps under TLS.
    handle = socket.fromfd(connection.fileno(), connection.family, connection.type)
    watch = threading.Timer(seconds, _cut, (handle,))
    watch.daemon = True
    try:
        watch.start()
        return cast(bytes, next(call.chunks, b""))
    except RuntimeError:  # no thread can be started
        return b""
    finally:
        watch.cancel()
        handle.close()


async def _alast_chunk(call: CallState, seconds: float) -> bytes:
    """As `_last_chunk`, awaiting."""
    try:
        async with asyncio.timeout(seconds):
            return cast(bytes, await anext(call.chunks, b""))
    except TimeoutError:
        return b""


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it has come to its end meanwhile
        connection.shutdown(socket.SHUT_RDWR)


def _wait(step: Wait) -> bool:
    if step.future is None:
        time.sleep(step.seconds)
        return False
    try:
        step.future.result(step.seconds)
    except TimeoutError:
        return False
    return True


async def _await(step: Wait) -> bool:
    if step.future is None:
        await asyncio.sleep(step.seconds)
        return False
    loop = asyncio.get_running_loop()
    is_done = asyncio.Event()

    def wake(_: object) -> None:
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(is_done.set)

    # Not asyncio.wrap_future: cancelling one who waits would cancel what all others wait for.
    step.future.add_done_callback(wake)
    try:
        async with asyncio.timeout(step.seconds):
            await is_done.wait()
    except TimeoutError:
        return False
    return True


class _Threads:
    """Threads for calls that block a moment.

    Not the loop's own: those may all be taken by blocking calls that wait for this one.
    """

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._process = 0

    def executor(self) -> ThreadPoolExecutor:
        """The threads of this process; those of its parent do not survive a fork."""
        if self._executor is None or self._process != os.getpid():
            self._process = os.getpid()
            self._executor = ThreadPoolExecutor(MAX_THREADS, "parallel-cache")
        return self._executor


_threads = _Threads()


async def _call_in_thread(step: Do) -> Any:
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads.executor(), step.call)
    except RuntimeError:  # the interpreter is about to end, or no thread can be started
        return step.call()

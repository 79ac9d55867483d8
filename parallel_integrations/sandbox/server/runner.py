"""The listening socket of a sandbox and the thread that serves it."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import uvicorn

from parallel_integrations.sandbox.server.connection import Connection
from parallel_integrations.sandbox.server.recorder import Recorder

START_SECONDS = 10
KEEP_ALIVE_SECONDS = 75
LAST_SECONDS = 0.2
BACKLOG = 2048
WORK_SECONDS = 60


class Running:
    """A listening socket and the thread that serves it.

    Args:
        port: TCP port; 0 takes a free one.

    Attributes:
        port: The port it listens on.
    """

    def __init__(self, app: object, recorder: Recorder, host: str, port: int) -> None:
        listener = _listen(host, port)
        self.port: int = listener.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                app,  # type: ignore[arg-type]
                # A class for each sandbox: uvicorn makes the connections itself and passes no
                # arguments.
                http=type("Connection", (Connection,), {"recorder": recorder}),
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                date_header=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                backlog=BACKLOG,
            )
        )
        self._thread = threading.Thread(
            target=asyncio.run,
            args=(self._server.serve([listener]),),
            name="parallel-sandbox",
            # A test that forgets to stop its sandbox must not keep the interpreter alive.
            daemon=True,
        )
        self._thread.start()
        if not self._server.ready.wait(START_SECONDS):
            self.stop()
            raise RuntimeError(f"the sandbox did not start within {START_SECONDS} s")

    def run(self, work: Callable[[], None]) -> None:
        """Do something between two requests, in the thread that handles them."""

        async def soon() -> None:
            work()

        self._server.submit(soon()).result(WORK_SECONDS)

    def stop(self) -> None:
        """Stop and wait until it has stopped."""
        self._server.stop()
        self._thread.join(START_SECONDS)


def _listen(host: str, port: int) -> socket.socket:
    # Without the protocol named, asyncio leaves Nagle's algorithm on: 40 ms per response.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """uvicorn without its tenth-of-a-second ticks, so that starting and stopping are instant."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready.set()
        await self._stopping.wait()

    def submit(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Have `work` done in the server's loop, from any thread."""
        if self._loop is None:
            raise RuntimeError("the server has not started")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self) -> None:
        """End `main_loop`, from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        open_now = [each for each in self.server_state.connections if isinstance(each, Connection)]
        for connection in open_now:
            # Closing in order would wait for a client that does not read.
            connection.transport.abort()
        await asyncio.gather(*(each.closed.wait() for each in open_now))
        if tasks := set(self.server_state.tasks):
            # Responses end by themselves when their client is gone; the rest is made to.
            _, late = await asyncio.wait(tasks, timeout=LAST_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for server in self.servers:
            await server.wait_closed()

"""`Sandbox`: the application behind a socket of its own, in a thread of its own."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from parallel_integrations.sandbox.app import Gate, build
from parallel_integrations.sandbox.connection import Connection
from parallel_integrations.sandbox.corpus import Corpus
from parallel_integrations.sandbox.faults import Faults
from parallel_integrations.sandbox.ledger import Ledger
from parallel_integrations.sandbox.recorder import RecordedRequest, Recorder
from parallel_integrations.sandbox.search import Index
from parallel_integrations.sandbox.world import (
    SANDBOX_TIME,
    Clock,
    World,
    python_reference_index,
)

START_SECONDS = 10
KEEP_ALIVE_SECONDS = 75
LAST_SECONDS = 0.2
BACKLOG = 2048


class Sandbox:
    """Parallel's web API on loopback: same paths, keys, bodies, errors and event streams.

    Args:
        pages: The web it searches: a folder of Markdown, HTML and text files, a `Corpus`, or None
            for the Python language reference that ships inside CPython.
        port: TCP port; 0 takes a free one.
        host: Address to listen on.
        api_key: The key it accepts. The default is public on purpose: it opens nothing else.
        gateway_token: If given, requests through a gateway prefix must carry
            ``cf-aig-authorization: Bearer <token>``.
        stream_done: Whether a chat stream ends with ``data: [DONE]``. The live service leaves it
            open, so clients must accept both.
        clock: Tells the time that answers carry. The default stands still, so that answers repeat
            byte for byte.
        seed: Seeds the dice of faults with a probability.

    Attributes:
        faults: Failures on order.
        api_key: The key it accepts.

    Raises:
        FileNotFoundError, NotADirectoryError, ValueError: If `pages` is no folder with pages.

    Example:
        >>> with Sandbox() as sandbox:
        ...     sandbox.url.startswith("http://127.0.0.1:")
        True
    """

    def __init__(
        self,
        pages: str | Path | Corpus | None = None,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        api_key: str = "sandbox-key",
        gateway_token: str | None = None,
        stream_done: bool = True,
        clock: Clock = lambda: SANDBOX_TIME,
        seed: int = 0,
    ) -> None:
        if pages is None:
            index = python_reference_index()
        else:
            index = Index(pages if isinstance(pages, Corpus) else Corpus.folder(pages))
        self.api_key = api_key
        self.faults = Faults(seed)
        self._world = World(index, clock=clock, stream_done=stream_done)
        self._recorder = Recorder()
        self._app = build(self._world, self.faults, self._recorder, Gate(api_key, gateway_token))
        self._host = host
        self._port = port
        self._running: _Running | None = None

    @property
    def url(self) -> str:
        """Its base URL, such as ``http://127.0.0.1:40123``.

        Raises:
            RuntimeError: If it is not running.
        """
        if self._running is None:
            raise RuntimeError("the sandbox is not running: use `with Sandbox()` or start()")
        port = self._running.port
        # Nobody can call "every address"; loopback is one of them.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def corpus(self) -> Corpus:
        """The pages it knows."""
        return self._world.corpus

    @property
    def ledger(self) -> Ledger:
        """What its answers would have cost."""
        return self._world.ledger

    @property
    def requests(self) -> Sequence[RecordedRequest]:
        """The requests since the start or the last reset, oldest first."""
        return self._recorder.requests

    @property
    def connections(self) -> int:
        """How many TCP connections it has accepted since it was made."""
        return self._recorder.connections

    @property
    def open_connections(self) -> int:
        """How many TCP connections are open now.

        One that a client just left counts for a moment longer, until the sandbox has read its end.
        """
        return self._recorder.open_connections

    def start(self) -> Self:
        """Start to listen; returns once requests are answered.

        Raises:
            RuntimeError: If it is running already.
            OSError: If the port is taken.
        """
        if self._running is not None:
            raise RuntimeError("the sandbox is running already")
        self._running = _Running(self._app, self._recorder, self._host, self._port)
        return self

    def stop(self) -> None:
        """Stop at once: open connections are closed, their answers end where they are.

        Stopping twice is no error. A stopped sandbox can be started again.
        """
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def reset(self) -> None:
        """Forget requests, ledger, faults, interactions and id counters; the pages stay."""
        self.faults.clear()
        self._recorder.clear()
        self._world.reset()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = self.url if self._running else "stopped"
        return f"<Sandbox {state}, {len(self.corpus)} pages>"


class _Running:
    """One start of a sandbox: a listening socket and the thread that serves it."""

    def __init__(self, app: object, recorder: Recorder, host: str, port: int) -> None:
        listener = _listen(host, port)
        self.port: int = listener.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                app,  # type: ignore[arg-type]
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
            daemon=True,
        )
        self._thread.start()
        if not self._server.ready.wait(START_SECONDS):
            self.stop()
            raise RuntimeError(f"the sandbox did not start within {START_SECONDS} s")

    def stop(self) -> None:
        self._server.stop()
        self._thread.join(START_SECONDS)


def _listen(host: str, port: int) -> socket.socket:
    # Without the protocol named, asyncio leaves Nagle's algorithm on: 40 ms per answer.
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
            # Answers end by themselves when their client is gone; the rest is made to.
            _, late = await asyncio.wait(tasks, timeout=LAST_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for server in self.servers:
            await server.wait_closed()

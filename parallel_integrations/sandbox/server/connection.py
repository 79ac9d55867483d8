"""uvicorn's HTTP/1.1 connection, with resets and early closes added."""

import asyncio
import socket
import struct
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from parallel_integrations.sandbox.server.recorder import Recorder

SETTLE_SECONDS = 0.005
"""Time the bytes before a reset get to reach the client, which may drop them with the reset."""


class Connection(H11Protocol):
    """One TCP connection. Applications reach it as ``scope["state"]["connection"]``.

    Attributes:
        closed: Set once the connection is gone, by either side.
    """

    recorder: Recorder

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # uvicorn hands this dict to the application as scope["state"]: the only way for an endpoint
        # to reach its own connection.
        super().__init__(config, server_state, {**app_state, "connection": self}, _loop)
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take over an accepted connection."""
        super().connection_made(transport)
        self.recorder.opened()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is gone."""
        super().connection_lost(exc)
        self.recorder.closed()
        self.closed.set()

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the client stays."""
        if seconds > 0:
            try:
                # A plain sleep would hold up stopping the sandbox by as much as the longest delay.
                await asyncio.wait_for(self.closed.wait(), seconds)
            except TimeoutError:
                return

    def write_raw(self, data: bytes) -> None:
        """Write bytes past the HTTP layer."""
        self.transport.write(data)

    async def end(self) -> None:
        """Close in order (FIN), even in the middle of a response."""
        self.transport.close()
        await self.closed.wait()

    async def reset(self) -> None:
        """Break the connection off (RST)."""
        await self.pause(SETTLE_SECONDS)
        raw: socket.socket | None = self.transport.get_extra_info("socket")
        if raw is not None and not self.closed.is_set():
            # A linger of 0 s makes the close a reset; by default the kernel closes in order.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
        await self.closed.wait()

"""Fault delivery: changes what the application sends on its way to the connection."""

import json
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from parallel_integrations.sandbox.server.connection import Connection
from parallel_integrations.sandbox.server.faults import Fault
from parallel_integrations.sandbox.server.responses import key_error, native_error

PIECES = 8
"""Into how many pieces `chunk_delay` divides a response that is no event stream."""
EMPTY_STATUSES = frozenset({204, 205, 304})

MESSAGES: Mapping[int, str] = {
    400: "Bad request",
    401: "Invalid API key (C.1)",
    402: "Insufficient credit in account, please check your plan and billing details.",
    403: "Forbidden",
    404: "Not found",
    408: "Still running",
    409: "Conflict",
    422: "Request validation error",
    429: "Rate limit exceeded",
}


async def refuse(fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
    """Respond in place of the operation, as `fault` says."""
    connection: Connection = scope["state"]["connection"]
    if fault.reset == "before":
        await connection.pause(fault.delay)
        await connection.reset()
        return
    if fault.redirect is not None:
        response = Response(status_code=307, headers={"location": fault.redirect})
    else:
        status = fault.status or 500
        message = MESSAGES.get(status, "Internal server error") + " (a fault of the sandbox)"
        if fault.echo_key:
            message += f", called with the key {caller_key(Headers(scope=scope))}"
        if status == 401:
            response = key_error(message)
        else:
            response = native_error(status, message, scope["state"]["ids"].reference())
        if status in EMPTY_STATUSES:
            response = Response(status_code=status)
    await response(scope, receive, Delivery(fault, scope, send))


def caller_key(headers: Headers) -> str:
    """Return the key a request carries, or an empty text."""
    return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")


class Delivery:
    """Sends the application's messages on, changed as `fault` says."""

    def __init__(self, fault: Fault, scope: Scope, send: Send) -> None:
        self._fault = fault
        self._scope = scope
        self._send = send
        self._connection: Connection = scope["state"]["connection"]
        self._streams = False
        self._started = False
        self._over = False
        self._sent = 0
        self._events = 0
        self._length = 0
        self._empty = False

    async def __call__(self, message: Message) -> None:
        """Send a message on, or what the fault makes of it."""
        if self._over or self._connection.closed.is_set():
            return
        if message["type"] == "http.response.start":
            await self._start(message)
        elif message["type"] == "http.response.body":
            await self._body(message)

    async def _start(self, message: Message) -> None:
        fault = self._fault
        await self._connection.pause(fault.delay)
        headers = MutableHeaders(raw=list(message["headers"]))
        status = message["status"]
        # An error of the operation itself says more than the status of the fault.
        if status < 300 and fault.status is not None:
            status = fault.status
        self._streams = headers.get("content-type", "").startswith("text/event-stream")
        if status in EMPTY_STATUSES:
            self._streams = False
            self._empty = True
            del headers["content-type"]
        if self._empty:
            del headers["content-length"]
        elif fault.body is not None:
            # A stream cannot be replaced event by event, so it becomes an ordinary response.
            self._streams = False
            headers["content-length"] = str(len(fault.body))
        if fault.retry_after is not None:
            headers["retry-after"] = str(fault.retry_after)
        if fault.content_type is not None:
            headers["content-type"] = fault.content_type
        for name, value in fault.headers.items():
            headers[name] = value
        self._length = int(headers.get("content-length", "0"))
        if fault.reset == "headers":
            self._over = True
            self._connection.write_raw(f"HTTP/1.1 {status} OK\r\ncontent-ty".encode())
            await self._connection.reset()
            return
        await self._send({**message, "status": status, "headers": headers.raw})

    async def _body(self, message: Message) -> None:
        fault = self._fault
        data: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        if self._empty:
            data, more = b"", False
        elif fault.body is not None:
            data, more = fault.body, False
        if self._streams:
            await self._event(data, more=more)
            return
        limit = fault.cut_after_bytes
        if fault.reset == "body" or fault.cut_after_events is not None:
            limit = len(data) // 2
        if limit is not None:
            # A cut that loses nothing would be none.
            data = data[: min(limit, self._length - 1)] if self._length else b""
        for piece in _pieces(data) if fault.chunk_delay else [data]:
            # Pauses lie between pieces. One before the first would be a `delay`.
            if self._started:
                await self._connection.pause(fault.chunk_delay)
            self._started = True
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        if limit is not None:
            await self._break_off()
        else:
            self._over = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _event(self, data: bytes, *, more: bool) -> None:
        fault = self._fault
        if data and self._events:
            await self._connection.pause(fault.chunk_delay)
        if fault.cut_after_events is not None and self._events >= fault.cut_after_events:
            await self._cut_stream()
            return
        if fault.cut_after_bytes is not None and self._sent + len(data) > fault.cut_after_bytes:
            rest = data[: fault.cut_after_bytes - self._sent]
            await self._send({"type": "http.response.body", "body": rest, "more_body": True})
            await self._break_off()
            return
        if fault.reset == "body" and self._events == 1:
            half = data[: len(data) // 2]
            await self._send({"type": "http.response.body", "body": half, "more_body": True})
            await self._break_off()
            return
        if not more and (fault.cuts or fault.reset == "body"):
            # The stream was shorter than the cut: it still must not end in order.
            await self._break_off()
            return
        self._events += bool(data)
        self._sent += len(data)
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def _cut_stream(self) -> None:
        if not self._fault.error_event:
            await self._break_off()
            return
        error = {
            "message": "Internal server error (a fault of the sandbox)",
            "type": "server_error",
        }
        if self._fault.echo_key:
            error["message"] += f" for the key {caller_key(Headers(scope=self._scope))}"
        event = f"data: {json.dumps({'error': error})}\n\n".encode()
        # A server that fails in the middle of a stream can still say so: an event, then an orderly
        # end.
        orderly = self._fault.cut == "fin"
        self._over = orderly
        await self._send({"type": "http.response.body", "body": event, "more_body": not orderly})
        if not orderly:
            await self._break_off()

    async def _break_off(self) -> None:
        self._over = True
        if self._fault.cut == "reset" or self._fault.reset == "body":
            await self._connection.reset()
        else:
            await self._connection.end()


def _pieces(data: bytes) -> list[bytes]:
    size = max(1, -(-len(data) // PIECES))
    return [data[at : at + size] for at in range(0, len(data), size)]

"""Wire recorder: keeps what is sent to the sandboxes and scripted servers of this process.

It uses their own hooks. In a sandbox it is ASGI middleware between the faults and the operations:
it sees what the client sent and what the sandbox itself responded, before a fault spoiled that. Of
a scripted server it sees the requests.
"""

from typing import Self
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parallel_integrations.sandbox import Sandbox
from tests.support.contract import Exchange, operation_of, without_gateway
from tests.support.raw_server import RawServer


class WireRecorder:
    """Keeps exchanges until they are taken. The servers' threads share it."""

    def __init__(self) -> None:
        self._seen: list[_Watched] = []
        self._sent: list[Exchange] = []

    def __enter__(self) -> Self:
        Sandbox.middleware.append(self._watching)
        RawServer.observers.append(self._observe)
        return self

    def __exit__(self, *exc_info: object) -> None:
        Sandbox.middleware.remove(self._watching)
        RawServer.observers.remove(self._observe)

    def take(self) -> list[Exchange]:
        """What went to sandboxes since the last time."""
        seen, self._seen = self._seen, []
        exchanges = [each.exchange() for each in seen if each.status]
        return [each for each in exchanges if not _is_no_operation(each)]

    def take_requests(self) -> list[Exchange]:
        """What went to scripted servers since the last time."""
        sent, self._sent = self._sent, []
        return sent

    def _watching(self, app: ASGIApp) -> ASGIApp:
        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            exchange = _Watched(scope)
            self._seen.append(exchange)
            await exchange.run(app, receive, send)

        return watched

    def _observe(self, request: bytes, status: int) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        method, target, _ = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        path, _, query = target.partition("?")
        self._sent.append(
            Exchange(
                method=method,
                path=without_gateway(path),
                query=tuple(parse_qsl(query, keep_blank_values=True)),
                body=body,
                status=status,
                content_type="",
                response=b"",
            )
        )


def _is_no_operation(exchange: Exchange) -> bool:
    """Whether the sandbox said that it has no such operation; ours may lack none that it has."""
    unknown = operation_of(exchange.method, exchange.path) is None
    return unknown and exchange.status in (404, 405)


class _Watched:
    """One exchange with a sandbox, as far as it has come."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._body = bytearray()
        self._response = bytearray()
        self._content_type = ""
        self._is_whole = False
        self.status = 0

    async def run(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        """Let the application respond, and keep both sides."""

        async def receiving() -> Message:
            message = await receive()
            self._body += message.get("body", b"")
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self._content_type = Headers(raw=message["headers"]).get("content-type", "")
            elif message["type"] == "http.response.body":
                self._response += message.get("body", b"")
                self._is_whole = not message.get("more_body", False)
            await send(message)

        await app(self._scope, receiving, sending)

    def exchange(self) -> Exchange:
        """The exchange so far."""
        query = self._scope["query_string"].decode("latin-1")
        return Exchange(
            method=self._scope["method"],
            path=self._scope["path"],
            query=tuple(parse_qsl(query, keep_blank_values=True)),
            body=bytes(self._body),
            status=self.status,
            content_type=self._content_type,
            response=bytes(self._response),
            whole=self._is_whole,
        )

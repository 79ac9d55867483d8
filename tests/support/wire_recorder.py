"""Sees what is said to the API in this process, whoever plays it.

With a sandbox it stands between the operations and the faults that spoil their answers, so what it
sees is what the client sent and what the sandbox itself had to say. Of a client that talks to
something else (a mock, a cassette, a raw server), it sees the requests.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self, cast

import httpx
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from parallel_integrations._transport.call_state import CallState
from parallel_integrations.sandbox.server import app
from tests.support.contract import Exchange

_GATEWAY: Final = re.compile(r"^/v1/[^/]+/[^/]+/(?:parallel|compat)(?=/)")


class WireRecorder:
    """Keeps what was said until it is taken. The sandboxes' threads share it."""

    def __init__(self) -> None:
        self._seen: list[_Watched] = []
        self._sent: list[Exchange] = []
        self._endpoint: Any = None
        self._arrived: Any = None

    def __enter__(self) -> Self:
        self._endpoint = app._endpoint
        app._endpoint = self._watching  # type: ignore[assignment]
        arrived: Any = CallState.arrived
        self._arrived = arrived

        def noting(call: CallState, response: httpx.Response) -> httpx.Response:
            self._sent.append(_sent(response.request, response.status_code))
            return cast(httpx.Response, arrived(call, response))

        CallState.arrived = noting  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *exc_info: object) -> None:
        app._endpoint = self._endpoint
        CallState.arrived = self._arrived  # type: ignore[method-assign]

    def take(self) -> list[Exchange]:
        """What was said to sandboxes since the last time."""
        seen, self._seen = self._seen, []
        return [each.exchange() for each in seen]

    def take_requests(self, besides: Iterable[Exchange]) -> list[Exchange]:
        """What clients sent since the last time, besides what is known from the sandboxes."""
        sent, self._sent = self._sent, []
        known = {_request_of(each) for each in besides}
        return [each for each in sent if _request_of(each) not in known]

    def _watching(self, *args: Any) -> Any:
        endpoint = self._endpoint(*args)

        async def watched(request: Request) -> "_Watched":
            exchange = _Watched(request, await request.body(), await endpoint(request))
            self._seen.append(exchange)
            return exchange

        return watched


def _request_of(exchange: Exchange) -> tuple[object, ...]:
    return exchange.method, exchange.path, exchange.query, exchange.body


def _sent(request: httpx.Request, status: int) -> Exchange:
    path = _GATEWAY.sub("", request.url.path)
    query = tuple(request.url.params.multi_items())
    return Exchange(request.method, path, query, request.content, status, "", b"")


@dataclass(eq=False)
class _Watched:
    """An answer on its way out; notes what it is made of."""

    request: Request
    content: bytes
    response: Any

    def __post_init__(self) -> None:
        self.sent = bytearray()
        self.whole = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.body":
                self.sent += message.get("body", b"")
                self.whole = not message.get("more_body", False)
            await send(message)

        await self.response(scope, receive, noting)

    def exchange(self) -> Exchange:
        """What was said so far."""
        return Exchange(
            method=self.request.method,
            path=self.request.scope["path"],
            query=tuple(self.request.query_params.multi_items()),
            body=self.content,
            status=self.response.status_code,
            content_type=self.response.headers.get("content-type", ""),
            answer=bytes(self.sent),
            whole=self.whole,
        )

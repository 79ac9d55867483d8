"""Sees every exchange with every sandbox of this process, from the sandbox's side of the wire.

It stands between the sandbox's operations and the faults that spoil their answers, so what it sees
is what the client sent and what the sandbox itself had to say.
"""

from dataclasses import dataclass
from typing import Any, Self

from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from parallel_integrations.sandbox import app
from tests.support.contract import Exchange


class Witness:
    """Keeps the exchanges until they are taken. The sandboxes' threads share it."""

    def __init__(self) -> None:
        self._seen: list[_Watched] = []
        self._original: Any = None

    def __enter__(self) -> Self:
        self._original = app._endpoint
        app._endpoint = self._watching  # type: ignore[assignment]
        return self

    def __exit__(self, *exc_info: object) -> None:
        app._endpoint = self._original

    def take(self) -> list[Exchange]:
        """What was seen since the last time."""
        seen, self._seen = self._seen, []
        return [each.exchange() for each in seen]

    def _watching(self, *args: Any) -> Any:
        endpoint = self._original(*args)

        async def watched(request: Request) -> "_Watched":
            exchange = _Watched(request, await request.body(), await endpoint(request))
            self._seen.append(exchange)
            return exchange

        return watched


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

"""Operations: path and handler, the call it is given and the result it returns."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request

from parallel_integrations.sandbox.server.connection import Connection
from parallel_integrations.sandbox.server.responses import Model, parse
from parallel_integrations.sandbox.state.ledger import Entry
from parallel_integrations.sandbox.state.state import State


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one operation, after its key was accepted."""

    state: State
    request: Request
    content: bytes

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the client stays."""
        connection: Connection = self.request.scope["state"]["connection"]
        await connection.pause(seconds)

    @property
    def is_left(self) -> bool:
        """Whether the client has gone."""
        connection: Connection = self.request.scope["state"]["connection"]
        return connection.closed.is_set()

    def has_beta(self, name: str) -> bool:
        """Whether the header ``parallel-beta`` names a version."""
        named = self.request.headers.get("parallel-beta", "").split(",")
        return name in (each.strip() for each in named)

    def parse(self, model: type[Model]) -> Model:
        """Return the body as `model`, or raise the 422 that says why not."""
        return parse(model, self.content)


@dataclass(frozen=True, slots=True)
class Result:
    """What an operation responds with.

    Attributes:
        body: Sent as JSON; None together with 204 sends nothing.
        bill: What the call costs; entered in the ledger before the response is sent.
        events: Server-sent events, each a whole frame with its blank line, sent instead of `body`.
            The generator is closed when the client leaves.
    """

    body: object = None
    status: int = 200
    bill: Entry | None = None
    events: AsyncIterator[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the API.

    Attributes:
        name: Its name, as in the ledger.
        path: Path with ``{parameters}``, without gateway prefix.
        framework_errors: Whether its responses to validation errors are ``{"detail": […]}``.
        openai_errors: Whether its errors are in OpenAI's envelope.
        bearer: Whether it takes the key as ``Authorization: Bearer`` besides ``x-api-key``.
        anonymous: Whether it can be used without any key.
    """

    name: str
    method: str
    path: str
    handler: Handler
    framework_errors: bool = False
    openai_errors: bool = False
    bearer: bool = False
    anonymous: bool = False


def has_no_key(request: Request) -> bool:
    """Whether a request comes without any key, not even a wrong one."""
    return not any(name in request.headers for name in ("x-api-key", "authorization"))

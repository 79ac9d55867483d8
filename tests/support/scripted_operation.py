"""Operations run by a script without network and time, or by a client, blocking and awaiting."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import pytest

from parallel_integrations import NotFoundError, ParallelClient, ParallelError
from parallel_integrations._protocol.flow import Emit, More, Send
from parallel_integrations._protocol.retry import CONDITIONS_KEY, LAST_RESPONSE_SECONDS, Conditions
from parallel_integrations.api import search, stream_chat
from tests.support.requests import CHAT, SEARCH

E = TypeVar("E", bound=ParallelError)

BOTH = pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])


async def run(client: ParallelClient, flow: Any, *, awaiting: bool) -> Any:
    """An operation's result, blocking or awaiting."""
    return await client.arun(flow) if awaiting else client.run(flow)


async def listen(client: ParallelClient, stream: Any, *, awaiting: bool) -> list[Any]:
    """A stream's events, blocking or awaiting."""
    if awaiting:
        return [event async for event in client.astream(stream)]
    return list(client.stream(stream))


async def not_found(
    client: ParallelClient, operations: Iterable[Any], stream: Any, *, awaiting: bool
) -> list[NotFoundError]:
    """The errors of operations and of a stream on something that there is not."""
    errors = []
    for operation in operations:
        with pytest.raises(NotFoundError) as caught:
            await run(client, operation, awaiting=awaiting)
        errors.append(caught.value)
    with pytest.raises(NotFoundError) as caught:
        await listen(client, stream, awaiting=awaiting)
    return [*errors, caught.value]


async def errors_of_all(client: ParallelClient, error: type[E]) -> list[E]:
    """The errors of a blocking search, an awaiting one and a streamed chat, in this order."""
    with pytest.raises(error) as blocking:
        client.run(search(SEARCH))
    with pytest.raises(error) as awaiting:
        await client.arun(search(SEARCH))
    with pytest.raises(error) as streaming:
        list(client.stream(stream_chat(CHAT)))
    return [each.value for each in (blocking, awaiting, streaming)]


@dataclass
class After:
    """A response that takes its time.

    Attributes:
        seconds: How long.
        response: What comes then.
    """

    seconds: float
    response: Any


@dataclass
class ScriptPlayer:
    """Runs an operation with responses from a script and a clock of its own.

    A response is an `httpx.Response`, an `httpx.HTTPError`, a JSON value (200), or a list of chunks
    of an event stream, in which an `httpx.HTTPError` breaks it. `After` delays response and chunk.

    Attributes:
        script: The responses in order, the last one forever; or a function that gives them.
        max_retries: What the client would be set to.
        sends: What was sent.
        events: What was emitted.
        clock: Seconds that went by.
    """

    script: Callable[[Send], Any] | Iterable[Any]
    max_retries: int = 2
    sends: list[Send] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    clock: float = 0.0

    def __post_init__(self) -> None:
        self._conditions = Conditions(max_retries=self.max_retries)
        if not callable(self.script):
            responses = list(self.script)
            self._next_response = lambda _: responses.pop(0) if len(responses) > 1 else responses[0]
        else:
            self._next_response = self.script

    @property
    def calls(self) -> list[str]:
        """Method and path of what was sent."""
        return [f"{send.method} {send.path}" for send in self.sends]

    def play(self, operation: Any) -> Any:
        """The operation's result."""
        chunks: Any = iter(())
        request = httpx.Request("GET", "https://api.example")
        try:
            step = next(operation)
            while True:
                if isinstance(step, Emit):
                    self.events.append(step.event)
                    step = next(operation)
                    continue
                if isinstance(step, More):
                    outcome = next(chunks, b"")
                    if isinstance(outcome, After):
                        self.clock += outcome.seconds
                        outcome = outcome.response
                else:
                    request = httpx.Request(
                        step.method,
                        f"https://api.example{step.path}",
                        extensions={CONDITIONS_KEY: self._conditions},
                    )
                    self.sends.append(step)
                    assert len(self.sends) < 500, "it does not end"
                    self.clock += step.delay_seconds
                    outcome, chunks = self._received(self._next_response(step), request, step)
                self._conditions.elapsed_seconds = self.clock
                if isinstance(outcome, httpx.HTTPError):
                    outcome.request = request
                    step = operation.throw(outcome)
                else:
                    step = operation.send(outcome)
        except StopIteration as end:
            return end.value

    def _received(self, given: Any, request: httpx.Request, step: Send) -> tuple[Any, Any]:
        if isinstance(given, After):
            left = max(0.0, step.deadline_seconds - self.clock) + LAST_RESPONSE_SECONDS
            self.clock += min(given.seconds, left)
            given = given.response if given.seconds <= left else httpx.ReadTimeout("given up")
        if isinstance(given, httpx.HTTPError):
            return given, iter(())
        if isinstance(given, list):
            headers = {"content-type": "text/event-stream"}
            return httpx.Response(200, headers=headers, request=request), iter(given)
        if not isinstance(given, httpx.Response):
            given = httpx.Response(200, json=given)
        given.request = request
        return given, iter(())


FAILURES: dict[str, Callable[[], Any]] = {
    "connect error": lambda: httpx.ConnectError("no"),
    "connect timeout": lambda: httpx.ConnectTimeout("no"),
    "read timeout": lambda: httpx.ReadTimeout("no"),
    "reset": lambda: httpx.ReadError("no"),
    "hung up": lambda: httpx.RemoteProtocolError("no"),
    **{
        str(status): lambda status=status: httpx.Response(status, json={})
        for status in (404, 408, 409, 422, 429, 500, 502, 503, 504)
    },
}
_SURELY_NOT_DONE = {"connect error", "connect timeout", "429", "503"}
_NOT_REPEATED = {
    "create": FAILURES.keys() - _SURELY_NOT_DONE,
    "ask": {"404", "408", "409", "422", "read timeout"},
    "read": {"404", "409", "422"},
}


def check_repetitions(operation: Callable[[], Any], kind: str) -> None:
    """An operation sends three times, or once, as the retry table has it for its kind."""
    for name, failure in FAILURES.items():
        script_player = ScriptPlayer(lambda _, failure=failure: failure())
        with pytest.raises(ParallelError):
            script_player.play(operation())
        first = [send for send in script_player.sends if send.path == script_player.sends[0].path]
        expected = 1 if name in _NOT_REPEATED[kind] else 3
        assert len(first) == expected, f"{name}: {script_player.calls}"
        assert len({str(send.request.body("v1")) for send in first if send.request}) <= 1

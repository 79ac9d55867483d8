"""The state of one call: its operation, its clock, what it costs, and the open response."""

import time
from collections.abc import Callable, Mapping
from math import inf
from types import GeneratorType
from typing import Any, Final, Self, cast

import httpx

from parallel_integrations._protocol.error_mapping import MAX_ERROR_BYTES
from parallel_integrations._protocol.flow import Emit, Send, Step
from parallel_integrations._protocol.rendering import render
from parallel_integrations._protocol.retry import Conditions, RetryPolicy
from parallel_integrations._protocol.settings import Settings
from parallel_integrations._transport.connection import MIN_SECONDS, Body
from parallel_integrations._transport.usage import Counted, Usage
from parallel_integrations.errors import ArgumentTypeError, InvalidArgumentError, ParallelError
from parallel_integrations.models.shared import NOTHING, ApiResponse

HAS_EVENTS: Final = (
    "This operation is a stream of events: iterate client.stream(…) or client.astream(…)."
)
HAS_A_RESULT: Final = (
    "This operation has a result and no events: client.run(…) or client.arun(…) gives it."
)


class CallState:
    """One run of an operation: what is to be done next, and what it made of it.

    It sends and reads nothing. Leaving it, as a context manager, ends the operation where it is and
    closes its response.

    Args:
        operation: What an operation of `parallel_integrations.api` returned.
        settings: How requests are made.
        usage: Where they are counted.
        around: What a client with a cache puts around an operation; takes this state and it.

    Attributes:
        step: What is to be done next; None once the operation is over.
        result: What the operation returned.
        response: The last response, open while it is streamed.
        chunks: What is left of a streamed response: an iterator of bytes, or an async one.
        conditions: What the operation knows of its last request.
        deadline: Moment of `time.monotonic` by which the response must be whole, or where it is
            streamed, begin.

    Raises:
        TypeError: It is no operation.
        ValueError: It was carried out before.
    """

    __slots__ = (
        "_counted",
        "_created",
        "_has_emitted",
        "_operation",
        "_request",
        "_send",
        "_settings",
        "_started",
        "_usage",
        "chunks",
        "conditions",
        "deadline",
        "response",
        "result",
        "step",
    )

    def __init__(
        self,
        operation: Any,
        settings: Settings,
        usage: Usage,
        around: Callable[["CallState", Any], Any] | None = None,
    ) -> None:
        _check_new(operation)
        self._settings = settings
        self._usage = usage
        self._started = time.monotonic()
        self.conditions = Conditions(
            max_retries=settings.max_retries, retry_timeouts=settings.retry_timeouts
        )
        # What is around it is a generator too: it begins with the first step below, when all is
        # set.
        self._operation = operation if around is None else around(self, operation)
        self._send: Send | None = None
        self._counted: Counted | None = None
        self._created = False
        self._has_emitted = False
        self._request: httpx.Request | None = None
        self.step: Step | None = None
        self.result: Any = None
        self.response: httpx.Response | None = None
        self.chunks: Any = None
        self.deadline = inf
        self._resume(self._operation.send, None)

    def expect_result(self) -> None:
        """Refuse a stream of events before it is opened.

        Raises:
            TypeError: It is one.
        """
        if isinstance(self.step, Send) and self.step.stream:
            raise ArgumentTypeError(HAS_EVENTS)

    def expect_events(self) -> None:
        """Refuse an operation that is over, has a result and gave no event.

        Only now: an operation with events may begin with requests like any other.

        Raises:
            TypeError: It is one.
        """
        if self.result is not None and not self._has_emitted:
            raise ArgumentTypeError(HAS_A_RESULT)

    def send(self, outcome: Any) -> None:
        """Give the operation what came of its step."""
        self._observe()
        try:
            self._resume(self._operation.send, outcome)
        finally:  # what was read was paid for, whatever became of the operation
            if self._counted is not None and self.conditions.result is not None:
                self._settle(self._counted, self.conditions.result)

    def throw(self, failure: httpx.HTTPError) -> None:
        """Throw what broke into the operation."""
        self._resume(self._operation.throw, self.failed(failure))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._operation.close()
        if self.response is not None:
            self.response.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._operation.close()
        if self.response is not None:
            await self.response.aclose()

    def request(self, send: Send) -> httpx.Request:
        """The HTTP request of a step; its time begins at the first call of this method."""
        # The cache asks for the request of a step before the driver does: it is rendered once.
        if self._send is not send or self._request is None:
            self.conditions.response = self.conditions.result = self._counted = None
            self.conditions.is_begun = False
            self._send = send
            self._request = render(send, self._settings, self.conditions)
            self.deadline = time.monotonic() + self._request.extensions["timeout"]["read"]
        return self._request

    def begin(self, response: httpx.Response) -> None:
        """Note that the response's headers are there, count it, and bound its body."""
        self.response = self.conditions.response = response
        self.conditions.is_begun = True
        body = cast(Body, response.stream)
        if not response.is_success:  # of a stream, too, an error's page is read at once
            body.bound(deadline=self.deadline, max_bytes=MAX_ERROR_BYTES, cut_short=True)
            return
        self._created |= self._send is not None and self._send.retry is RetryPolicy.CREATE
        # Counted with the headers: a success is taken as billed, whether its body arrives or not.
        self._counted = self._usage.count(self._skus())
        max_bytes = self._settings.max_response_bytes
        if self._send is not None and self._send.stream:
            body.bound(deadline=inf, max_bytes=max_bytes, per_event=True)
        else:
            body.bound(deadline=self.deadline, max_bytes=max_bytes)

    def arrived(self, response: httpx.Response) -> httpx.Response:
        """The response to give to the operation."""
        self.conditions.response = None  # it would hold itself through its request
        self.conditions.now = time.time()
        self._observe()
        return response

    def failed(self, failure: httpx.HTTPError) -> httpx.HTTPError:
        """The transport's failure to throw into the operation."""
        if self._request is not None:
            failure.request = self._request
        self._observe()
        return failure

    def spared(self) -> None:
        """Count that a response came without a request of its own."""
        self._counted = self._usage.count(self._skus(), saved=True)

    def seconds_left(self) -> float:
        """How much of the time for the response is left."""
        return self.deadline - time.monotonic()

    def hurry(self) -> None:
        """Leave a request that is sent after some waiting the rest of its time."""
        if self._request is not None:
            left = max(self.seconds_left(), MIN_SECONDS)
            timeout = self._request.extensions["timeout"]
            timeout.update({name: min(seconds, left) for name, seconds in timeout.items()})

    def _resume(self, proceed: Callable[[Any], Step], outcome: Any) -> None:
        try:
            self.step = step = proceed(outcome)
            # For each chunk of a stream: a comparison, because `isinstance` would be a call.
            if step.__class__ is Emit:
                self._has_emitted = True
        except StopIteration as end:
            self.step, self.result = None, end.value
        except ParallelError as error:
            # Whatever failed after it: the whole operation, made again, would create another.
            error.repeatable = error.repeatable and not self._created
            raise

    def _settle(self, counted: Counted, result: object) -> None:
        """Correct what was counted by what the response, once it is read, shows to be billed."""
        self._counted = None
        if counted.skus and isinstance(result, ApiResponse):
            self._usage.settle(counted, result)

    def _observe(self) -> None:
        self.conditions.elapsed_seconds = time.monotonic() - self._started

    def _skus(self) -> Mapping[str, int]:
        request = self._send.request if self._send is not None else None
        if request is None:
            return NOTHING
        settings = self._settings
        if not settings.is_limited:
            return request.skus(settings.api_version)
        has_key = settings.api_key is not None
        return settings.route.skus(request, settings.api_version, has_key=has_key)


def _check_new(operation: object) -> None:
    if not isinstance(operation, GeneratorType):
        raise ArgumentTypeError(
            f"A client carries out what an operation returns, such as "
            f"search(SearchRequest(objective=…)), and this is a {type(operation).__name__}."
        )
    if operation.gi_frame is None:
        raise InvalidArgumentError(
            "This operation was carried out before, and each goes once: make another, such as "
            "search(request)."
        )

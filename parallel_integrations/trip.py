"""One run of a flow: its clock, its patience, and the conditions that the flow is told."""

import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from math import inf
from typing import Any, Final

import httpx

from parallel_integrations.api.error_mapping import LARGEST_ERROR_BYTES
from parallel_integrations.api.flow import Send
from parallel_integrations.api.models import NOTHING
from parallel_integrations.api.render import render
from parallel_integrations.api.retries import Conditions
from parallel_integrations.api.settings import Settings
from parallel_integrations.single_flight import Flight
from parallel_integrations.usage import Usage

SHORTEST_SECONDS: Final = 0.001

log = logging.getLogger("parallel_integrations")


class Trip:
    """One run of a flow: its clock, what it costs, and the conditions that the flow is told.

    Attributes:
        flight: The shared request that it was on last.
    """

    __slots__ = (
        "_conditions",
        "_request",
        "_send",
        "_settings",
        "_started",
        "_until",
        "_usage",
        "flight",
    )

    def __init__(self, settings: Settings, usage: Usage) -> None:
        self.flight: Flight | None = None
        self._settings = settings
        self._usage = usage
        self._started = time.monotonic()
        self._conditions = Conditions(
            max_retries=settings.max_retries, retry_timeouts=settings.retry_timeouts
        )

    def announce(self, send: Send) -> None:
        """Say in the log that something is sent again."""
        log.info("%s %s again in %.1f s", send.method, send.path, send.delay_seconds)

    def request(self, send: Send) -> httpx.Request:
        """The HTTP request of a step, with the conditions aboard."""
        self._conditions.answer = None
        self._send = send
        self._request = render(send, self._settings, self._conditions)
        patience = self._request.extensions["timeout"]["read"]
        self._until = None if send.stream else time.monotonic() + patience
        return self._request

    def begin(self, response: httpx.Response) -> None:
        """Note that the answer's head is there, count it, and bound its body."""
        self._conditions.answer = response
        if 200 <= response.status_code < 300 and self._send.request is not None:
            self._usage.add(self._skus())
        if not response.is_success:  # of a stream, too, an error's page is read at once
            until = time.monotonic() + self._request.extensions["timeout"]["read"]
            until = min(until, inf if self._until is None else self._until)
            response.stream = _Bounded(response.stream, until, LARGEST_ERROR_BYTES)
        elif self._until is not None:
            response.stream = _Bounded(response.stream, self._until, inf)

    @property
    def head(self) -> httpx.Response | None:
        """The answer's head, once it is there."""
        return self._conditions.answer

    @head.setter
    def head(self, response: httpx.Response | None) -> None:
        self._conditions.answer = response  # decides on repeating, also where it was another's

    def saved(self) -> None:
        """Count that an answer came without a request of its own."""
        self._usage.save(self._skus())

    def seconds_left(self) -> float:
        """How much of the patience for an answer is left."""
        return inf if self._until is None else self._until - time.monotonic()

    def hurry(self) -> None:
        """Leave a request that is sent after some waiting the rest of its patience."""
        left = max(self.seconds_left(), SHORTEST_SECONDS)
        timeout = self._request.extensions["timeout"]
        timeout.update({name: min(seconds, left) for name, seconds in timeout.items()})

    def arrived(self, response: httpx.Response) -> httpx.Response:
        """The answer to give to the flow."""
        self._conditions.answer = None  # it would hold itself through its request
        self._conditions.now = time.time()
        self.observe()
        return response

    def failed(self, failure: httpx.HTTPError) -> httpx.HTTPError:
        """The transport's failure to throw into the flow."""
        failure.request = self._request
        self.observe()
        return failure

    def observe(self) -> None:
        """Tell the flow how late it is."""
        self._conditions.elapsed_seconds = time.monotonic() - self._started

    def _skus(self) -> Mapping[str, int]:
        asked = self._send.request
        return NOTHING if asked is None else asked.skus(self._settings.api_version)


class _Bounded(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that must be whole by a moment: httpx's own timeout only bounds each silence.

    What comes beyond `most` bytes is not read.
    """

    def __init__(self, stream: Any, until: float, most: float) -> None:
        self._stream = stream
        self._until = until
        self._left = most

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._check(chunk)
            yield chunk
            if self._left < 0:
                return

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._check(chunk)
            yield chunk
            if self._left < 0:
                return

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _check(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if time.monotonic() > self._until:
            raise httpx.ReadTimeout("the answer kept coming for longer than the timeout")

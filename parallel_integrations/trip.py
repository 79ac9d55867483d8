"""One run of a flow: its clock, its patience, and the conditions that the flow is told."""

import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx

from parallel_integrations.api.flow import Conditions, Send
from parallel_integrations.api.render import render
from parallel_integrations.api.settings import Settings

log = logging.getLogger("parallel_integrations")


class Trip:
    """One run of a flow: its clock, and the conditions that the flow is told."""

    __slots__ = ("_conditions", "_request", "_settings", "_started", "_until")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
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
        self._request = render(send, self._settings, self._conditions)
        patience = self._request.extensions["timeout"]["read"]
        self._until = None if send.stream else time.monotonic() + patience
        return self._request

    def begin(self, response: httpx.Response) -> None:
        """Note that the answer's head is there, and bound the time of its body."""
        self._conditions.answer = response
        if self._until is not None:
            response.stream = _Hurried(response.stream, self._until)

    def arrived(self, response: httpx.Response) -> httpx.Response:
        """The answer to give to the flow."""
        self._conditions.answer = None  # it would hold itself through its request
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
        self._conditions.now = time.time()


class _Hurried(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that must be whole by a moment: httpx's own timeout only bounds each silence."""

    def __init__(self, stream: Any, until: float) -> None:
        self._stream = stream
        self._until = until

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            self._check()
            yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._check()
            yield chunk

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _check(self) -> None:
        if time.monotonic() > self._until:
            raise httpx.ReadTimeout("the answer kept coming for longer than the timeout")

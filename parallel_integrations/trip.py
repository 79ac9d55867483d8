"""One run of a flow: its clock, its patience, and the conditions that the flow is told."""

import logging
import time
from collections.abc import Mapping
from math import inf
from typing import cast

import httpx

from parallel_integrations.api.error_mapping import LARGEST_ERROR_BYTES
from parallel_integrations.api.flow import Send
from parallel_integrations.api.models import NOTHING
from parallel_integrations.api.render import render
from parallel_integrations.api.retries import Conditions
from parallel_integrations.api.settings import Settings
from parallel_integrations.connection import MIN_SECONDS, Body
from parallel_integrations.single_flight import Flight
from parallel_integrations.usage import Usage

log = logging.getLogger("parallel_integrations")


class Trip:
    """One run of a flow: its clock, what it costs, and the conditions that the flow is told.

    Attributes:
        flight: The shared request that it was on last.
        deadline: Moment of `time.monotonic` by which the response must be whole, or where it is
            streamed, begin.
    """

    __slots__ = (
        "_conditions",
        "_request",
        "_send",
        "_settings",
        "_started",
        "_usage",
        "deadline",
        "flight",
    )

    deadline: float

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
        self.deadline = time.monotonic() + patience
        return self._request

    def begin(self, response: httpx.Response) -> None:
        """Note that the response's headers are there, count it, and bound its body."""
        self._conditions.answer = response
        if 200 <= response.status_code < 300 and self._send.request is not None:
            self._usage.add(self._skus())
        body = cast(Body, response.stream)
        if not response.is_success:  # of a stream, too, an error's page is read at once
            body.bound(deadline=self.deadline, max_bytes=LARGEST_ERROR_BYTES, cut_short=True)
        elif self._send.stream:
            most = self._settings.max_response_bytes
            body.bound(deadline=inf, max_bytes=most, per_event=True)
        else:
            body.bound(deadline=self.deadline, max_bytes=self._settings.max_response_bytes)

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
        return self.deadline - time.monotonic()

    def hurry(self) -> None:
        """Leave a request that is sent after some waiting the rest of its patience."""
        left = max(self.seconds_left(), MIN_SECONDS)
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

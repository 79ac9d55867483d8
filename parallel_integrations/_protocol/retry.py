"""Retry table: when a step is sent again, and how long after."""

from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from math import isfinite
from random import uniform
from typing import Final

import httpx

from parallel_integrations.errors import ParallelError, StatusError

RETRY_AFTER_CAP_SECONDS: Final = 60.0
LAST_RESPONSE_SECONDS: Final = 1.0
"""How long after a deadline a response may still come: it is paid for."""
FIRST_BACKOFF_SECONDS: Final = 0.5
MAX_BACKOFF_SECONDS: Final = 8.0
CONDITIONS_KEY: Final = "parallel_integrations"


class RetryPolicy(Enum):
    """What may be sent again by itself. The API has no idempotency key."""

    READ = "read"
    """Status, results, events, update, cancel, memory: repeating changes nothing."""
    QUERY = "query"
    """Search, extract, chat: repeating costs a request, nothing else."""
    CREATE = "create"
    """A run, group, monitor …: repeated only when it surely was not executed."""


@dataclass(slots=True)
class Conditions:
    """What driver and flow know of a request; travels in `request.extensions`.

    Attributes:
        max_retries: How often one step may be repeated.
        retry_timeouts: Whether a QUERY may be repeated after a read timeout.
        response: The response, had its headers arrived when the transport failed.
        is_begun: Whether any byte of the response had come then.
        elapsed_seconds: Since the flow started.
        now: Seconds since the epoch, for a `Retry-After` date.
        result: What the flow read from the response.
    """

    max_retries: int = 2
    retry_timeouts: bool = False
    response: httpx.Response | None = None
    is_begun: bool = False
    elapsed_seconds: float = 0.0
    now: float = field(default=0.0)
    result: object = None


def conditions_of(outcome: httpx.Request | httpx.Response | httpx.HTTPError) -> Conditions:
    """The conditions that travel with a request, or did with the one behind what came of it."""
    try:
        request = outcome if isinstance(outcome, httpx.Request) else outcome.request
        found = request.extensions.get(CONDITIONS_KEY)
    except RuntimeError:  # httpx raises it where no request is attached
        found = None
    return found if isinstance(found, Conditions) else Conditions()


@dataclass(frozen=True, slots=True)
class Failure:
    """What came of sending something once, where it was no success.

    Attributes:
        error: Our error for it.
        cause: The transport's failure behind it.
        conditions: What the driver knows of the request.
    """

    error: ParallelError
    cause: httpx.HTTPError | None
    conditions: Conditions


def retry_after_seconds(response: httpx.Response, now: float) -> float | None:
    """Seconds that `Retry-After` (number or HTTP date) names; None if absent or nonsense."""
    value = response.headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until = epoch_seconds(value)
        if until is None:
            return None
        seconds = max(0.0, until - now)
    return seconds if isfinite(seconds) and seconds >= 0 else None


def requested_pause(error: ParallelError) -> float:
    """How long a server demands to be left alone, as far as it is obeyed."""
    return min(error.retry_after or 0.0, RETRY_AFTER_CAP_SECONDS)


def epoch_seconds(date: str) -> float | None:
    """Seconds since 1970 of an HTTP date; None where it is none."""
    try:
        read = parsedate_to_datetime(date)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):  # a year, or an offset, beyond all numbers
        return None


def may_retry(policy: RetryPolicy, failure: Failure) -> bool:
    """Whether a step that failed may be sent again by itself."""
    if failure.cause is not None:
        return _repeatable_failure(policy, failure.cause, failure.conditions)
    return isinstance(failure.error, StatusError) and _repeatable_status(
        policy, failure.error.status
    )


def _repeatable_status(policy: RetryPolicy, status: int) -> bool:
    if status == 429:  # refused before any work was done, so not billed either
        return True
    match policy:
        case RetryPolicy.READ:
            return status >= 500 or status == 408
        case RetryPolicy.QUERY:
            return status >= 500
        case RetryPolicy.CREATE:
            # 503 is how the API refuses work. Behind any other 5xx, the run may exist: without an
            # idempotency key, a repeated create is a second run and a second bill.
            return status == 503


def _repeatable_failure(
    policy: RetryPolicy, failure: httpx.HTTPError, conditions: Conditions
) -> bool:
    if isinstance(
        failure, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError
    ):
        return True  # no byte of the request left
    # A dropped connection or a timeout does not say whether a run was created. What cannot be
    # decoded, or written, is the same the next time.
    if policy is RetryPolicy.CREATE or isinstance(
        failure, httpx.DecodingError | httpx.LocalProtocolError | httpx.UnsupportedProtocol
    ):
        return False
    if policy is RetryPolicy.READ:
        return True
    # The query may have been carried out and billed; the price of a repetition is the caller's to
    # accept. Once the response has begun, it has been for certain.
    if isinstance(failure, httpx.TimeoutException):
        return conditions.retry_timeouts
    return not conditions.is_begun


def backoff_seconds(attempts: int) -> float:
    """How long to wait after so many attempts, where the server does not say."""
    doublings = min(attempts - 1, 10)  # beyond, the power may be more than a float can hold
    max_pause = min(FIRST_BACKOFF_SECONDS * 2.0**doublings, MAX_BACKOFF_SECONDS)
    return max_pause * uniform(0.75, 1.0)  # noqa: S311 - spreads clients, guards nothing

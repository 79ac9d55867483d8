"""Tries a call against a fault and says what is wrong with what came of it."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest
from pydantic import SecretStr

from parallel_integrations import ParallelClient, api, errors
from parallel_integrations._protocol.settings import Settings
from tests.faults.calls import Call, Connection, Step
from tests.faults.fault_payloads import WORDS
from tests.faults.faulty_api import KEY, Clock, FaultyApi, Injection, fast_clock
from tests.faults.secrets import Listener, leaks
from tests.faults.selection import ALL
from tests.faults.table import Expected, Fault

HANGS_SECONDS: Final = 20.0
TIMEOUT_SECONDS: Final = 10.0
SHORT_TIMEOUT_SECONDS: Final = 0.2
"""Where the fault is that nothing comes."""
MAX_TRIES: Final = 3
"""Of what a short timeout ends: a busy machine may let it pass before its time."""
MAX_CHARACTERS: Final = 2500
HTTP_LOGGERS: Final = ("httpx", "httpcore", "aiohttp")
MAX_SHOWN: Final = 40
_RIGHT: Final[dict[tuple[Call, bool], Any]] = {}
"""What comes of a call in good health, blocking and awaiting: the same in every trial."""


class HungError(Exception):
    """A call did not come back."""


@dataclass(frozen=True)
class Came:
    """What came of a call.

    Attributes:
        result: Its result.
        error: Its error.
        seconds: How long it took.
    """

    result: Any
    error: BaseException | None
    seconds: float


@dataclass(frozen=True)
class Attempt:
    """A call that is made while one of its requests gets bad responses.

    Attributes:
        name: What a failure is called by.
        call: The call.
        step: Which of its requests the fault strikes.
        fault: The fault.
        expected: What must come of it.
        times: How many of those requests it strikes; None means all.
        wrong: Says what else is wrong with what came of it.
    """

    name: str
    call: Call
    step: Step
    fault: Fault
    expected: Expected
    times: int | None = None
    wrong: Callable[[Came], list[str]] = lambda _: []


class Trial:
    """A scripted server, a client with one repetition, and what was found wrong so far.

    Args:
        clock: Writes pauses down.
        timeout: The client's timeout.
        deadline: For what waits.
    """

    def __init__(self, clock: Clock, *, timeout: float, deadline: float) -> None:
        self._clock = clock
        self._elsewhere = FaultyApi()
        self.server = FaultyApi(self._elsewhere.url)
        settings: dict[str, Any] = {
            "timeout": timeout,
            "max_retries": 1,
            "base_url": self.server.url,
        }
        # Adapters with the same settings share it as long as it is held here.
        self._client = ParallelClient.shared(Settings(api_key=SecretStr(KEY), **settings))
        self.connection = Connection(self._client, {"api_key": KEY, **settings}, deadline)
        self._log = Listener()
        self.wrong: list[str] = []
        self.sent = 0

    def __enter__(self) -> "Trial":
        self._elsewhere.__enter__()
        self.server.__enter__()
        root = logging.getLogger()
        # The only one while it lasts: other handlers would keep all of it as well.
        self._logging = root.level, root.handlers[:]
        root.handlers[:] = [self._log]
        root.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *exc_info: object) -> None:
        root = logging.getLogger()
        level, root.handlers[:] = self._logging
        root.setLevel(level)
        self._client.close()
        self.server.__exit__()
        self._elsewhere.__exit__()

    def try_out(self, attempt: Attempt) -> Came:
        """Make a call, blocking."""
        run = attempt.call.run
        assert run is not None
        for _ in self._tries():
            if (attempt.call, False) not in _RIGHT:
                self.server.begin(None)
                came = in_time(lambda: run(self.connection))
                if not self._is_right(attempt, came, awaited=False):
                    continue
            self._begin(attempt)
            came = in_time(lambda: run(self.connection))
            self._judge(attempt, came)
            health = in_time(lambda: self._client.run(api.list_monitors()))
            self._check_health(attempt.name, health)
        return came

    async def atry_out(self, attempt: Attempt) -> Came:
        """Make a call, awaiting."""
        arun = attempt.call.arun
        assert arun is not None
        for _ in self._tries():
            if (attempt.call, True) not in _RIGHT:
                self.server.begin(None)
                came = await ain_time(arun(self.connection))
                if not self._is_right(attempt, came, awaited=True):
                    continue
            self._begin(attempt)
            came = await ain_time(arun(self.connection))
            self._judge(attempt, came, awaited=True)
            health = await ain_time(self._client.arun(api.list_monitors()))
            await asyncio.to_thread(self._check_health, attempt.name, health)
        return came

    def close(self) -> None:
        """Close the client; nothing may stay open."""
        self._client.close()
        self._check_closed()

    async def aclose(self) -> None:
        """Close the client, awaiting."""
        await self._client.aclose()
        await asyncio.to_thread(self._check_closed)

    def _is_right(self, attempt: Attempt, came: Came, *, awaited: bool) -> bool:
        """Whether a call in good health has a result, which is noted."""
        if came.error is not None:
            self.wrong.append(f"{attempt.name}, in good health: {came.error!r}")
            return False
        _RIGHT[attempt.call, awaited] = came.result
        return True

    def _begin(self, attempt: Attempt) -> None:
        self._log.take()
        self._clock.pauses.clear()
        injection = Injection(attempt.step.matches, attempt.fault.payload, attempt.times)
        self.server.begin(injection)

    def _tries(self) -> Iterator[None]:
        """Once; where the timeout is short, again as long as something is wrong."""
        known = len(self.wrong)
        short = (self._client.settings.timeout or TIMEOUT_SECONDS) < TIMEOUT_SECONDS
        for _ in range(MAX_TRIES if short else 1):
            del self.wrong[known:]
            yield
            if len(self.wrong) == known:
                return

    def _check_closed(self) -> None:
        if left := self.server.settle(0):
            self.wrong.append(f"{left} connections are open after the client was closed")

    def _check_health(self, name: str, health: Came) -> None:
        if health.error is not None:
            self.wrong.append(f"{name}: the next call failed: {health.error!r}")
        if (left := self.server.settle(1)) > 1:
            self.wrong.append(f"{name}: {left} connections are open after the next call")
        if self._elsewhere.connections:
            self.wrong.append(f"{name}: another host was called")
            self._elsewhere.connections = 0

    def _judge(self, attempt: Attempt, came: Came, *, awaited: bool = False) -> None:
        call, step, fault = attempt.call, attempt.step, attempt.fault
        expected = attempt.expected
        pauses, received = list(self._clock.pauses), list(self.server.received)
        self.sent = sum(map(step.matches, received))
        self.server.begin(None)
        faults = [
            *_wrong_outcome(call, step, fault, expected, came, _RIGHT[call, awaited]),
            *_wrong_requests(call, step, fault, expected, received, pauses),
            *attempt.wrong(came),
        ]
        timeout = self._client.settings.timeout or 0
        waited = self.connection.deadline_seconds + 1  # a blocking result is held for whole seconds
        most = 2 * timeout + 2 * waited if fault.times_out or fault.huge else waited + 2
        if ALL and came.seconds > most:  # elsewhere a busy machine may be to blame
            faults.append(f"it took {came.seconds:.1f} s")
        if came.error is not None:
            faults += [f"{where} shows the key" for where in leaks(came.error, KEY)]
        faults += [f"the log shows the key: {line[:200]}" for line in self._leaked(fault)]
        self.wrong += [f"{attempt.name}: {each}" for each in faults]

    def _leaked(self, fault: Fault) -> Iterator[str]:
        for name, line in self._log.take():
            if KEY in line and not (fault.in_headers and name.startswith(HTTP_LOGGERS)):
                yield f"{name}: {line}"


def _wrong_outcome(
    call: Call, step: Step, fault: Fault, expected: Expected, came: Came, right: Any
) -> Iterator[str]:
    if isinstance(came.error, HungError):
        yield "it hangs"
        return
    if expected.error is None:
        if came.error is not None:
            yield f"the result was expected, not {came.error!r}"
        elif came.result != right:
            yield f"the result is wrong: {str(came.result)[:300]}"
        return
    if came.error is None:
        yield f"{expected.error.__name__} was expected, not {str(came.result)[:300]}"
        return
    error: BaseException | None = came.error
    if call.wrapped is not None:
        if type(error) is not call.wrapped:
            yield f"{call.wrapped.__name__} was expected, not {error!r}"
        error = came.error.__cause__
    if call.also is not None and not isinstance(error, call.also):
        yield f"{error!r} is no {call.also.__name__}"
    ours = type(error) if call.also is None else type(error).__bases__[0]
    if not isinstance(error, errors.ParallelError) or expected.error not in (ours, type(error)):
        yield f"{expected.error.__name__} was expected, not {error!r}"
        return
    if isinstance(error, errors.UnexpectedAnswerError) and error.status != 200:
        yield f"the error's status is {error.status}"
    for attribute, value in step.ids.items():
        if getattr(error, attribute) != value:
            yield f"the error has lost {attribute}"
    if fault.shows_message and expected.error is fault.outcome.error and WORDS not in str(error):
        yield f"the error has lost the server's words: {error}"
    if len(str(came.error)) > MAX_CHARACTERS:
        yield f"the error has {len(str(came.error))} characters"
    if fault.retry_after is not None and expected.error is fault.outcome.error:
        after = error.retry_after
        if after is None or abs(after - fault.retry_after) > 1.5:
            yield f"retry_after is {after}"


def _wrong_requests(
    call: Call,
    step: Step,
    fault: Fault,
    expected: Expected,
    received: list[str],
    pauses: list[float],
) -> Iterator[str]:
    sent = sum(map(step.matches, received))
    if expected.sent is not None and sent != expected.sent:
        yield f"{sent} requests were sent, not {expected.sent}"
    for other in call.steps:
        posts = sum(map(other.matches, received))
        if other is not step and other.place.startswith("POST") and posts > 1:
            yield f"{posts} requests were sent to {other.place}, which was in good health"
    if expected.pause is not None and not step.polled:
        low, high = expected.pause
        if len(pauses) != 1 or not low <= pauses[0] <= high:
            yield f"one pause of {low} to {high} s was expected, not {pauses}"


def in_time(run: Callable[[], Any]) -> Came:
    """Run in another thread, so that one that hangs costs one cell."""
    came: list[Came] = []

    def work() -> None:
        start = time.monotonic()
        result, error = None, None
        try:
            result = run()
        except BaseException as failure:  # noqa: BLE001 - whatever is raised is what came
            error = failure
        came.append(Came(result, error, time.monotonic() - start))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(HANGS_SECONDS)
    return came[0] if came else Came(None, HungError(), HANGS_SECONDS)


async def ain_time(awaitable: Any) -> Came:
    start = time.monotonic()
    result: Any = None
    error: BaseException | None = None
    try:
        async with asyncio.timeout(HANGS_SECONDS) as limit:
            result = await awaitable
    except TimeoutError as failure:
        error = HungError() if limit.expired() else failure
    except Exception as failure:  # noqa: BLE001 - whatever is raised is what came
        error = failure
    return Came(result, error, time.monotonic() - start)


@contextmanager
def trial(
    monkeypatch: pytest.MonkeyPatch, *, timeout: float = TIMEOUT_SECONDS, deadline: float = 5.0
) -> Iterator[Trial]:
    """A trial on a fast clock."""
    with (
        fast_clock(monkeypatch) as clock,
        Trial(clock, timeout=timeout, deadline=deadline) as one,
    ):
        yield one

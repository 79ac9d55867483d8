"""What must come of each fault: the errors, the repetitions, the pauses. Written by hand.

Nothing here is computed by the code under test. `sent` counts the requests where one repetition is
allowed (`max_retries=1`), by what a repetition would cost:

* READ, which changes nothing;
* QUERY, which costs a request;
* CREATE, which would be a second run, group or monitor on the bill.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from parallel_integrations import errors
from tests.faults import fault_payloads
from tests.faults.faulty_api import Payload


class Kind(Enum):
    """What a request is, and so what may become of it when it fails."""

    READ = "read"
    QUERY = "query"
    CREATE = "create"
    ADD = "add"
    """A CREATE whose lost response is looked for: the group shows whether the runs arrived."""
    GROUP = "free group"
    """A group that an enrichment makes: empty, it costs nothing, so it is made again."""
    ROWS = "rows"
    """An ADD of an enrichment, which also waits out rate limits."""
    LOOK = "look"
    """A READ of an enrichment: waited for until the deadline, and a group given up alone."""
    WAIT = "wait"
    """The blocking result of a task: slow responses mean "not yet"."""
    POLL = "poll"
    """The status of a group or a FindAll run, which is polled until the deadline."""
    COURTESY = "courtesy"
    """Progress that is nice to have: the result does not depend on it."""


class Sort(Enum):
    """What a healthy response is."""

    JSON = "json"
    NOTHING = "nothing"
    CHAT = "chat stream"
    EVENTS = "event stream"


@dataclass(frozen=True)
class Outcome:
    """What must come of a fault.

    Attributes:
        error: The error, exactly this class; None where the result must be right.
        sent: How many requests, for READ, QUERY and CREATE.
    """

    error: type[errors.ParallelError] | None
    sent: tuple[int, int, int] = (1, 1, 1)


@dataclass(frozen=True)
class Fault:
    """A fault and what must come of it.

    Attributes:
        name: What happens.
        payload: Makes it happen.
        outcome: What must come of it.
        otherwise: What must come of it where the healthy response is of another sort.
        pause: Seconds between which the pause before a repetition must lie.
        retry_after: What the error says the server requested, within a second; None if nothing.
        shows_message: Whether the error's message holds the server's own words.
        huge: Whether 50 MB are sent.
        times_out: Whether a timeout must end it.
        in_headers: Whether the server repeats the key in its headers, which HTTP libraries
            write into their own logs.
    """

    name: str
    payload: Payload
    outcome: Outcome
    otherwise: dict[Sort, Outcome] = field(default_factory=dict)
    pause: tuple[float, float] = (0.375, 0.5)
    retry_after: float | None = None
    shows_message: bool = False
    huge: bool = False
    times_out: bool = False
    in_headers: bool = False

    def outcome_for(self, sort: Sort) -> Outcome:
        """What must come of it for a sort of response."""
        return self.otherwise.get(sort, self.outcome)


SUCCESS: Final = Outcome(None)
LOST: Final = Outcome(errors.ConnectionFailedError, (2, 2, 1))
LOST_IN_HEADERS: Final = Outcome(errors.ConnectionFailedError, (2, 1, 1))
LOST_MIDWAY: Final = Outcome(errors.ConnectionFailedError, (2, 1, 1))
LATE: Final = Outcome(errors.RequestTimeoutError, (2, 1, 1))
UNREADABLE: Final = Outcome(errors.UnexpectedAnswerError)
TOO_MANY: Final = Outcome(errors.RateLimitError, (2, 2, 2))
BROKEN: Final = Outcome(errors.ServerError, (2, 2, 1))
BUSY: Final = Outcome(errors.ServerError, (2, 2, 2))

CUT: Final = {
    Sort.CHAT: Outcome(errors.StreamInterruptedError),
    Sort.EVENTS: Outcome(errors.StreamInterruptedError, (2, 0, 0)),
}
REOPENED: Final = (1.0, 1.0)
SLOW_PAGE: Final = {Sort.CHAT: UNREADABLE, Sort.EVENTS: UNREADABLE}
NO_MATTER: Final = {Sort.NOTHING: SUCCESS}


def _later(
    status: int, after: Any, outcome: Outcome, seconds: float, *, name: str = "", **more: Any
) -> Fault:
    """A refusal that says when to come back."""
    return Fault(
        f"{status}, Retry-After: {name or after}",
        fault_payloads.status(status, retry_after=after),
        outcome,
        retry_after=seconds,
        shows_message=True,
        **more,
    )


FAULTS: Final[tuple[Fault, ...]] = (
    Fault("reset before the headers", fault_payloads.reset, LOST),
    Fault("end before the headers", fault_payloads.end, LOST),
    Fault("reset within the headers", fault_payloads.reset_in_headers, LOST_IN_HEADERS),
    Fault("end within the headers", fault_payloads.end_in_headers, LOST_IN_HEADERS),
    Fault("reset within the body", fault_payloads.reset_in_body, LOST_MIDWAY, CUT),
    Fault("end within the body", fault_payloads.end_in_body, LOST_MIDWAY, CUT),
    Fault("no HTTP at all", fault_payloads.no_http, LOST_IN_HEADERS, in_headers=True),
    Fault("no bytes", fault_payloads.send_nothing, LATE, times_out=True),
    Fault(
        "200, slow body",
        fault_payloads.slow_body("200 OK", "application/json"),
        LATE,
        SLOW_PAGE,
        times_out=True,
    ),
    Fault(
        "500, slow body", fault_payloads.slow_body("500 Page", "text/html"), LATE, times_out=True
    ),
    Fault(
        "400", fault_payloads.status(400), Outcome(errors.InvalidRequestError), shows_message=True
    ),
    Fault(
        "401", fault_payloads.status(401), Outcome(errors.AuthenticationError), shows_message=True
    ),
    Fault(
        "402", fault_payloads.status(402), Outcome(errors.PaymentRequiredError), shows_message=True
    ),
    Fault(
        "403", fault_payloads.status(403), Outcome(errors.PermissionDeniedError), shows_message=True
    ),
    Fault("404", fault_payloads.status(404), Outcome(errors.NotFoundError), shows_message=True),
    Fault(
        "408",
        fault_payloads.status(408),
        Outcome(errors.StatusError, (2, 1, 1)),
        shows_message=True,
    ),
    Fault("409", fault_payloads.status(409), Outcome(errors.ConflictError), shows_message=True),
    *(
        Fault(f"422, {name} body", payload, Outcome(errors.InvalidRequestError), shows_message=True)
        for name, payload in fault_payloads.ERROR_BODIES.items()
    ),
    Fault("429", fault_payloads.status(429), TOO_MANY, shows_message=True),
    _later(429, "2", TOO_MANY, 2, pause=(2.0, 2.0)),
    _later(
        429,
        fault_payloads.in_half_a_minute,
        TOO_MANY,
        29.5,
        name="a date",
        pause=(28.0, 30.0),
    ),
    _later(429, "120", Outcome(errors.RateLimitError), 120),
    Fault("429, Retry-After: nonsense", fault_payloads.status(429, retry_after="soon"), TOO_MANY),
    Fault("500", fault_payloads.status(500), BROKEN, shows_message=True),
    Fault("500, 50 MB of HTML", fault_payloads.huge_page, BROKEN, huge=True),
    Fault("500, 50 MB of message", fault_payloads.huge_message, BROKEN, huge=True),
    Fault("502, HTML", fault_payloads.html(502), BROKEN, shows_message=True),
    Fault("503", fault_payloads.status(503), BUSY, shows_message=True),
    _later(503, "1", BUSY, 1, pause=(1.0, 1.0)),
    Fault("504", fault_payloads.status(504), BROKEN, shows_message=True),
    Fault("200, HTML", fault_payloads.html(200), UNREADABLE),
    Fault("200, nothing", fault_payloads.empty, UNREADABLE, NO_MATTER),
    Fault("200, truncated JSON", fault_payloads.truncated_json, UNREADABLE),
    Fault("200, wrong types", fault_payloads.wrong_types, UNREADABLE, NO_MATTER),
    Fault("200, wrong fields", fault_payloads.wrong_fields, UNREADABLE, NO_MATTER),
    Fault("200, 50 MB", fault_payloads.huge_response, SUCCESS, huge=True),
    Fault("200, gzip garbage", fault_payloads.gzip_garbage, UNREADABLE, CUT),
    *(
        Fault(
            f"{code} to another host",
            fault_payloads.redirect(code),
            Outcome(errors.StatusError),
            in_headers=True,
        )
        for code in (302, 307)
    ),
)

REFUSED: Final = Fault(
    "refused connection", fault_payloads.reset, Outcome(errors.ConnectionFailedError)
)
"""Nothing listens; whatever the kind, it is tried once more."""

NOT_YET: Final = frozenset(
    {
        "no bytes",
        "200, slow body",
        "500, slow body",
        "408",
        "502, HTML",
        "503",
        "503, Retry-After: 1",
        "504",
        "429",
        "429, Retry-After: 2",
        "429, Retry-After: a date",
        "429, Retry-After: 120",
        "429, Retry-After: nonsense",
    }
)
"""What a wait takes for "not yet"; the deadline ends it."""
COUNTED: Final = LOST, LOST_IN_HEADERS, BROKEN
"""What a wait gets over as often as it may repeat; what breaks only where nothing was reached."""


UNCERTAIN: Final = (
    errors.ConnectionFailedError,
    errors.RequestTimeoutError,
    errors.ServerError,
    errors.UnexpectedAnswerError,
)
"""After these a create may have been executed."""


@dataclass(frozen=True)
class Expected:
    """What must come of a cell.

    Attributes:
        error: The error, or None for the right result.
        sent: How many requests; None where that is a matter of time.
        pause: Seconds between which the one pause must lie; None where there may be others.
    """

    error: type[errors.ParallelError] | None
    sent: int | None
    pause: tuple[float, float] | None = None


def expected(fault: Fault, kind: Kind, sort: Sort, *, once: bool, first: bool) -> Expected:
    """What must come of a fault that strikes every such request, or only the first.

    Args:
        fault: The fault.
        kind: What the request is.
        sort: What its healthy response is.
        once: Whether only the first request is struck.
        first: Whether nothing comes before it.
    """
    outcome = fault.outcome_for(sort)
    if kind is Kind.COURTESY:
        return Expected(None, None)
    if kind in (Kind.WAIT, Kind.POLL):
        return _of_wait(fault, outcome, kind, once=once, first=first)
    if kind in (Kind.GROUP, Kind.ROWS):
        return _of_enrichment(fault, outcome, kind, once=once)
    if kind is Kind.LOOK:
        return _of_look(fault, outcome, once=once)
    column = {Kind.READ: 0, Kind.QUERY: 1}.get(kind, 2)
    sent = outcome.sent[column]
    error = None if once and sent > 1 else outcome.error
    if kind is Kind.ADD and error in UNCERTAIN:
        return Expected(None, sent)
    pause = REOPENED if outcome is CUT.get(Sort.EVENTS) else fault.pause
    return Expected(error, sent, pause if sent > 1 else None)


def _of_wait(fault: Fault, outcome: Outcome, kind: Kind, *, once: bool, first: bool) -> Expected:
    lost = outcome is LOST or outcome is LOST_IN_HEADERS
    broken = outcome is LOST_MIDWAY or (lost and not first)
    if fault.name in NOT_YET or broken:
        # For a result, the server is given whole seconds: one of them outlasts the deadline.
        late = not once or (fault.times_out and kind is Kind.WAIT)
        return Expected(errors.TaskTimeoutError, None) if late else Expected(None, 2)
    if outcome in COUNTED:
        return Expected(None if once else outcome.error, 2)
    if fault.name == "404" and kind is Kind.WAIT:  # the run may have ended just after
        return Expected(None, 2) if once else Expected(outcome.error, 3)
    return Expected(outcome.error, 1)


def _of_enrichment(fault: Fault, outcome: Outcome, kind: Kind, *, once: bool) -> Expected:
    if outcome is TOO_MANY or (kind is Kind.GROUP and outcome in (LATE, BROKEN, BUSY)):
        return Expected(None if once else outcome.error, None)
    if kind is Kind.ROWS and (outcome.error in UNCERTAIN or fault.name == "408"):
        return Expected(None, None if outcome is BUSY else 1)
    return Expected(outcome.error, 1)


def _of_look(fault: Fault, outcome: Outcome, *, once: bool) -> Expected:
    if outcome.error in (None, errors.AuthenticationError, errors.PaymentRequiredError):
        return Expected(outcome.error, 1)
    if once:
        return Expected(None, None)
    passing = (
        errors.ConnectionFailedError,
        errors.RateLimitError,
        errors.RequestTimeoutError,
        errors.ServerError,
    )
    late = outcome.error in passing or fault.times_out or fault.name == "408"
    return Expected(errors.TaskTimeoutError if late else errors.TaskFailedError, None)

"""What must come of each fault: the errors, the repetitions, the pauses. Written by hand.

Nothing here is computed by the code under test. `sent` counts the requests where one repetition is
allowed (`max_retries=1`), by what a repetition would cost:

* READ, which changes nothing;
* ASK, which costs a request;
* CREATE, which would be a second run, group or monitor on the bill.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from parallel_integrations import (
    AuthenticationError,
    ConflictError,
    ConnectionFailedError,
    InvalidRequestError,
    NotFoundError,
    ParallelError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StatusError,
    StreamInterruptedError,
    TaskFailedError,
    TaskTimeoutError,
    UnexpectedAnswerError,
)
from tests.faults import fault_payloads
from tests.faults.scripted_server import Payload


class Kind(Enum):
    """What a request is, and so what may become of it when it fails."""

    READ = "read"
    QUERY = "ask"
    CREATE = "create"
    ADD = "add"
    """A CREATE whose lost answer is looked for: the group tells whether the runs arrived."""
    GROUP = "free group"
    """A group that an enrichment makes: empty, it costs nothing, so it is made again."""
    ROWS = "rows"
    """An ADD of an enrichment, which also waits out rate limits."""
    LOOK = "look"
    """A READ of an enrichment: waited for until the deadline, and a group given up alone."""
    WAIT = "wait"
    """The blocking result of a task: slow answers mean "not yet"."""
    POLL = "poll"
    """The status of a group or a FindAll run, which is asked for until the deadline."""
    COURTESY = "courtesy"
    """Progress that is nice to have: the result does not depend on it."""


class Sort(Enum):
    """What a healthy answer is."""

    JSON = "json"
    NOTHING = "nothing"
    CHAT = "chat stream"
    EVENTS = "event stream"


@dataclass(frozen=True)
class Outcome:
    """What must come of a fault.

    Attributes:
        error: The error, exactly this class; None where the answer must be right.
        sent: How many requests, for READ, ASK and CREATE.
    """

    error: type[ParallelError] | None
    sent: tuple[int, int, int] = (1, 1, 1)


@dataclass(frozen=True)
class Fault:
    """A fault and what must come of it.

    Attributes:
        name: What happens.
        play: Makes it happen.
        outcome: What must come of it.
        otherwise: What must come of it where the healthy answer is of another sort.
        pause: Seconds between which the pause before a repetition must lie.
        retry_after: What the error says the server asked for, within a second; None if nothing.
        tells: Whether the error's message holds the server's own words.
        huge: Whether 50 MB are sent.
        times_out: Whether a timeout must end it.
        in_head: Whether the server repeats the key in the head of its answer, which HTTP libraries
            write into their own logs.
    """

    name: str
    play: Payload
    outcome: Outcome
    otherwise: dict[Sort, Outcome] = field(default_factory=dict)
    pause: tuple[float, float] = (0.375, 0.5)
    retry_after: float | None = None
    tells: bool = False
    huge: bool = False
    times_out: bool = False
    in_head: bool = False

    def outcome_for(self, sort: Sort) -> Outcome:
        """What must come of it for a sort of answer."""
        return self.otherwise.get(sort, self.outcome)


ANSWERED: Final = Outcome(None)
LOST: Final = Outcome(ConnectionFailedError, (2, 2, 1))
LOST_MIDWAY: Final = Outcome(ConnectionFailedError, (2, 1, 1))
LATE: Final = Outcome(RequestTimeoutError, (2, 1, 1))
UNREADABLE: Final = Outcome(UnexpectedAnswerError)
TOO_MANY: Final = Outcome(RateLimitError, (2, 2, 2))
BROKEN: Final = Outcome(ServerError, (2, 2, 1))
BUSY: Final = Outcome(ServerError, (2, 2, 2))

CUT: Final = {
    Sort.CHAT: Outcome(StreamInterruptedError),
    Sort.EVENTS: Outcome(StreamInterruptedError, (2, 0, 0)),
}
REOPENED: Final = (1.0, 1.0)
SLOW_PAGE: Final = {Sort.CHAT: UNREADABLE, Sort.EVENTS: UNREADABLE}
NO_MATTER: Final = {Sort.NOTHING: ANSWERED}

FAULTS: Final[tuple[Fault, ...]] = (
    Fault("reset before the head", fault_payloads.reset, LOST),
    Fault("end before the head", fault_payloads.end, LOST),
    Fault("reset within the head", fault_payloads.reset_in_head, LOST),
    Fault("end within the head", fault_payloads.end_in_head, LOST),
    Fault("reset within the body", fault_payloads.reset_in_body, LOST_MIDWAY, CUT),
    Fault("end within the body", fault_payloads.end_in_body, LOST_MIDWAY, CUT),
    Fault("no HTTP at all", fault_payloads.no_http, LOST, in_head=True),
    Fault("silence", fault_payloads.say_nothing, LATE, times_out=True),
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
    Fault("400", fault_payloads.status(400), Outcome(InvalidRequestError), tells=True),
    Fault("401", fault_payloads.status(401), Outcome(AuthenticationError), tells=True),
    Fault("402", fault_payloads.status(402), Outcome(PaymentRequiredError), tells=True),
    Fault("403", fault_payloads.status(403), Outcome(PermissionDeniedError), tells=True),
    Fault("404", fault_payloads.status(404), Outcome(NotFoundError), tells=True),
    Fault("408", fault_payloads.status(408), Outcome(StatusError, (2, 1, 1)), tells=True),
    Fault("409", fault_payloads.status(409), Outcome(ConflictError), tells=True),
    *(
        Fault(f"422, {name} body", play, Outcome(InvalidRequestError), tells=True)
        for name, play in fault_payloads.ERROR_BODIES.items()
    ),
    Fault("429", fault_payloads.status(429), TOO_MANY, tells=True),
    Fault(
        "429, Retry-After: 2",
        fault_payloads.status(429, retry_after="2"),
        TOO_MANY,
        pause=(2.0, 2.0),
        retry_after=2,
        tells=True,
    ),
    Fault(
        "429, Retry-After: a date",
        fault_payloads.status(429, retry_after=fault_payloads.in_half_a_minute),
        TOO_MANY,
        pause=(28.0, 30.0),
        retry_after=29.5,
        tells=True,
    ),
    Fault(
        "429, Retry-After: 120",
        fault_payloads.status(429, retry_after="120"),
        Outcome(RateLimitError),
        retry_after=120,
        tells=True,
    ),
    Fault("429, Retry-After: nonsense", fault_payloads.status(429, retry_after="soon"), TOO_MANY),
    Fault("500", fault_payloads.status(500), BROKEN, tells=True),
    Fault("500, 50 MB of HTML", fault_payloads.huge_page, BROKEN, huge=True),
    Fault("500, 50 MB of message", fault_payloads.huge_message, BROKEN, huge=True),
    Fault("502, HTML", fault_payloads.html(502), BROKEN, tells=True),
    Fault("503", fault_payloads.status(503), BUSY, tells=True),
    Fault(
        "503, Retry-After: 1",
        fault_payloads.status(503, retry_after="1"),
        BUSY,
        pause=(1.0, 1.0),
        retry_after=1,
        tells=True,
    ),
    Fault("504", fault_payloads.status(504), BROKEN, tells=True),
    Fault("200, HTML", fault_payloads.html(200), UNREADABLE),
    Fault("200, nothing", fault_payloads.empty, UNREADABLE, NO_MATTER),
    Fault("200, truncated JSON", fault_payloads.truncated_json, UNREADABLE),
    Fault("200, wrong types", fault_payloads.wrong_types, UNREADABLE, NO_MATTER),
    Fault("200, wrong fields", fault_payloads.wrong_fields, UNREADABLE, NO_MATTER),
    Fault("200, 50 MB", fault_payloads.huge_answer, ANSWERED, huge=True),
    Fault("200, gzip garbage", fault_payloads.gzip_garbage, UNREADABLE, CUT),
    *(
        Fault(
            f"{code} to another host",
            fault_payloads.redirect(code),
            Outcome(StatusError),
            in_head=True,
        )
        for code in (302, 307)
    ),
)

REFUSED: Final = Fault("refused connection", fault_payloads.reset, Outcome(ConnectionFailedError))
"""Nothing listens; whatever the kind, it is tried once more."""

NOT_YET: Final = frozenset(
    {
        "silence",
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
COUNTED: Final = LOST, BROKEN
"""What a wait gets over as often as it may repeat; what breaks only where nothing was reached."""


UNCERTAIN: Final = (
    ConnectionFailedError,
    RequestTimeoutError,
    ServerError,
    UnexpectedAnswerError,
)
"""After these a create may have been executed."""


@dataclass(frozen=True)
class Expected:
    """What must come of a cell.

    Attributes:
        error: The error, or None for the right answer.
        sent: How many requests; None where that is a matter of time.
        pause: Seconds between which the one pause must lie; None where there may be others.
    """

    error: type[ParallelError] | None
    sent: int | None
    pause: tuple[float, float] | None = None


def expected(fault: Fault, kind: Kind, sort: Sort, *, once: bool, first: bool) -> Expected:
    """What must come of a fault that strikes every such request, or only the first.

    Args:
        fault: The fault.
        kind: What the request is.
        sort: What its healthy answer is.
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
    broken = outcome is LOST_MIDWAY or (outcome is LOST and not first)
    if fault.name in NOT_YET or broken:
        # For a result, the server is given whole seconds: one silence outlasts the deadline.
        late = not once or (fault.times_out and kind is Kind.WAIT)
        return Expected(TaskTimeoutError, None) if late else Expected(None, 2)
    if outcome in COUNTED:
        return Expected(None if once else outcome.error, 2)
    return Expected(outcome.error, 1)


def _of_enrichment(fault: Fault, outcome: Outcome, kind: Kind, *, once: bool) -> Expected:
    if outcome is TOO_MANY or (kind is Kind.GROUP and outcome in (LATE, BROKEN, BUSY)):
        return Expected(None if once else outcome.error, None)
    if kind is Kind.ROWS and (outcome.error in UNCERTAIN or fault.name == "408"):
        return Expected(None, None if outcome is BUSY else 1)
    return Expected(outcome.error, 1)


def _of_look(fault: Fault, outcome: Outcome, *, once: bool) -> Expected:
    if outcome.error in (None, AuthenticationError, PaymentRequiredError):
        return Expected(outcome.error, 1)
    if once:
        return Expected(None, None)
    passing = (ConnectionFailedError, RateLimitError, RequestTimeoutError, ServerError)
    late = outcome.error in passing or fault.times_out or fault.name == "408"
    return Expected(TaskTimeoutError if late else TaskFailedError, None)

"""FindAll and entity search: entities of the web that match (docs/reference/facts.md, 10)."""

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final

from parallel_integrations._protocol.events import TimedFollower
from parallel_integrations._protocol.flow import Flow, Send, Stream, call, order
from parallel_integrations._protocol.paths import carrying, create, segment, waiting
from parallel_integrations._protocol.polling import DEADLINE_SECONDS, check_deadline, poll, within
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.errors import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    TaskFailedError,
    UnexpectedAnswerError,
)
from parallel_integrations.models.findall import (
    EVENTS,
    CreateFindallRunRequest,
    EnrichFindallRequest,
    EntitySearchRequest,
    EntitySearchResponse,
    ExtendFindallRequest,
    FindallResult,
    FindallRun,
    FindallSchema,
    FindallStatusEvent,
    IngestFindallRequest,
)
from parallel_integrations.models.prices import entity_skus
from parallel_integrations.models.shared import ApiVersion, ModelT, RequestModel, StreamEvent

BETAS: Final = ("findall-2025-09-15",)
INGEST_TIMEOUT_SECONDS: Final = 120.0


def ingest_findall(request: IngestFindallRequest) -> Flow[FindallSchema]:
    """Turn an objective in words into a schema to edit and run.

    Args:
        request: The objective.

    Returns:
        A flow whose result is the `FindallSchema`; give it to
        `CreateFindallRunRequest.from_schema`.
    """
    IngestFindallRequest.expect(request)
    send = Send(
        "POST",
        "/v1beta/findall/ingest",
        request,
        retry=RetryPolicy.QUERY,
        timeout_seconds=INGEST_TIMEOUT_SECONDS,
        betas=BETAS,
    )
    return call(send, FindallSchema)


def create_findall_run(request: CreateFindallRunRequest) -> Flow[FindallRun]:
    """Start a FindAll run; it has a fixed price and one per match.

    Args:
        request: What to find.

    Returns:
        A flow whose result is the `FindallRun`.
    """
    CreateFindallRunRequest.expect(request)
    send = Send("POST", "/v1beta/findall/runs", request, retry=RetryPolicy.CREATE, betas=BETAS)
    return create(send, FindallRun, "findall_id", "FindAll run")


def retrieve_findall_run(findall_id: str) -> Flow[FindallRun]:
    """Look up how a run stands.

    Args:
        findall_id: Its id.

    Returns:
        A flow whose result is the `FindallRun`.
    """
    return _read(findall_id, FindallRun)


def findall_result(findall_id: str) -> Flow[FindallResult]:
    """Fetch what a run has found so far, at any time.

    Args:
        findall_id: Its id.

    Returns:
        A flow whose result is the `FindallResult`.
    """
    result = yield from _read(findall_id, FindallResult, "/result")
    result.run.findall_id = result.run.findall_id or findall_id
    return result


def findall_schema(findall_id: str) -> Flow[FindallSchema]:
    """Look up the schema a run works by, enrichments included.

    Args:
        findall_id: Its id.

    Returns:
        A flow whose result is the `FindallSchema`.
    """
    return _read(findall_id, FindallSchema, "/schema")


def findall_events(
    findall_id: str, *, last_event_id: str | None = None, timeout: float | None = None
) -> Stream[StreamEvent]:
    """Follow a run until it ends.

    Args:
        findall_id: Its id.
        last_event_id: Begin after this event; `FindallResult.last_event_id` is one.
        timeout: Seconds after which the server ends the stream; without it, the stream is opened
            again until the run is over.

    Returns:
        A stream of `FindallStatusEvent`, `FindallSchemaEvent` and `FindallCandidateEvent`.
    """
    follower = _FindallFollower(findall_id, last_event_id, timeout)
    with carrying(findall_id=findall_id):
        yield from follower.events()


class _FindallFollower(TimedFollower):
    """Follows a FindAll run."""

    def __init__(self, findall_id: str, last_event_id: str | None, timeout: float | None) -> None:
        send = replace(_read_run(findall_id, "/events"), stream=True)
        super().__init__(send, EVENTS, last_event_id, timeout)
        self.findall_id = findall_id

    def is_new(self, event: StreamEvent) -> bool:
        if isinstance(event, FindallStatusEvent) and event.data.status is not None:
            self.is_active = not event.data.is_over
        return True

    def look_up(self) -> Flow[bool]:
        return (yield from retrieve_findall_run(self.findall_id)).is_over


def _read(findall_id: str, response_type: type[ModelT], what: str = "") -> Flow[ModelT]:
    with carrying(findall_id=findall_id):
        return (yield from call(_read_run(findall_id, what), response_type))


def _read_run(findall_id: str, what: str = "") -> Send:
    """Read a run, or a part of it."""
    return Send("GET", _run_path(findall_id) + what, retry=RetryPolicy.READ, betas=BETAS)


def _run_path(findall_id: str) -> str:
    """Where a run is found."""
    return f"/v1beta/findall/runs/{segment('findall_id', findall_id)}"


CANCELLED_REASON: Final = "user_cancelled"


def enrich_findall(findall_id: str, request: EnrichFindallRequest) -> Flow[FindallSchema]:
    """Find something out about every match, now and to come; billed like a task per match.

    Args:
        findall_id: The run's id; not of a `preview`, a failed or a cancelled one.
        request: What to find out.

    Returns:
        A flow whose result is the schema with the enrichment.
    """
    EnrichFindallRequest.expect(request)
    return _change(findall_id, "/enrich", request)


def extend_findall(findall_id: str, request: ExtendFindallRequest) -> Flow[FindallSchema]:
    """Request more matches of a run; billed per match.

    Args:
        findall_id: The run's id; not of a `preview`.
        request: How many more.

    Returns:
        A flow whose result is the schema with the new limit.
    """
    ExtendFindallRequest.expect(request)
    return _change(findall_id, "/extend", request)


def cancel_findall(findall_id: str) -> Flow[None]:
    """Stop a run for good; what it has found stays. Stopping it again changes nothing.

    Args:
        findall_id: The run's id; not of a `preview`.

    Returns:
        A flow without a result.

    Raises:
        ConflictError: It has ended by itself already.
    """
    send = Send("POST", f"{_run_path(findall_id)}/cancel", retry=RetryPolicy.READ, betas=BETAS)
    with carrying(findall_id=findall_id):
        try:
            yield from order(send)
        except ConflictError as error:
            # A repeat after a lost response meets the run that the first one stopped.
            status = (yield from retrieve_findall_run(findall_id)).status
            reason = status.termination_reason if status else None
            if reason != CANCELLED_REASON:
                raise error from None


def _change(findall_id: str, what: str, request: RequestModel) -> Flow[FindallSchema]:
    with carrying(findall_id=findall_id):
        send = Send(
            "POST", _run_path(findall_id) + what, request, retry=RetryPolicy.CREATE, betas=BETAS
        )
        return (yield from call(send, FindallSchema))


UNDERSTOOD: Final = ("objective", "entity_type", "match_conditions")
"""Fields of an ingested objective that a run needs."""


FAILED_REASONS: Final = frozenset({"error_occurred", "insufficient_funds"})


def start_findall(
    ingest: IngestFindallRequest, *, generator: str, match_limit: int
) -> Flow[FindallRun]:
    """Ingest an objective and start the run as it was understood, unedited.

    Args:
        ingest: Which entities are wanted.
        generator: How thoroughly to look.
        match_limit: How many to find.

    Returns:
        A flow whose result is the `FindallRun`.
    """
    # Two steps, of which only the second costs: what was not understood is not started.
    schema = yield from ingest_findall(ingest)
    try:
        request = CreateFindallRunRequest.from_schema(
            schema, generator=generator, match_limit=match_limit
        )
    except InvalidArgumentError as error:
        if error.field.split(".")[0] not in UNDERSTOOD:
            raise
        fault = str(error)
    else:
        return (yield from create_findall_run(request))
    raise UnexpectedAnswerError(
        f"The objective was understood as something that cannot be looked for ({fault}); "
        "nothing was started. Say it in other words, or use create_findall_run with conditions "
        "of your own."
    )


def run_findall(
    request: CreateFindallRunRequest,
    *,
    enrich: EnrichFindallRequest | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Flow[FindallResult]:
    """Start a run, wait until it ends and fetch what it found.

    Args:
        request: What to find; `CreateFindallRunRequest.from_schema` makes one of an ingested
            objective.
        enrich: What to find out about the matches.
        deadline_seconds: How long to wait in all, 30 days at most.

    Returns:
        A flow whose result is the `FindallResult`.

    Raises:
        TaskFailedError: The run ended by an error or for lack of funds.
        TaskTimeoutError: The deadline passed; `findall_id` on it, as on every error after the
            create, goes on with `wait_findall_run`.

    Example:
        ```python
        from parallel_integrations import (
            CreateFindallRunRequest,
            IngestFindallRequest,
            ParallelClient,
        )
        from parallel_integrations.api import ingest_findall, run_findall

        ingest = IngestFindallRequest(objective="Python statements that bind names")
        with ParallelClient() as client:
            schema = client.run(ingest_findall(ingest))
            request = CreateFindallRunRequest.from_schema(
                schema, generator="preview", match_limit=5
            )
            for match in client.run(run_findall(request)).matches:
                print(match.name, match.url)
        ```
    """
    check_deadline(deadline_seconds)
    findall_id = yield from within(_begin(request, enrich), deadline_seconds)
    return (yield from await_findall(findall_id, deadline_seconds, reached=True))


def wait_findall_run(
    findall_id: str, *, deadline_seconds: float = DEADLINE_SECONDS
) -> Flow[FindallResult]:
    """Wait for any FindAll run, from its id alone.

    Args:
        findall_id: Its id.
        deadline_seconds: How long to wait in all, 30 days at most.

    Returns:
        A flow whose result is the `FindallResult`.

    Raises:
        TaskFailedError: The run ended by an error or for lack of funds.
        TaskTimeoutError: The deadline passed; the run goes on.
    """
    check_deadline(deadline_seconds)
    return (yield from await_findall(findall_id, deadline_seconds, reached=False))


def _begin(request: CreateFindallRunRequest, enrich: EnrichFindallRequest | None) -> Flow[str]:
    """Create a run and say what to find out about its matches; gives its id."""
    run = yield from create_findall_run(request)
    findall_id = run.findall_id
    if enrich is not None:
        with waiting_for_findall(findall_id):
            yield from enrich_findall(findall_id, enrich)
    return findall_id


def waiting_for_findall(findall_id: str) -> AbstractContextManager[None]:
    """Around what waits for a run: as `waiting`."""
    going_on = f"wait_findall_run({findall_id!r})"
    return waiting(f"FindAll run {findall_id}", going_on, findall_id=findall_id)


def await_findall(
    findall_id: str, deadline_seconds: float, *, reached: bool
) -> Flow[FindallResult]:
    """Wait for a run; `reached` says whether the server has responded in this operation before."""

    def late(run: FindallRun | None = None) -> str:
        return (
            f"FindAll run {findall_id} is not done after {deadline_seconds:g} s. It goes on: wait "
            f"for it with wait_findall_run({findall_id!r})."
        )

    def collect() -> Flow[FindallResult]:
        run = yield from poll(
            _read_run(findall_id),
            FindallRun,
            lambda run: run.is_over,
            deadline_seconds=deadline_seconds,
            late=late,
            reached=reached,
        )
        reason = run.status.termination_reason if run.status else None
        if reason in FAILED_REASONS or (run.status and run.status.status == "failed"):
            raise TaskFailedError(
                f"FindAll run {findall_id} failed: {reason or 'no reason given'}. What it had "
                f"found is in findall_result({findall_id!r})."
            )
        return (yield from findall_result(findall_id))

    with waiting_for_findall(findall_id):
        return (yield from within(collect(), deadline_seconds, late=late))


def entity_search(request: EntitySearchRequest) -> Flow[EntitySearchResponse]:
    """List entities at once, best effort; 0.005 USD with 100 results, 0.05 per 1000 further ones.

    Falls back to the older path and names on a 404.

    Args:
        request: Which entities.

    Returns:
        A flow whose result is the `EntitySearchResponse`.
    """
    EntitySearchRequest.expect(request)
    send = Send(
        "POST",
        "/v1beta/findall/entity-search",
        request,
        retry=RetryPolicy.QUERY,
        timeout_seconds=INGEST_TIMEOUT_SECONDS,
        betas=BETAS,
    )
    try:
        return (yield from call(send, EntitySearchResponse))
    except NotFoundError:
        older = replace(
            send, path="/v1beta/findall/candidates", request=_OlderEntitySearch.of(request)
        )
        return (yield from call(older, EntitySearchResponse))


class _OlderEntitySearch(RequestModel):
    """The request of the path that entity search had before."""

    entity_type: str
    objective: str
    match_limit: int

    def skus(self, version: ApiVersion) -> dict[str, int]:
        return entity_skus(self.match_limit)

    @classmethod
    def of(cls, request: EntitySearchRequest) -> "_OlderEntitySearch":
        older = {"companies": "company"}.get(request.entity_type, request.entity_type)
        return cls(entity_type=older, objective=request.objective, match_limit=request.match_limit)

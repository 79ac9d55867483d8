"""FindAll: entities of the web that match conditions, each with its evidence (API facts 10)."""

import logging
from dataclasses import replace
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from parallel_integrations.api.errors import ConflictError, NotFoundError, TaskFailedError
from parallel_integrations.api.events import StreamEvent, follow
from parallel_integrations.api.findall_types import (
    EVENTS,
    EntitySearchResponse,
    FindallResult,
    FindallRun,
    FindallSchema,
    FindallStatusEvent,
    MatchCondition,
)
from parallel_integrations.api.flow import (
    Flow,
    Repeat,
    Send,
    Stream,
    call,
    exchange,
)
from parallel_integrations.api.models import ApiVersion, RequestModel
from parallel_integrations.api.output_schema import JsonSchema, wire_schema
from parallel_integrations.api.paths import carrying, create, segment
from parallel_integrations.api.policies import McpServer, MemoryScopeKey, Metadata, Webhook
from parallel_integrations.api.polling import poll
from parallel_integrations.api.tasks import (
    DEADLINE_SECONDS,
    MOST_MCP_SERVERS,
    STREAM_TIMEOUT_SECONDS,
)

BETAS: Final = ("findall-2025-09-15",)
FEWEST_MATCHES: Final = 5
MOST_MATCHES: Final = 1000
MOST_PREVIEW_MATCHES: Final = 10
MOST_EXCLUDED: Final = 10_000
INGEST_TIMEOUT_SECONDS: Final = 120.0
CANCELLED_REASON: Final = "user_cancelled"
FAILED_REASONS: Final = frozenset({"error_occurred", "insufficient_funds"})

log = logging.getLogger("parallel_integrations")


class IngestFindallRequest(RequestModel):
    """A wish in words.

    Attributes:
        objective: Which entities are wanted.
    """

    objective: str = Field(min_length=1)


class ExcludedEntity(RequestModel):
    """An entity that is known already.

    Attributes:
        name: Its name.
        url: Its page.
    """

    name: str = Field(min_length=1)
    url: str = Field(min_length=1)


class CreateFindallRunRequest(RequestModel):
    """A FindAll run.

    Attributes:
        objective: What is wanted.
        entity_type: Of which kind.
        match_conditions: What each must fulfil; at least one.
        generator: `preview` (at most 10, cheap), `base`, `core` or `pro`; newer ones pass through.
        match_limit: How many matches to stop at, 5 to 1000; 10 at most for `preview`.
        exclude_list: Entities to leave out; at most 10,000.
        metadata: Labels.
        webhook: Where the API reports to.
        memory_scope_key: Memory to share between runs.

    Raises:
        pydantic.ValidationError: A value past its limit.
    """

    objective: str = Field(min_length=1)
    entity_type: str = Field(min_length=1)
    match_conditions: list[MatchCondition] = Field(min_length=1)
    generator: str = Field(default="core", min_length=1)
    match_limit: int = Field(default=MOST_PREVIEW_MATCHES, ge=FEWEST_MATCHES, le=MOST_MATCHES)
    exclude_list: list[ExcludedEntity] | None = Field(default=None, max_length=MOST_EXCLUDED)
    metadata: Metadata | None = None
    webhook: Webhook | None = None
    memory_scope_key: MemoryScopeKey | None = None

    @model_validator(mode="after")
    def _preview_is_small(self) -> "CreateFindallRunRequest":
        if self.generator == "preview" and self.match_limit > MOST_PREVIEW_MATCHES:
            raise ValueError(
                f"match_limit={self.match_limit} is too much for generator='preview', which stops "
                f"at {MOST_PREVIEW_MATCHES}"
            )
        return self

    @classmethod
    def from_schema(cls, schema: FindallSchema, **changes: Any) -> "CreateFindallRunRequest":
        """A run of an ingested schema, with what you want changed.

        The API takes no enrichments at creation: ask for the schema's with `enrich_findall`.
        """
        conditions = [
            MatchCondition(name=one.name, description=one.description)
            for one in schema.match_conditions
        ]
        asked: dict[str, Any] = {
            "objective": schema.objective,
            "entity_type": schema.entity_type,
            "match_conditions": conditions,
            "generator": schema.generator,
            "match_limit": schema.match_limit,
            **changes,
        }
        return cls(**{name: value for name, value in asked.items() if value is not None})


class EnrichFindallRequest(RequestModel):
    """What to find out about every match.

    Attributes:
        output_schema: A JSON schema or a pydantic class.
        processor: The task processor that does it; billed per match.
        mcp_servers: Tool servers it may use.
    """

    output_schema: JsonSchema
    processor: str = Field(default="core", min_length=1)
    mcp_servers: list[McpServer] | None = Field(default=None, max_length=MOST_MCP_SERVERS)

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The body; the same in every generation of the wire."""
        flat = self.model_dump(mode="json", exclude_none=True, exclude={"output_schema"})
        return {"output_schema": wire_schema(self.output_schema), **flat}


class ExtendFindallRequest(RequestModel):
    """More matches.

    Attributes:
        additional_match_limit: How many more than before.
    """

    additional_match_limit: int = Field(ge=1)


class EntitySearchRequest(RequestModel):
    """A quick list of entities, best effort.

    Attributes:
        entity_type: `people` or `companies`.
        objective: Which.
        match_limit: How many, 5 to 1000.
    """

    entity_type: Literal["people", "companies"]
    objective: str = Field(min_length=1)
    match_limit: int = Field(default=100, ge=FEWEST_MATCHES, le=MOST_MATCHES)


def ingest_findall(request: IngestFindallRequest) -> Flow[FindallSchema]:
    """Turn a wish in words into a schema to edit and run.

    Args:
        request: The wish.

    Returns:
        A flow whose result is the `FindallSchema`; give it to
        `CreateFindallRunRequest.from_schema`.
    """
    send = Send(
        "POST",
        "/v1beta/findall/ingest",
        request,
        repeat=Repeat.ASK,
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
    send = Send("POST", "/v1beta/findall/runs", request, repeat=Repeat.CREATE, betas=BETAS)
    run = yield from create(send, FindallRun, "findall_id")
    log.info("created FindAll run %s", run.findall_id)
    return run


def start_findall(
    wish: IngestFindallRequest, *, generator: str, match_limit: int
) -> Flow[FindallRun]:
    """Ingest a wish and start it as it was understood, unedited.

    Args:
        wish: Which entities are wanted.
        generator: How thoroughly to look.
        match_limit: How many to find.

    Returns:
        A flow whose result is the `FindallRun`.
    """
    schema = yield from ingest_findall(wish)
    request = CreateFindallRunRequest.from_schema(
        schema, generator=generator, match_limit=match_limit
    )
    return (yield from create_findall_run(request))


def retrieve_findall_run(findall_id: str) -> Flow[FindallRun]:
    """Look up how a run stands.

    Args:
        findall_id: Its id.

    Returns:
        A flow whose result is the `FindallRun`.
    """
    with carrying(findall_id=findall_id):
        return (yield from call(_read(findall_id), FindallRun))


def findall_result(findall_id: str) -> Flow[FindallResult]:
    """Fetch what a run has found so far, at any time.

    Args:
        findall_id: Its id.

    Returns:
        A flow whose result is the `FindallResult`.
    """
    with carrying(findall_id=findall_id):
        return (yield from call(_read(findall_id, "/result"), FindallResult))


def findall_schema(findall_id: str) -> Flow[FindallSchema]:
    """Look up the schema a run works by, enrichments included.

    Args:
        findall_id: Its id.

    Returns:
        A flow whose result is the `FindallSchema`.
    """
    with carrying(findall_id=findall_id):
        return (yield from call(_read(findall_id, "/schema"), FindallSchema))


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
    active = [True]

    def is_new(event: StreamEvent) -> bool:
        if isinstance(event, FindallStatusEvent) and event.data.status is not None:
            active[0] = not event.data.is_over
        return True

    def is_over() -> Flow[bool]:
        return (yield from retrieve_findall_run(findall_id)).is_over

    send = Send(
        "GET",
        f"{_path(findall_id)}/events",
        params=() if timeout is None else (("timeout", f"{timeout:g}"),),
        repeat=Repeat.READ,
        timeout_seconds=STREAM_TIMEOUT_SECONDS,
        wait_seconds=timeout or 0,
        stream=True,
        betas=BETAS,
    )
    with carrying(findall_id=findall_id):
        yield from follow(
            send,
            EVENTS,
            last_event_id=last_event_id,
            is_new=is_new,
            may_end=lambda: timeout is not None or not active[0],
            is_over=is_over,
        )


def enrich_findall(findall_id: str, request: EnrichFindallRequest) -> Flow[FindallSchema]:
    """Find something out about every match, now and to come; billed like a task per match.

    Args:
        findall_id: The run's id; not of a `preview`, a failed or a cancelled one.
        request: What to find out.

    Returns:
        A flow whose result is the schema with the enrichment.
    """
    return _change(findall_id, "/enrich", request)


def extend_findall(findall_id: str, request: ExtendFindallRequest) -> Flow[FindallSchema]:
    """Ask a run for more matches; billed per match.

    Args:
        findall_id: The run's id; not of a `preview`.
        request: How many more.

    Returns:
        A flow whose result is the schema with the new limit.
    """
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
    send = Send("POST", f"{_path(findall_id)}/cancel", repeat=Repeat.READ, betas=BETAS)
    with carrying(findall_id=findall_id):
        try:
            yield from exchange(send)
        except ConflictError as error:
            # A repeat after a lost answer meets the run that the first one stopped.
            status = (yield from retrieve_findall_run(findall_id)).status
            reason = status.termination_reason if status else None
            if reason != CANCELLED_REASON:
                raise error from None


def run_findall(
    request: CreateFindallRunRequest,
    *,
    enrich: EnrichFindallRequest | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Flow[FindallResult]:
    """Start a run, wait until it ends and fetch what it found.

    Args:
        request: What to find; `CreateFindallRunRequest.from_schema` makes one of an ingested wish.
        enrich: What to find out about the matches.
        deadline_seconds: How long to wait in all.

    Returns:
        A flow whose result is the `FindallResult`.

    Raises:
        TaskFailedError: The run ended by an error or for lack of funds.
        TaskTimeoutError: The deadline passed; `findall_id` on it, as on every error after the
            create, goes on with `wait_findall_run`.

    Example:
        ```python
        from parallel_integrations import CreateFindallRunRequest, ParallelClient
        from parallel_integrations.api import ingest_findall, run_findall
        from parallel_integrations.api.findall import IngestFindallRequest

        wish = IngestFindallRequest(objective="Python statements that bind names")
        with ParallelClient() as client:
            schema = client.run(ingest_findall(wish))
            request = CreateFindallRunRequest.from_schema(
                schema, generator="preview", match_limit=5
            )
            for match in client.run(run_findall(request)).matches:
                print(match.name, match.url)
        ```
    """
    run = yield from create_findall_run(request)
    if enrich is not None:
        yield from enrich_findall(run.findall_id, enrich)
    return (yield from wait_findall_run(run.findall_id, deadline_seconds=deadline_seconds))


def wait_findall_run(
    findall_id: str, *, deadline_seconds: float = DEADLINE_SECONDS
) -> Flow[FindallResult]:
    """Wait for any FindAll run, from its id alone.

    Args:
        findall_id: Its id.
        deadline_seconds: How long to wait in all.

    Returns:
        A flow whose result is the `FindallResult`.

    Raises:
        TaskFailedError: The run ended by an error or for lack of funds.
        TaskTimeoutError: The deadline passed; the run goes on.
    """
    with carrying(findall_id=findall_id):
        run = yield from poll(
            _read(findall_id),
            FindallRun,
            lambda run: run.is_over,
            deadline_seconds=deadline_seconds,
            late=lambda run: (
                f"FindAll run {findall_id} is not done after {deadline_seconds:g} s. It goes on: "
                f"wait for it with wait_findall_run({findall_id!r})."
            ),
        )
        reason = run.status.termination_reason if run.status else None
        if reason in FAILED_REASONS or (run.status and run.status.status == "failed"):
            raise TaskFailedError(
                f"FindAll run {findall_id} failed: {reason or 'no reason given'}. What it had "
                f"found is in findall_result({findall_id!r})."
            )
        return (yield from findall_result(findall_id))


def entity_search(request: EntitySearchRequest) -> Flow[EntitySearchResponse]:
    """List entities at once, best effort; 0.005 USD with 100 results.

    Falls back to the older path and names on a 404.

    Args:
        request: Which entities.

    Returns:
        A flow whose result is the `EntitySearchResponse`.
    """
    send = Send(
        "POST",
        "/v1beta/findall/entity-search",
        request,
        repeat=Repeat.ASK,
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

    @classmethod
    def of(cls, request: EntitySearchRequest) -> "_OlderEntitySearch":
        older = {"companies": "company"}.get(request.entity_type, request.entity_type)
        return cls(entity_type=older, objective=request.objective, match_limit=request.match_limit)


def _change(findall_id: str, what: str, request: RequestModel) -> Flow[FindallSchema]:
    with carrying(findall_id=findall_id):
        send = Send("POST", _path(findall_id) + what, request, repeat=Repeat.CREATE, betas=BETAS)
        return (yield from call(send, FindallSchema))


def _read(findall_id: str, what: str = "") -> Send:
    return Send("GET", _path(findall_id) + what, repeat=Repeat.READ, betas=BETAS)


def _path(findall_id: str) -> str:
    return f"/v1beta/findall/runs/{segment('findall_id', findall_id)}"

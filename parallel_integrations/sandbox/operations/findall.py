"""FindAll: pages of the sandbox's web that meet conditions, each with the words that show it.

Billed are, besides the run's fixed price (``create_findall_run``), every match (``findall_match``;
a preview's cost nothing) and every enrichment of a match (``findall_enrichment``, at the price of a
task). Ingesting, extending and cancelling cost nothing themselves.

Where the documentation says nothing or contradicts itself, a preview's `match_limit`
is cut to 10; enriching or extending a run that has ended makes it active until that is done;
a run ends with ``candidates_exhausted`` when no page is left to judge. Tool servers of an
enrichment are noted, not called. A run whose metadata hold ``{"sandbox": "fail"}`` fails.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, model_validator

from parallel_integrations.sandbox.answering.objectives import ingested
from parallel_integrations.sandbox.answering.schema_filler import SchemaError
from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.shared import POLL_SECONDS, Loose, Text, seconds_of
from parallel_integrations.sandbox.operations.tasks import JsonForm, McpServer, Metadata, ScopeKey
from parallel_integrations.sandbox.server.responses import (
    RequestError,
    frame,
    invalid,
    invalid_parameter,
)
from parallel_integrations.sandbox.state.findall import CANDIDATE, STATUS, FindallRun, Step
from parallel_integrations.sandbox.state.ledger import (
    FINDALL_MATCH_USD,
    FINDALL_USD,
    TASK_USD,
    Entry,
)
from parallel_integrations.sandbox.state.state import State
from parallel_integrations.sandbox.web.corpus import normal

MAX_EXCLUDED = 10_000
MAX_PREVIEW_MATCHES = 10
MAX_ADDITIONAL_MATCHES = 1_000_000
"""The service documents no bound; without one a sum of them grows past what JSON text can hold."""


MatchLimit = Annotated[int, Field(ge=5, le=1000)]


class Webhook(Loose):
    """Where a run reports to; the schema names the type of tasks, the documents the others."""

    url: Text
    event_types: list[
        Literal[
            "task_run.status",
            "findall.candidate.generated",
            "findall.candidate.matched",
            "findall.candidate.unmatched",
            "findall.candidate.enriched",
            "findall.run.completed",
            "findall.run.cancelled",
            "findall.run.failed",
        ]
    ] = []


class IngestBody(Loose):
    """Body of ingest; the page about gateways spells the objective `query`."""

    objective: Annotated[Text, Field(validation_alias=AliasChoices("objective", "query"))]


class MatchCondition(Loose):
    """One condition."""

    name: Text
    description: Text


class Excluded(Loose):
    """One thing that is known already."""

    name: str
    url: str


class RunBody(Loose):
    """Body of a new run."""

    objective: Text
    entity_type: Text
    match_conditions: Annotated[list[MatchCondition], Field(min_length=1)]
    generator: Literal["preview", "base", "core", "pro"]
    match_limit: MatchLimit
    exclude_list: Annotated[list[Excluded], Field(max_length=MAX_EXCLUDED)] | None = None
    metadata: Metadata | None = None
    webhook: Webhook | None = None
    memory_scope_key: ScopeKey | None = None
    enrichments: Any = None

    @model_validator(mode="after")
    def _consistent(self) -> "RunBody":
        if self.enrichments:
            raise ValueError("enrichments are added to an existing run: POST …/enrich")
        names = [condition.name for condition in self.match_conditions]
        if len(set(names)) < len(names):
            raise ValueError("two match_conditions have the same name")
        return self

    @property
    def schema_(self) -> dict[str, Any]:
        """What is looked for, as the API shows it."""
        limit = self.match_limit
        return {
            "objective": self.objective,
            "entity_type": self.entity_type,
            "match_conditions": [each.model_dump() for each in self.match_conditions],
            "enrichments": [],
            "generator": self.generator,
            "match_limit": min(limit, MAX_PREVIEW_MATCHES)
            if self.generator == "preview"
            else limit,
        }


class EnrichBody(Loose):
    """Body of an enrichment."""

    output_schema: JsonForm
    processor: str = "core"
    mcp_servers: Annotated[list[McpServer], Field(max_length=10)] | None = None

    @property
    def wire(self) -> dict[str, Any]:
        """The enrichment as schemas list it, without the headers, which hold secrets."""
        kept = {"processor": self.processor, "output_schema": self.output_schema.model_dump()}
        if self.mcp_servers is None:
            return {**kept, "mcp_servers": None}
        servers = [each.model_dump(exclude={"headers"}) for each in self.mcp_servers]
        return {**kept, "mcp_servers": servers}


class ExtendBody(Loose):
    """Body of an extension."""

    additional_match_limit: Annotated[int, Field(ge=1, le=MAX_ADDITIONAL_MATCHES)]


BETA = "findall-2025-09-15"
RUNS = "/v1beta/findall/runs"


def demand_beta(call: Call) -> None:
    """Check that a call is for the version of FindAll that the sandbox serves."""
    if not call.has_beta(BETA):
        message = (
            f"Send the header parallel-beta: {BETA}. Without it the service responds in its "
            "incompatible FindAll V0, which the sandbox does not serve."
        )
        raise invalid_parameter("header", "parallel-beta", message)


def find(call: Call) -> FindallRun:
    """Return the run a call is about, up to date."""
    demand_beta(call)
    run = call.state.findall.get(call.request.path_params["findall_id"])
    if run is None:
        raise RequestError(404, "FindAll run not found")
    settle(call.state, run)
    return run


def settle(state: State, run: FindallRun) -> None:
    """Make happen what is due in a run: bill it, report it."""
    if state.findall.get(run.findall_id) is not run:
        return  # a reset has forgotten it
    for step in run.advance(state.stamp()):
        entry = _price(run, step)
        if entry is not None:
            state.ledger.add(entry)
        _report(state, run, step)


def watch(state: State, run: FindallRun) -> None:
    """Settle a run when its steps become due, even if no request comes."""

    def tick() -> None:
        settle(state, run)
        watch(state, run)

    if run.timer is not None:
        run.timer.cancel()
    if run.due_in is not None and state.findall.get(run.findall_id) is run:
        # Webhooks must arrive, and matches be billed, although no request asks for them.
        run.timer = asyncio.get_running_loop().call_later(run.due_in, tick)


def _price(run: FindallRun, step: Step) -> Entry | None:
    generator = run.schema["generator"]
    if step.type == f"{CANDIDATE}matched" and FINDALL_MATCH_USD[generator]:
        return Entry("findall_match", FINDALL_MATCH_USD[generator], generator)
    if step.enrichment is not None:
        processor = run.schema["enrichments"][step.enrichment]["processor"]
        return Entry("findall_enrichment", TASK_USD[processor], processor)
    return None


def _report(state: State, run: FindallRun, step: Step) -> None:
    if run.webhook is None:
        return
    if step.type.startswith(CANDIDATE):
        state.deliver(run.webhook, step.type, step.data)
    elif step.type == STATUS and not step.data["is_active"]:
        state.deliver(run.webhook, f"findall.run.{step.data['status']}", run.wire())


HEARTBEAT_SECONDS = 10.0
"""Time without an event after which the run's status is sent."""


async def findall_events(call: Call) -> Result:
    """Handle ``GET /v1beta/findall/runs/{findall_id}/events``.

    Every connection gets at least one frame with the run's status, as the last one if the run has
    ended: a client that resumes after the last event learns that there is nothing to wait for.
    """
    run = find(call)
    query = call.request.query_params
    sent = 0
    if query.get("last_event_id"):
        count = run.count_of(query["last_event_id"])
        if count is None:
            raise invalid_parameter(
                "query", "last_event_id", f"Unknown event {query['last_event_id']!r}"
            )
        sent = count
    end = time.monotonic() + seconds_of(call, math.inf)
    return Result(events=_frames(call, run, sent, end))


async def _frames(call: Call, run: FindallRun, sent: int, end: float) -> AsyncIterator[bytes]:
    beats = 0
    status_known = False
    last_frame = time.monotonic()
    while not call.is_left:
        settle(call.state, run)
        while sent < run.happened:
            sent += 1
            event = run.event(sent)
            status_known = event["type"] == "findall.status"
            yield frame(event)
            last_frame = time.monotonic()
        now = time.monotonic()
        over = not run.is_active or call.state.findall.get(run.findall_id) is not run
        idle = now - last_frame >= HEARTBEAT_SECONDS
        # A client that resumes behind the last event gets one frame all the same, or it would wait.
        if idle or (over and not status_known):
            beats += 1
            yield frame(_heartbeat(call, run, sent, beats))
            last_frame, status_known = now, True
        if over or now >= end:
            return
        due = math.inf if run.due_in is None else run.due_in
        await asyncio.sleep(max(0.0, min(POLL_SECONDS, due, end - now)))


def _heartbeat(call: Call, run: FindallRun, sent: int, beats: int) -> dict[str, Any]:
    return {
        "type": "findall.status",
        "event_id": f"{run.findall_id}_event_{sent:06}_{beats}",
        "timestamp": call.state.stamp(),
        "data": run.wire(),
    }


async def ingest(call: Call) -> Result:
    """Handle ``POST /v1beta/findall/ingest``."""
    # The page about gateways sends no beta header here.
    return Result(ingested(call.parse(IngestBody).objective))


async def create(call: Call) -> Result:
    """Handle ``POST /v1beta/findall/runs``."""
    demand_beta(call)
    body = call.parse(RunBody)
    state = call.state
    known = body.exclude_list or []
    run = FindallRun(
        state.ids.next("findall"),
        body.schema_,
        excluded=frozenset(
            key for each in known for key in (each.name.casefold(), normal(each.url)) if key
        ),
        seconds=state.waiting.findall_seconds(state.findall_seconds),
        created_at=state.stamp(),
        metadata=body.metadata,
        webhook=body.webhook.model_dump() if body.webhook else None,
        scope=body.memory_scope_key,
    )
    state.findall[run.findall_id] = run
    _plan(call, run)
    return Result(
        run.wire(),
        bill=Entry("create_findall_run", FINDALL_USD[body.generator], body.generator),
    )


async def status(call: Call) -> Result:
    """Handle ``GET /v1beta/findall/runs/{findall_id}``."""
    return Result(find(call).wire())


async def result(call: Call) -> Result:
    """Handle ``GET /v1beta/findall/runs/{findall_id}/result``: a snapshot, at any time."""
    run = find(call)
    return Result(
        {
            "run": run.wire(),
            "candidates": run.candidates,
            "last_event_id": run.event_id(run.happened),
        }
    )


async def schema(call: Call) -> Result:
    """Handle ``GET /v1beta/findall/runs/{findall_id}/schema``."""
    return Result(find(call).wire_schema)


async def enrich(call: Call) -> Result:
    """Handle ``POST /v1beta/findall/runs/{findall_id}/enrich``."""
    run = find(call)
    body = call.parse(EnrichBody)
    _demand_changeable(run, "enriched")
    if body.processor not in TASK_USD:
        known = ", ".join(TASK_USD)
        raise invalid("processor", f"Unknown processor {body.processor!r}; there are {known}")
    changed = {**run.schema, "enrichments": [*run.schema["enrichments"], body.wire]}
    return _change(call, run, changed)


async def extend(call: Call) -> Result:
    """Handle ``POST /v1beta/findall/runs/{findall_id}/extend``."""
    run = find(call)
    body = call.parse(ExtendBody)
    _demand_changeable(run, "extended")
    # The limit grows by what is requested, as documented; it is not replaced.
    limit = run.schema["match_limit"] + body.additional_match_limit
    return _change(call, run, {**run.schema, "match_limit": limit})


async def cancel(call: Call) -> Result:
    """Handle ``POST /v1beta/findall/runs/{findall_id}/cancel``."""
    run = find(call)
    if not run.is_active:
        raise RequestError(409, "Cannot cancel a terminated FindAll run")
    if run.schema["generator"] == "preview":
        raise invalid_parameter("path", "findall_id", "A preview run cannot be cancelled")
    run.cancel()
    settle(call.state, run)
    return Result({})


def _demand_changeable(run: FindallRun, what: str) -> None:
    if run.schema["generator"] == "preview":
        raise invalid_parameter("path", "findall_id", f"A preview run cannot be {what}")
    status = run.status["status"]
    if status in ("cancelled", "failed"):
        raise invalid_parameter("path", "findall_id", f"A {status} FindAll run cannot be {what}")


def _change(call: Call, run: FindallRun, changed: dict[str, Any]) -> Result:
    _plan(call, run, changed)
    return Result(run.wire_schema)


def _plan(call: Call, run: FindallRun, changed: dict[str, Any] | None = None) -> None:
    state = call.state
    try:
        run.plan(state.index, changed)
    except SchemaError as error:
        raise invalid("output_schema.json_schema", f"No JSON schema: {error}") from error
    settle(state, run)
    watch(state, run)


_RUN = RUNS + "/{findall_id}"

OPERATIONS = tuple(
    Operation(name, method, path, handler, framework_errors=framework)
    for name, method, path, handler, framework in (
        ("ingest_findall", "POST", "/v1beta/findall/ingest", ingest, True),
        ("create_findall_run", "POST", RUNS, create, False),
        ("retrieve_findall_run", "GET", _RUN, status, True),
        ("findall_result", "GET", f"{_RUN}/result", result, True),
        ("findall_schema", "GET", f"{_RUN}/schema", schema, True),
        ("findall_events", "GET", f"{_RUN}/events", findall_events, True),
        ("enrich_findall", "POST", f"{_RUN}/enrich", enrich, False),
        ("extend_findall", "POST", f"{_RUN}/extend", extend, False),
        ("cancel_findall", "POST", f"{_RUN}/cancel", cancel, True),
    )
)

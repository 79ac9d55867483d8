"""FindAll: pages of the sandbox's web that meet conditions, each with the words that show it.

Billed are, besides the run's fixed price (``create_findall_run``), every match (``findall_match``;
a preview's cost nothing) and every enrichment of a match (``findall_enrichment``, at the price of a
task). Ingesting, extending and cancelling cost nothing themselves.

Where the documents are silent or at odds, the sandbox takes these roads: a preview's `match_limit`
is cut to 10; enriching or extending a run that has ended makes it active until that is done;
a run ends with ``candidates_exhausted`` when no page is left to judge. Tool servers of an
enrichment are noted, not called. A run whose metadata hold ``{"sandbox": "fail"}`` fails.
"""

from typing import Any

from parallel_integrations.sandbox.answering.objectives import ingested
from parallel_integrations.sandbox.answering.schema_filler import SchemaError
from parallel_integrations.sandbox.operations.findall_bodies import (
    EnrichBody,
    ExtendBody,
    IngestBody,
    RunBody,
)
from parallel_integrations.sandbox.operations.findall_events import findall_events
from parallel_integrations.sandbox.operations.findall_shared import (
    RUNS,
    demand_beta,
    find,
    refused,
    settle,
    task_usd,
    watch,
)
from parallel_integrations.sandbox.operations.operation import Answer, Call, Operation
from parallel_integrations.sandbox.server.responses import RequestError, invalid
from parallel_integrations.sandbox.state.findall_run import FindallRun
from parallel_integrations.sandbox.state.ledger import FINDALL_USD, TASK_USD, Entry
from parallel_integrations.sandbox.web.corpus import normal


async def ingest(call: Call) -> Answer:
    """Answer ``POST /v1beta/findall/ingest``."""
    demand_beta(call)
    return Answer(ingested(call.parse(IngestBody).objective))


async def create(call: Call) -> Answer:
    """Answer ``POST /v1beta/findall/runs``."""
    demand_beta(call)
    body = call.parse(RunBody)
    world = call.world
    known = body.exclude_list or []
    run = FindallRun(
        world.ids.next("findall"),
        body.schema_,
        excluded=frozenset(
            key for each in known for key in (each.name.casefold(), normal(each.url)) if key
        ),
        seconds=world.findall_seconds,
        created_at=world.stamp(),
        metadata=body.metadata,
        webhook=body.webhook.model_dump() if body.webhook else None,
        scope=body.memory_scope_key,
    )
    world.findall[run.findall_id] = run
    _plan(call, run)
    return Answer(
        run.wire(),
        bill=Entry("create_findall_run", FINDALL_USD[body.generator], body.generator),
    )


async def status(call: Call) -> Answer:
    """Answer ``GET /v1beta/findall/runs/{findall_id}``."""
    return Answer(find(call).wire())


async def result(call: Call) -> Answer:
    """Answer ``GET /v1beta/findall/runs/{findall_id}/result``: a snapshot, at any time."""
    run = find(call)
    return Answer(
        {
            "run": run.wire(),
            "candidates": run.candidates,
            "last_event_id": run.event_id(run.happened),
        }
    )


async def schema(call: Call) -> Answer:
    """Answer ``GET /v1beta/findall/runs/{findall_id}/schema``."""
    return Answer(find(call).wire_schema)


async def enrich(call: Call) -> Answer:
    """Answer ``POST /v1beta/findall/runs/{findall_id}/enrich``."""
    run = find(call)
    body = call.parse(EnrichBody)
    _demand_changeable(run, "enriched")
    if task_usd(body.processor) is None:
        known = ", ".join(TASK_USD)
        raise invalid("processor", f"Unknown processor {body.processor!r}; there are {known}")
    changed = {**run.schema, "enrichments": [*run.schema["enrichments"], body.wire]}
    return _change(call, run, changed)


async def extend(call: Call) -> Answer:
    """Answer ``POST /v1beta/findall/runs/{findall_id}/extend``."""
    run = find(call)
    body = call.parse(ExtendBody)
    _demand_changeable(run, "extended")
    limit = run.schema["match_limit"] + body.additional_match_limit
    return _change(call, run, {**run.schema, "match_limit": limit})


async def cancel(call: Call) -> Answer:
    """Answer ``POST /v1beta/findall/runs/{findall_id}/cancel``."""
    run = find(call)
    if not run.is_active:
        raise RequestError(409, "Cannot cancel a terminated FindAll run")
    if run.schema["generator"] == "preview":
        raise refused("path", "findall_id", "A preview run cannot be cancelled")
    run.cancel()
    settle(call.world, run)
    return Answer({})


def _demand_changeable(run: FindallRun, what: str) -> None:
    if run.schema["generator"] == "preview":
        raise refused("path", "findall_id", f"A preview run cannot be {what}")
    status = run.status["status"]
    if status in ("cancelled", "failed"):
        raise refused("path", "findall_id", f"A {status} FindAll run cannot be {what}")


def _change(call: Call, run: FindallRun, changed: dict[str, Any]) -> Answer:
    _plan(call, run, changed)
    return Answer(run.wire_schema)


def _plan(call: Call, run: FindallRun, changed: dict[str, Any] | None = None) -> None:
    world = call.world
    try:
        run.plan(world.index, changed)
    except SchemaError as error:
        raise invalid("output_schema.json_schema", f"No JSON schema: {error}") from error
    settle(world, run)
    watch(world, run)


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

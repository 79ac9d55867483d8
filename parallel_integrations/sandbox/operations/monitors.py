"""Monitors: queries and tasks asked again, with an event for what is new.

Each execution is billed as ``monitor_execution``. Time does not pass in the sandbox: a monitor runs
when it is created, when it is triggered and when a page that concerns it is published
(`Sandbox.publish`), not by its frequency. Its first execution takes stock and finds nothing, unless
it is asked for a backfill. One whose metadata hold ``{"sandbox": "fail"}`` fails, unbilled.

Where the documents are silent or at odds, the sandbox takes these roads: events name their
execution ``event_group_id``; triggering a cancelled monitor is a 422; of an event stream's settings
only `query` and `advanced_settings` can be updated.
"""

import json
from typing import Any

from parallel_integrations.sandbox.answering.schema_filler import SchemaError
from parallel_integrations.sandbox.operations.monitor_bodies import (
    CreateBody,
    EventStreamBody,
    SnapshotBody,
    Typed,
    UpdateBody,
    choices,
    limit_of,
    page_of,
)
from parallel_integrations.sandbox.operations.monitor_runs import execute
from parallel_integrations.sandbox.operations.operation import Answer, Call, Operation
from parallel_integrations.sandbox.operations.shared import SourcePolicy, policy_warnings
from parallel_integrations.sandbox.server.responses import RequestError, invalid
from parallel_integrations.sandbox.state.monitors import Monitor

PATH = "/v1/monitors"
DEFAULT_MONITORS, MOST_MONITORS = 100, 10_000
DEFAULT_EVENTS, MOST_EVENTS = 20, 100


async def create(call: Call) -> Answer:
    """Answer ``POST /v1/monitors``."""
    body: EventStreamBody | SnapshotBody
    if call.parse(Typed).type == "event_stream":
        body = call.parse(EventStreamBody)
        monitor = _new(call, body, body.settings.model_dump())
        _try_schema(call, monitor)
    else:
        body = call.parse(SnapshotBody)
        monitor = _new(call, body, _baseline(call, body.settings.task_run_id))
    call.world.monitors[monitor.monitor_id] = monitor
    execute(call.world, monitor)
    return Answer(monitor.wire, status=201)


def _new(call: Call, body: CreateBody, settings: dict[str, Any]) -> Monitor:
    world = call.world
    return Monitor(
        world.ids.next("monitor"),
        len(world.monitors) + 1,
        body.type,
        body.frequency,
        body.processor,
        settings,
        world.stamp(),
        body.webhook.model_dump() if body.webhook else None,
        body.metadata,
        body.memory_scope_key,
    )


def _try_schema(call: Call, monitor: Monitor) -> None:
    try:
        monitor.report(call.world.corpus.pages[0], call.world.index)
    except SchemaError as error:
        raise invalid("settings.output_schema.json_schema", f"No JSON schema: {error}") from error


def _baseline(call: Call, run_id: str) -> dict[str, Any]:
    """Return the settings of a snapshot monitor, which come from its task run."""
    tasks = call.world.tasks
    run = tasks.get(run_id)
    if run is None:
        raise invalid("settings.task_run_id", f"Unknown task run {run_id!r}")
    status = run.status(tasks.now())
    if status != "completed":
        raise invalid("settings.task_run_id", f"Task run {run_id!r} is {status}, not completed")
    schema = None
    if run.asked.spec.kind == "json":
        schema = {"type": "json", "json_schema": json.loads(run.asked.spec.schema)}
    return {"task_run_id": run_id, "query": run.asked.question, "output_schema": schema}


async def listing(call: Call) -> Answer:
    """Answer ``GET /v1/monitors``."""
    types = choices(call, "type", ("event_stream", "snapshot"))
    statuses = choices(call, "status", ("active", "cancelled")) or {"active"}
    fitting = [
        monitor
        for monitor in reversed(call.world.monitors.values())
        if monitor.status in statuses and (not types or monitor.type in types)
    ]
    limit = limit_of(call, DEFAULT_MONITORS, MOST_MONITORS)
    page, cursor = page_of(call, fitting, limit, lambda monitor: int(monitor.number))
    return Answer({"monitors": [monitor.wire for monitor in page], "next_cursor": cursor})


async def retrieve(call: Call) -> Answer:
    """Answer ``GET /v1/monitors/{monitor_id}``."""
    return Answer(_find(call).wire)


async def events(call: Call) -> Answer:
    """Answer ``GET /v1/monitors/{monitor_id}/events``."""
    monitor = _find(call)
    query = call.request.query_params
    [completions] = choices(call, "include_completions", ("true", "false")) or {"false"}
    found = [
        each
        for each in monitor.events
        if completions == "true" or each[2]["event_type"] != "completion"
    ]
    cursor = None
    if query.get("event_group_id"):
        page = [each for each in found if each[1].group_id == query["event_group_id"]]
    else:
        limit = limit_of(call, DEFAULT_EVENTS, MOST_EVENTS)
        page, cursor = page_of(call, found, limit, lambda each: int(each[0]))
    advanced = monitor.settings.get("advanced_settings") or {}
    policy = SourcePolicy.model_validate(advanced.get("source_policy") or {})
    warnings = policy_warnings(policy, advanced.get("location"))
    body = {"events": [event for _, _, event in page], "next_cursor": cursor}
    return Answer({**body, "warnings": warnings or None})


async def update(call: Call) -> Answer:
    """Answer ``POST /v1/monitors/{monitor_id}/update``."""
    monitor = _find(call)
    body = call.parse(UpdateBody)
    changed = body.model_fields_set - {"type"}
    if monitor.status == "cancelled" and changed - {"metadata"}:
        raise RequestError(422, "Only the metadata of a cancelled monitor can be updated")
    if body.type is not None and body.type != monitor.type:
        raise invalid("type", f"This monitor is of the type {monitor.type}")
    if body.settings is not None:
        new = body.settings.model_dump(exclude_unset=True)
        if new.get("advanced_settings"):
            new["advanced_settings"] = body.settings.model_dump()["advanced_settings"]
        monitor.settings = {**monitor.settings, **new}
    if "webhook" in changed:
        monitor.webhook = body.webhook.model_dump() if body.webhook else None
    if "metadata" in changed:
        monitor.metadata = body.metadata
    monitor.frequency = body.frequency or monitor.frequency
    monitor.processor = body.processor or monitor.processor
    return Answer(monitor.wire)


async def cancel(call: Call) -> Answer:
    """Answer ``POST /v1/monitors/{monitor_id}/cancel``; again, it changes nothing."""
    monitor = _find(call)
    monitor.status = "cancelled"
    return Answer(monitor.wire)


async def trigger(call: Call) -> Answer:
    """Answer ``POST /v1/monitors/{monitor_id}/trigger``."""
    monitor = _find(call)
    if monitor.status == "cancelled":
        raise RequestError(422, "A cancelled monitor cannot be triggered")
    execute(call.world, monitor)
    return Answer(status=204)


def _find(call: Call) -> Monitor:
    monitor = call.world.monitors.get(call.request.path_params["monitor_id"])
    if monitor is None:
        raise RequestError(404, "Monitor not found")
    return monitor


_ONE = PATH + "/{monitor_id}"

OPERATIONS = tuple(
    Operation(name, method, path, handler, framework_errors=framework)
    for name, method, path, handler, framework in (
        ("create_monitor", "POST", PATH, create, False),
        ("list_monitors", "GET", PATH, listing, True),
        ("retrieve_monitor", "GET", _ONE, retrieve, True),
        ("monitor_events", "GET", f"{_ONE}/events", events, False),
        ("update_monitor", "POST", f"{_ONE}/update", update, False),
        ("cancel_monitor", "POST", f"{_ONE}/cancel", cancel, False),
        ("trigger_monitor", "POST", f"{_ONE}/trigger", trigger, False),
    )
)

"""Monitors: queries and tasks that are run again, with an event for what is new.

Each execution is billed as ``monitor_execution``. Time does not pass in the sandbox: a monitor runs
when it is created, when it is triggered and when a page that concerns it is published
(`Sandbox.publish`), not by its frequency. Its first execution takes stock and finds nothing, unless
a backfill is requested. One whose metadata hold ``{"sandbox": "fail"}`` fails, unbilled.

An event group that the monitor does not have is a 422, as the live service responds. Where the
documentation says nothing or contradicts itself, the sandbox does this: events name their
execution ``event_group_id``; triggering a cancelled monitor is a 422; of an event stream's settings
only `query` and `advanced_settings` can be updated.
"""

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    StringConstraints,
    field_validator,
    model_validator,
)

from parallel_integrations.sandbox.answering.schema_filler import SchemaError
from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.shared import (
    Loose,
    SourcePolicy,
    Strict,
    Text,
    policy_warnings,
)
from parallel_integrations.sandbox.operations.tasks import JsonForm, ScopeKey, findings
from parallel_integrations.sandbox.server.responses import RequestError, invalid, invalid_parameter
from parallel_integrations.sandbox.state.ledger import MONITOR_USD, Entry
from parallel_integrations.sandbox.state.monitors import Execution, Monitor, changed_parts
from parallel_integrations.sandbox.state.state import State
from parallel_integrations.sandbox.web.corpus import Corpus, Page, normal
from parallel_integrations.sandbox.web.index import Index

HOURS = {"h": 1, "d": 24, "w": 7 * 24}
MAX_HOURS = 30 * 24


def _frequency(text: str) -> str:
    found = re.fullmatch(r"([0-9]{1,6})([hdw])", text)
    if not found or not 1 <= int(found[1]) * HOURS[found[2]] <= MAX_HOURS:
        raise ValueError("a frequency is a number and h, d or w, from 1h to 30d")
    return text


def _not_null(value: Any) -> Any:
    if value is None:
        raise ValueError("cannot be null; leave it out to keep it as it is")
    return value


Frequency = Annotated[str, AfterValidator(_frequency)]
Processor = Literal["lite", "base"]
MonitorType = Literal["event_stream", "snapshot"]
Metadata = dict[
    Annotated[str, StringConstraints(max_length=16)],
    Annotated[str, StringConstraints(max_length=512)],
]


class Webhook(Loose):
    """Where a monitor reports to."""

    url: Text
    event_types: list[
        Literal["monitor.event.detected", "monitor.execution.completed", "monitor.execution.failed"]
    ] = []


class AdvancedSettings(Loose):
    """``settings.advanced_settings``."""

    source_policy: SourcePolicy | None = None
    location: str | None = None


class EventStreamSettings(Loose):
    """Settings of an ``event_stream`` monitor."""

    query: Text
    output_schema: JsonForm | None = None
    include_backfill: bool | None = None
    advanced_settings: AdvancedSettings | None = None


class SnapshotSettings(Loose):
    """Settings of a ``snapshot`` monitor."""

    task_run_id: Text


class Typed(Loose):
    """The field by which the two kinds of new monitors differ."""

    type: MonitorType


class CreateBody(Typed):
    """Body of a new monitor, without what belongs to its type."""

    frequency: Frequency
    processor: Processor = "lite"
    webhook: Webhook | None = None
    metadata: Metadata | None = None
    memory_scope_key: ScopeKey | None = None


class EventStreamBody(CreateBody):
    """Body of a new ``event_stream`` monitor."""

    settings: EventStreamSettings


class SnapshotBody(CreateBody):
    """Body of a new ``snapshot`` monitor."""

    settings: SnapshotSettings


class UpdateSettings(Strict):
    """What of an ``event_stream`` monitor's settings can be changed."""

    query: Annotated[Text | None, BeforeValidator(_not_null)] = None
    advanced_settings: AdvancedSettings | None = None


class UpdateBody(Loose):
    """Body of an update. What the request leaves out is not in `model_fields_set`."""

    type: MonitorType | None = None
    frequency: Frequency | None = None
    processor: Processor | None = None
    webhook: Webhook | None = None
    metadata: Metadata | None = None
    settings: UpdateSettings | None = None

    _kept = field_validator("type", "frequency", "processor", "settings", mode="before")(_not_null)

    @model_validator(mode="after")
    def _changes_something(self) -> "UpdateBody":
        if not self.model_fields_set - {"type"}:
            raise ValueError("at least one field besides type is required")
        if self.settings is not None and self.type != "event_stream":
            raise ValueError("settings can only be updated together with type event_stream")
        return self


def limit_of(call: Call, default: int, most: int) -> int:
    """Return the `limit` of a call."""
    text = call.request.query_params.get("limit") or str(default)
    limit = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    if not 1 <= limit <= most:
        message = f"Input should be a whole number from 1 to {most}"
        raise invalid_parameter("query", "limit", message)
    return limit


def page_of(call: Call, items: list[Any], limit: int, number: Callable[[Any], int]) -> Any:
    """Return one page of `items`, which are newest first, and the cursor of the next page.

    Numbers, not places, mark where a page ends: what is new meanwhile shifts nothing.
    """
    left = items
    if cursor := call.request.query_params.get("cursor"):
        found = re.fullmatch(r"before_sandbox_([0-9]{6,12})", cursor)
        if not found:
            raise invalid_parameter("query", "cursor", "Invalid cursor")
        left = [item for item in items if number(item) < int(found[1])]
    page = left[:limit]
    more = len(left) > limit
    return page, f"before_sandbox_{number(page[-1]):06}" if more else None


def choices(call: Call, name: str, allowed: tuple[str, ...]) -> set[str]:
    """Return the values of a query parameter, whether it is repeated or joined by commas."""
    given = {
        value.strip()
        for text in call.request.query_params.getlist(name)
        for value in text.split(",")
        if value.strip()
    }
    if given - set(allowed):
        raise invalid_parameter("query", name, f"Input should be {' or '.join(allowed)}")
    return given


FAILURE = "The sandbox was instructed to fail"


def execute(state: State, monitor: Monitor) -> None:
    """Run a monitor once: remember what is new, bill it, report it.

    Raises:
        SchemaError: If its output schema is none.
    """
    group_id = state.ids.next("event_group")
    if monitor.fails:
        _fail(state, monitor, group_id)
        return
    found = _snapshot(state, monitor) if monitor.type == "snapshot" else _news(state, monitor)
    at = state.stamp()
    for event in found:
        event["event_id"] = state.ids.next("event")
        event["event_group_id"] = group_id
        # Later requests may refer to an event as they do to an interaction.
        state.interactions[event["event_id"]] = (monitor.settings["query"],)
    execution = Execution(group_id, at, found or [{"event_type": "completion", "timestamp": at}])
    monitor.add(execution)
    price = MONITOR_USD[monitor.processor]
    state.ledger.add(Entry("monitor_execution", price, monitor.processor))
    _report(state, monitor, execution)


def _fail(state: State, monitor: Monitor, group_id: str) -> None:
    """Run a monitor whose metadata make it fail; nothing is billed."""
    at = state.stamp()
    error = {"event_type": "error", "error_message": FAILURE, "timestamp": at}
    execution = Execution(group_id, at, [error])
    monitor.add(execution)
    _report(state, monitor, execution)


def _news(state: State, monitor: Monitor) -> list[dict[str, Any]]:
    if monitor.last_run_at is None:
        # The first execution takes stock: what is there already is no news.
        monitor.seen = frozenset(state.corpus)
        wanted = monitor.settings.get("include_backfill")
        pages = monitor.backfill(state.index) if wanted else []
    else:
        pages = monitor.news(state.index)
    today = state.clock().date()
    return [
        {
            "event_type": "event_stream",
            "event_date": (page.published or today).isoformat(),
            "output": monitor.report(page, state.index),
        }
        # Oldest first, because events are listed newest first and the best page should come first.
        for page in reversed(pages)
    ]


def _snapshot(state: State, monitor: Monitor) -> list[dict[str, Any]]:
    before = monitor.snapshot
    run = state.tasks.get(monitor.settings["task_run_id"])
    if run is None:
        return []
    now = monitor.snapshot = dict(findings(state.index, run).output)
    changed = changed_parts(before, now) if before is not None else None
    if before is None or changed is None:
        return []
    return [
        {
            "event_type": "snapshot",
            "event_date": state.clock().date().isoformat(),
            "changed_output": changed,
            "previous_output": before,
        }
    ]


def _report(state: State, monitor: Monitor, execution: Execution) -> None:
    if execution.outcome == "detected":
        kind, event = "monitor.event.detected", {"event_group_id": execution.group_id}
    elif execution.outcome == "completion":
        kind = "monitor.execution.completed"
        event = {"type": "completion", "monitor_ts": execution.at}
    else:
        kind = "monitor.execution.failed"
        event = {
            "type": "error",
            "error": FAILURE,
            "id": execution.group_id,
            "date": execution.at,
        }
    data = {"monitor_id": monitor.monitor_id, "event": event, "metadata": monitor.metadata}
    state.deliver(monitor.webhook, kind, data)


def with_page(corpus: Corpus, page: Page) -> Index:
    """Return an index of a corpus with `page` added, or in the place of the page of its address."""
    address = normal(page.url)
    kept = [
        each
        for each in corpus
        if address not in {normal(each.url), *(normal(alias) for alias in each.aliases)}
    ]
    return Index(Corpus([*kept, page]))


def publish(state: State, page: Page, index: Index) -> None:
    """Put a new index in place and run the monitors that `page` concerns."""
    state.index = index
    for monitor in list(state.monitors.values()):
        if monitor.status == "active" and monitor.about(page):
            execute(state, monitor)


PATH = "/v1/monitors"
DEFAULT_MONITORS, MAX_MONITORS = 100, 10_000
DEFAULT_EVENTS, MAX_EVENTS = 20, 100


async def create(call: Call) -> Result:
    """Handle ``POST /v1/monitors``."""
    body: EventStreamBody | SnapshotBody
    if call.parse(Typed).type == "event_stream":
        body = call.parse(EventStreamBody)
        monitor = _new(call, body, body.settings.model_dump())
        _try_schema(call, monitor)
    else:
        body = call.parse(SnapshotBody)
        monitor = _new(call, body, _baseline(call, body.settings.task_run_id))
    call.state.monitors[monitor.monitor_id] = monitor
    execute(call.state, monitor)
    return Result(monitor.wire, status=201)


def _new(call: Call, body: CreateBody, settings: dict[str, Any]) -> Monitor:
    state = call.state
    return Monitor(
        state.ids.next("monitor"),
        len(state.monitors) + 1,
        body.type,
        body.frequency,
        body.processor,
        settings,
        state.stamp(),
        body.webhook.model_dump() if body.webhook else None,
        body.metadata,
        body.memory_scope_key,
    )


def _try_schema(call: Call, monitor: Monitor) -> None:
    try:
        monitor.report(call.state.corpus.pages[0], call.state.index)
    except SchemaError as error:
        raise invalid("settings.output_schema.json_schema", f"No JSON schema: {error}") from error


def _baseline(call: Call, run_id: str) -> dict[str, Any]:
    """Return the settings of a snapshot monitor, which come from its task run."""
    tasks = call.state.tasks
    run = tasks.get(run_id)
    if run is None:
        raise invalid("settings.task_run_id", f"Unknown task run {run_id!r}")
    status = run.status(tasks.now())
    if status != "completed":
        raise invalid("settings.task_run_id", f"Task run {run_id!r} is {status}, not completed")
    schema = None
    if run.input.spec.kind == "json":
        schema = {"type": "json", "json_schema": json.loads(run.input.spec.schema)}
    return {"task_run_id": run_id, "query": run.input.question, "output_schema": schema}


async def listing(call: Call) -> Result:
    """Handle ``GET /v1/monitors``."""
    types = choices(call, "type", ("event_stream", "snapshot"))
    statuses = choices(call, "status", ("active", "cancelled")) or {"active"}
    fitting = [
        monitor
        for monitor in reversed(call.state.monitors.values())
        if monitor.status in statuses and (not types or monitor.type in types)
    ]
    limit = limit_of(call, DEFAULT_MONITORS, MAX_MONITORS)
    page, cursor = page_of(call, fitting, limit, lambda monitor: int(monitor.number))
    return Result({"monitors": [monitor.wire for monitor in page], "next_cursor": cursor})


async def retrieve(call: Call) -> Result:
    """Handle ``GET /v1/monitors/{monitor_id}``."""
    return Result(_find(call).wire)


async def events(call: Call) -> Result:
    """Handle ``GET /v1/monitors/{monitor_id}/events``."""
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
        group = query["event_group_id"]
        if all(execution.group_id != group for execution in monitor.executions):
            raise RequestError(422, f"Could not find event group with id {group}")
        page = [each for each in found if each[1].group_id == group]
    else:
        limit = limit_of(call, DEFAULT_EVENTS, MAX_EVENTS)
        page, cursor = page_of(call, found, limit, lambda each: int(each[0]))
    advanced = monitor.settings.get("advanced_settings") or {}
    policy = SourcePolicy.model_validate(advanced.get("source_policy") or {})
    # Repeated with every page of events: who reads them may not have created the monitor.
    warnings = policy_warnings(policy, advanced.get("location"))
    body = {"events": [event for _, _, event in page], "next_cursor": cursor}
    return Result({**body, "warnings": warnings or None})


async def update(call: Call) -> Result:
    """Handle ``POST /v1/monitors/{monitor_id}/update``."""
    monitor = _find(call)
    body = call.parse(UpdateBody)
    changed = body.model_fields_set - {"type"}
    # Labels may be tidied up afterwards; nothing else of a cancelled monitor has an effect.
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
    return Result(monitor.wire)


async def cancel(call: Call) -> Result:
    """Handle ``POST /v1/monitors/{monitor_id}/cancel``; again, it changes nothing."""
    monitor = _find(call)
    monitor.status = "cancelled"
    return Result(monitor.wire)


async def trigger(call: Call) -> Result:
    """Handle ``POST /v1/monitors/{monitor_id}/trigger``."""
    monitor = _find(call)
    if monitor.status == "cancelled":
        raise RequestError(422, "A cancelled monitor cannot be triggered")
    execute(call.state, monitor)
    return Result(status=204)


def _find(call: Call) -> Monitor:
    monitor = call.state.monitors.get(call.request.path_params["monitor_id"])
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

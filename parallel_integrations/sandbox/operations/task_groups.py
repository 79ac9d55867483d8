"""Task groups: ``/v1/tasks/groups`` and what is below it."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, get_args

from pydantic import Field
from starlette.datastructures import QueryParams

from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.shared import POLL_SECONDS, Loose, seconds_of
from parallel_integrations.sandbox.operations.tasks import (
    RunBody,
    TaskSpec,
    check,
    find,
    findings,
    start,
    state_event,
)
from parallel_integrations.sandbox.server.responses import RequestError, frame, invalid_parameter
from parallel_integrations.sandbox.state.ledger import Entry
from parallel_integrations.sandbox.state.tasks import Event, Group, Run, Status
from parallel_integrations.sandbox.state.times import rfc3339

MAX_RUNS = 1000
STREAM_SECONDS = 3600.0
"""The live service keeps a stream of events open for an hour at most."""
STATUSES = frozenset({*get_args(Status), "action_required", "cancelling", "cancelled"})
SWITCHES: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}


class GroupBody(Loose):
    """Body of a new group."""

    metadata: dict[str, str | bool | int | float] | None = None


class GroupRunsBody(Loose):
    """Body of a request that adds runs to a group."""

    inputs: Annotated[list[RunBody], Field(max_length=MAX_RUNS)]
    default_task_spec: TaskSpec | None = None


async def create(call: Call) -> Result:
    """Handle ``POST /v1/tasks/groups``."""
    body = call.parse(GroupBody)
    group = Group(call.state.ids.next("tgrp"), call.state.clock(), body.metadata)
    call.state.groups[group.group_id] = group
    return Result(_body(call, group), bill=Entry("create_task_group", 0.0))


async def retrieve(call: Call) -> Result:
    """Handle ``GET /v1/tasks/groups/{taskgroup_id}``."""
    return Result(_body(call, _find(call)))


def _body(call: Call, group: Group) -> dict[str, Any]:
    return {
        "taskgroup_id": group.group_id,
        "status": group.status(call.state.tasks.now()),
        "metadata": group.metadata,
        "created_at": rfc3339(group.created),
    }


def _find(call: Call) -> Group:
    group_id = call.request.path_params["taskgroup_id"]
    group = call.state.groups.get(group_id)
    if group is None:
        raise RequestError(404, f"TaskGroup not found: {group_id!r}")
    return group


async def add_runs(call: Call) -> Result:
    """Handle ``POST /v1/tasks/groups/{taskgroup_id}/runs``: all of the runs start, or none."""
    group = _find(call)
    refresh = _switch(call.request.query_params, "refresh_status", default=True)
    body = call.parse(GroupRunsBody)
    inputs = []
    for number, each in enumerate(body.inputs):
        try:
            inputs.append(check(call.state, each, body.default_task_spec))
        except RequestError as error:
            for problem in error.problems:
                # The error must say which of a thousand inputs is wrong.
                problem["loc"][1:1] = ["inputs", number]
            raise
    runs_before = len(group.runs)
    group.advance(call.state.tasks.now())
    events_before = len(group.events)
    batch = start(call.state, inputs, group.group_id)
    if batch.runs:
        group.add(batch)
    count = len(batch.runs)
    status = group.status(batch.began) if refresh else group.status_without_refresh(count)
    return Result(
        {
            "status": status,
            "run_ids": [run.run_id for run in batch.runs],
            "run_cursor": _cursor("run", runs_before) if runs_before else None,
            "event_cursor": _cursor("event", events_before) if runs_before else None,
        },
        bill=Entry("add_task_group_runs", 0.0, units=count),
    )


async def retrieve_run(call: Call) -> Result:
    """Handle ``GET /v1/tasks/groups/{taskgroup_id}/runs/{run_id}``."""
    run = find(call, _find(call).group_id)
    return Result(run.body(run.status(call.state.tasks.now())))


async def list_runs(call: Call) -> Result:
    """Handle ``GET /v1/tasks/groups/{taskgroup_id}/runs`` with the runs there are now."""
    group = _find(call)
    query = call.request.query_params
    wanted = query.get("status")
    if wanted is not None and wanted not in STATUSES:
        raise invalid_parameter("query", "status", f"Unknown status {wanted!r}")
    return Result(
        events=_runs(
            call,
            group,
            _position(query, "run", len(group.runs)),
            wanted,
            with_input=_switch(query, "include_input", default=False),
            with_output=_switch(query, "include_output", default=False),
        )
    )


async def _runs(
    call: Call, group: Group, begin: int, wanted: str | None, *, with_input: bool, with_output: bool
) -> AsyncIterator[bytes]:
    # A listing shows one moment: runs that are added while a slow client reads are not part of it.
    now, end = call.state.tasks.now(), len(group.runs)
    for number in range(begin, end):
        run = group.runs[number]
        status = run.status(now)
        if wanted not in (None, status):
            continue
        output = None
        if with_output and status == "completed":
            output = findings(call.state.index, run).output
        request = run.input.request if with_input else None
        event_id = _cursor("run", number + 1)
        data = state_event(run, status, event_id=event_id, output=output, request=request)
        yield frame(data)
        # Lets other requests be handled in between, and notices a client that left.
        await asyncio.sleep(0)


async def stream_events(call: Call) -> Result:
    """Handle ``GET /v1/tasks/groups/{taskgroup_id}/events``."""
    group = _find(call)
    query = call.request.query_params
    group.advance(call.state.tasks.now())
    seconds = seconds_of(call, STREAM_SECONDS)
    return Result(
        events=_events(call, group, _position(query, "event", len(group.events)), seconds)
    )


async def _events(call: Call, group: Group, begin: int, seconds: float) -> AsyncIterator[bytes]:
    tasks = call.state.tasks
    closes = tasks.now() + min(seconds, STREAM_SECONDS)
    number = begin
    # A group without runs has no events; the stream still says how it stands.
    if not group.events:
        status = group.status(tasks.now())
        yield _event(status, 0)
    while not call.is_left:
        group.advance(tasks.now())
        while number < len(group.events):
            number += 1
            yield _event(group.events[number - 1], number)
            await asyncio.sleep(0)
        left = closes - tasks.now()
        if group.next_end is None or left <= 0:
            return
        await call.pause(min(left, POLL_SECONDS, max(0.0, group.next_end - tasks.now())))


def _event(event: Event, number: int) -> bytes:
    event_id = _cursor("event", number)
    if isinstance(event, Run):
        status: Status = "failed" if event.input.failure else "completed"
        return frame(state_event(event, status, event_id=event_id))
    data = {"type": "task_group_status", "event_id": event_id, "status": event}
    return frame(data)


def _cursor(kind: str, number: int) -> str:
    return f"{kind}_sandbox_{number:06}"


def _position(query: QueryParams, kind: str, most: int) -> int:
    """Return after how many runs or events a stream begins."""
    given = query.get("last_event_id")
    if not given:
        return 0
    prefix, _, digits = given.rpartition("_")
    if prefix != f"{kind}_sandbox" or not re.fullmatch("[0-9]{1,9}", digits) or int(digits) > most:
        raise invalid_parameter("query", "last_event_id", f"{given!r} is no cursor of this stream")
    return int(digits)


def _switch(query: QueryParams, name: str, *, default: bool) -> bool:
    given = query.get(name)
    if given is None:
        return default
    if given.lower() not in SWITCHES:
        raise invalid_parameter("query", name, f"{given!r} is neither true nor false")
    return SWITCHES[given.lower()]


_GROUP = "/v1/tasks/groups/{taskgroup_id}"

OPERATIONS = (
    Operation("create_task_group", "POST", "/v1/tasks/groups", create, framework_errors=True),
    Operation("retrieve_task_group", "GET", _GROUP, retrieve, framework_errors=True),
    Operation("add_task_group_runs", "POST", f"{_GROUP}/runs", add_runs, framework_errors=True),
    Operation("task_group_runs", "GET", f"{_GROUP}/runs", list_runs, framework_errors=True),
    Operation("task_group_events", "GET", f"{_GROUP}/events", stream_events, framework_errors=True),
    Operation("retrieve_task_group_run", "GET", f"{_GROUP}/runs/{{run_id}}", retrieve_run),
)

"""The event stream of a FindAll run."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from typing import Any

from parallel_integrations.sandbox.operations.findall_shared import find, refused, settle
from parallel_integrations.sandbox.operations.operation import Answer, Call
from parallel_integrations.sandbox.server.connection import Connection
from parallel_integrations.sandbox.state.findall_run import FindallRun

HEARTBEAT_SECONDS = 10.0
"""Silence after which the run's status is sent."""
LOOK_SECONDS = 0.02
"""How often a stream looks whether its run was cancelled, extended or enriched."""


async def findall_events(call: Call) -> Answer:
    """Answer ``GET /v1beta/findall/runs/{findall_id}/events``.

    Every connection gets at least one frame with the run's status, as the last one if the run has
    ended: a client that resumes after the last event learns that there is nothing to wait for.
    """
    run = find(call)
    query = call.request.query_params
    sent = 0
    if query.get("last_event_id"):
        count = run.count_of(query["last_event_id"])
        if count is None:
            raise refused("query", "last_event_id", f"Unknown event {query['last_event_id']!r}")
        sent = count
    seconds = math.inf
    if query.get("timeout"):
        try:
            seconds = float(query["timeout"])
        except ValueError:
            seconds = math.nan
        if not seconds >= 0:
            raise refused("query", "timeout", "Input should be a number of seconds")
    return Answer(events=_frames(call, run, sent, time.monotonic() + seconds))


async def _frames(call: Call, run: FindallRun, sent: int, end: float) -> AsyncIterator[bytes]:
    connection: Connection = call.request.scope["state"]["connection"]
    beats = 0
    status_known = False
    last_frame = time.monotonic()
    while not connection.closed.is_set():
        settle(call.world, run)
        while sent < run.happened:
            sent += 1
            event = run.event(sent)
            status_known = event["type"] == "findall.status"
            yield _frame(event)
            last_frame = time.monotonic()
        now = time.monotonic()
        over = not run.is_active or call.world.findall.get(run.findall_id) is not run
        silent = now - last_frame >= HEARTBEAT_SECONDS
        if silent or (over and not status_known):
            beats += 1
            yield _frame(_heartbeat(call, run, sent, beats))
            last_frame, status_known = now, True
        if over or now >= end:
            return
        due = math.inf if run.due_in is None else run.due_in
        await asyncio.sleep(max(0.0, min(LOOK_SECONDS, due, end - now)))


def _heartbeat(call: Call, run: FindallRun, sent: int, beats: int) -> dict[str, Any]:
    return {
        "type": "findall.status",
        "event_id": f"{run.findall_id}_event_{sent:06}_{beats}",
        "timestamp": call.world.stamp(),
        "data": run.wire(),
    }


def _frame(event: dict[str, Any]) -> bytes:
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return f"data: {text}\n\n".encode()

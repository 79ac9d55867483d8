"""The event stream of one task run: how it stands, what it did, how it ended."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from parallel_integrations.sandbox.operations.operation import Call
from parallel_integrations.sandbox.operations.task_outputs import findings
from parallel_integrations.sandbox.state.state import World
from parallel_integrations.sandbox.state.tasks import QUEUED_SHARE, Run, Status
from parallel_integrations.sandbox.state.times import rfc3339

STREAM_SECONDS = 570.0
"""The live service closes a stream after this long."""
LAST_SHARE = 0.9
"""Share of a run's time by which all its messages are out."""
SHOWN_CHARS = 100
SAMPLE = 5


@dataclass(frozen=True, slots=True)
class Step:
    """Something a run did.

    Attributes:
        share: When, as a share of the run's time.
        kind: ``plan``, ``search``, ``result`` or ``exec_status``.
        message: In words.
        read: Addresses of the pages read by then.
    """

    share: float
    kind: str
    message: str
    read: Sequence[str]


def frame(data: Mapping[str, Any], *, named: bool = True) -> bytes:
    """Return one event as the wire has it; `named` adds its type as a line of its own."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    name = f"event: {data['type']}\n" if named else ""
    return f"{name}data: {text}\n\n".encode()


def state(
    run: Run,
    status: Status,
    *,
    event_id: str | None = None,
    output: Mapping[str, Any] | None = None,
    request: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the event that tells how a run stands."""
    return {
        "type": "task_run.state",
        "event_id": event_id,
        "input": request,
        "run": run.body(status),
        "output": output,
    }


async def events(call: Call, run: Run) -> AsyncIterator[bytes]:
    """Yield everything that has happened, then what happens, until the run or the time ends."""
    tasks, batch = call.world.tasks, run.batch
    closes = tasks.now() + STREAM_SECONDS
    yield frame(state(run, run.status(tasks.now())))
    steps = _steps(call.world, run) if run.asked.events else []
    due = [batch.began + batch.seconds * step.share for step in steps]
    past = sum(moment <= tasks.now() for moment in due)
    for step in steps[:past]:
        yield frame(_message(run, step))
    if past:
        yield frame(_stats(call.world, run, steps[past - 1]))
    for step, moment in zip(steps[past:], due[past:], strict=True):
        if not await _wait(call, moment, closes):
            return
        yield frame(_message(run, step))
        yield frame(_stats(call.world, run, step))
    if await _wait(call, batch.ends, closes):
        status = run.status(tasks.now())
        output = findings(call.world.index, run).output if status == "completed" else None
        yield frame(state(run, status, output=output))


async def _wait(call: Call, moment: float, closes: float) -> bool:
    """Wait for a moment; tells whether it came before the stream has to close."""
    while (left := min(moment, closes) - call.world.tasks.now()) > 0:
        if call.is_left:
            return False
        await call.pause(left)
    return moment <= closes


def _steps(world: World, run: Run) -> list[Step]:
    found = findings(world.index, run)
    looked_for = run.asked.question[:SHOWN_CHARS]
    told: list[tuple[str, str, Sequence[str]]] = [
        ("plan", f"Look for {looked_for!r} in the sandbox's {len(world.corpus)} pages", ()),
        ("search", f"Found {len(found.considered)} page(s) that hold these words", ()),
    ]
    if run.asked.failure is None:
        read: list[str] = []
        for url, title in found.read.items():
            read = [*read, url]
            told.append(("result", f"Quoted {title}", read))
        told.append(("exec_status", "Put the quotes together", read))
    width = (LAST_SHARE - QUEUED_SHARE) / len(told)
    return [Step(QUEUED_SHARE + n * width, *each) for n, each in enumerate(told)]


def _message(run: Run, step: Step) -> dict[str, Any]:
    batch = run.batch
    return {
        "type": f"task_run.progress_msg.{step.kind}",
        "message": step.message,
        "timestamp": rfc3339(batch.created + timedelta(seconds=batch.seconds * step.share)),
    }


def _stats(world: World, run: Run, step: Step) -> dict[str, Any]:
    considered = 0 if step.kind == "plan" else len(findings(world.index, run).considered)
    return {
        "type": "task_run.progress_stats",
        "source_stats": {
            "num_sources_considered": considered,
            "num_sources_read": len(step.read),
            "sources_read_sample": list(step.read[:SAMPLE]),
        },
        "progress_meter": round(100 * step.share),
    }

"""The runs that a group holds, read one by one: what cannot be read costs none of the others."""

import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from parallel_integrations._protocol.flow import Flow, More, Send, call, each
from parallel_integrations._protocol.paths import NO_IDS, carrying, segment
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.api.task_groups import task_group_runs
from parallel_integrations.errors import UnexpectedAnswerError
from parallel_integrations.models.shared import StreamEvent, UnreadableEvent
from parallel_integrations.models.task import TaskOutput, TaskRun, TaskRunResult, TaskRunStateEvent

SURROGATE: Final = re.compile("[\ud800-\udfff]")
REPLACEMENT: Final = "\ufffd"


@dataclass(frozen=True, slots=True)
class Listed:
    """A run as a listing shows it.

    Attributes:
        event: What was read of it; None where nothing could be.
        fault: Why not all of it was read; empty where all was.
    """

    event: TaskRunStateEvent | None
    fault: str = ""


def list_runs(
    taskgroup_id: str,
    take: Callable[[Listed], None],
    *,
    include_output: bool = False,
    last_event_id: str | None = None,
) -> Generator[Send | More, Any, None]:
    """Hand every run that a group holds to `take`.

    Args:
        taskgroup_id: The group.
        take: Is given each.
        include_output: With outputs, where complete.
        last_event_id: Begin after this event.
    """

    def see(event: StreamEvent) -> None:
        if isinstance(event, TaskRunStateEvent):
            take(Listed(event))
        elif isinstance(event, UnreadableEvent):
            take(Listed(_salvaged(event.text), event.fault))

    runs = task_group_runs(taskgroup_id, include_output=include_output, last_event_id=last_event_id)
    yield from each(runs, see)


def retrieve_output(run_id: str) -> Flow[TaskRunResult]:
    """Read the result of a run that is complete.

    Raises:
        UnexpectedAnswerError: It cannot be read, or the run has no id to ask for it with.
    """
    if run_id.strip() in NO_IDS:
        raise UnexpectedAnswerError(f"the group lists a run whose id is {run_id!r}")
    send = Send(
        "GET",
        f"/v1/tasks/runs/{segment('run_id', run_id)}/result",
        params=(("timeout", "1"),),
        retry=RetryPolicy.READ,
        wait_seconds=1,
    )
    with carrying(run_id=run_id):
        return (yield from call(send, TaskRunResult))


def _salvaged(text: str) -> TaskRunStateEvent | None:
    """What can be read of a run's event that as a whole cannot."""
    try:
        data = json.loads(text)
        data = json.loads(SURROGATE.sub(REPLACEMENT, json.dumps(data, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None
    run = data.get("run") if isinstance(data, dict) else None
    if not isinstance(run, dict) or not isinstance(run.get("run_id"), str):
        return None
    metadata, status = run.get("metadata"), run.get("status")
    try:
        output = TaskOutput.model_validate(data.get("output"))
    except ValidationError:
        output = None
    return TaskRunStateEvent(
        run=TaskRun(
            run_id=run["run_id"],
            status=status if isinstance(status, str) else "",
            metadata=metadata if isinstance(metadata, dict) else None,
        ),
        output=output,
    )

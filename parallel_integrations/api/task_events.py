"""The progress of a task, as it goes on (API facts 8)."""

from collections import Counter
from collections.abc import Generator
from typing import Any, Final

from parallel_integrations.api.events import StreamEvent, follow
from parallel_integrations.api.flow import Emit, Flow, More, Send, Stream
from parallel_integrations.api.paths import carrying, segment
from parallel_integrations.api.polling import Patience, check_deadline
from parallel_integrations.api.retries import Repeat
from parallel_integrations.api.task_requests import EVENT_BETAS
from parallel_integrations.api.task_types import (
    TASK_EVENTS,
    TaskRunProgressMessageEvent,
    TaskRunStateEvent,
)
from parallel_integrations.api.tasks import DEADLINE_SECONDS, result_within, retrieve_task_run

STREAM_TIMEOUT_SECONDS: Final = 120.0


def task_run_events(
    run_id: str, *, deadline_seconds: float = DEADLINE_SECONDS
) -> Stream[StreamEvent]:
    """Follow a run's progress until it ends.

    The API cuts the stream after 570 s and starts it over; repeats are left out. The last event is
    a `TaskRunStateEvent` with the output.

    Args:
        run_id: A run created with `enable_events=True` (or `pro` and above).
        deadline_seconds: When to stop following, after 30 days at most; the run goes on.

    Returns:
        A stream of `TaskRunStateEvent`, `TaskRunProgressStatsEvent`, `TaskRunProgressMessageEvent`
        and, for kinds this version does not know, `StreamEvent`.

    Raises:
        StreamInterruptedError: The stream reported an error or kept breaking.
        TaskTimeoutError: The run is completed, but its output did not come by the deadline.

    Example:
        ```python
        from parallel_integrations import CreateTaskRunRequest, ParallelClient
        from parallel_integrations.api import create_task_run, task_run_events

        request = CreateTaskRunRequest(input="What is a slot?", enable_events=True)
        with ParallelClient() as client:
            run = client.run(create_task_run(request))
            for event in client.stream(task_run_events(run.run_id)):
                print(event.type)
        ```
    """
    check_deadline(deadline_seconds)
    yield from follow_task_run(run_id, deadline_seconds)


def follow_task_run(
    run_id: str, deadline_seconds: float
) -> Generator[Send | More | Emit[StreamEvent], Any, float]:
    """As `task_run_events`; returns the seconds since the operation's start."""
    seen: Counter[str] = Counter()
    here: Counter[str] = Counter()  # since the stream was opened
    ended: list[TaskRunStateEvent] = []

    def is_new(event: StreamEvent) -> bool:
        mark = _fingerprint(event)
        here[mark] += 1
        if isinstance(event, TaskRunStateEvent) and event.run.is_over:
            ended.append(event)  # told once and last, whatever else is replayed
            return False
        if here[mark] <= seen[mark]:
            return False
        seen[mark] = here[mark]
        return True

    def is_last(event: StreamEvent) -> bool:
        # The first frame tells how the run stands now; what it did is replayed after that.
        over = isinstance(event, TaskRunStateEvent) and event.run.is_over
        return over and here.total() > 1

    def is_over() -> Flow[bool]:
        return (yield from retrieve_task_run(run_id)).is_over

    send = Send(
        "GET",
        f"/v1/tasks/runs/{segment('run_id', run_id)}/events",
        repeat=Repeat.READ,
        timeout_seconds=silence(deadline_seconds),
        stream=True,
        betas=EVENT_BETAS,
    )
    with carrying(run_id=run_id):
        elapsed: float = yield from follow(
            send,
            TASK_EVENTS,
            resumable=False,
            is_last=is_last,
            is_new=is_new,
            may_end=lambda: bool(ended),
            is_over=is_over,
            on_open=here.clear,
            deadline_seconds=deadline_seconds,
        )
        if not ended:  # the deadline passed
            return elapsed
        last = next((event for event in reversed(ended) if event.output), ended[-1])
        if last.run.status == "completed" and last.output is None:
            patience = Patience(deadline_seconds, elapsed, reached=True)
            last.output = (yield from result_within(patience, run_id)).output
        yield Emit(last)
        return elapsed


def silence(deadline_seconds: float) -> float:
    """How long a stream that is followed until a deadline may be silent."""
    return min(STREAM_TIMEOUT_SECONDS, max(1.0, deadline_seconds))


def _fingerprint(event: StreamEvent) -> str:
    if isinstance(event, TaskRunStateEvent):
        return f"{event.type} {event.run.status}"
    if isinstance(event, TaskRunProgressMessageEvent):
        return f"{event.type} {event.timestamp} {event.message}"
    return event.model_dump_json()

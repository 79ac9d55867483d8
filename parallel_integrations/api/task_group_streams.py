"""The runs of a task group as a stream: as they are, and as they go on (API facts 9)."""

from math import inf

from parallel_integrations.api.events import StreamEvent, follow
from parallel_integrations.api.flow import Flow, Send, Stream
from parallel_integrations.api.paths import carrying
from parallel_integrations.api.polling import check_deadline
from parallel_integrations.api.retries import LAST_ANSWER_SECONDS, Repeat
from parallel_integrations.api.task_events import STREAM_TIMEOUT_SECONDS, silence
from parallel_integrations.api.task_group_types import GROUP_EVENTS, TaskGroupStatusEvent
from parallel_integrations.api.task_groups import group_path, retrieve_task_group


def task_group_runs(
    taskgroup_id: str,
    *,
    status: str | None = None,
    include_input: bool = False,
    include_output: bool = False,
    last_event_id: str | None = None,
) -> Stream[StreamEvent]:
    """Go through the runs that a group holds now, without waiting for any.

    Args:
        taskgroup_id: The group's id.
        status: Only runs in this status.
        include_input: With their requests.
        include_output: With their outputs, where complete.
        last_event_id: Begin after this event.

    Returns:
        A stream of `TaskRunStateEvent`; resumed where it breaks.

    Example:
        ```python
        from parallel_integrations import (
            AddTaskGroupRunsRequest,
            CreateTaskRunRequest,
            ParallelClient,
        )
        from parallel_integrations.api import (
            add_task_group_runs,
            create_task_group,
            task_group_runs,
        )

        tasks = [CreateTaskRunRequest(input=name, processor="lite") for name in ("with", "del")]
        with ParallelClient() as client:
            group = client.run(create_task_group())
            request = AddTaskGroupRunsRequest(inputs=tasks, output_schema="What it does.")
            added = client.run(add_task_group_runs(group.taskgroup_id, request))
            for event in client.stream(task_group_runs(group.taskgroup_id, include_input=True)):
                print(event.run.run_id, event.run.status)
        ```
    """
    asked = (
        ("status", status),
        ("include_input", "true" if include_input else None),
        ("include_output", "true" if include_output else None),
    )
    send = Send(
        "GET",
        f"{group_path(taskgroup_id)}/runs",
        params=tuple((name, value) for name, value in asked if value),
        repeat=Repeat.READ,
        timeout_seconds=STREAM_TIMEOUT_SECONDS,
        stream=True,
    )
    with carrying(taskgroup_id=taskgroup_id):
        yield from follow(send, GROUP_EVENTS, last_event_id=last_event_id)


def task_group_events(
    taskgroup_id: str, *, last_event_id: str | None = None, timeout: float | None = None
) -> Stream[StreamEvent]:
    """Follow a group until none of its runs is active.

    Args:
        taskgroup_id: The group's id.
        last_event_id: Begin after this event.
        timeout: Seconds after which the server ends the stream; without it, the stream is opened
            again until the group is done.

    Returns:
        A stream of `TaskGroupStatusEvent` and `TaskRunStateEvent`, without outputs.

    Example:
        ```python
        from parallel_integrations import (
            AddTaskGroupRunsRequest,
            CreateTaskRunRequest,
            ParallelClient,
        )
        from parallel_integrations.api import (
            add_task_group_runs,
            create_task_group,
            task_group_events,
        )

        tasks = [CreateTaskRunRequest(input=name, processor="lite") for name in ("with", "del")]
        with ParallelClient() as client:
            group = client.run(create_task_group())
            request = AddTaskGroupRunsRequest(inputs=tasks, output_schema="What it does.")
            added = client.run(add_task_group_runs(group.taskgroup_id, request))
            for event in client.stream(task_group_events(group.taskgroup_id)):
                print(event.type)
        ```
    """
    deadline_seconds = inf if timeout is None else check_deadline(timeout, "timeout")
    active = [True]

    def is_new(event: StreamEvent) -> bool:
        if isinstance(event, TaskGroupStatusEvent):
            active[0] = event.status.is_active
        return True

    def is_over() -> Flow[bool]:
        return not (yield from retrieve_task_group(taskgroup_id)).status.is_active

    send = Send(
        "GET",
        f"{group_path(taskgroup_id)}/events",
        params=() if deadline_seconds == inf else (("timeout", f"{deadline_seconds:g}"),),
        repeat=Repeat.READ,
        timeout_seconds=silence(deadline_seconds),
        stream=True,
    )
    with carrying(taskgroup_id=taskgroup_id):
        yield from follow(
            send,
            GROUP_EVENTS,
            last_event_id=last_event_id,
            is_new=is_new,
            may_end=lambda: deadline_seconds < inf or not active[0],
            is_over=is_over,
            deadline_seconds=deadline_seconds + LAST_ANSWER_SECONDS,  # the server ends it
        )

"""Task groups: results in the order of their inputs (docs/reference/facts.md, 9)."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel

from parallel_integrations._protocol.events import (
    STREAM_TIMEOUT_SECONDS,
    EventFollower,
    TimedFollower,
)
from parallel_integrations._protocol.flow import Emit, Flow, More, Send, Stream, call, each
from parallel_integrations._protocol.paths import (
    carrying,
    create,
    segment,
    text_parameter,
    waiting,
)
from parallel_integrations._protocol.polling import DEADLINE_SECONDS, check_deadline, poll, within
from parallel_integrations._protocol.retry import RetryPolicy
from parallel_integrations.errors import (
    ConnectionFailedError,
    InvalidArgumentError,
    ParallelError,
    RequestTimeoutError,
    ServerError,
    StatusError,
    UnexpectedAnswerError,
)
from parallel_integrations.models._validation import check_count
from parallel_integrations.models.output_schema import OutputSchema, parse_output
from parallel_integrations.models.policies import Metadata
from parallel_integrations.models.shared import StreamEvent, UnreadableEvent
from parallel_integrations.models.task import (
    CreateTaskRunRequest,
    TaskOutput,
    TaskRun,
    TaskRunResult,
    TaskRunStateEvent,
    TaskSettings,
    checked_settings,
)
from parallel_integrations.models.task_group import (
    GROUP_EVENTS,
    MAX_RUNS_PER_CALL,
    AddedTaskGroupRuns,
    AddTaskGroupRunsRequest,
    CreateTaskGroupRequest,
    TaskGroup,
    TaskGroupResult,
    TaskGroupStatusEvent,
    TaskInput,
)
from parallel_integrations.models.tolerant_reading import read_items, read_json

ADD_TIMEOUT_SECONDS: Final = 120.0


def create_task_group(request: CreateTaskGroupRequest | None = None) -> Flow[TaskGroup]:
    """Make an empty group; costs nothing until runs are added.

    Args:
        request: Its labels.

    Returns:
        A flow whose result is the `TaskGroup`.
    """
    request = request or CreateTaskGroupRequest()
    CreateTaskGroupRequest.expect(request)
    send = Send("POST", "/v1/tasks/groups", request, retry=RetryPolicy.CREATE)
    return create(send, TaskGroup, "taskgroup_id", "task group")


def retrieve_task_group(taskgroup_id: str) -> Flow[TaskGroup]:
    """Look up how a group stands.

    Args:
        taskgroup_id: Its id.

    Returns:
        A flow whose result is the `TaskGroup`.
    """
    with carrying(taskgroup_id=taskgroup_id):
        return (yield from call(_read_group(taskgroup_id), TaskGroup))


def add_task_group_runs(
    taskgroup_id: str, request: AddTaskGroupRunsRequest, *, refresh_status: bool = True
) -> Flow[AddedTaskGroupRuns]:
    """Add tasks to a group.

    Args:
        taskgroup_id: Its id.
        request: Up to 1000 tasks.
        refresh_status: False responds faster, with a status that may be old.

    Returns:
        A flow whose result is the `AddedTaskGroupRuns`.
    """
    AddTaskGroupRunsRequest.expect(request)
    with carrying(taskgroup_id=taskgroup_id):
        send = Send(
            "POST",
            _group_path(taskgroup_id, "/runs"),
            request,
            params=() if refresh_status else (("refresh_status", "false"),),
            retry=RetryPolicy.CREATE,
            timeout_seconds=ADD_TIMEOUT_SECONDS,
        )
        return (yield from call(send, AddedTaskGroupRuns))


def retrieve_task_group_run(taskgroup_id: str, run_id: str) -> Flow[TaskRun]:
    """Look up how one run of a group stands.

    Args:
        taskgroup_id: The group's id.
        run_id: The run's id.

    Returns:
        A flow whose result is the `TaskRun`.
    """
    with carrying(taskgroup_id=taskgroup_id, run_id=run_id):
        send = _read_group(taskgroup_id, f"/runs/{segment('run_id', run_id)}")
        return (yield from call(send, TaskRun))


def _read_group(taskgroup_id: str, part: str = "") -> Send:
    return Send("GET", _group_path(taskgroup_id, part), retry=RetryPolicy.READ)


def _group_path(taskgroup_id: str, part: str = "") -> str:
    return f"/v1/tasks/groups/{segment('taskgroup_id', taskgroup_id)}{part}"


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
        A stream of `TaskRunStateEvent`, resumed where it breaks; a run that cannot be read is an
        `UnreadableEvent`.
    """
    filters = (
        ("status", text_parameter("status", status)),
        ("include_input", "true" if include_input else None),
        ("include_output", "true" if include_output else None),
    )
    send = replace(
        _read_group(taskgroup_id, "/runs"),
        params=tuple((name, value) for name, value in filters if value),
        timeout_seconds=STREAM_TIMEOUT_SECONDS,
        stream=True,
    )
    with carrying(taskgroup_id=taskgroup_id):
        yield from _RunLister(send, GROUP_EVENTS, last_event_id=last_event_id).events()


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
    """
    follower = _TaskGroupFollower(taskgroup_id, last_event_id, timeout)
    with carrying(taskgroup_id=taskgroup_id):
        yield from follower.events()


class _TaskGroupFollower(TimedFollower):
    """Follows a task group."""

    def __init__(self, taskgroup_id: str, last_event_id: str | None, timeout: float | None) -> None:
        send = replace(_read_group(taskgroup_id, "/events"), stream=True)
        super().__init__(send, GROUP_EVENTS, last_event_id, timeout)
        self.taskgroup_id = taskgroup_id

    def is_new(self, event: StreamEvent) -> bool:
        if isinstance(event, TaskGroupStatusEvent):
            self.is_active = event.status.is_active
        return True

    def look_up(self) -> Flow[bool]:
        return not (yield from retrieve_task_group(self.taskgroup_id)).status.is_active


class _RunLister(EventFollower):
    """Lists the runs of a group; one that cannot be read costs none of the others."""

    def unreadable(self, text: str, fault: str) -> UnreadableEvent:
        return UnreadableEvent(text=text, fault=fault)


LOOKS_AFTER_SECONDS: Final = (0.0, 0.5, 2.0)
"""When to look whether an add arrived whose response was lost; it may take a moment."""


INDEX_KEY: Final = "parallel_index"
"""Key of the metadata that says which input a run belongs to."""


MAX_NUMBER: Final = 18
"""Digits of a number that may be ours; Python refuses to read thousands of them."""


def run_task_group(
    inputs: Sequence[TaskInput],
    settings: TaskSettings | None = None,
    *,
    metadata: Metadata | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Generator[Send | More | Emit[Any], Any, list[TaskGroupResult]]:
    """Run a task for every input and give the results in the order of the inputs.

    Runs are added 1000 a call, each with its number in its metadata (`parallel_index`), so that no
    result depends on the order in which the API names them. A failed run is a result without
    output and costs none of the others.

    Args:
        inputs: Any number.
        settings: How: processor, output schema and so on; the same for all.
        metadata: Labels of the group.
        deadline_seconds: How long to wait in all, 30 days at most.

    Returns:
        A flow for `ParallelClient.run` or `arun`; its result has one `TaskGroupResult` an input.

    Raises:
        TaskTimeoutError: The deadline passed; `taskgroup_id` on it, as on every error after the
            group was created, goes on with `wait_task_group`.

    Example:
        ```python
        from parallel_integrations import ParallelClient, TaskSettings
        from parallel_integrations.api import run_task_group

        settings = TaskSettings(processor="lite", output_schema="What the statement does.")
        with ParallelClient() as client:
            for result in client.run(run_task_group(["with", "nonlocal"], settings)):
                print(result.error or result.output.content)
        ```
    """
    if isinstance(inputs, str | bytes | Mapping | BaseModel) or not isinstance(inputs, Iterable):
        raise InvalidArgumentError(
            f"inputs={inputs!r:.100} must be a list: each of its members becomes a task of its own"
        )
    check_deadline(deadline_seconds)
    settings = checked_settings(settings)
    requests = numbered_requests(inputs, settings)
    return _run_requests(requests, settings, metadata, deadline_seconds)


def _run_requests(
    requests: list[CreateTaskRunRequest],
    settings: TaskSettings,
    metadata: Metadata | None,
    deadline_seconds: float,
) -> Generator[Send | More | Emit[Any], Any, list[TaskGroupResult]]:
    if not requests:
        return []
    taskgroup_id = yield from within(_begin(requests, settings, metadata), deadline_seconds)
    return (
        yield from _wait(
            taskgroup_id,
            len(requests),
            output_schema=settings.output_schema,
            deadline_seconds=deadline_seconds,
            reached=True,
        )
    )


def wait_task_group(
    taskgroup_id: str,
    num_inputs: int,
    *,
    output_schema: OutputSchema | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Generator[Send | More | Emit[Any], Any, list[TaskGroupResult]]:
    """Wait for a group of `run_task_group`, from its id, and give its results in order.

    Args:
        taskgroup_id: The group's id.
        num_inputs: How many inputs it was given.
        output_schema: A pydantic class to read the outputs into.
        deadline_seconds: How long to wait in all, 30 days at most.

    Returns:
        A flow for `ParallelClient.run` or `arun`; its result has one `TaskGroupResult` an input.

    Raises:
        TaskTimeoutError: The deadline passed; the group goes on.
    """
    check_deadline(deadline_seconds)
    check_count("num_inputs", num_inputs, 0)
    return (
        yield from _wait(
            taskgroup_id,
            num_inputs,
            output_schema=output_schema,
            deadline_seconds=deadline_seconds,
            reached=False,
        )
    )


def _begin(
    requests: list[CreateTaskRunRequest], settings: TaskSettings, metadata: Metadata | None
) -> Flow[str]:
    """Create a group and add its runs; gives its id."""
    group = yield from create_task_group(CreateTaskGroupRequest(metadata=metadata))
    taskgroup_id = group.taskgroup_id
    words, going_on = f"Task group {taskgroup_id}", f"task_group_runs({taskgroup_id!r})"
    with waiting(words, going_on, taskgroup_id=taskgroup_id):
        for start in range(0, len(requests), MAX_RUNS_PER_CALL):
            chunk = runs_to_add(requests[start : start + MAX_RUNS_PER_CALL], settings)
            yield from _add_once(taskgroup_id, chunk, before=start)
    return taskgroup_id


def _wait(
    taskgroup_id: str,
    num_inputs: int,
    *,
    output_schema: OutputSchema | None,
    deadline_seconds: float,
    reached: bool,
) -> Generator[Send | More | Emit[Any], Any, list[TaskGroupResult]]:
    results: list[TaskGroupResult] = [TaskGroupResult() for _ in range(num_inputs)]
    cursor: str | None = None

    def take(event: StreamEvent) -> None:
        nonlocal cursor
        # Where the listing breaks, the next one begins here: it is not read from the start again.
        cursor = event.event_id or cursor
        result = TaskGroupResult()
        if isinstance(event, UnreadableEvent):
            result.run, result.validation_error = run_within(event.text), event.fault
        elif isinstance(event, TaskRunStateEvent):
            result.run = event.run
            if event.output is not None:
                fill(result, event.output)
        number = run_number(result.run) if result.run else None
        # A run that is listed again, as it was before or without its output, takes nothing away.
        if number is not None and number < num_inputs and _holds(result) >= _holds(results[number]):
            results[number] = result

    def fill(result: TaskGroupResult, output: TaskOutput) -> None:
        if output.is_empty:
            result.validation_error = "it holds nothing"
            return
        result.output = output
        result.parsed, result.validation_error = parse_output(output.content, output_schema)

    words = f"Task group {taskgroup_id}"
    going_on = f"wait_task_group({taskgroup_id!r}, {num_inputs})"

    def late(group: TaskGroup | None = None) -> str:
        known = group.status.task_run_status_counts if group else None
        counts = f" ({known})" if known else ""
        return (
            f"{words} is not done after {deadline_seconds:g} s{counts}. It goes on: wait for it "
            f"with {going_on}."
        )

    def collect() -> Generator[Send | More | Emit[Any], Any, None]:
        yield from poll(
            _read_group(taskgroup_id),
            TaskGroup,
            lambda group: not group.status.is_active and group.status.num_task_runs >= num_inputs,
            deadline_seconds=deadline_seconds,
            late=late,
            reached=reached,
        )
        known = -1
        # A proxy may end the listing in order where the server broke it off.
        while known < (known := sum(result.run is not None for result in results)) < num_inputs:
            runs = task_group_runs(taskgroup_id, include_output=True, last_event_id=cursor)
            yield from each(runs, take)
        for result in results:
            if result.output is not None or result.run is None or result.run.status != "completed":
                continue
            try:
                fill(result, (yield from _read_output(result.run.run_id)))
            # It costs none of the others, not even where the run has lost its id.
            except (StatusError, UnexpectedAnswerError, InvalidArgumentError) as error:
                result.validation_error = result.validation_error or str(error)

    with waiting(words, going_on, taskgroup_id=taskgroup_id):
        yield from within(collect(), deadline_seconds, late=late)
    return results


def _read_output(run_id: str) -> Flow[TaskOutput]:
    path = f"/v1/tasks/runs/{segment('run_id', run_id)}/result"
    with carrying(run_id=run_id):
        return (yield from call(Send("GET", path, retry=RetryPolicy.READ), TaskRunResult)).output


def _holds(result: TaskGroupResult) -> tuple[bool, bool]:
    """How much of a run a result holds; the more, the larger."""
    return result.output is not None, result.run is not None and result.run.is_over


def numbered_requests(
    inputs: Iterable[TaskInput], settings: TaskSettings
) -> list[CreateTaskRunRequest]:
    """A request for each input, with its number in its metadata; `runs_to_add` adds the schemas."""
    # The call that adds the runs states the schemas once: in each of 1000 requests, they could be
    # megabytes.
    bare = settings.model_copy(update={"output_schema": None, "input_schema": None})
    return [
        CreateTaskRunRequest.from_settings(bare, input=one, metadata={INDEX_KEY: number})
        for number, one in enumerate(inputs)
    ]


def runs_to_add(
    requests: list[CreateTaskRunRequest], settings: TaskSettings
) -> AddTaskGroupRunsRequest:
    """Requests of `numbered_requests`, at most 1000, with the schemas that they share."""
    # All of it was checked where it was made; now it must not fail or warn any more.
    return AddTaskGroupRunsRequest.model_construct(
        inputs=requests,
        output_schema=settings.output_schema,
        input_schema=settings.input_schema,
    )


def run_within(text: str) -> TaskRun | None:
    """The run of an event of which something else cannot be read."""
    try:
        return read_items(TaskRunStateEvent, {"run": read_json(text)["run"]}).run
    except (ValueError, TypeError, LookupError):
        return None


def run_number(run: TaskRun) -> int | None:
    """The number that `numbered_requests` gave a run; None where it carries none."""
    number = str((run.metadata or {}).get(INDEX_KEY))
    return int(number) if number.isdecimal() and len(number) <= MAX_NUMBER else None


def _add_once(
    taskgroup_id: str, chunk: AddTaskGroupRunsRequest, *, before: int
) -> Generator[Send, Any, None]:
    """Add a chunk; where the response is lost, look whether it arrived, and never add again."""
    try:
        yield from add_task_group_runs(taskgroup_id, chunk, refresh_status=False)
    except (
        ConnectionFailedError,
        RequestTimeoutError,
        ServerError,
        UnexpectedAnswerError,
    ) as error:
        if not (yield from _arrived(taskgroup_id, before + len(chunk.inputs))):
            raise error from error.__cause__


def _arrived(taskgroup_id: str, expected: int) -> Generator[Send, Any, bool]:
    for delay in LOOKS_AFTER_SECONDS:
        try:
            group = yield from call(
                replace(_read_group(taskgroup_id), delay_seconds=delay), TaskGroup
            )
        except ParallelError:
            return False
        if group.status.num_task_runs >= expected:
            return True
    return False

"""Tasks: create, wait, follow, read (docs/reference/facts.md, 8); suggestions of tasks (18.4)."""

from collections import Counter
from collections.abc import Generator
from contextlib import AbstractContextManager
from math import ceil
from typing import Any, Final

from parallel_integrations._protocol.events import EventFollower, idle_timeout_seconds
from parallel_integrations._protocol.flow import (
    Emit,
    Flow,
    More,
    Send,
    Stream,
    attempt,
    call,
    delayed,
)
from parallel_integrations._protocol.paths import carrying, create, segment, waiting
from parallel_integrations._protocol.polling import (
    DEADLINE_SECONDS,
    MAX_POLL_SECONDS,
    WaitLimit,
    check_deadline,
    within,
)
from parallel_integrations._protocol.response_reading import read_response
from parallel_integrations._protocol.retry import (
    Failure,
    RetryPolicy,
    conditions_of,
    requested_pause,
)
from parallel_integrations.errors import (
    ConnectionFailedError,
    NotFoundError,
    ParallelError,
    TaskFailedError,
    TaskTimeoutError,
    UnexpectedAnswerError,
)
from parallel_integrations.models.output_schema import OutputSchema
from parallel_integrations.models.shared import ModelT, StreamEvent
from parallel_integrations.models.task import (
    EVENT_BETAS,
    TASK_EVENTS,
    CreateTaskRunRequest,
    SuggestedProcessors,
    SuggestedTask,
    SuggestProcessorRequest,
    SuggestTaskRequest,
    TaskRun,
    TaskRunInput,
    TaskRunProgressMessageEvent,
    TaskRunResult,
    TaskRunStateEvent,
)

WAIT_SECONDS: Final = 25
MARGIN_SECONDS: Final = 15.0
"""Beyond the wait that is requested of the server, before its response counts as lost."""
MAX_LOOKS_WITHOUT_RESULT: Final = 3
"""Looks that find a run completed and no result, after which there is none."""
SUGGEST_TIMEOUT_SECONDS: Final = 120.0


def create_task_run(request: CreateTaskRunRequest) -> Flow[TaskRun]:
    """Start a task; it is billed when it completes.

    Args:
        request: What to do.

    Returns:
        A flow whose result is the queued `TaskRun`. A create is repeated only where it surely was
        not executed, because a second one is a second bill.
    """
    CreateTaskRunRequest.expect(request)
    send = Send("POST", "/v1/tasks/runs", request, retry=RetryPolicy.CREATE)
    return create(send, TaskRun, "run_id", "task run")


def retrieve_task_run(run_id: str) -> Flow[TaskRun]:
    """Look up how a run stands.

    Args:
        run_id: Its id.

    Returns:
        A flow whose result is the `TaskRun`.

    Raises:
        NotFoundError: No such run.
    """
    return _read(run_id, TaskRun)


def retrieve_task_run_input(run_id: str) -> Flow[TaskRunInput]:
    """Look up the request of a run.

    Args:
        run_id: Its id.

    Returns:
        A flow whose result is the request as the API stored it.
    """
    return _read(run_id, TaskRunInput, "/input")


def wait_task_run(
    run_id: str,
    *,
    output_schema: OutputSchema | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
    elapsed_seconds: float = 0.0,
) -> Flow[TaskRunResult]:
    """Wait for any run, from its id alone.

    Polls with short server-side waits. Timeouts, 408, 429 and 502-504 mean "not yet", and so does a
    broken connection once the server has responded; what else goes wrong is raised with the id.

    Args:
        run_id: Its id.
        output_schema: A pydantic class to read the output into.
        deadline_seconds: How long to wait in all, 30 days at most.
        elapsed_seconds: How much of that has passed already, in a longer operation.

    Returns:
        A flow whose result is the `TaskRunResult`.

    Raises:
        TaskFailedError: The run failed or was cancelled; says why.
        TaskTimeoutError: The deadline passed; the run goes on.
        NotFoundError: No such run.
        ValueError: A deadline that is no number above 0, or above 30 days.
    """
    check_deadline(deadline_seconds)
    wait_limit = WaitLimit(deadline_seconds, elapsed_seconds=elapsed_seconds)
    return (yield from _result_within(wait_limit, run_id, output_schema))


def run_task(
    request: CreateTaskRunRequest, *, deadline_seconds: float = DEADLINE_SECONDS
) -> Flow[TaskRunResult]:
    """Start a task and wait for its result.

    Args:
        request: What to do; a pydantic class as `output_schema` is filled as `result.parsed`.
        deadline_seconds: How long to wait in all, 30 days at most.

    Returns:
        A flow whose result is the `TaskRunResult`.

    Raises:
        TaskFailedError: The run failed; says why.
        TaskTimeoutError: The deadline passed; `run_id` on it resumes the waiting. Every other
            error after the create carries `run_id` too.

    Example:
        ```python
        from parallel_integrations import CreateTaskRunRequest, ParallelClient
        from parallel_integrations.api import run_task

        with ParallelClient() as client:
            request = CreateTaskRunRequest(input="What does nonlocal do?", processor="lite")
            result = client.run(run_task(request))
        print(result.output.content, result.output.basis[0].citations[0].url)
        ```
    """
    check_deadline(deadline_seconds)
    run = yield from within(create_task_run(request), deadline_seconds)
    wait_limit = WaitLimit(deadline_seconds, reached=True)
    return (yield from _result_within(wait_limit, run.run_id, request.output_schema))


def _waiting(run_id: str) -> AbstractContextManager[None]:
    return waiting(f"Task run {run_id}", f"wait_task_run({run_id!r})", run_id=run_id)


def _result_within(
    wait_limit: WaitLimit, run_id: str, output_schema: OutputSchema | None = None
) -> Flow[TaskRunResult]:
    """Poll a run's result until it is there or the deadline passes; once, however late it is."""
    path = _run_path(run_id, "/result")
    deadline = wait_limit.deadline_seconds
    pause, num_without_result = 0.0, 0

    def late() -> str:
        return (
            f"Task run {run_id} is not done after {deadline:g} s. It goes on: wait for it with "
            f"wait_task_run({run_id!r})."
        )

    with _waiting(run_id):
        while True:
            elapsed = wait_limit.elapsed_seconds
            delay = min(pause, wait_limit.remaining)
            # Whole seconds, as the parameter has them; at least one, so that the last look waits,
            # too.
            wait = max(1, ceil(min(WAIT_SECONDS, wait_limit.remaining - delay)))
            send = Send(
                "GET",
                path,
                params=(("timeout", str(wait)),),
                retry=RetryPolicy.READ,
                timeout_seconds=MARGIN_SECONDS,
                wait_seconds=wait,
                delay_seconds=delay,
            )
            found = yield from attempt(wait_limit.bounded(send))
            if not isinstance(found, Failure):
                return result_of_run(run_id, read_response(found, TaskRunResult)).fit(output_schema)
            requested_pause = 0.0
            if isinstance(found.error, NotFoundError):  # it failed, or there is none
                missing = found.error
                wait_limit.responded(missing.elapsed_seconds)
                status = Send("GET", _run_path(run_id), retry=RetryPolicy.READ)
                found = yield from attempt(wait_limit.bounded(status))
                if not isinstance(found, Failure):
                    wait_limit.responded(conditions_of(found).elapsed_seconds)
                    run = read_response(found, TaskRun)
                    if run.is_over and run.status != "completed":
                        raise _failure(run_id, run)
                    # It may have ended between the two looks, or its result may come later.
                    num_without_result += run.status == "completed"
                    if num_without_result >= MAX_LOOKS_WITHOUT_RESULT:
                        raise missing
                elif isinstance(found.error, NotFoundError):
                    raise missing
            if isinstance(found, Failure):
                requested_pause = wait_limit.failed(found)
            wait_limit.check(late)
            waited = wait_limit.elapsed_seconds - elapsed - delay
            # A server that responds at once instead of waiting would be polled without a pause.
            pause = 0.0 if waited > wait / 2 else min(2 * pause or 0.5, MAX_POLL_SECONDS)
            pause = max(pause, requested_pause)


def _failure(run_id: str, run: TaskRun) -> TaskFailedError:
    reason = (run.error and run.error.reason) or "no reason given"
    reference = f" (ref_id {run.error.ref_id})" if run.error and run.error.ref_id else ""
    return TaskFailedError(f"Task run {run_id} {run.status}: {reason}{reference}")


def result_of(run_id: str, run: TaskRun) -> Flow[TaskRunResult]:
    """Read the result of a run that is over, without waiting.

    Args:
        run_id: Its id.
        run: How it stands.

    Raises:
        TaskFailedError: It failed or was cancelled; says why.
    """
    with carrying(run_id=run_id):
        if run.status != "completed":
            raise _failure(run_id, run)
    return result_of_run(run_id, (yield from _read(run_id, TaskRunResult, "/result")))


def result_of_run(run_id: str, result: TaskRunResult) -> TaskRunResult:
    """A result with the id of its run, whatever the response says of that.

    Raises:
        UnexpectedAnswerError: Its output holds nothing.
    """
    result.run.run_id = result.run.run_id or run_id
    if result.output.is_empty:
        raise UnexpectedAnswerError(
            f"The output of task run {run_id} holds nothing; GET {_run_path(run_id, '/result')}, "
            "with the key as x-api-key, gives its raw result, free of charge",
            status=200,
        )
    return result


def _read(run_id: str, response_type: type[ModelT], part: str = "") -> Flow[ModelT]:
    with carrying(run_id=run_id):
        send = Send("GET", _run_path(run_id, part), retry=RetryPolicy.READ)
        return (yield from call(send, response_type))


def _run_path(run_id: str, part: str = "") -> str:
    return f"/v1/tasks/runs/{segment('run_id', run_id)}{part}"


def task_run_events(
    run_id: str, *, deadline_seconds: float = DEADLINE_SECONDS
) -> Stream[StreamEvent]:
    """Follow a run's progress until it ends.

    The API ends the stream after 570 s and starts it over; repeats are left out. The last event is
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
    """
    check_deadline(deadline_seconds)
    yield from _follow_task_run(run_id, deadline_seconds)


def _follow_task_run(
    run_id: str, deadline_seconds: float
) -> Generator[Send | More | Emit[StreamEvent], Any, float]:
    """As `task_run_events`; returns the seconds since the operation's start."""
    with carrying(run_id=run_id):
        follower = _TaskRunFollower(run_id, deadline_seconds)
        elapsed = yield from follower.events()
        ended = follower.ended
        if not ended:  # the deadline passed
            return elapsed
        last = next((event for event in reversed(ended) if event.output), ended[-1])
        if last.run.status == "completed" and (last.output is None or last.output.is_empty):
            wait_limit = WaitLimit(deadline_seconds, elapsed, reached=True)
            last.output = (yield from _result_within(wait_limit, run_id)).output
        yield Emit(last)
        return elapsed


class _TaskRunFollower(EventFollower):
    """Follows a run, whose stream starts over with every connection.

    Events carry no ids: one is new where it came more often on this connection than on any before.
    """

    resumable = False

    def __init__(self, run_id: str, deadline_seconds: float) -> None:
        send = Send(
            "GET",
            _run_path(run_id, "/events"),
            retry=RetryPolicy.READ,
            timeout_seconds=idle_timeout_seconds(deadline_seconds),
            stream=True,
            betas=EVENT_BETAS,
        )
        super().__init__(send, TASK_EVENTS, deadline_seconds=deadline_seconds)
        self.run_id = run_id
        self.ended: list[TaskRunStateEvent] = []
        self._seen: Counter[str] = Counter()
        self._here: Counter[str] = Counter()  # since the stream was opened

    def opened(self) -> None:
        self._here.clear()

    def is_new(self, event: StreamEvent) -> bool:
        mark = _fingerprint(event)
        self._here[mark] += 1
        if isinstance(event, TaskRunStateEvent) and event.run.is_over:
            self.ended.append(event)  # emitted once and last, whatever else is replayed
            return False
        if self._here[mark] <= self._seen[mark]:
            return False
        self._seen[mark] = self._here[mark]
        return True

    def is_last(self, event: StreamEvent) -> bool:
        # The first event is the run as it stands now; what it did is replayed after that.
        over = isinstance(event, TaskRunStateEvent) and event.run.is_over
        return over and self._here.total() > 1

    def may_end(self) -> bool:
        return bool(self.ended)

    def look_up(self) -> Flow[bool]:
        return (yield from retrieve_task_run(self.run_id)).is_over


def _fingerprint(event: StreamEvent) -> str:
    if isinstance(event, TaskRunStateEvent):
        return f"{event.type} {event.run.status}"
    if isinstance(event, TaskRunProgressMessageEvent):
        return f"{event.type} {event.timestamp} {event.message}"
    return event.model_dump_json()


def stream_task(
    request: CreateTaskRunRequest, *, deadline_seconds: float = DEADLINE_SECONDS
) -> Generator[Send | More | Emit[StreamEvent | TaskRunResult], Any, None]:
    """Start a task, follow its progress and give its result.

    Args:
        request: What to do; events are enabled unless it says otherwise.
        deadline_seconds: How long to wait in all, 30 days at most.

    Returns:
        A stream for `ParallelClient.stream` or `astream`: first a `TaskRunStateEvent` with the
        run's id, then its events, last the `TaskRunResult`.

    Raises:
        TaskFailedError: The run failed; says why.
        TaskTimeoutError: The deadline passed; `run_id` on it, as on every error after the create,
            goes on with `resume_task`.
    """
    CreateTaskRunRequest.expect(request)
    check_deadline(deadline_seconds)
    # Below `pro` events are off by default: nothing would be streamed.
    if request.enable_events is None:
        request = request.model_copy(update={"enable_events": True})
    run = yield from within(create_task_run(request), deadline_seconds)
    with _waiting(run.run_id):
        yield Emit(TaskRunStateEvent(type="task_run.state", run=run))
    wait_limit = WaitLimit(deadline_seconds, reached=True)
    yield from _resume(run.run_id, request.output_schema, wait_limit)


def resume_task(
    run_id: str,
    *,
    output_schema: OutputSchema | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Generator[Send | More | Emit[StreamEvent | TaskRunResult], Any, None]:
    """Follow a run that exists already, from its id alone.

    Args:
        run_id: Its id.
        output_schema: A pydantic class to read the output into.
        deadline_seconds: How long to wait in all, 30 days at most.

    Returns:
        A stream of the run's events, last the `TaskRunResult`.
    """
    check_deadline(deadline_seconds)
    yield from _resume(run_id, output_schema, WaitLimit(deadline_seconds))


def _resume(
    run_id: str, output_schema: OutputSchema | None, wait_limit: WaitLimit
) -> Generator[Send | More | Emit[StreamEvent | TaskRunResult], Any, None]:
    pause = 0.0
    # Progress is a courtesy: whether there is such a run, and how it ended, shows below.
    try:
        with _waiting(run_id):
            elapsed = yield from _follow_task_run(run_id, wait_limit.deadline_seconds)
        wait_limit.responded(elapsed)
    except TaskTimeoutError:  # the result was polled until the deadline
        raise
    except ParallelError as error:
        pause = requested_pause(error)
        wait_limit.elapsed_seconds = error.elapsed_seconds
        wait_limit.reached = wait_limit.reached or not isinstance(error, ConnectionFailedError)
    result = _result_within(wait_limit, run_id, output_schema)
    yield Emit((yield from delayed(result, min(pause, wait_limit.remaining))))


def suggest_task(request: SuggestTaskRequest) -> Flow[SuggestedTask]:
    """Turn a description in words into the schemas of a task. Experimental.

    Args:
        request: What is to be found out.

    Returns:
        A flow whose result is the `SuggestedTask`; its `settings` are for tasks.
    """
    SuggestTaskRequest.expect(request)
    return call(_send("/v1beta/tasks/suggest", request), SuggestedTask)


def suggest_processor(request: SuggestProcessorRequest) -> Flow[SuggestedProcessors]:
    """Recommend processors for a task, best first. Experimental.

    Args:
        request: The task's schemas.

    Returns:
        A flow whose result is the `SuggestedProcessors`.
    """
    SuggestProcessorRequest.expect(request)
    return call(_send("/v1beta/tasks/suggest-processor", request), SuggestedProcessors)


def _send(path: str, request: SuggestTaskRequest | SuggestProcessorRequest) -> Send:
    return Send(
        "POST",
        path,
        request,
        retry=RetryPolicy.QUERY,
        timeout_seconds=SUGGEST_TIMEOUT_SECONDS,
    )

"""A task followed while it works: progress first, the result last."""

from collections.abc import Generator
from typing import Any

from parallel_integrations.api.errors import ConnectionFailedError, ParallelError, TaskTimeoutError
from parallel_integrations.api.events import StreamEvent
from parallel_integrations.api.flow import Emit, More, Send, delayed
from parallel_integrations.api.output_schema import OutputSchema
from parallel_integrations.api.polling import Patience, check_deadline, within
from parallel_integrations.api.retries import RETRY_AFTER_CAP_SECONDS
from parallel_integrations.api.task_events import follow_task_run
from parallel_integrations.api.task_requests import CreateTaskRunRequest
from parallel_integrations.api.task_types import TaskRunResult, TaskRunStateEvent
from parallel_integrations.api.tasks import DEADLINE_SECONDS, create_task_run, result_within


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

    Example:
        ```python
        from parallel_integrations import CreateTaskRunRequest, ParallelClient
        from parallel_integrations.api.research import stream_task

        request = CreateTaskRunRequest(input="What does the nonlocal statement do?")
        with ParallelClient() as client:
            for event in client.stream(stream_task(request)):
                print(type(event).__name__)
        ```
    """
    CreateTaskRunRequest.expect(request)
    check_deadline(deadline_seconds)
    if request.enable_events is None:
        request = request.model_copy(update={"enable_events": True})
    run = yield from within(create_task_run(request), deadline_seconds)
    yield Emit(TaskRunStateEvent(type="task_run.state", run=run))
    patience = Patience(deadline_seconds, reached=True)
    yield from _resume(run.run_id, request.output_schema, patience)


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

    Example:
        ```python
        from parallel_integrations import CreateTaskRunRequest, ParallelClient
        from parallel_integrations.api import create_task_run, resume_task

        request = CreateTaskRunRequest(input="What is a closure?", enable_events=True)
        with ParallelClient() as client:
            run = client.run(create_task_run(request))
            # Later, perhaps in another process, with the id alone:
            for event in client.stream(resume_task(run.run_id)):
                print(type(event).__name__)
        ```
    """
    check_deadline(deadline_seconds)
    yield from _resume(run_id, output_schema, Patience(deadline_seconds))


def _resume(
    run_id: str, output_schema: OutputSchema | None, patience: Patience
) -> Generator[Send | More | Emit[StreamEvent | TaskRunResult], Any, None]:
    pause = 0.0
    # Progress is a courtesy: whether there is such a run, and how it ended, shows below.
    try:
        elapsed = yield from follow_task_run(run_id, patience.deadline_seconds)
        patience.answered(elapsed)
    except TaskTimeoutError:  # the result was asked for until the end
        raise
    except ParallelError as error:
        pause = min(error.retry_after or 0.0, RETRY_AFTER_CAP_SECONDS)
        patience.elapsed_seconds = error.elapsed_seconds
        patience.reached = patience.reached or not isinstance(error, ConnectionFailedError)
    waiting = result_within(patience, run_id, output_schema)
    yield Emit((yield from delayed(waiting, min(pause, patience.remaining))))

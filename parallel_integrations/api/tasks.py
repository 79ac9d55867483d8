"""Tasks: deep research and enrichment, each answer with what it rests on (API facts 8)."""

import logging
from collections.abc import Generator
from math import ceil
from typing import Any, Final

from parallel_integrations.api.errors import (
    ConnectionFailedError,
    NotFoundError,
    ParallelError,
    RequestTimeoutError,
    StatusError,
    TaskFailedError,
    TaskTimeoutError,
)
from parallel_integrations.api.flow import Flow, Send, attempt, call
from parallel_integrations.api.models import read_answer
from parallel_integrations.api.output_schema import OutputSchema
from parallel_integrations.api.paths import carrying, create, segment
from parallel_integrations.api.polling import LONGEST_POLL_SECONDS, check_deadline
from parallel_integrations.api.retries import Failure, Repeat
from parallel_integrations.api.task_requests import CreateTaskRunRequest
from parallel_integrations.api.task_types import TaskRun, TaskRunInput, TaskRunResult

DEADLINE_SECONDS: Final = 3600.0
WAIT_SECONDS: Final = 25
STILL_WORKING: Final = frozenset({408, 502, 503, 504})
MARGIN_SECONDS: Final = 15.0
"""Beyond the wait that the server was asked for, before its answer counts as lost."""

log = logging.getLogger("parallel_integrations")


def create_task_run(request: CreateTaskRunRequest) -> Flow[TaskRun]:
    """Start a task; it is billed when it completes.

    Args:
        request: What to do.

    Returns:
        A flow whose result is the queued `TaskRun`. A create is repeated only where it surely was
        not executed, because a second one is a second bill.

    Example:
        ```python
        from parallel_integrations import CreateTaskRunRequest, ParallelClient
        from parallel_integrations.api import create_task_run, wait_task_run

        with ParallelClient() as client:
            run = client.run(create_task_run(CreateTaskRunRequest(input="What is a closure?")))
            result = client.run(wait_task_run(run.run_id))
        ```
    """
    CreateTaskRunRequest.expect(request)
    send = Send("POST", "/v1/tasks/runs", request, repeat=Repeat.CREATE)
    run = yield from create(send, TaskRun, "run_id")
    log.info("created task run %s", run.run_id)
    return run


def retrieve_task_run(run_id: str) -> Flow[TaskRun]:
    """Look up how a run stands.

    Args:
        run_id: Its id.

    Returns:
        A flow whose result is the `TaskRun`.

    Raises:
        NotFoundError: No such run.

    Example:
        ```python
        from parallel_integrations import CreateTaskRunRequest, ParallelClient
        from parallel_integrations.api import create_task_run, retrieve_task_run

        request = CreateTaskRunRequest(input="What is a closure?", processor="lite")
        with ParallelClient() as client:
            run = client.run(create_task_run(request))
            print(client.run(retrieve_task_run(run.run_id)).status)
        ```
    """
    with carrying(run_id=run_id):
        return (
            yield from call(
                Send("GET", f"/v1/tasks/runs/{segment('run_id', run_id)}", repeat=Repeat.READ),
                TaskRun,
            )
        )


def retrieve_task_run_input(run_id: str) -> Flow[TaskRunInput]:
    """Look up what a run was asked.

    Args:
        run_id: Its id.

    Returns:
        A flow whose result is the request as the API stored it.

    Example:
        ```python
        from parallel_integrations import CreateTaskRunRequest, ParallelClient
        from parallel_integrations.api import create_task_run, retrieve_task_run_input

        request = CreateTaskRunRequest(input="What is a closure?", processor="lite")
        with ParallelClient() as client:
            run = client.run(create_task_run(request))
            print(client.run(retrieve_task_run_input(run.run_id)).input)
        ```
    """
    with carrying(run_id=run_id):
        path = f"/v1/tasks/runs/{segment('run_id', run_id)}/input"
        return (yield from call(Send("GET", path, repeat=Repeat.READ), TaskRunInput))


def wait_task_run(
    run_id: str,
    *,
    output_schema: OutputSchema | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
    elapsed_seconds: float = 0.0,
) -> Flow[TaskRunResult]:
    """Wait for any run, from its id alone.

    Asks with short server-side waits; timeouts, 408 and 502-504 mean "not yet".

    Args:
        run_id: Its id.
        output_schema: A pydantic class to read the output into.
        deadline_seconds: How long to wait in all.
        elapsed_seconds: How much of that has passed already, in a longer operation.

    Returns:
        A flow whose result is the `TaskRunResult`.

    Raises:
        TaskFailedError: The run failed or was cancelled; says why.
        TaskTimeoutError: The deadline passed; the run goes on.
        NotFoundError: No such run.

    Example:
        ```python
        from parallel_integrations import CreateTaskRunRequest, ParallelClient
        from parallel_integrations.api import create_task_run, wait_task_run

        request = CreateTaskRunRequest(input="What is a closure?", processor="lite")
        with ParallelClient() as client:
            run = client.run(create_task_run(request))
            # Later, perhaps in another process, with the id alone:
            result = client.run(wait_task_run(run.run_id, deadline_seconds=600))
        print(result.output.content)
        ```
    """
    path = f"/v1/tasks/runs/{segment('run_id', run_id)}/result"
    elapsed, pause = elapsed_seconds, 0.0
    mishaps = 0
    with carrying(run_id=run_id):
        while (remaining := deadline_seconds - elapsed) > 0:
            wait = max(1, ceil(min(WAIT_SECONDS, remaining)))
            delay = min(pause, remaining)
            send = Send(
                "GET",
                path,
                params=(("timeout", str(wait)),),
                repeat=Repeat.READ,
                timeout_seconds=MARGIN_SECONDS,
                wait_seconds=wait,
                delay_seconds=delay,
            )
            found = yield from attempt(send)
            if not isinstance(found, Failure):
                return read_answer(found, TaskRunResult).fit(output_schema)
            error = found.error
            waited = error.elapsed_seconds - elapsed - delay
            elapsed = error.elapsed_seconds
            if isinstance(error, NotFoundError):
                yield from _explain_missing_result(run_id, error)
            elif not _is_not_yet(error):
                mishaps += 1
                if mishaps > found.conditions.max_retries or not _may_pass(error):
                    raise error from found.cause
            # Whoever answers at once instead of waiting is not asked again without a pause.
            pause = 0.0 if waited > wait / 2 else min(2 * pause or 0.5, LONGEST_POLL_SECONDS)
            pause = max(pause, error.retry_after or 0.0)
        raise TaskTimeoutError(
            f"Task run {run_id} is not done after {deadline_seconds:g} s. It goes on: wait for it "
            f"with wait_task_run({run_id!r})."
        )


def run_task(
    request: CreateTaskRunRequest, *, deadline_seconds: float = DEADLINE_SECONDS
) -> Flow[TaskRunResult]:
    """Start a task and wait for its result.

    Args:
        request: What to do; a pydantic class as `output_schema` is filled as `result.parsed`.
        deadline_seconds: How long to wait in all.

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
    run = yield from create_task_run(request)
    return (
        yield from wait_task_run(
            run.run_id, output_schema=request.output_schema, deadline_seconds=deadline_seconds
        )
    )


def _explain_missing_result(run_id: str, error: NotFoundError) -> Generator[Send, Any, None]:
    """Find out what a 404 on `/result` means: the run failed, or there is none."""
    try:
        run = yield from retrieve_task_run(run_id)
    except NotFoundError:
        raise error from None
    if run.status == "completed":
        raise error from None
    if run.is_over:
        reason = run.error.message if run.error and run.error.message else "no reason given"
        reference = f" (ref_id {run.error.ref_id})" if run.error and run.error.ref_id else ""
        raise TaskFailedError(f"Task run {run_id} {run.status}: {reason}{reference}") from None


def _is_not_yet(error: ParallelError) -> bool:
    """Whether an error says no more than that the result is not there yet."""
    late = isinstance(error, StatusError) and error.status in STILL_WORKING
    return late or isinstance(error, RequestTimeoutError)


def _may_pass(error: ParallelError) -> bool:
    """Whether asking again may help."""
    passing = isinstance(error, StatusError) and (error.status == 429 or error.status >= 500)
    return passing or isinstance(error, ConnectionFailedError)

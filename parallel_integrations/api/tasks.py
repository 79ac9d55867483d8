"""Tasks: deep research and enrichment, each answer with what it rests on (API facts 8)."""

import logging
from collections import Counter
from collections.abc import Generator
from math import ceil, inf
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import to_jsonable_python

from parallel_integrations.api.errors import (
    ConnectionFailedError,
    NotFoundError,
    ParallelError,
    RequestTimeoutError,
    StatusError,
    TaskFailedError,
    TaskTimeoutError,
)
from parallel_integrations.api.events import StreamEvent, follow
from parallel_integrations.api.flow import Emit, Failure, Flow, Repeat, Send, Stream, attempt, call
from parallel_integrations.api.models import ApiVersion, RequestModel, read_answer
from parallel_integrations.api.output_schema import OutputSchema, wire_schema
from parallel_integrations.api.paths import carrying, create, segment
from parallel_integrations.api.policies import (
    McpServer,
    MemoryScopeKey,
    Metadata,
    SourcePolicy,
    Webhook,
)
from parallel_integrations.api.polling import LONGEST_POLL_SECONDS
from parallel_integrations.api.prices import task_sku
from parallel_integrations.api.task_types import (
    TASK_EVENTS,
    TaskRun,
    TaskRunInput,
    TaskRunProgressMessageEvent,
    TaskRunResult,
    TaskRunStateEvent,
)

DEFAULT_PROCESSOR: Final = "base"
DEADLINE_SECONDS: Final = 3600.0
WAIT_SECONDS: Final = 25
MOST_MCP_SERVERS: Final = 10
STREAM_TIMEOUT_SECONDS: Final = 120.0
STILL_WORKING: Final = frozenset({408, 502, 503, 504})
MARGIN_SECONDS: Final = 15.0
"""Beyond the wait that the server was asked for, before its answer counts as lost."""
EVENT_BETAS: Final = ("events-sse-2025-07-24",)

log = logging.getLogger("parallel_integrations")


def _input_value(value: Any) -> Any:
    """Plain JSON, so that what cannot be sent is refused here and not midway through a group."""
    return to_jsonable_python(value) if isinstance(value, BaseModel | dict) else value


class TaskOptions(BaseModel):
    """How tasks are done, whatever their schemas.

    Attributes:
        processor: `lite`, `base` (default here), `core`, `core2x`, `pro`, `ultra` …, each also
            with `-fast`; decides price and depth. Newer ones pass through.
        source_policy: Which sources may be used.
        mcp_servers: Tool servers the task may use; at most 10.
        location: ISO 3166 alpha-2 code of the country to search from.
        data_sources: `{"free": […], "pay_per_use": […]}`, standard processors only.
        enable_events: Whether progress can be followed; the API's default is on from `pro` up.
        webhook: Where the API reports the run's end to.
        memory_scope_key: Memory to share between runs.
    """

    processor: str = Field(default=DEFAULT_PROCESSOR, min_length=1)
    source_policy: SourcePolicy | None = None
    mcp_servers: list[McpServer] | None = Field(default=None, max_length=MOST_MCP_SERVERS)
    location: str | None = Field(default=None, pattern="^[A-Za-z]{2}$")
    data_sources: dict[str, list[str]] | None = None
    enable_events: bool | None = None
    webhook: Webhook | None = None
    memory_scope_key: MemoryScopeKey | None = None


class TaskSettings(TaskOptions):
    """How tasks are done: what a developer fixes once, whatever is asked.

    Attributes:
        output_schema: What comes back: a description of a text, a JSON schema, a pydantic class,
            or the wire's own form; left out, the processor decides.
        input_schema: What goes in, in the same forms.
    """

    output_schema: OutputSchema | None = None
    input_schema: OutputSchema | None = None


class CreateTaskRunRequest(TaskSettings, RequestModel):
    """One task to run.

    Attributes:
        input: The question, or an object (or pydantic instance) of fields to enrich.
        metadata: Labels: keys of at most 16 characters, values of at most 512.
        previous_interaction_id: Continues an earlier task or chat with its context.

    Raises:
        pydantic.ValidationError: A value past its limit.

    Example:
        ```python
        from parallel_integrations import CreateTaskRunRequest

        CreateTaskRunRequest(
            input={"statement": "with"}, processor="lite", output_schema="What it does."
        )
        ```
    """

    input: Annotated[str | dict[str, Any], BeforeValidator(_input_value)]
    metadata: Metadata | None = None
    previous_interaction_id: str | None = Field(default=None, min_length=1)

    def betas(self, version: ApiVersion) -> tuple[str, ...]:
        """Values for the features that are used."""
        wanted = (
            ("field-basis-2025-11-25", not isinstance(self.output_schema, str)),
            ("mcp-server-2025-07-17", bool(self.mcp_servers)),
            ("webhook-2025-08-12", self.webhook is not None),
            *((value, bool(self.enable_events)) for value in EVENT_BETAS),
        )
        return tuple(value for value, used in wanted if used)

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The body; the same in every generation of the wire."""
        flat = self.model_dump(
            mode="json", exclude_none=True, exclude={"output_schema", "input_schema"}
        )
        if spec := self.task_spec():
            flat["task_spec"] = spec
        advanced = {name: flat.pop(name) for name in ("location", "data_sources") if name in flat}
        if advanced:
            flat["advanced_settings"] = advanced
        return flat

    def skus(self, version: ApiVersion) -> dict[str, int]:
        """One run of the processor; the API bills it once it completes."""
        return {task_sku(self.processor): 1}

    def task_spec(self) -> dict[str, Any] | None:
        """The wire's `task_spec`; None leaves the output to the processor."""
        return task_spec(self.output_schema, self.input_schema)


def task_spec(
    output_schema: OutputSchema | None, input_schema: OutputSchema | None
) -> dict[str, Any] | None:
    """The wire's `task_spec` for two schemas; None where there is neither."""
    if output_schema is None and input_schema is None:
        return None
    output = {"type": "auto"} if output_schema is None else wire_schema(output_schema)
    spec: dict[str, Any] = {"output_schema": output}
    if input_schema is not None:
        spec["input_schema"] = wire_schema(input_schema)
    return spec


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
    run = yield from create_task_run(request)
    return (
        yield from wait_task_run(
            run.run_id, output_schema=request.output_schema, deadline_seconds=deadline_seconds
        )
    )


def task_run_events(
    run_id: str, *, deadline_seconds: float = DEADLINE_SECONDS
) -> Stream[StreamEvent]:
    """Follow a run's progress until it ends.

    The API cuts the stream after 570 s and starts it over; repeats are left out. The last event is
    a `TaskRunStateEvent` with the output.

    Args:
        run_id: A run created with `enable_events=True` (or `pro` and above).
        deadline_seconds: When to stop following; the run goes on.

    Returns:
        A stream of `TaskRunStateEvent`, `TaskRunProgressStatsEvent`, `TaskRunProgressMessageEvent`
        and, for kinds this version does not know, `StreamEvent`.

    Raises:
        StreamInterruptedError: The stream reported an error or kept breaking.

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
            last.output = (yield from wait_task_run(run_id, deadline_seconds=inf)).output
        yield Emit(last)
        return elapsed


def silence(deadline_seconds: float) -> float:
    """How long a stream that is followed until a deadline may be silent."""
    return min(STREAM_TIMEOUT_SECONDS, max(1.0, deadline_seconds))


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


def _fingerprint(event: StreamEvent) -> str:
    if isinstance(event, TaskRunStateEvent):
        return f"{event.type} {event.run.status}"
    if isinstance(event, TaskRunProgressMessageEvent):
        return f"{event.type} {event.timestamp} {event.message}"
    return event.model_dump_json()

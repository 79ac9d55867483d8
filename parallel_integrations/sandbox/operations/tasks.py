"""Task runs: ``/v1/tasks/runs`` and what is below it."""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag

from parallel_integrations._counted import counted
from parallel_integrations.sandbox.answering.reports import report, sections, short_text
from parallel_integrations.sandbox.answering.schema_filler import Filler, SchemaError, check_schema
from parallel_integrations.sandbox.answering.sentences import gather
from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.shared import (
    Loose,
    SourcePolicy,
    as_text,
    earlier_questions,
    policy_warnings,
    warning,
)
from parallel_integrations.sandbox.operations.task_schemas import input_mismatch, review
from parallel_integrations.sandbox.server.responses import (
    RequestError,
    frame,
    invalid,
    invalid_parameter,
)
from parallel_integrations.sandbox.state.ledger import FAST, TASK_USD, Entry
from parallel_integrations.sandbox.state.state import State
from parallel_integrations.sandbox.state.tasks import (
    ACTIVE,
    QUEUED_SHARE,
    Batch,
    Run,
    Spec,
    Status,
    TaskInput,
)
from parallel_integrations.sandbox.state.times import rfc3339
from parallel_integrations.sandbox.state.webhooks import objection
from parallel_integrations.sandbox.web.corpus import Page
from parallel_integrations.sandbox.web.domains import allowed
from parallel_integrations.sandbox.web.index import Index

FIELDS: Mapping[str, int] = MappingProxyType(
    {
        "lite": 2,
        "base": 5,
        "core": 10,
        "core2x": 10,
        "pro": 20,
        "ultra": 20,
        "ultra2x": 25,
        "ultra4x": 25,
        "ultra8x": 25,
    }
)
"""How many output fields a processor is good for."""
PREMIUM = frozenset({"pro", "ultra", "ultra2x", "ultra4x", "ultra8x"})
"""Processors that record events unless the request says otherwise."""

Text = Annotated[str, StringConstraints(min_length=1)]
MetadataKey = Annotated[str, StringConstraints(max_length=16)]
MetadataText = Annotated[str, StringConstraints(max_length=512)]
Metadata = dict[MetadataKey, MetadataText | bool | int | float]
ScopeKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]


class JsonForm(Loose):
    """A JSON schema."""

    type: Literal["json"] = "json"
    json_schema: dict[str, Any]


class TextForm(Loose):
    """A description of a text."""

    type: Literal["text"] = "text"
    description: str | None = None


class AutoForm(Loose):
    """Whatever the processor finds best."""

    type: Literal["auto"] = "auto"


def _form(value: Any) -> str:
    if isinstance(value, str):
        return "bare"
    if not isinstance(value, Mapping):
        return str(getattr(value, "type", ""))
    return str(value.get("type", "json" if "json_schema" in value else "text"))


InputForm = Annotated[
    Annotated[str, Tag("bare")]
    | Annotated[JsonForm, Tag("json")]
    | Annotated[TextForm, Tag("text")],
    Discriminator(_form),
]
OutputForm = Annotated[
    Annotated[str, Tag("bare")]
    | Annotated[JsonForm, Tag("json")]
    | Annotated[TextForm, Tag("text")]
    | Annotated[AutoForm, Tag("auto")],
    Discriminator(_form),
]


class TaskSpec(Loose):
    """What comes out and what goes in."""

    output_schema: OutputForm
    input_schema: InputForm | None = None


class McpServer(Loose):
    """A tool server; the sandbox calls none."""

    type: Literal["url"] = "url"
    name: Text
    url: Text
    headers: dict[str, str] | None = None
    allowed_tools: list[str] | None = None


class Webhook(Loose):
    """Where a run reports its end to."""

    url: Text
    event_types: list[Literal["task_run.status"]] = []


class DataSources(Loose):
    """Sources besides the web. The sandbox has none and only checks the names."""

    free: list[str] = []
    pay_per_use: list[str] = []

    @property
    def names(self) -> Sequence[str]:
        """All of them."""
        return [*self.free, *self.pay_per_use]


class AdvancedSettings(Loose):
    """``advanced_settings`` of a task run."""

    location: str | None = None
    data_sources: DataSources | None = None


class RunBody(Loose):
    """Body of a new run; keys it does not know are ignored."""

    input: str | dict[str, Any]
    processor: str
    task_spec: TaskSpec | None = None
    metadata: Metadata | None = None
    source_policy: SourcePolicy | None = None
    advanced_settings: AdvancedSettings | None = None
    previous_interaction_id: str | None = None
    mcp_servers: Annotated[list[McpServer], Field(max_length=10)] | None = None
    enable_events: bool | None = None
    webhook: Webhook | None = None
    memory_scope_key: ScopeKey | None = None

    @property
    def stored(self) -> dict[str, Any]:
        """The request as it is shown again: as sent, without the secrets of tool servers."""
        # Headers of tool servers hold keys; what was sent in confidence is not shown again.
        hidden = {"mcp_servers": {"__all__": {"headers"}}}
        return self.model_dump(mode="json", exclude_unset=True, exclude=hidden)


QUOTES: Mapping[str, int] = MappingProxyType({"lite": 3, "base": 4, "core": 5, "core2x": 5})
"""How many sentences each processor quotes; those not named quote all there is, in a report."""
MAX_CACHED = 512
"""Findings kept, so that asking for a result again, or the same of many runs, costs nothing."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run found.

    Attributes:
        considered: Addresses of the pages that were found.
    """

    output: Mapping[str, Any]
    considered: tuple[str, ...]

    @property
    def read(self) -> Mapping[str, str | None]:
        """Address of each page that is quoted → its title."""
        return {
            citation["url"]: citation["title"]
            for field in self.output["basis"]
            for citation in field["citations"]
        }


def findings(index: Index, run: Run) -> Findings:
    """Return what a run finds in the pages of `index`."""
    given = run.input
    processor = run.processor.removesuffix(FAST)
    quotes = None if processor in PREMIUM else QUOTES[processor]
    return _find(index, given.question, given.context, given.spec, quotes, given.domains)


@lru_cache(maxsize=MAX_CACHED)
def _find(
    index: Index,
    question: str,
    context: tuple[str, ...],
    spec: Spec,
    quotes: int | None,
    domains: tuple[tuple[str, ...], tuple[str, ...], str | None],
) -> Findings:
    # Only reports quote everything; a schema is filled from what fits best.
    thorough = quotes is None and spec.kind != "json"
    evidence = gather(index, question, context, accept=_policy(*domains), thorough=thorough)
    if spec.kind == "json":
        content, found = Filler(json.loads(spec.schema), evidence).fill(with_elements=True)
        output = {"type": "json", "content": content, "basis": found}
    elif spec.kind == "auto" and quotes is None:
        content, found = sections(evidence)
        output = {"type": "json", "content": content, "basis": found, "output_schema": {}}
    else:
        text, found = report(evidence) if quotes is None else short_text(evidence, quotes)
        output = {"type": "text", "content": text, "basis": found}
        if spec.kind == "auto":
            output = {**output, "type": "json", "content": {"output": text}, "output_schema": {}}
    return Findings(output, tuple(page.url for page in evidence.pages))


def _policy(
    include: tuple[str, ...], exclude: tuple[str, ...], after: str | None
) -> Callable[[Page], bool]:
    first = date.fromisoformat(after) if after else None
    return lambda page: allowed(page, include, exclude, first)


STREAM_SECONDS = 570.0
"""The live service closes a stream after this long."""
LAST_SHARE = 0.9
"""Share of a run's time by which all its messages are out."""
SHOWN_CHARS = 100
STARTING = "Starting research"
"""What a run reports first."""
SAMPLE = 5


@dataclass(frozen=True, slots=True)
class Step:
    """Something a run did.

    Attributes:
        share: When, as a share of the run's time.
        read: Addresses of the pages read by then.
    """

    share: float
    kind: str
    message: str
    read: Sequence[str]


def state_event(
    run: Run,
    status: Status,
    *,
    event_id: str | None = None,
    output: Mapping[str, Any] | None = None,
    request: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the event with a run's status."""
    return {
        "type": "task_run.state",
        "event_id": event_id,
        "input": request,
        "run": run.body(status),
        "output": output,
    }


async def events(call: Call, run: Run) -> AsyncIterator[bytes]:
    """Yield everything that has happened, then what happens, until the run or the time ends."""
    tasks, batch = call.state.tasks, run.batch
    closes = tasks.now() + STREAM_SECONDS
    yield frame(state_event(run, run.status(tasks.now())), named=True)
    steps = _steps(call.state, run) if run.input.events else []
    due = [batch.began + batch.seconds * step.share for step in steps]
    past = sum(moment <= tasks.now() for moment in due)
    for step in steps[:past]:
        yield frame(_message(run, step), named=True)
    if past:
        yield frame(_stats(call.state, run, steps[past - 1]), named=True)
    for step, moment in zip(steps[past:], due[past:], strict=True):
        if not await _wait(call, moment, closes):
            return
        yield frame(_message(run, step), named=True)
        yield frame(_stats(call.state, run, step), named=True)
    if await _wait(call, batch.ends, closes):
        status = run.status(tasks.now())
        # Worked out only now: thousands of runs are created whose results nobody fetches.
        output = findings(call.state.index, run).output if status == "completed" else None
        yield frame(state_event(run, status, output=output), named=True)


async def _wait(call: Call, moment: float, closes: float) -> bool:
    """Wait for a moment; returns whether it came before the stream has to close."""
    while (left := min(moment, closes) - call.state.tasks.now()) > 0:
        if call.is_left:
            return False
        await call.pause(left)
    return moment <= closes


def _steps(state: State, run: Run) -> list[Step]:
    found = findings(state.index, run)
    looked_for = run.input.question[:SHOWN_CHARS]
    events: list[tuple[str, str, Sequence[str]]] = [
        ("exec_status", STARTING, ()),
        (
            "plan",
            f"Look for {looked_for!r} in the sandbox's {counted(len(state.corpus), 'page')}",
            (),
        ),
        ("search", f"Found {len(found.considered)} page(s) that hold these words", ()),
    ]
    if run.input.failure is None:
        read: list[str] = []
        for url, title in found.read.items():
            read = [*read, url]
            events.append(("result", f"Quoted {title}", read))
        events.append(("exec_status", "Put the quotes together", read))
    width = (LAST_SHARE - QUEUED_SHARE) / len(events)
    return [Step(QUEUED_SHARE + n * width, *each) for n, each in enumerate(events)]


def _message(run: Run, step: Step) -> dict[str, Any]:
    batch = run.batch
    return {
        "type": f"task_run.progress_msg.{step.kind}",
        "message": step.message,
        "timestamp": rfc3339(batch.created + timedelta(seconds=batch.seconds * step.share)),
    }


def _stats(state: State, run: Run, step: Step) -> dict[str, Any]:
    searched = step.kind != "plan" and step.message != STARTING
    considered = len(findings(state.index, run).considered) if searched else 0
    return {
        "type": "task_run.progress_stats",
        "source_stats": {
            "num_sources_considered": considered,
            "num_sources_read": len(step.read),
            "sources_read_sample": list(step.read[:SAMPLE]),
        },
        "progress_meter": round(100 * step.share),
    }


MAX_SPEC_CHARS = 15_000
MAX_CHARS = 25_000
"""Characters of a spec and an input together; a run with more fails."""
WAIT_SECONDS = 600
"""How long a result is waited for when the request does not say."""
MAX_WAIT_SECONDS = 86_400
FAIL = "fail"
"""``{"sandbox": "fail"}`` in the metadata or in an input object makes a run fail."""


async def create(call: Call) -> Result:
    """Handle ``POST /v1/tasks/runs``."""
    [run] = start(call.state, [check(call.state, call.parse(RunBody))]).runs
    return Result(run.body("queued"), 202, bill=Entry("create_task_run", 0.0, run.processor))


def start(state: State, inputs: Iterable[TaskInput], group_id: str | None = None) -> Batch:
    """Set runs going and return them together."""
    inputs = list(inputs)
    processors = (str(each.request["processor"]) for each in inputs)
    seconds = state.waiting.task_seconds(processors, state.tasks.seconds)
    batch = Batch(state.clock(), state.tasks.now(), seconds)
    runs = []
    for each in inputs:
        error_id = state.ids.reference() if each.failure else None
        runs.append(Run(state.ids.next("trun"), each, batch, group_id, error_id))
    state.tasks.add(batch, runs)
    for run in batch.runs:
        state.interactions[run.run_id] = (*run.input.context, run.input.question)
        webhook = run.input.request.get("webhook")
        if webhook:
            status = run.status(batch.ends)
            state.deliver(webhook, "task_run.status", run.body(status), after=batch.seconds)
    return batch


def check(state: State, body: RunBody, default: TaskSpec | None = None) -> TaskInput:
    """Return the checked input of a run.

    Args:
        state: Knows the earlier interactions.
        body: The request.
        default: The spec of a group, for runs without one.

    Raises:
        RequestError: 403 for an unknown processor, 422 for what is documented as an error.
    """
    if body.processor not in TASK_USD:
        raise RequestError(403, f"Processor {body.processor!r} is unknown or not allowed")
    settings = body.advanced_settings
    servers = body.mcp_servers or []
    if settings and settings.data_sources and (names := settings.data_sources.names):
        if body.processor.endswith(FAST):
            raise invalid("advanced_settings.data_sources", "Only standard processors take these")
        if taken := sorted(set(names) & {server.name for server in servers}):
            raise invalid("advanced_settings.data_sources", f"{taken[0]!r} is an MCP server, too")
    context = earlier_questions(state, "interaction", body.previous_interaction_id)
    task_spec = body.task_spec or default
    spec, remarks = examine(task_spec, body.processor)
    request = body.stored
    # A run shows the spec it worked with, although the group gave it.
    if task_spec is not None and body.task_spec is None:
        request["task_spec"] = task_spec.model_dump(mode="json", exclude_unset=True)
    policy = body.source_policy
    return TaskInput(
        request=request,
        spec=spec,
        question=_question(body.input),
        context=tuple(context),
        domains=(
            tuple(policy.include_domains if policy else ()),
            tuple(policy.exclude_domains if policy else ()),
            policy.after_date if policy else None,
        ),
        warnings=[
            *(warning(text, "spec_validation_warning") for text in remarks),
            *_input_warnings(task_spec, body.input),
            *policy_warnings(policy, settings.location if settings else None),
            *_refusals(body),
        ],
        events=body.processor.removesuffix(FAST) in PREMIUM
        if body.enable_events is None
        else body.enable_events,
        failure=_failure(body, spec),
    )


def examine(task_spec: TaskSpec | None, processor: str) -> tuple[Spec, Sequence[str]]:
    """Return what a spec asks for and what there is to say about it.

    Raises:
        RequestError: 422 when it breaks a documented rule.
    """
    if task_spec is None:
        return Spec(), ()
    size = len(task_spec.model_dump_json(exclude_unset=True))
    if size > MAX_SPEC_CHARS:
        raise invalid("task_spec", f"Longer than {MAX_SPEC_CHARS} characters")
    if isinstance(task_spec.input_schema, JsonForm):
        found = review(task_spec.input_schema.json_schema)
        if found.errors:
            raise invalid("task_spec.input_schema.json_schema", "; ".join(found.errors))
    form = task_spec.output_schema
    if isinstance(form, JsonForm):
        found = review(form.json_schema, FIELDS[processor.removesuffix(FAST)])
        if found.errors:
            raise invalid("task_spec.output_schema.json_schema", "; ".join(found.errors))
        try:
            check_schema(form.json_schema)
        except SchemaError as error:
            raise invalid("task_spec.output_schema.json_schema", str(error)) from error
        schema = json.dumps(form.json_schema, ensure_ascii=False, separators=(",", ":"))
        return Spec("json", schema, size), found.warnings
    if isinstance(form, str) or form.type == "text":
        return Spec("text", size=size), ()
    return Spec("auto", size=size), ()


def _question(value: str | Mapping[str, Any]) -> str:
    if isinstance(value, str):
        return value
    return "\n".join(f"{name}: {as_text(each)}" for name, each in value.items())


def _failure(body: RunBody, spec: Spec) -> str | None:
    given = body.input if isinstance(body.input, dict) else {}
    if FAIL in ((body.metadata or {}).get("sandbox"), given.get("sandbox")):
        return "The run failed because the request demanded it"
    # Documented as the failure of a run, not as the refusal of a request.
    if spec.size + len(_question(body.input)) > MAX_CHARS:
        return f"Input and task spec are longer than {MAX_CHARS} characters together"
    return None


def _input_warnings(task_spec: TaskSpec | None, value: Any) -> Iterable[dict[str, Any]]:
    form = task_spec.input_schema if task_spec else None
    text = input_mismatch(form.json_schema, value) if isinstance(form, JsonForm) else None
    return [warning(text)] if text else []


def _refusals(body: RunBody) -> Iterable[dict[str, Any]]:
    for server in body.mcp_servers or []:
        yield warning(f"MCP server {server.name!r}: the sandbox calls none", "warning")
    if body.webhook and (text := objection(body.webhook.model_dump())):
        yield warning(text, "warning")


def find(call: Call, group_id: str | None = None) -> Run:
    """Return the run a path names."""
    run_id = call.request.path_params["run_id"]
    run = call.state.tasks.get(run_id)
    if run is None or group_id not in (None, run.group_id):
        raise RequestError(404, f"Run id not found: {run_id!r}")
    return run


async def retrieve(call: Call) -> Result:
    """Handle ``GET /v1/tasks/runs/{run_id}``."""
    run = find(call)
    return Result(run.body(run.status(call.state.tasks.now())))


async def retrieve_input(call: Call) -> Result:
    """Handle ``GET /v1/tasks/runs/{run_id}/input``."""
    return Result(find(call).input.request)


async def result(call: Call) -> Result:
    """Handle ``GET /v1/tasks/runs/{run_id}/result`` when the run has ended or time is up."""
    run = find(call)
    tasks = call.state.tasks
    given = call.request.query_params.get("timeout", str(WAIT_SECONDS))
    if not re.fullmatch("[0-9]{1,9}", given):
        raise invalid_parameter("query", "timeout", f"{given!r} is no number of seconds")
    until = min(run.batch.ends, tasks.now() + min(int(given), MAX_WAIT_SECONDS))
    # In a loop, because waiting may end a moment early; a client that left must not be waited for.
    while (left := until - tasks.now()) > 0 and not call.is_left:
        await call.pause(left)
    status = run.status(tasks.now())
    if status in ACTIVE:
        raise RequestError(408, f"Task run {run.run_id} is still active")
    if status == "failed":
        # The reason is in the run itself, as the service keeps it.
        raise RequestError(404, "Run failed.")
    return Result({"run": run.body(status), "output": findings(call.state.index, run).output})


async def stream_events(call: Call) -> Result:
    """Handle ``GET /v1/tasks/runs/{run_id}/events``."""
    return Result(events=events(call, find(call)))


_RUN = "/v1/tasks/runs/{run_id}"

OPERATIONS = (
    Operation("create_task_run", "POST", "/v1/tasks/runs", create),
    Operation("retrieve_task_run", "GET", _RUN, retrieve),
    Operation("retrieve_task_run_input", "GET", f"{_RUN}/input", retrieve_input),
    Operation("task_run_result", "GET", f"{_RUN}/result", result),
    Operation("task_run_events", "GET", f"{_RUN}/events", stream_events),
    Operation("task_run_events", "GET", "/v1beta/tasks/runs/{run_id}/events", stream_events),
)

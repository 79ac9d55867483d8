"""Task runs: ``/v1/tasks/runs`` and what is below it."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from parallel_integrations.sandbox.answering.schema_filler import SchemaError, check_schema
from parallel_integrations.sandbox.operations.operation import Answer, Call, Operation
from parallel_integrations.sandbox.operations.shared import policy_warnings, warning
from parallel_integrations.sandbox.operations.task_bodies import (
    FAST,
    FIELDS,
    PREMIUM,
    PROCESSORS,
    JsonForm,
    RunBody,
    TaskSpec,
)
from parallel_integrations.sandbox.operations.task_events import events
from parallel_integrations.sandbox.operations.task_outputs import findings
from parallel_integrations.sandbox.operations.task_schemas import misfit, review
from parallel_integrations.sandbox.server.responses import RequestError, invalid
from parallel_integrations.sandbox.state.ledger import Entry
from parallel_integrations.sandbox.state.state import World
from parallel_integrations.sandbox.state.tasks import ACTIVE, Asked, Batch, Run, Spec
from parallel_integrations.sandbox.state.webhooks import objection

MOST_SPEC_CHARS = 15_000
MOST_CHARS = 25_000
"""Characters of a spec and an input together; a run with more fails."""
WAIT_SECONDS = 600
"""How long a result is waited for when the request does not say."""
LONGEST_WAIT_SECONDS = 86_400
FAIL = "fail"
"""``{"sandbox": "fail"}`` in the metadata or in an input object makes a run fail."""


async def create(call: Call) -> Answer:
    """Answer ``POST /v1/tasks/runs``."""
    asked = check(call.world, call.parse(RunBody))
    [run] = start(call.world, [asked]).runs
    return Answer(run.body("queued"), 202, bill=Entry("create_task_run", 0.0, run.processor))


def start(world: World, asked: Iterable[Asked], group_id: str | None = None) -> Batch:
    """Set runs going and return them together."""
    batch = Batch(world.clock(), world.tasks.now(), world.tasks.seconds)
    runs = []
    for each in asked:
        error_id = world.ids.next("error") if each.failure else None
        runs.append(Run(world.ids.next("trun"), each, batch, group_id, error_id))
    world.tasks.add(batch, runs)
    for run in batch.runs:
        world.interactions[run.run_id] = (*run.asked.context, run.asked.question)
        webhook = run.asked.request.get("webhook")
        if webhook:
            status = run.status(batch.ends)
            world.deliver(webhook, "task_run.status", run.body(status), after=batch.seconds)
    return batch


def check(world: World, body: RunBody, default: TaskSpec | None = None) -> Asked:
    """Return what a run is asked.

    Args:
        world: Knows the earlier interactions.
        body: The request.
        default: The spec of a group, for runs without one.

    Raises:
        RequestError: 403 for an unknown processor, 422 for what is documented as an error.
    """
    if body.processor not in PROCESSORS:
        raise RequestError(403, f"Processor {body.processor!r} is unknown or not allowed")
    settings = body.advanced_settings
    servers = body.mcp_servers or []
    if settings and settings.data_sources and (names := settings.data_sources.names):
        if body.processor.endswith(FAST):
            raise invalid("advanced_settings.data_sources", "Only standard processors take these")
        if taken := sorted(set(names) & {server.name for server in servers}):
            raise invalid("advanced_settings.data_sources", f"{taken[0]!r} is an MCP server, too")
    context: Sequence[str] = ()
    if body.previous_interaction_id is not None:
        known = world.interactions.get(body.previous_interaction_id)
        if known is None:
            raise invalid(
                "previous_interaction_id",
                f"Unknown interaction {body.previous_interaction_id!r}",
            )
        context = known
    task_spec = body.task_spec or default
    spec, remarks = examine(task_spec, body.processor)
    request = body.stored
    if task_spec is not None and body.task_spec is None:
        request["task_spec"] = task_spec.model_dump(mode="json", exclude_unset=True)
    policy = body.source_policy
    return Asked(
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
        events=_is_premium(body.processor) if body.enable_events is None else body.enable_events,
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
    if size > MOST_SPEC_CHARS:
        raise invalid("task_spec", f"Longer than {MOST_SPEC_CHARS} characters")
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
    return "\n".join(
        f"{name}: {each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)}"
        for name, each in value.items()
    )


def _is_premium(processor: str) -> bool:
    return processor.removesuffix(FAST) in PREMIUM


def _failure(body: RunBody, spec: Spec) -> str | None:
    given = body.input if isinstance(body.input, dict) else {}
    if FAIL in ((body.metadata or {}).get("sandbox"), given.get("sandbox")):
        return "The run failed because the request told the sandbox so"
    if spec.size + len(_question(body.input)) > MOST_CHARS:
        return f"Input and task spec are longer than {MOST_CHARS} characters together"
    return None


def _input_warnings(task_spec: TaskSpec | None, value: Any) -> Iterable[dict[str, Any]]:
    form = task_spec.input_schema if task_spec else None
    text = misfit(form.json_schema, value) if isinstance(form, JsonForm) else None
    return [warning(text)] if text else []


def _refusals(body: RunBody) -> Iterable[dict[str, Any]]:
    for server in body.mcp_servers or []:
        yield warning(f"MCP server {server.name!r}: the sandbox calls none", "warning")
    if body.webhook and (text := objection(body.webhook.model_dump())):
        yield warning(text, "warning")


def find(call: Call, group_id: str | None = None) -> Run:
    """Return the run a path names.

    Raises:
        RequestError: 404 when there is none, or none in that group.
    """
    run_id = call.request.path_params["run_id"]
    run = call.world.tasks.get(run_id)
    if run is None or group_id not in (None, run.group_id):
        raise RequestError(404, f"Run id not found: {run_id!r}")
    return run


def wrong_query(name: str, message: str) -> RequestError:
    """Return the 422 for a wrong query parameter."""
    problem = {"loc": ["query", name], "msg": message, "type": "value_error"}
    return RequestError(422, "Request validation error", [problem])


async def retrieve(call: Call) -> Answer:
    """Answer ``GET /v1/tasks/runs/{run_id}``."""
    run = find(call)
    return Answer(run.body(run.status(call.world.tasks.now())))


async def retrieve_input(call: Call) -> Answer:
    """Answer ``GET /v1/tasks/runs/{run_id}/input``."""
    return Answer(find(call).asked.request)


async def result(call: Call) -> Answer:
    """Answer ``GET /v1/tasks/runs/{run_id}/result`` when the run has ended or time is up."""
    run = find(call)
    tasks = call.world.tasks
    given = call.request.query_params.get("timeout", str(WAIT_SECONDS))
    if not re.fullmatch("[0-9]{1,9}", given):
        raise wrong_query("timeout", f"{given!r} is no number of seconds")
    until = min(run.batch.ends, tasks.now() + min(int(given), LONGEST_WAIT_SECONDS))
    while (left := until - tasks.now()) > 0 and not call.is_left:
        await call.pause(left)
    status = run.status(tasks.now())
    if status in ACTIVE:
        raise RequestError(408, f"Task run {run.run_id} is still active")
    if status == "failed":
        raise RequestError(404, f"Task run {run.run_id} failed: {run.asked.failure}")
    return Answer({"run": run.body(status), "output": findings(call.world.index, run).output})


async def stream_events(call: Call) -> Answer:
    """Answer ``GET /v1/tasks/runs/{run_id}/events``."""
    return Answer(events=events(call, find(call)))


_RUN = "/v1/tasks/runs/{run_id}"

OPERATIONS = (
    Operation("create_task_run", "POST", "/v1/tasks/runs", create),
    Operation("retrieve_task_run", "GET", _RUN, retrieve),
    Operation("retrieve_task_run_input", "GET", f"{_RUN}/input", retrieve_input),
    Operation("task_run_result", "GET", f"{_RUN}/result", result),
    Operation("task_run_events", "GET", f"{_RUN}/events", stream_events),
    Operation("task_run_events", "GET", "/v1beta/tasks/runs/{run_id}/events", stream_events),
)

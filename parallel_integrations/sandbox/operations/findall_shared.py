"""What every FindAll operation does: demand the header, find the run, bring it up to date."""

import asyncio

from parallel_integrations.sandbox.operations.operation import Call
from parallel_integrations.sandbox.server.responses import RequestError
from parallel_integrations.sandbox.state.findall_plan import CANDIDATE, STATUS, Step
from parallel_integrations.sandbox.state.findall_run import FindallRun
from parallel_integrations.sandbox.state.ledger import FINDALL_MATCH_USD, TASK_USD, Entry
from parallel_integrations.sandbox.state.state import World

BETA = "findall-2025-09-15"
RUNS = "/v1beta/findall/runs"


def refused(where: str, name: str, message: str) -> RequestError:
    """Return the 422 for something wrong outside the body: in the path, query or headers."""
    problem = {"loc": [where, name], "msg": message, "type": "value_error"}
    return RequestError(422, "Request validation error", [problem])


def demand_beta(call: Call) -> None:
    """Let a call through that speaks the API played here.

    Raises:
        RequestError: 422 when its `parallel-beta` header does not name it.
    """
    named = call.request.headers.get("parallel-beta", "").split(",")
    if BETA not in (beta.strip() for beta in named):
        message = (
            f"Send the header parallel-beta: {BETA}. Without it the service answers in its "
            "incompatible FindAll V0, which the sandbox does not play."
        )
        raise refused("header", "parallel-beta", message)


def find(call: Call) -> FindallRun:
    """Return the run a call is about, up to date.

    Raises:
        RequestError: 422 without the `parallel-beta` header, 404 for an unknown run.
    """
    demand_beta(call)
    run = call.world.findall.get(call.request.path_params["findall_id"])
    if run is None:
        raise RequestError(404, "FindAll run not found")
    settle(call.world, run)
    return run


def settle(world: World, run: FindallRun) -> None:
    """Make happen what is due in a run: bill it, report it."""
    if world.findall.get(run.findall_id) is not run:
        return  # a reset has forgotten it
    for step in run.advance(world.stamp()):
        entry = _price(run, step)
        if entry is not None:
            world.ledger.add(entry)
        _report(world, run, step)


def watch(world: World, run: FindallRun) -> None:
    """Settle a run when its steps fall due, whether anybody asks or not."""

    def tick() -> None:
        settle(world, run)
        watch(world, run)

    run.forget_alarm()
    if run.due_in is not None and world.findall.get(run.findall_id) is run:
        run.alarm = asyncio.get_running_loop().call_later(run.due_in, tick)


def task_usd(processor: str) -> float | None:
    """Return what a task costs with `processor`, None if there is no such processor."""
    return TASK_USD.get(processor.removesuffix("-fast"))


def _price(run: FindallRun, step: Step) -> Entry | None:
    generator = run.schema["generator"]
    if step.type == f"{CANDIDATE}matched" and FINDALL_MATCH_USD[generator]:
        return Entry("findall_match", FINDALL_MATCH_USD[generator], generator)
    if step.enrichment is not None:
        processor = run.schema["enrichments"][step.enrichment]["processor"]
        return Entry("findall_enrichment", task_usd(processor) or 0.0, processor)
    return None


def _report(world: World, run: FindallRun, step: Step) -> None:
    if run.webhook is None:
        return
    if step.type.startswith(CANDIDATE):
        world.deliver(run.webhook, step.type, step.data)
    elif step.type == STATUS and not step.data["is_active"]:
        world.deliver(run.webhook, f"findall.run.{step.data['status']}", run.wire())

"""What a monitor does when it runs, billed as ``monitor_execution``."""

from typing import Any

from parallel_integrations.sandbox.operations.task_outputs import findings
from parallel_integrations.sandbox.state.ledger import MONITOR_USD, Entry
from parallel_integrations.sandbox.state.monitors import Execution, Monitor, changed_parts
from parallel_integrations.sandbox.state.state import World
from parallel_integrations.sandbox.web.corpus import Corpus, normal
from parallel_integrations.sandbox.web.index import Index
from parallel_integrations.sandbox.web.page import Page

FAILURE = "The sandbox was asked to fail"


def execute(world: World, monitor: Monitor) -> None:
    """Run a monitor once: remember what is new, bill it, report it.

    Raises:
        SchemaError: If its output schema is none.
    """
    group_id = world.ids.next("event_group")
    if monitor.fails:
        _fail(world, monitor, group_id)
        return
    found = _snapshot(world, monitor) if monitor.type == "snapshot" else _news(world, monitor)
    at = world.stamp()
    for event in found:
        event["event_id"] = world.ids.next("event")
        event["event_group_id"] = group_id
        # Later requests may refer to an event as they do to an interaction.
        world.interactions[event["event_id"]] = (monitor.settings["query"],)
    execution = Execution(group_id, at, found or [{"event_type": "completion", "timestamp": at}])
    monitor.add(execution)
    price = MONITOR_USD[monitor.processor]
    world.ledger.add(Entry("monitor_execution", price, monitor.processor))
    _report(world, monitor, execution)


def _fail(world: World, monitor: Monitor, group_id: str) -> None:
    """Run a monitor that was asked to fail; nothing is billed."""
    at = world.stamp()
    error = {"event_type": "error", "error_message": FAILURE, "timestamp": at}
    execution = Execution(group_id, at, [error])
    monitor.add(execution)
    _report(world, monitor, execution)


def _news(world: World, monitor: Monitor) -> list[dict[str, Any]]:
    if monitor.last_run_at is None:
        # The first execution takes stock: what is there already is no news.
        monitor.seen = frozenset(world.corpus)
        wanted = monitor.settings.get("include_backfill")
        pages = monitor.backfill(world.index) if wanted else []
    else:
        pages = monitor.news(world.index)
    today = world.clock().date()
    return [
        {
            "event_type": "event_stream",
            "event_date": (page.published or today).isoformat(),
            "output": monitor.report(page, world.index),
        }
        for page in reversed(pages)
    ]


def _snapshot(world: World, monitor: Monitor) -> list[dict[str, Any]]:
    before = monitor.snapshot
    run = world.tasks.get(monitor.settings["task_run_id"])
    if run is None:
        return []
    now = monitor.snapshot = dict(findings(world.index, run).output)
    changed = changed_parts(before, now) if before is not None else None
    if before is None or changed is None:
        return []
    return [
        {
            "event_type": "snapshot",
            "event_date": world.clock().date().isoformat(),
            "changed_output": changed,
            "previous_output": before,
        }
    ]


def _report(world: World, monitor: Monitor, execution: Execution) -> None:
    if execution.outcome == "detected":
        kind, event = "monitor.event.detected", {"event_group_id": execution.group_id}
    elif execution.outcome == "completion":
        kind = "monitor.execution.completed"
        event = {"type": "completion", "monitor_ts": execution.at}
    else:
        kind = "monitor.execution.failed"
        event = {
            "type": "error",
            "error": FAILURE,
            "id": execution.group_id,
            "date": execution.at,
        }
    data = {"monitor_id": monitor.monitor_id, "event": event, "metadata": monitor.metadata}
    world.deliver(monitor.webhook, kind, data)


def with_page(corpus: Corpus, page: Page) -> Index:
    """Return an index of a corpus with `page` added, or in the place of the page of its address."""
    address = normal(page.url)
    kept = [
        each
        for each in corpus
        if address not in {normal(each.url), *(normal(alias) for alias in each.aliases)}
    ]
    return Index(Corpus([*kept, page]))


def publish(world: World, page: Page, index: Index) -> None:
    """Put a new index in place and run the monitors that `page` concerns."""
    world.index = index
    for monitor in list(world.monitors.values()):
        if monitor.status == "active" and monitor.about(page):
            execute(world, monitor)

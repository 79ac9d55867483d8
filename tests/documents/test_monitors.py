"""`ParallelMonitor` in both frameworks, on the sandbox."""

import json
import logging
from collections.abc import Awaitable
from typing import Any

import pytest

from parallel_integrations import (
    CreateMonitorRequest,
    CreateTaskRunRequest,
    InvalidArgumentError,
    NotFoundError,
    ParallelClient,
    SnapshotSettings,
    TaskFailedError,
    Webhook,
)
from parallel_integrations.api import monitor_events, run_task, trigger_monitor
from parallel_integrations.langchain import ParallelMonitor
from parallel_integrations.llama_index import ParallelMonitor as LlamaMonitor
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection
from tests.support.raw_server import RawServer

QUERY = "Changes of the with statement"
FRAMEWORKS = pytest.mark.parametrize("make", [ParallelMonitor, LlamaMonitor])
TWINS = pytest.mark.parametrize("prefix", ["", "a"], ids=["blocking", "awaiting"])


class Monitors:
    """One framework's class, called by one of its two ways."""

    def __init__(self, made: Any, prefix: str) -> None:
        self.made = made
        self.prefix = prefix

    async def __call__(self, name: str, *args: Any, **kwargs: Any) -> Any:
        result = getattr(self.made, f"{self.prefix}{name}")(*args, **kwargs)
        return await result if isinstance(result, Awaitable) else result


@pytest.fixture
def monitors(make: Any, prefix: str, sandbox: Sandbox) -> Monitors:
    return Monitors(make(api_key=sandbox.api_key, base_url=sandbox.url), prefix)


def text_of(document: Any) -> str:
    return str(getattr(document, "page_content", None) or document.text)


def id_of(document: Any) -> str:
    return str(getattr(document, "id", None) or document.id_)


@FRAMEWORKS
@TWINS
async def test_create_list_events_cancel(monitors: Monitors, sandbox: Sandbox) -> None:
    monitor = await monitors("create", QUERY, frequency="1w", include_backfill=True)
    assert (monitor.frequency, monitor.settings["query"]) == ("1w", QUERY)
    assert [one.monitor_id for one in await monitors("list")] == [monitor.monitor_id]
    documents = await monitors("events", monitor.monitor_id)
    assert documents
    for document in documents:
        url = document.metadata["url"]
        assert url.startswith("https://docs.python.org/")
        assert document.metadata["source"] == url
        assert list(document.metadata)[:4] == ["url", "title", "published_at", "source"]
        assert document.metadata["monitor_id"] == monitor.monitor_id
        assert text_of(document).rpartition("Sources:\n- ")[2].endswith(url)
    assert len({document.metadata["event_id"] for document in documents}) == len(documents)
    again = await monitors("events", monitor.monitor_id)
    assert [id_of(each) for each in again] == [id_of(each) for each in documents]
    assert len({id_of(each) for each in documents}) == len(documents)
    assert (await monitors("cancel", monitor.monitor_id)).status == "cancelled"
    assert await monitors("list") == []
    [cancelled] = await monitors("list", status=["cancelled"])
    assert cancelled.monitor_id == monitor.monitor_id
    assert len(sandbox.ledger.entries) == 1  # its first execution


def test_both_frameworks_give_one_document(sandbox: Sandbox) -> None:
    at = connection(sandbox)
    ours, theirs = ParallelMonitor(**at), LlamaMonitor(**at)
    monitor_id = ours.create(QUERY, include_backfill=True).monitor_id
    for one, other in zip(ours.events(monitor_id), theirs.events(monitor_id), strict=True):
        assert (one.id, one.page_content) == (other.id_, other.text)
        assert one.metadata == other.metadata
        assert {"monitor_id", "event_id"} <= set(other.excluded_llm_metadata_keys)
    ours.cancel(monitor_id)


@FRAMEWORKS
@TWINS
async def test_a_webhook_s_message_names_what_one_execution_found(
    monitors: Monitors, client: ParallelClient
) -> None:
    monitor_id = (await monitors("create", QUERY, include_backfill=True)).monitor_id
    client.run(trigger_monitor(monitor_id))
    events = client.run(monitor_events(monitor_id)).events
    group = events[-1].event_group_id
    found = await monitors("events", monitor_id, event_group_id=group)
    wanted = [each.event_id for each in events if each.event_group_id == group]
    assert [each.metadata["event_id"] for each in found] == wanted
    await monitors("cancel", monitor_id)


@FRAMEWORKS
@TWINS
async def test_all_settings_reach_the_api(monitors: Monitors, sandbox: Sandbox) -> None:
    webhook = Webhook(url="https://example.com/hook", event_types=["monitor.event.detected"])
    monitor = await monitors(
        "create",
        QUERY,
        processor="base",
        location="us",
        webhook=webhook,
        metadata={"team": "docs"},
        memory_scope_key="docs",
    )
    body = sandbox.requests[0].body
    assert body["settings"] == {"query": QUERY, "advanced_settings": {"location": "us"}}
    assert (body["type"], body["frequency"], body["processor"]) == ("event_stream", "1d", "base")
    assert (body["metadata"], body["memory_scope_key"]) == ({"team": "docs"}, "docs")
    assert body["webhook"]["url"] == "https://example.com/hook"
    await monitors("cancel", monitor.monitor_id)


@FRAMEWORKS
@TWINS
async def test_what_changed_in_a_task_s_output(
    monitors: Monitors, sandbox: Sandbox, client: ParallelClient
) -> None:
    task = CreateTaskRunRequest(input="the with statement", processor="lite")
    run_id = client.run(run_task(task)).run.run_id
    request = CreateMonitorRequest(
        type="snapshot", frequency="1d", settings=SnapshotSettings(task_run_id=run_id)
    )
    monitor = await monitors("create", request)
    output = {"type": "json", "basis": [], "content": {"year": 2026}}
    event = {
        "event_type": "snapshot",
        "event_id": "e1",
        "event_date": "2026-05",
        "changed_output": output,
        "previous_output": {**output, "content": {"year": 1994}},
    }
    sandbox.faults.add(path="/v1/monitors/*/events", body={"events": [event]})
    [document] = await monitors("events", monitor.monitor_id)
    assert text_of(document) == '{\n  "year": 2026\n}'
    assert document.metadata["published_at"] == "2026-05"
    assert document.metadata["url"] == ""
    await monitors("cancel", monitor.monitor_id)


FAILED = {"event_type": "error", "error_message": "quota", "timestamp": "2026-05-02T10:00:00Z"}
FOUND = {
    "event_type": "event_stream",
    "event_id": "e2",
    "event_date": "2026-05-01",
    "output": {"type": "text", "content": "New.", "basis": []},
}


@FRAMEWORKS
@TWINS
async def test_failed_executions_are_no_empty_list(
    monitors: Monitors, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    monitor_id = (await monitors("create", QUERY)).monitor_id
    events = "/v1/monitors/*/events"
    sandbox.faults.add(path=events, body={"events": [FAILED]}, times=2)
    with pytest.raises(TaskFailedError, match=f"1 execution of monitor {monitor_id} failed, the"):
        await monitors("events", monitor_id)
    nothing = {"event_type": "completion", "timestamp": "2026-05-01T10:00:00Z"}
    for body in ([FAILED], [FAILED, nothing]):  # another execution ran, and found nothing
        sandbox.faults.add(path=events, body={"events": body})
    assert await monitors("events", monitor_id) == []
    assert sandbox.requests[-1].query["include_completions"] == "true"
    sandbox.faults.add(path=events, body={"events": [FOUND, FAILED]})
    with caplog.at_level(logging.WARNING, "parallel_integrations"):
        [document] = await monitors("events", monitor_id)
    assert text_of(document) == "New."
    assert "quota" in caplog.text
    sandbox.faults.add(path=events, body={"events": []})
    assert await monitors("events", monitor_id) == []
    await monitors("cancel", monitor_id)


@FRAMEWORKS
@TWINS
async def test_what_cannot_be_right_is_refused(monitors: Monitors, sandbox: Sandbox) -> None:
    for args, settings, said in (
        ((QUERY,), {"frequency": "5m"}, "frequency"),
        (("",), {}, "query"),
        ((QUERY,), {"include_backfil": True}, "include_backfill"),
        ((7,), {}, "query"),
    ):
        with pytest.raises(InvalidArgumentError, match=said):
            await monitors("create", *args, **settings)
    request = CreateMonitorRequest.model_validate({"query": QUERY, "frequency": "1d"})
    for settings in ({"frequency": "1w"}, {"processor": "base"}):
        with pytest.raises(InvalidArgumentError, match="belongs into the CreateMonitorRequest"):
            await monitors("create", request, **settings)
    for name in ("events", "cancel"):
        with pytest.raises(InvalidArgumentError, match="monitor_id"):
            await monitors(name, "..")
    with pytest.raises(InvalidArgumentError, match="status"):
        await monitors("list", status="active")
    assert sandbox.requests == []
    with pytest.raises(NotFoundError):
        await monitors("events", "monitor_of_nobody")


@pytest.mark.parametrize("make", [ParallelMonitor, LlamaMonitor])
def test_an_unknown_argument_is_refused(make: Any) -> None:
    with pytest.raises(TypeError, match="base_url"):
        make(base_ulr="https://api.parallel.ai")


@FRAMEWORKS
@TWINS
async def test_a_source_that_is_none_costs_no_event(make: Any, prefix: str) -> None:
    sources = [None, "https://a.example/", 5, "", {"url": "x"}]
    events = [{"type": "event", "output": "It changed.", "source_urls": sources}]
    body = json.dumps({"events": events}).encode()
    with RawServer(lambda talk, _: talk.respond(body)) as server:
        made = make(api_key="some-key", base_url=server.url)
        [document] = await Monitors(made, prefix)("events", "monitor_1")
    assert text_of(document).startswith("It changed.")
    assert document.metadata["url"] == "https://a.example/"

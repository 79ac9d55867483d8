"""What is handed to a client by mistake is refused with the remedy, never ignored."""

from functools import partial
from typing import Any

import httpx
import pytest

from parallel_integrations import (
    CreateFindallRunRequest,
    CreateTaskRunRequest,
    ParallelClient,
    SearchRequest,
    api,
)
from parallel_integrations.api import chat, run_task_group, search, stream_chat
from parallel_integrations.langchain import (
    ParallelDeepResearch,
    ParallelEnrichment,
    ParallelExtractLoader,
    ParallelFindAllTool,
    ParallelTaskRunTool,
)
from parallel_integrations.llama_index import (
    ParallelExtractor,
    ParallelQueryEngine,
    ParallelToolSpec,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import CHAT
from tests.support.scripted_operation import BOTH, listen, run

SEARCH = SearchRequest(objective="What is a closure?")


@BOTH
@pytest.mark.parametrize("given", [SEARCH, search, "What is a closure?", None])
async def test_something_that_is_no_operation(
    client: ParallelClient, sandbox: Sandbox, given: Any, awaiting: bool
) -> None:
    for use in (run, listen):
        with pytest.raises(TypeError, match=r"search\(SearchRequest\(objective="):
            await use(client, given, awaiting=awaiting)
    assert not sandbox.requests


@BOTH
@pytest.mark.parametrize("make", [lambda: stream_chat(CHAT), lambda: api.task_run_events("trun_1")])
async def test_a_stream_that_is_run(
    client: ParallelClient, sandbox: Sandbox, make: Any, awaiting: bool
) -> None:
    with pytest.raises(TypeError, match=r"client\.stream\(…\) or client\.astream\(…\)"):
        await run(client, make(), awaiting=awaiting)
    assert not sandbox.requests


@BOTH
async def test_what_a_stream_began_is_named(client: ParallelClient, awaiting: bool) -> None:
    with pytest.raises(TypeError, match=r"run_id='trun_sandbox_\d+'"):
        await run(client, api.stream_task(TASK), awaiting=awaiting)


@BOTH
@pytest.mark.parametrize(
    "make", [lambda: search(SEARCH), lambda: chat(CHAT), lambda: run_task_group(["with"])]
)
async def test_a_single_response_that_is_streamed(
    client: ParallelClient, make: Any, awaiting: bool
) -> None:
    with pytest.raises(TypeError, match=r"client\.run\(…\) or client\.arun\(…\)"):
        await listen(client, make(), awaiting=awaiting)


@BOTH
async def test_an_operation_goes_once(
    client: ParallelClient, sandbox: Sandbox, awaiting: bool
) -> None:
    operation = search(SEARCH)
    await run(client, operation, awaiting=awaiting)
    for use in (run, listen):
        with pytest.raises(ValueError, match="make another"):
            await use(client, operation, awaiting=awaiting)
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("nothing", ["", " \n", {}])
def test_a_task_about_nothing(nothing: Any) -> None:
    with pytest.raises(ValueError, match="the input is empty"):
        CreateTaskRunRequest(input=nothing)


@BOTH
@pytest.mark.parametrize(
    ("operation", "request_name"),
    [
        (api.search, "SearchRequest"),
        (api.extract, "ExtractRequest"),
        (api.chat, "ChatRequest"),
        (api.stream_chat, "ChatRequest"),
        (api.create_task_run, "CreateTaskRunRequest"),
        (api.run_task, "CreateTaskRunRequest"),
        (api.stream_task, "CreateTaskRunRequest"),
        (api.create_findall_run, "CreateFindallRunRequest"),
        (api.run_findall, "CreateFindallRunRequest"),
        (api.create_monitor, "CreateMonitorRequest"),
        (api.create_task_group, "CreateTaskGroupRequest"),
        (api.retrieve_memory, "RetrieveMemoryRequest"),
        (api.clear_memory, "ClearMemoryRequest"),
    ],
)
async def test_a_question_where_a_request_belongs(
    client: ParallelClient, sandbox: Sandbox, operation: Any, request_name: str, awaiting: bool
) -> None:
    use = listen if operation in (api.stream_chat, api.stream_task) else run
    with pytest.raises(TypeError, match=rf"takes {request_name}\(…\), not 'What is"):
        await use(client, operation("What is a closure?"), awaiting=awaiting)
    assert not sandbox.requests


TASK = CreateTaskRunRequest(input="What is a closure?")
FINDALL = CreateFindallRunRequest(
    objective="statements",
    entity_type="statements",
    match_conditions=[{"name": "any", "description": "It is a statement."}],
)


@pytest.mark.parametrize(
    "seconds", [0, -1.0, float("nan"), float("inf"), 2_592_001, True, "60", None]
)
@pytest.mark.parametrize(
    "start",
    [
        lambda seconds: api.run_task(TASK, deadline_seconds=seconds),
        lambda seconds: api.stream_task(TASK, deadline_seconds=seconds),
        lambda seconds: api.run_task_group(["with"], deadline_seconds=seconds),
        lambda seconds: api.run_findall(FINDALL, deadline_seconds=seconds),
        lambda seconds: api.wait_task_run("trun_1", deadline_seconds=seconds),
        lambda seconds: api.resume_task("trun_1", deadline_seconds=seconds),
        lambda seconds: api.task_run_events("trun_1", deadline_seconds=seconds),
        lambda seconds: api.wait_task_group("tg_1", 1, deadline_seconds=seconds),
        lambda seconds: api.wait_findall_run("f1", deadline_seconds=seconds),
    ],
)
def test_a_deadline_that_is_none_begins_nothing(
    client: ParallelClient, sandbox: Sandbox, start: Any, seconds: Any
) -> None:
    said = r"deadline_seconds=.* above 0 and at most 2592000 \(30 days\).* with its id"
    with pytest.raises(ValueError, match=said):
        list(client.stream(start(seconds)))
    assert not sandbox.requests


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf"), 1e10, True, "60"])
def test_a_time_to_follow_that_is_none_begins_nothing(
    client: ParallelClient, sandbox: Sandbox, seconds: Any
) -> None:
    for stream in (api.task_group_events, api.findall_events):
        with pytest.raises(ValueError, match=r"timeout=.* above 0 and at most 2592000"):
            list(client.stream(stream("id_1", timeout=seconds)))
    assert not sandbox.requests


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf"), 1e10, True, "60"])
@pytest.mark.parametrize(
    "make",
    [
        ParallelDeepResearch,
        ParallelTaskRunTool,
        ParallelFindAllTool,
        partial(ParallelEnrichment, journal="j"),
        partial(ParallelQueryEngine, processor="lite"),
        partial(ParallelExtractor, output_schema="What it does."),
        ParallelToolSpec,
    ],
)
def test_an_adapter_s_deadline_is_refused_when_it_is_made(make: Any, seconds: Any) -> None:
    make(api_key="some-key", deadline_seconds=60)
    with pytest.raises(ValueError, match="deadline_seconds"):
        make(api_key="some-key", deadline_seconds=seconds)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"timeout": "3"}, "timeout='3'"),
        ({"timeout": True}, "timeout=True"),
        ({"max_retries": "2"}, "max_retries='2'"),
        ({"http_client": httpx.AsyncClient()}, "httpx.Client, not AsyncClient"),
        ({"http_async_client": httpx.Client()}, "httpx.AsyncClient, not Client"),
    ],
)
def test_settings_of_another_kind(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ParallelClient(**settings)


@pytest.mark.parametrize("given", [(b"{}", {}), ({}, "{}"), (None, b"{}")])
def test_a_webhook_s_parts_in_another_order(given: Any) -> None:
    with pytest.raises(TypeError, match="headers, the raw body as bytes, and the secret"):
        api.verify_webhook(*given, "whsec_c2VjcmV0")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fo": 1}, "ParallelQueryEngine has no argument 'fo'"),
        ({"api_ky": "k"}, "did you mean 'api_key'"),
        ({"location": "us"}, "location= goes with processor="),
        ({"processor": "lite", "system_prompt": "Be brief."}, "system_prompt= goes with model="),
    ],
)
def test_a_query_engine_s_argument_of_the_other_code_path(settings: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        ParallelQueryEngine(**settings)


def test_one_address_is_as_good_as_a_list(client: ParallelClient, sandbox: Sandbox) -> None:
    url = sandbox.corpus.pages[0].url
    one: Any = url
    assert ParallelExtractLoader(urls=one, client=client).load() == (
        ParallelExtractLoader(urls=[url], client=client).load()
    )

"""The query engine: both code paths, every kind of response, its sources and its refusals."""

import asyncio
import gc
from functools import partial
from typing import Any

import pytest
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.callbacks import (
    CallbackManager,
    CBEventType,
    EventPayload,
    LlamaDebugHandler,
    TokenCountingHandler,
)
from llama_index.core.chat_engine import CondenseQuestionChatEngine
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import BaseQueryEngine, RouterQueryEngine
from llama_index.core.schema import QueryBundle
from llama_index.core.tools import QueryEngineTool
from pydantic import BaseModel

from parallel_integrations import (
    AuthenticationError,
    NotFoundError,
    SourcePolicy,
    StreamInterruptedError,
    TaskFailedError,
    TaskTimeoutError,
    UnexpectedAnswerError,
)
from parallel_integrations.llama_index import (
    ParallelLLM,
    ParallelQueryEngine,
    ParallelSelector,
    ParallelToolSpec,
    citation_blocks,
    evidence_of,
)
from parallel_integrations.sandbox import Sandbox
from tests.llama_index.support import check_failure
from tests.llama_index.test_llms import Endless
from tests.support.connected import made
from tests.support.raw_server import RawServer
from tests.support.requests import QUESTION

CHAT = "/chat/completions"
CODE_PATHS: list[dict[str, Any]] = [{}, {"model": "core"}, {"processor": "lite"}]


class Statement(BaseModel):
    """A statement of the language."""

    purpose: str
    examples: list[str]


make = partial(made, ParallelQueryEngine)


async def both(engine: ParallelQueryEngine) -> list[Any]:
    return [await asyncio.to_thread(engine.query, QUESTION), await engine.aquery(QUESTION)]


@pytest.mark.parametrize("code_path", CODE_PATHS)
async def test_an_answer_with_its_sources(sandbox: Sandbox, code_path: dict[str, Any]) -> None:
    one, two = await both(make(sandbox, **code_path))
    for response in (one, two):
        assert isinstance(response, Response)
        assert response.response
        assert response.source_nodes
        for node in response.source_nodes:
            assert node.text.strip()
            assert node.metadata["url"].startswith("https://docs.python.org")
            assert node.metadata["field"] == "output"
            assert node.metadata["confidence"] in ("low", "medium", "high")
            assert node.metadata["reasoning"]
        assert "sandbox" in evidence_of(response)["interaction_id"]
        assert len(citation_blocks(response)) == len(response.source_nodes)
        assert response.get_formatted_sources()
    assert one.response == two.response
    assert [node.node_id for node in one.source_nodes] == [
        node.node_id for node in two.source_nodes
    ]


def test_the_request_of_a_chat_model(sandbox: Sandbox) -> None:
    make(sandbox).query(f" {QUESTION}\n")
    make(sandbox, model="speed", system_prompt="Be brief.").query(QueryBundle(QUESTION))
    one, two = (request.body for request in sandbox.requests)
    assert one == {"model": "lite", "messages": [{"role": "user", "content": QUESTION}]}
    assert two["model"] == "speed"
    assert two["messages"][0] == {"role": "system", "content": "Be brief."}


def test_the_request_of_a_task(sandbox: Sandbox) -> None:
    policy = SourcePolicy(include_domains=["docs.python.org"])
    response = make(sandbox, processor="lite", source_policy=policy).query(QUESTION)
    body = sandbox.requests[0].body
    assert body["input"] == QUESTION
    assert body["processor"] == "lite"
    assert body["source_policy"] == {"include_domains": ["docs.python.org"]}
    assert body["task_spec"] == {"output_schema": {"type": "text"}}
    assert response.metadata
    first = response.metadata["run_id"]
    again = make(sandbox, processor="lite", previous_interaction_id=first)
    again.query("And what does it return?")
    created = [request for request in sandbox.requests if request.method == "POST"]
    assert created[-1].body["previous_interaction_id"] == first


@pytest.mark.parametrize("code_path", [{}, {"processor": "lite"}])
async def test_a_query_engine_answers_with_an_object_and_its_sources(
    sandbox: Sandbox, code_path: dict[str, Any]
) -> None:
    for response in await both(make(sandbox, output_cls=Statement, **code_path)):
        assert isinstance(response, PydanticResponse)
        assert isinstance(response.response, Statement)
        assert response.purpose
        fields = {node.metadata["field"].partition(".")[0] for node in response.source_nodes}
        assert fields == {"purpose", "examples"}
        assert evidence_of(response)["interaction_id"]


@pytest.mark.parametrize("output_cls", [None, Statement])
async def test_a_run_is_resumed_by_its_id(
    sandbox: Sandbox, output_cls: type[BaseModel] | None
) -> None:
    first = make(sandbox, processor="lite", output_cls=output_cls).query(QUESTION)
    assert first.metadata
    run_id = first.metadata["run_id"]
    other = make(sandbox, processor="lite", output_cls=output_cls)
    for again in (other.resume(run_id), await other.aresume(run_id)):
        assert str(again) == str(first)
        assert type(again) is type(first)
        assert [node.node_id for node in again.source_nodes] == [
            node.node_id for node in first.source_nodes
        ]
        assert again.metadata == first.metadata
    assert sandbox.ledger.count("task_run") == 1


async def test_what_cannot_be_resumed_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(TypeError, match="processor="):
        make(sandbox).resume("trun_1")
    with pytest.raises(TypeError, match="processor="):
        await make(sandbox).aresume("trun_1")
    with pytest.raises(ValueError, match="is not an id"):
        make(sandbox, processor="lite").resume(" ")
    assert not sandbox.requests
    with pytest.raises(NotFoundError) as caught:
        await make(sandbox, processor="lite").aresume("trun_none")
    assert caught.value.run_id == "trun_none"


async def test_an_answer_that_does_not_fit_the_class_is_an_error(sandbox: Sandbox) -> None:
    class Impossible(BaseModel):
        number: int

    engine = make(sandbox, processor="lite", output_cls=Impossible)
    body = {
        "run": {"run_id": "r", "status": "completed"},
        "output": {"type": "json", "content": {"number": "many"}, "basis": []},
    }
    sandbox.faults.add(path="*/result", times=2, body=body)
    with pytest.raises(UnexpectedAnswerError, match="does not fit Impossible: number") as caught:
        engine.query(QUESTION)
    assert caught.value.run_id
    with pytest.raises(UnexpectedAnswerError, match="does not fit Impossible: number"):
        await engine.aquery(QUESTION)


async def test_a_stream_fills_its_metadata_behind_a_router(sandbox: Sandbox) -> None:
    tool = QueryEngineTool.from_defaults(make(sandbox, streaming=True), "web", "The web.")
    router = RouterQueryEngine(made(ParallelSelector, sandbox), [tool], llm=MockLLM())
    response, awaited = router.query(QUESTION), await router.aquery(QUESTION)
    assert isinstance(response, StreamingResponse)
    assert isinstance(awaited, AsyncStreamingResponse)
    assert "".join(response.response_gen)
    assert [piece async for piece in awaited.async_response_gen()]
    for each in (response, awaited):
        assert each.metadata.keys() == {"selector_result", "basis", "interaction_id"}
        assert len(citation_blocks(each)) == len(each.source_nodes) > 0


async def test_streams_fill_their_sources_with_the_last_piece(sandbox: Sandbox) -> None:
    whole = make(sandbox).query(QUESTION)
    engine = make(sandbox, streaming=True)
    response = engine.query(QUESTION)
    assert isinstance(response, StreamingResponse)
    assert not response.source_nodes
    pieces = list(response.response_gen)
    assert len(pieces) > 3
    assert "".join(pieces) == str(whole)
    assert len(response.source_nodes) == len(whole.source_nodes)
    assert citation_blocks(response)
    awaited = await engine.aquery(QUESTION)
    assert isinstance(awaited, AsyncStreamingResponse)
    reported = [piece async for piece in awaited.async_response_gen()]
    assert reported == pieces
    assert len(awaited.source_nodes) == len(whole.source_nodes)
    assert {node.score for node in whole.source_nodes} == {None}
    assert evidence_of(awaited)["interaction_id"]
    assert (await (await engine.aquery(QUESTION)).get_response()).source_nodes  # type: ignore[union-attr, misc]


def test_a_chat_engine_over_a_streaming_engine_has_its_sources_in_the_end(sandbox: Sandbox) -> None:
    chat = CondenseQuestionChatEngine.from_defaults(
        make(sandbox, streaming=True), llm=made(ParallelLLM, sandbox)
    )
    response = chat.stream_chat(QUESTION)
    assert "".join(response.response_gen)
    response.set_source_nodes()
    assert response.source_nodes
    assert evidence_of(response)["basis"]


@pytest.mark.parametrize("code_path", [{}, {"processor": "lite"}, {"streaming": True}])
async def test_a_footer_names_the_sources(sandbox: Sandbox, code_path: dict[str, Any]) -> None:
    plain = str(make(sandbox, **code_path).query(QUESTION))
    engine = make(sandbox, sources_footer=True, **code_path)
    response = await engine.aquery(QUESTION)
    text = str(await response.get_response()) if "streaming" in code_path else str(response)  # type: ignore[union-attr, misc]
    assert str(engine.query(QUESTION)) == text
    assert text.startswith(plain)
    footer = text.removeprefix(plain)
    assert footer.startswith("\n\nSources:\n- ")
    urls = list(dict.fromkeys(node.metadata["url"] for node in response.source_nodes))
    assert [line.rpartition(": ")[2] for line in footer.splitlines()[3:]] == urls


def test_speed_has_no_sources_and_no_footer(sandbox: Sandbox) -> None:
    response = make(sandbox, model="speed", sources_footer=True).query(QUESTION)
    assert response.source_nodes == []
    assert str(response) == str(make(sandbox, model="speed").query(QUESTION))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"model": "lite", "processor": "lite"}, "processor= exclude"),
        ({"streaming": True, "processor": "lite"}, "does not stream"),
        ({"streaming": True, "output_cls": Statement}, "not streamed"),
        ({"sources_footer": True, "output_cls": Statement}, "sources_footer"),
        ({"source_policy": SourcePolicy()}, "source_policy"),
        ({"processor": "lite", "system_prompt": "x"}, "system_prompt"),
        ({"processor": "lite", "output_cls": Statement, "output_schema": "x"}, "output_schema"),
        ({"nonsense": 1}, "nonsense"),
        ({"processor": "lite", "deadline_seconds": 0}, "deadline_seconds"),
    ],
)
def test_wrong_settings_of_a_query_engine_are_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises((ValueError, TypeError), match=named):
        ParallelQueryEngine(**wrong)


@pytest.mark.parametrize("code_path", [{}, {"processor": "lite"}, {"streaming": True}])
async def test_a_blank_question_is_not_sent(sandbox: Sandbox, code_path: dict[str, Any]) -> None:
    engine = make(sandbox, **code_path)
    with pytest.raises(ValueError, match="blank"):
        engine.query(" ")
    with pytest.raises(ValueError, match="blank"):
        await engine.aquery("")
    assert not sandbox.requests


@pytest.mark.parametrize("code_path", [{}, {"processor": "lite"}])
async def test_errors_of_a_query_engine_pass_unchanged(
    sandbox: Sandbox, code_path: dict[str, Any]
) -> None:
    sandbox.faults.add(times=None, status=401)
    engine = make(sandbox, **code_path)
    with pytest.raises(AuthenticationError):
        engine.query(QUESTION)
    with pytest.raises(AuthenticationError):
        await engine.aquery(QUESTION)


async def test_a_task_that_fails_or_is_late(sandbox: Sandbox) -> None:
    with pytest.raises(TaskFailedError) as failed:
        make(sandbox, processor="lite").query("statement " * 2600)
    assert failed.value.run_id
    sandbox.faults.add(path="*/result", times=None, status=408)
    with pytest.raises(TaskTimeoutError) as late:
        await make(sandbox, processor="lite", deadline_seconds=0.2).aquery(QUESTION)
    assert late.value.run_id


async def test_a_cut_stream_is_an_error(sandbox: Sandbox) -> None:
    sandbox.faults.add(path=CHAT, times=None, cut_after_events=3)
    engine = make(sandbox, streaming=True)
    with pytest.raises(StreamInterruptedError):
        str(engine.query(QUESTION))
    response = await engine.aquery(QUESTION)
    assert isinstance(response, AsyncStreamingResponse)
    with pytest.raises(StreamInterruptedError):
        await response.get_response()
    assert not response.source_nodes


def test_dropping_a_stream_closes_the_connection() -> None:
    endless = Endless()
    gc.disable()  # what is left to the collector would not be closed at once
    try:
        with RawServer(endless) as server:
            engine = ParallelQueryEngine(streaming=True, api_key="any", base_url=server.url)
            response = engine.query(QUESTION)
            next(response.response_gen)  # type: ignore[union-attr, arg-type]
            del response
            assert endless.noticed()
    finally:
        gc.enable()


async def test_each_question_is_one_call_of_the_llm(sandbox: Sandbox) -> None:
    counting = TokenCountingHandler()
    await both(make(sandbox, callback_manager=CallbackManager([counting])))
    assert len(counting.llm_token_counts) == 2
    assert sandbox.ledger.count("chat") == 2


@pytest.mark.parametrize("code_path", [{}, {"streaming": True}, {"processor": "lite"}])
async def test_callbacks_know_each_question_as_of_llama_indexs_engines(
    sandbox: Sandbox, code_path: dict[str, Any]
) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    engine = make(sandbox, callback_manager=CallbackManager([debug]), **code_path)
    responses = [engine.query(QUESTION), await engine.aquery(QUESTION)]
    pairs = debug.get_event_pairs(CBEventType.QUERY)
    assert [start.payload for start, _ in pairs] == [{EventPayload.QUERY_STR: QUESTION}] * 2
    assert [end.payload[EventPayload.RESPONSE] for _, end in pairs] == responses
    if "streaming" in code_path:
        return  # whose failures come later
    sandbox.faults.add(status=401, times=2)
    await check_failure(AuthenticationError, "401", engine, "query", QUESTION)
    assert len(debug.get_event_pairs(CBEventType.QUERY)) == 4


def test_name_and_metadata_of_a_query_engine(sandbox: Sandbox) -> None:
    engine = make(sandbox)
    assert isinstance(engine, BaseQueryEngine)
    assert engine.get_prompts() == {}


def test_an_output_that_holds_nothing_is_named_with_its_run(sandbox: Sandbox) -> None:
    nothing = {"run": {"run_id": ""}, "output": {"type": "json", "content": None, "basis": []}}
    sandbox.faults.add(path="/v1/tasks/runs/*/result", times=2, body=nothing)
    engine = make(sandbox, processor="lite")
    tools = made(ParallelToolSpec, sandbox, processor="lite").to_tool_list()
    [task] = [each for each in tools if each.metadata.name == "parallel_task"]
    for run in (engine.query, task):
        with pytest.raises(UnexpectedAnswerError) as caught:
            run(QUESTION)
        run_id = sandbox.requests[-1].path.split("/")[4]
        assert caught.value.run_id == run_id
        assert f"GET /v1/tasks/runs/{run_id}/result" in str(caught.value)

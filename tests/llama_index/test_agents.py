"""Agents that use the tools: they search, cite, and survive every kind of failure."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from llama_index.core.agent import CodeActAgent, FunctionAgent, ReActAgent
from llama_index.core.agent.workflow import AgentOutput, ToolCallResult
from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock
from llama_index.core.llms.mock import MockFunctionCallingLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import QueryEngineTool
from llama_index.core.workflow import Context, StartEvent, StopEvent, Workflow, step
from pydantic import BaseModel

from parallel_integrations.api import wait_task_run
from parallel_integrations.llama_index import (
    ParallelLLM,
    ParallelProgressEvent,
    ParallelQueryEngine,
    ParallelToolSpec,
    citation_blocks,
    evidence_of,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import QUESTION

TOO_LONG = "statement " * 2600  # for a task: the run fails

# LlamaIndex's agents use a memory that LlamaIndex calls deprecated; its newer one leaves a
# database open.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def calling(name: str, **kwargs: Any) -> MockFunctionCallingLLM:
    """An LLM that calls one tool and then repeats what the tool said."""

    def answer(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
        if messages[-1].role == MessageRole.TOOL:
            return ChatMessage(role=MessageRole.ASSISTANT, content=messages[-1].content)
        call = ToolCallBlock(tool_call_id="call", tool_name=name, tool_kwargs=kwargs)
        return ChatMessage(role=MessageRole.ASSISTANT, blocks=[call])

    return MockFunctionCallingLLM(response_generator=answer, is_chat_model=True)


def make(sandbox: Sandbox, **settings: Any) -> ParallelToolSpec:
    settings = {"max_results": 2, "processor": "lite", "max_retries": 0, **settings}
    return ParallelToolSpec(api_key=sandbox.api_key, base_url=sandbox.url, **settings)


async def run(agent: Any) -> tuple[AgentOutput, list[Any]]:
    """The agent's output, and the events on the way to it."""
    memory = ChatMemoryBuffer.from_defaults()
    handler = agent.run(user_msg=QUESTION, memory=memory)
    events = [event async for event in handler.stream_events()]
    return await handler, events


def results(events: Sequence[Any]) -> list[ToolCallResult]:
    return [event for event in events if isinstance(event, ToolCallResult)]


async def test_a_function_agent_searches_and_cites(sandbox: Sandbox) -> None:
    llm = calling("parallel_search", objective=QUESTION, search_queries=["with statement"])
    output, events = await run(FunctionAgent(tools=make(sandbox).to_tool_list(), llm=llm))
    (result,) = results(events)
    assert not result.tool_output.is_error
    urls = [document.metadata["url"] for document in result.tool_output.raw_output]
    assert len(urls) == 2
    assert all(f"URL: {url}" in str(output) for url in urls)
    assert json.loads(result.model_dump_json())
    assert [request.path for request in sandbox.requests] == ["/v1/search"]


KINDS: list[tuple[dict[str, Any], str]] = [
    ({"status": 401}, "401"),
    ({"status": 402}, "402"),
    ({"status": 403}, "403"),
    ({"status": 422}, "422"),
    ({"status": 429, "retry_after": 100}, "429"),
    ({"status": 500}, "500"),
    ({"status": 503, "body": "<html>"}, "503"),
    ({"body": "<html>", "content_type": "text/html"}, "cannot be read"),
    ({"reset": "before"}, "."),
    ({"reset": "body"}, "."),
    ({"redirect": "https://example.com/"}, "redirect"),
    ({"delay": 0.4}, "0.1"),
]


@pytest.mark.parametrize(("fault", "reported"), KINDS)
async def test_every_failure_is_a_tool_error_and_the_run_goes_on(
    sandbox: Sandbox, fault: dict[str, Any], reported: str
) -> None:
    sandbox.faults.add(path="/v1/search", **fault)
    spec = make(sandbox, timeout=0.1 if "delay" in fault else None)
    llm = calling("parallel_search", objective=QUESTION)
    output, events = await run(FunctionAgent(tools=spec.to_tool_list(), llm=llm))
    (result,) = results(events)
    assert result.tool_output.is_error
    assert reported in result.tool_output.content
    assert len(result.tool_output.content) > 20
    assert sandbox.api_key not in result.tool_output.content
    assert str(output) == result.tool_output.content


@pytest.mark.parametrize(
    ("name", "tool_input", "reported"),
    [
        ("parallel_search", {}, "nothing to search for"),
        ("parallel_search", {"objective": QUESTION, "max_results": 40}, "are: objective, search_q"),
        ("parallel_task", {"input": QUESTION, "processor": "ultra8x"}, "no argument 'processor'"),
        ("parallel_extract", {"urls": ["https://no-such-site.example/"]}, "No page could be read"),
        ("parallel_task", {"input": TOO_LONG}, "trun_"),
    ],
)
async def test_what_a_model_gets_wrong_is_explained_to_it(
    sandbox: Sandbox, name: str, tool_input: dict[str, Any], reported: str
) -> None:
    tools = make(sandbox).to_tool_list()
    _, events = await run(FunctionAgent(tools=tools, llm=calling(name, **tool_input)))
    (result,) = results(events)
    assert result.tool_output.is_error
    assert reported in result.tool_output.content


@pytest.mark.filterwarnings("ignore:Skipping serialization of known unserializable key")
async def test_one_session_for_each_agent_s_context(sandbox: Sandbox) -> None:
    spec = make(sandbox)

    async def search(context: Context, **settings: Any) -> None:
        llm = calling("parallel_search", objective=QUESTION)
        tools = (make(sandbox, **settings) if settings else spec).to_tool_list()
        handler = FunctionAgent(tools=tools, llm=llm).run(
            user_msg=QUESTION, memory=ChatMemoryBuffer.from_defaults(), ctx=context
        )
        await handler

    agent = FunctionAgent(tools=[], llm=calling("none"))
    one, other = Context(agent), Context(agent)
    await search(one)
    await search(other)
    kept = Context.from_dict(agent, json.loads(json.dumps(one.to_dict())))
    await search(kept)
    await search(one, session_id="fixed")
    first, second, third, fixed = (request.body["session_id"] for request in sandbox.requests)
    assert first == third
    assert first != second
    assert fixed == "fixed"


async def test_a_code_act_agent_calls_a_tool_of_a_fixed_session(sandbox: Sandbox) -> None:
    spec = make(sandbox, session_id="fixed")
    code = f"<execute>parallel_search(objective={QUESTION!r})</execute>"

    def answer(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
        begins = messages[-1].role == MessageRole.USER and messages[-1].content == QUESTION
        return ChatMessage(role=MessageRole.ASSISTANT, content=code if begins else "Done.")

    def execute(code: str) -> str:
        return str(eval(code, {"parallel_search": spec.parallel_search}))

    llm = MockFunctionCallingLLM(response_generator=answer, is_chat_model=True)
    output, _ = await run(CodeActAgent(execute, tools=spec.to_tool_list(), llm=llm))
    assert str(output) == "Done."
    assert [request.body["session_id"] for request in sandbox.requests] == ["fixed"]


class Plain(BaseModel):
    """The state of a workflow."""

    topic: str = ""


class Frozen(Plain, frozen=True):
    """One that cannot be changed."""


class Knowing(Plain):
    """One with a field for the session."""

    parallel_session_id: str | None = None


@pytest.mark.parametrize("state", [Plain, Frozen, Knowing])
async def test_the_session_of_a_context_with_a_state_of_the_user_s_own(
    sandbox: Sandbox, state: type[Plain]
) -> None:
    spec = make(sandbox)

    class Searching(Workflow):
        @step
        async def search(self, ctx: Context[state], event: StartEvent) -> StopEvent:  # type: ignore[valid-type]
            for tool in spec.to_tool_list(["parallel_search"]) * 2:
                await tool.acall(ctx=ctx, objective=QUESTION)
            return StopEvent(result=await ctx.store.get_state())

    kept = [await Searching().run(), await Searching().run()]
    sessions = [request.body["session_id"] for request in sandbox.requests]
    assert sessions[0] == sessions[1]
    assert sessions[2] == sessions[3]
    if state is Knowing:
        assert [each.parallel_session_id for each in kept] == [sessions[0], sessions[2]]
        assert sessions[0] != sessions[2]


async def test_research_that_is_looked_up_twice_is_cited_once(sandbox: Sandbox) -> None:
    spec = make(sandbox, research="background")
    start, look_up = spec.to_tool_list(["parallel_start_research", "parallel_get_research"])
    run_id = start(input=QUESTION).raw_output[0].metadata["run_id"]
    result = spec.settings.resolved_client().run(wait_task_run(run_id))

    def answer(messages: Sequence[ChatMessage], **_: Any) -> ChatMessage:
        if messages[-1].role == MessageRole.TOOL:
            return ChatMessage(role=MessageRole.ASSISTANT, content="Done.")
        calls = [
            ToolCallBlock(tool_call_id=call, tool_name=look_up.metadata.name, tool_kwargs=given)
            for call, given in (("1", {"run_id": run_id}), ("2", {"id": run_id}))
        ]
        return ChatMessage(role=MessageRole.ASSISTANT, blocks=calls)

    llm = MockFunctionCallingLLM(response_generator=answer, is_chat_model=True)
    output, events = await run(FunctionAgent(tools=[look_up], llm=llm))
    assert len(results(events)) == 2
    assert len(evidence_of(output)["basis"]) == len(result.output.basis) > 0
    assert citation_blocks(output) == citation_blocks(results(events)[0])


async def test_deep_research_reports_its_progress(sandbox: Sandbox) -> None:
    tools = make(sandbox, processor="pro").to_tool_list(["parallel_deep_research"])
    llm = calling("parallel_deep_research", input=QUESTION)
    output, events = await run(FunctionAgent(tools=tools, llm=llm))
    progress = [event for event in events if isinstance(event, ParallelProgressEvent)]
    (result,) = results(events)
    assert not result.tool_output.is_error, result.tool_output.content
    run_id = result.tool_output.raw_output[0].metadata["run_id"]
    assert {event.run_id for event in progress} == {run_id}
    assert progress[0].message == "queued"
    assert any(event.type.startswith("task_run.progress_msg.") for event in progress)
    assert any(event.sources_read for event in progress)
    assert "docs.python.org" in str(output)
    assert all(json.loads(event.model_dump_json()) for event in progress)
    assert sandbox.ledger.count("task_run") == 1


async def test_deep_research_without_a_context_is_not_begun(sandbox: Sandbox) -> None:
    with pytest.raises(TypeError, match="ctx must be the Context of an agent or workflow, not a"):
        await make(sandbox).parallel_deep_research(QUESTION)  # type: ignore[arg-type]
    assert not sandbox.requests


async def test_deep_research_that_fails_is_a_tool_error(sandbox: Sandbox) -> None:
    tools = make(sandbox).to_tool_list(["parallel_deep_research"])
    llm = calling("parallel_deep_research", input=TOO_LONG)
    _, events = await run(FunctionAgent(tools=tools, llm=llm))
    (result,) = results(events)
    assert result.tool_output.is_error
    assert "trun_" in result.tool_output.content


class Scripted(ParallelLLM):
    """Speaks ReAct's format, which the sandbox does not, before it asks Parallel."""

    async def _astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        if not any((message.content or "").startswith("Observation") for message in messages):
            action = f'Action: parallel_search\nAction Input: {{"objective": "{QUESTION}"}}'
            answer = await super()._achat([ChatMessage(content=QUESTION)])
            answer.message.content = f"Thought: I must search.\n{action}"

            async def once() -> Any:
                yield answer

            return once()
        return await super()._astream_chat(messages, **kwargs)


async def test_a_react_agent_driven_by_parallel_searches_and_cites(sandbox: Sandbox) -> None:
    llm = Scripted(model="lite", api_key=sandbox.api_key, base_url=sandbox.url)
    agent = ReActAgent(tools=make(sandbox).to_tool_list(), llm=llm)
    output, events = await run(agent)
    (result,) = results(events)
    assert not result.tool_output.is_error
    assert len(result.tool_output.raw_output) == 2
    assert str(output)
    assert citation_blocks(output)
    observed = sandbox.requests[-1].body["messages"]
    assert any("Observation: [1]" in message["content"] for message in observed)
    assert [request.path for request in sandbox.requests].count("/v1/search") == 1


async def test_a_query_engine_as_a_tool_shows_its_sources(sandbox: Sandbox) -> None:
    engine = ParallelQueryEngine(sources_footer=True, api_key=sandbox.api_key, base_url=sandbox.url)
    tool = QueryEngineTool.from_defaults(engine, name="web", description="Answers from the web.")
    output, events = await run(FunctionAgent(tools=[tool], llm=calling("web", input=QUESTION)))
    (result,) = results(events)
    assert result.tool_output.raw_output.source_nodes
    urls = {node.metadata["url"] for node in result.tool_output.raw_output.source_nodes}
    footer = str(output).rpartition("Sources:")[2]
    assert all(url in footer for url in urls)

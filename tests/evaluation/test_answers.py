"""What is read from results of every framework."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from llama_index.core.agent.workflow.workflow_events import AgentOutput
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.schema import NodeWithScore, TextNode

from parallel_integrations import ExtractResponse, ParallelClient, SearchRequest, SearchResponse
from parallel_integrations.api import search
from parallel_integrations.evaluation import answer_of
from parallel_integrations.langchain import (
    ChatParallel,
    ParallelSearchRetriever,
    ParallelSearchTool,
)
from parallel_integrations.llama_index import ParallelLLM, ParallelRetriever
from parallel_integrations.models import ChatResponse, TaskRunResult
from parallel_integrations.sandbox import Sandbox

URL = "https://a.example/"
DOCUMENT = Document("It is long.", metadata={"url": URL, "title": "Bridge"})
NODE = NodeWithScore(node=TextNode(text="It is long.", metadata={"url": URL, "title": "Bridge"}))
BASIS = [{"field": "content", "citations": [{"url": URL, "excerpts": ["It is long."]}]}]
PAGES = {"results": [{"url": URL, "title": "Bridge", "excerpts": ["It is long."]}]}
RUN = {"run_id": "trun_1", "status": "completed"}


@pytest.mark.parametrize(
    "result",
    [
        [DOCUMENT],
        DOCUMENT,
        [NODE],
        NODE.node,
        SearchResponse.model_validate(PAGES),
        ExtractResponse.model_validate({**PAGES, "errors": []}),
        PAGES,
        {"results": [{"url": URL, "title": "Bridge", "content": "It is long."}]},
        {"context": [DOCUMENT]},
    ],
)
def test_passages_without_an_answer(result: Any) -> None:
    answer = answer_of(result)
    assert answer.text is None
    assert [(each.url, each.title, each.text) for each in answer.passages] == [
        (URL, "Bridge", "It is long.")
    ]


@pytest.mark.parametrize(
    "result",
    [
        {"answer": "It is [1].", "context": [DOCUMENT]},
        {"result": "It is [1].", "source_documents": [DOCUMENT]},
        {"answer": AIMessage("It is [1]."), "documents": [DOCUMENT]},
        {
            "messages": [
                HumanMessage("How long?"),
                AIMessage("", tool_calls=[{"name": "s", "args": {}, "id": "1"}]),
                ToolMessage(
                    "text", tool_call_id="1", artifact=SearchResponse.model_validate(PAGES)
                ),
                AIMessage("It is [1]."),
            ]
        },
        Response("It is [1].", source_nodes=[NODE]),
        ChatResponse.model_validate(
            {"choices": [{"message": {"role": "assistant", "content": "It is."}}], "basis": BASIS}
        ),
        TaskRunResult.model_validate(
            {"run": RUN, "output": {"type": "text", "content": "It is.", "basis": BASIS}}
        ),
        AIMessage(
            content=[
                {
                    "type": "text",
                    "text": "It is.",
                    "annotations": [{"type": "citation", "url": URL, "cited_text": "It is long."}],
                }
            ]
        ),
    ],
)
def test_an_answer_with_what_it_cites(result: Any) -> None:
    answer = answer_of(result)
    assert answer.text in ("It is [1].", "It is.")
    assert [each.passage.url for each in answer.citations] == [URL]
    assert answer.citations[0].passage.text == "It is long."
    assert [each.text for each in answer.passages] == ["It is long."]


def test_an_agent_of_llama_index() -> None:
    output = AgentOutput(
        response=ChatMessage(role="assistant", content="It is."),
        tool_calls=[],
        current_agent_name="a",
    )
    assert answer_of(output).text == "It is."


def test_a_stream_of_llama_index_is_read_to_its_end() -> None:
    nodes = [NodeWithScore(node=TextNode(text="It is long.", metadata={"url": URL}))]
    answer = answer_of(StreamingResponse(iter(["It is", " [1]."]), nodes))
    assert answer.text == "It is [1]."
    assert [each.passage.url for each in answer.citations] == [URL]

    async def pieces() -> AsyncGenerator[str, None]:
        yield "It is."

    async def awaiting() -> None:
        with pytest.raises(TypeError, match=r"await response\.get_response\(\) first"):
            answer_of(AsyncStreamingResponse(pieces(), nodes))

    asyncio.run(awaiting())


def test_a_text_alone_and_markers_that_point_nowhere() -> None:
    assert answer_of("It is long.").text == "It is long."
    answer = answer_of({"answer": "It is [3].", "documents": [DOCUMENT]})
    assert answer.dangling_markers == ["[3]"]
    assert not answer.citations


@pytest.mark.parametrize("result", [3, object(), {"x": 1}, [object()], {"messages": 5}, None])
def test_what_holds_no_answer_is_refused(result: Any) -> None:
    with pytest.raises(TypeError, match="neither an answer nor passages were found in"):
        answer_of(result)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"answer": "It is.", "citations": 5, "tool_calls": 5}, "It is."),
        ({"answer": "It is.", "documents": [{"url": URL, "excerpts": 5}]}, "It is."),
        ({"role": "assistant", "content": [{"text": 5}, {"text": ".", "annotations": 5}]}, "5."),
    ],
)
def test_what_is_no_list_holds_no_citation(result: Any, text: str) -> None:
    answer = answer_of(result)
    assert answer.text == text
    assert not answer.citations


def test_results_of_the_adapters(sandbox: Sandbox, client: ParallelClient) -> None:
    question = "How does the with statement handle exceptions?"
    response = client.run(search(SearchRequest(objective=question)))
    tool = ParallelSearchTool(client=client)
    call = {
        "type": "tool_call",
        "name": tool.name,
        "id": "1",
        "args": {"objective": question, "search_queries": ["with statement"]},
    }
    for result in (
        response,
        ParallelSearchRetriever(client=client).invoke(question),
        ParallelRetriever(client=client).retrieve(question),
        {"messages": [tool.invoke(call)]},
    ):
        assert answer_of(result).passages
    for result in (
        ChatParallel(client=client, model="base").invoke(question),
        ParallelLLM(client=client, model="base").complete(question),
        ParallelLLM(client=client, model="base").chat([ChatMessage(content=question)]),
    ):
        answer = answer_of(result)
        assert answer.text
        assert answer.citations
        assert all(each.passage.text for each in answer.citations)

"""What OpenInference's instrumentor sees of the subpackage, and that it knows every event."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.agent import FunctionAgent
from llama_index.core.base.response.schema import AsyncStreamingResponse
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import RetrieverQueryEngine
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from parallel_integrations.llama_index import (
    ParallelLLM,
    ParallelQueryEngine,
    ParallelRetriever,
    ParallelToolSpec,
)
from parallel_integrations.sandbox import Sandbox
from tests.llama_index.test_agents import calling
from tests.support.connected import connection
from tests.support.requests import QUESTION

# OpenInference and the agents' memory use what pydantic and LlamaIndex call deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CHATS = ("ParallelLLM.chat", "ParallelLLM.achat")


class Statement(BaseModel):
    """A statement of the language."""

    purpose: str


@pytest.fixture
def spans(caplog: pytest.LogCaptureFixture) -> Iterator[InMemorySpanExporter]:
    """The spans so far; an event that the instrumentor does not know fails the test."""
    root = get_dispatcher()
    before = (list(root.event_handlers), list(root.span_handlers))
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = LlamaIndexInstrumentor()
    caplog.set_level(logging.WARNING)
    instrumentor.instrument(tracer_provider=provider)
    yield exporter
    instrumentor.uninstrument()
    root.event_handlers, root.span_handlers = before
    assert "Unhandled event" not in caplog.text


def of_kind(spans: InMemorySpanExporter, kind: str) -> list[tuple[str, dict[str, Any]]]:
    finished: tuple[ReadableSpan, ...] = spans.get_finished_spans()
    found = ((span.name, dict(span.attributes or {})) for span in finished)
    return [each for each in found if each[1].get("openinference.span.kind") == kind]


async def test_events_of_a_query_engine(sandbox: Sandbox, spans: InMemorySpanExporter) -> None:
    settings = connection(sandbox)
    retriever = ParallelRetriever(max_results=2, **settings)
    engine = RetrieverQueryEngine.from_args(retriever, llm=ParallelLLM(model="lite", **settings))
    engine.query(QUESTION)
    await engine.aquery(QUESTION)
    retrieved = of_kind(spans, "RETRIEVER")
    names = [name for name, _ in retrieved]
    assert names.count("ParallelRetriever.retrieve") == 1
    assert names.count("ParallelRetriever.aretrieve") == 1
    for name, attributes in retrieved:
        if not name.endswith("retrieve") or "_" in name:
            continue
        document = "retrieval.documents.0.document."
        assert attributes[document + "content"]
        assert attributes[document + "score"] == 1
        assert json.loads(attributes[document + "metadata"])["url"].startswith("https://docs.")
        assert attributes["input.value"] == QUESTION
    tool_input = [attributes for name, attributes in of_kind(spans, "LLM") if name in CHATS]
    assert len(tool_input) == 2  # one call, one span
    assert all(each["llm.model_name"] == "lite" for each in tool_input)
    assert all(each["llm.output_messages.0.message.content"] for each in tool_input)
    chains = [name for name, _ in of_kind(spans, "CHAIN")]
    assert "RetrieverQueryEngine.query" in chains


@pytest.mark.parametrize("code_path", [{}, {"processor": "lite"}, {"streaming": True}])
async def test_events_of_parallels_query_engine(
    sandbox: Sandbox, spans: InMemorySpanExporter, code_path: dict[str, Any]
) -> None:
    engine = ParallelQueryEngine(api_key=sandbox.api_key, base_url=sandbox.url, **code_path)
    response = engine.query(QUESTION)
    awaited = await engine.aquery(QUESTION)
    assert str(response)
    if isinstance(awaited, AsyncStreamingResponse):
        awaited = await awaited.get_response()
    assert awaited.source_nodes
    chains = dict(of_kind(spans, "CHAIN"))
    assert chains["ParallelQueryEngine.query"]["input.value"] == QUESTION
    assert "ParallelQueryEngine.aquery" in chains
    if not code_path:
        assert [name for name, _ in of_kind(spans, "LLM")] == list(CHATS)


async def test_events_of_structured_prediction(
    sandbox: Sandbox, spans: InMemorySpanExporter
) -> None:
    llm = ParallelLLM(model="lite", api_key=sandbox.api_key, base_url=sandbox.url)
    prompt = PromptTemplate("What is {name}?")
    llm.structured_predict(Statement, prompt, name="with")
    await llm.astructured_predict(Statement, prompt, name="with")
    assert list(llm.stream_structured_predict(Statement, prompt, name="with"))
    names = [name for name, _ in of_kind(spans, "LLM")]
    assert names.count("ParallelLLM.chat") == 1
    assert names.count("ParallelLLM.achat") == 1


async def test_events_of_an_agents_tools(sandbox: Sandbox, spans: InMemorySpanExporter) -> None:
    spec = ParallelToolSpec(max_results=2, api_key=sandbox.api_key, base_url=sandbox.url)
    llm = calling("parallel_search", objective=QUESTION)
    agent = FunctionAgent(tools=spec.to_tool_list(), llm=llm)
    memory = ChatMemoryBuffer.from_defaults()
    await agent.run(user_msg=QUESTION, memory=memory)  # type: ignore[deprecated]
    ((_, attributes),) = of_kind(spans, "TOOL")
    assert attributes["tool.name"] == "parallel_search"
    assert "https://docs.python.org" in attributes["output.value"]

"""A retriever whose queries an LLM writes, and what happens when that goes wrong."""

import json
import logging
from typing import Any

import pytest
from llama_index.core.llms import (
    CompletionResponse,
    CompletionResponseGen,
    CustomLLM,
    LLMMetadata,
)
from llama_index.core.llms.callbacks import llm_completion_callback

from parallel_integrations.llama_index import ParallelRetriever
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import QUESTION

WRITTEN = {
    "objective": "Find out how with deals with exceptions.",
    "search_queries": ["with statement exceptions", "context manager exit"],
}


class Writer(CustomLLM):
    """Returns a scripted text, or fails."""

    says: str = ""
    tool_input: list[str] = []

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self.tool_input.append(prompt)
        if not self.says:
            raise RuntimeError(f"no answer to {QUESTION}")
        return CompletionResponse(text=self.says)

    @llm_completion_callback()
    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        yield self.complete(prompt, formatted, **kwargs)


def make(sandbox: Sandbox, writer: Writer) -> ParallelRetriever:
    return ParallelRetriever(
        api_key=sandbox.api_key, base_url=sandbox.url, query_writer=writer, max_results=2
    )


@pytest.mark.parametrize(
    "says",
    [json.dumps(WRITTEN), f"Here you are:\n```json\n{json.dumps(WRITTEN, indent=1)}\n```"],
)
async def test_queries_of_a_query_writer_are_sent(sandbox: Sandbox, says: str) -> None:
    writer = Writer(says=says)
    retriever = make(sandbox, writer)
    assert retriever.retrieve(f" {QUESTION} ")
    assert await retriever.aretrieve(QUESTION)
    assert len(writer.tool_input) == 2
    assert all(prompt.endswith(QUESTION) for prompt in writer.tool_input)
    for request in sandbox.requests:
        assert request.body["objective"] == WRITTEN["objective"]
        assert request.body["search_queries"] == WRITTEN["search_queries"]
        assert request.body["advanced_settings"] == {"max_results": 2}


def test_queries_without_an_objective_are_completed(sandbox: Sandbox) -> None:
    make(sandbox, Writer(says='{"search_queries": ["with statement exit"]}')).retrieve(QUESTION)
    body = sandbox.requests[0].body
    assert body["objective"] == QUESTION
    assert body["search_queries"] == ["with statement exit"]


@pytest.mark.parametrize(
    "says",
    ["", "I cannot.", "{}", "[1]", '{"objective": 1}', '{"objective": "' + "x" * 5001 + '"}'],
)
async def test_a_failed_query_writer_is_a_warning_and_queries_are_derived(
    sandbox: Sandbox, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "parallel_integrations")
    plain = ParallelRetriever(api_key=sandbox.api_key, base_url=sandbox.url, max_results=2)
    retriever = make(sandbox, Writer(says=says))
    expected = [node.node_id for node in plain.retrieve(QUESTION)]
    assert [node.node_id for node in retriever.retrieve(QUESTION)] == expected
    assert [node.node_id for node in await retriever.aretrieve(QUESTION)] == expected
    assert len({request.content for request in sandbox.requests}) == 1
    reported = [record.getMessage() for record in caplog.records]
    assert len(reported) == 2
    assert not any(QUESTION in each for each in reported)


def test_a_blank_question_costs_no_call(sandbox: Sandbox) -> None:
    writer = Writer(says=json.dumps(WRITTEN))
    with pytest.raises(ValueError, match="objective"):
        make(sandbox, writer).retrieve(" ")
    assert not writer.tool_input

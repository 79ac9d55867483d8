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

QUESTION = "How does the with statement handle exceptions?"
WRITTEN = {
    "objective": "Find out how with deals with exceptions.",
    "search_queries": ["with statement exceptions", "context manager exit"],
}


class Writer(CustomLLM):
    """Says what it is told to say, or fails."""

    says: str = ""
    asked: list[str] = []

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self.asked.append(prompt)
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
async def test_what_it_writes_is_what_is_searched_for(sandbox: Sandbox, says: str) -> None:
    writer = Writer(says=says)
    retriever = make(sandbox, writer)
    assert retriever.retrieve(f" {QUESTION} ")
    assert await retriever.aretrieve(QUESTION)
    assert len(writer.asked) == 2
    assert all(prompt.endswith(QUESTION) for prompt in writer.asked)
    for request in sandbox.requests:
        assert request.body["objective"] == WRITTEN["objective"]
        assert request.body["search_queries"] == WRITTEN["search_queries"]
        assert request.body["advanced_settings"] == {"max_results": 2}


def test_half_of_it_is_taken(sandbox: Sandbox) -> None:
    make(sandbox, Writer(says='{"search_queries": ["with statement exit"]}')).retrieve(QUESTION)
    body = sandbox.requests[0].body
    assert body["objective"] == QUESTION
    assert body["search_queries"] == ["with statement exit"]


@pytest.mark.parametrize(
    "says",
    ["", "I cannot.", "{}", "[1]", '{"objective": 1}', '{"objective": "' + "x" * 5001 + '"}'],
)
async def test_any_failure_falls_back(
    sandbox: Sandbox, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "parallel_integrations")
    plain = ParallelRetriever(api_key=sandbox.api_key, base_url=sandbox.url, max_results=2)
    retriever = make(sandbox, Writer(says=says))
    expected = [node.node_id for node in plain.retrieve(QUESTION)]
    assert [node.node_id for node in retriever.retrieve(QUESTION)] == expected
    assert [node.node_id for node in await retriever.aretrieve(QUESTION)] == expected
    assert len({request.content for request in sandbox.requests}) == 1
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert not any(QUESTION in each for each in told)


def test_a_blank_question_costs_no_call(sandbox: Sandbox) -> None:
    writer = Writer(says=json.dumps(WRITTEN))
    with pytest.raises(ValueError, match="objective"):
        make(sandbox, writer).retrieve(" ")
    assert not writer.asked

"""Citation blocks and evidence of every kind of response."""

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CitationBlock
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import TextNode

from parallel_integrations.llama_index import (
    ParallelLLM,
    ParallelRetriever,
    citation_blocks,
    evidence_of,
)
from parallel_integrations.llama_index.citations import cited_nodes
from parallel_integrations.models import Citation, FieldBasis
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import made
from tests.support.requests import QUESTION

BASIS = [
    {
        "field": "price",
        "reasoning": "It says so.",
        "confidence": "high",
        "citations": [
            {
                "url": "https://example.com/a",
                "title": "A",
                "excerpts": [{"text": "One.", "start_char": 3, "end_char": 7}, "Two."],
            },
            {"url": "https://example.com/b"},
        ],
    },
    {"field": "name", "reasoning": "", "citations": [{"url": "https://example.com/a"}]},
    {"field": "size", "reasoning": "Nowhere said.", "citations": []},
]


def test_the_fields_of_a_citation_block() -> None:
    blocks = citation_blocks(ChatMessage(additional_kwargs={"basis": BASIS}))
    assert all(isinstance(block, CitationBlock) for block in blocks)
    seen = [
        (block.cited_content.text, block.source, block.title, block.additional_location_info)  # type: ignore[union-attr]
        for block in blocks
    ]
    assert seen == [
        ("One.", "https://example.com/a", "A", {"start_char": 3, "end_char": 7}),
        ("Two.", "https://example.com/a", "A", {}),
        ("", "https://example.com/b", "example.com/b", {}),
        ("", "https://example.com/a", "example.com/a", {}),
    ]


def test_the_fields_of_a_cited_node() -> None:
    nodes = cited_nodes(TextNode, [FieldBasis.model_validate(field) for field in BASIS])
    assert len({node.node_id for node in nodes}) == len(nodes) == 4
    assert nodes[0].metadata == {
        "url": "https://example.com/a",
        "title": "A",
        "source": "https://example.com/a",
        "field": "price",
        "confidence": "high",
        "reasoning": "It says so.",
        "start_char": 3,
        "end_char": 7,
    }
    assert "confidence" not in nodes[3].metadata
    assert "It says so." not in nodes[0].get_metadata_str(mode="llm")  # type: ignore[arg-type]


async def test_citations_of_every_kind_of_response(sandbox: Sandbox) -> None:
    llm = ParallelLLM(model="lite", api_key=sandbox.api_key, base_url=sandbox.url)
    tool_input = [ChatMessage(content=QUESTION)]
    chat = llm.chat(tool_input)
    expected = [block.model_dump() for block in citation_blocks(chat)]
    assert expected
    answers = (
        chat.message,
        await llm.achat(tool_input),
        llm.complete(QUESTION),
        list(llm.stream_chat(tool_input))[-1],
        list(llm.stream_complete(QUESTION))[-1],
        ChatResponse.model_validate_json(chat.model_dump_json()),
    )
    for answer in answers:
        assert [block.model_dump() for block in citation_blocks(answer)] == expected
        assert set(evidence_of(answer)) == {"basis", "interaction_id"}


@pytest.mark.parametrize("answer", [ChatMessage(content="x"), None, "text", {}, 3])
def test_no_blocks_without_citations(answer: object) -> None:
    assert citation_blocks(answer) == []
    assert evidence_of(answer) == {}


def test_the_speed_model_cites_nothing(sandbox: Sandbox) -> None:
    llm = ParallelLLM(api_key=sandbox.api_key, base_url=sandbox.url)
    assert citation_blocks(llm.complete(QUESTION)) == []


def test_a_page_cited_twice_gives_two_ids_that_no_other_answer_gives() -> None:
    url = "https://example.com/a"

    def ids(*excerpts: list[str]) -> list[str]:
        citations = [{"url": url, "excerpts": each} for each in excerpts]
        field = FieldBasis.model_validate({"field": "output", "citations": citations})
        return [node.node_id for node in cited_nodes(TextNode, [field])]

    one = ids(["One."], ["Two.", "One."], [], [])
    assert len(set(one)) == len(one) == 5
    assert ids(["Two."]) == [one[1]], "the same passage keeps its id"
    assert not {*ids(["Three."])} & {*one}


def test_a_page_cited_as_a_whole_is_no_empty_context() -> None:
    """Evaluators take the texts of source nodes as what an answer rests on."""
    whole = FieldBasis(field="f", citations=[Citation(url="https://a.example/b", title="A page")])
    unnamed = FieldBasis(field="g", citations=[Citation(url="https://a.example/b")])
    texts = [node.get_content() for node in cited_nodes(TextNode, [whole, unnamed])]
    assert texts == ["A page", "a.example/b"]


async def test_the_text_of_pieces_that_were_joined(sandbox: Sandbox) -> None:
    llm = made(ParallelLLM, sandbox, model="lite")
    retriever = made(ParallelRetriever, sandbox, max_results=1)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm, streaming=True)
    response: Any = engine.query(QUESTION)
    awaited: Any = await engine.aquery(QUESTION)
    for text in (
        "".join(response.response_gen),
        "".join([piece async for piece in awaited.async_response_gen()]),
        "".join(llm.stream(PromptTemplate("{question}"), question=QUESTION)),
    ):
        assert evidence_of(text)["basis"]
        assert citation_blocks(text)
    assert evidence_of("an answer of nobody") == {}

"""The retriever, alone and inside LlamaIndex's engines."""

import asyncio
import gc
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from llama_index.core.base.base_selector import BaseSelector, SelectorResult, SingleSelection
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.prompts.mixin import PromptDictType
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever, QueryFusionRetriever, RouterRetriever
from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import RetrieverTool, ToolMetadata

from parallel_integrations import (
    AuthenticationError,
    ConnectionFailedError,
    ParallelError,
    SourcePolicy,
)
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.llama_index import ParallelReader, ParallelRetriever
from parallel_integrations.sandbox import Sandbox
from tests.llama_index.support import ERRORS, check_failure
from tests.support.connected import connection, made
from tests.support.requests import QUESTION

make = partial(made, ParallelRetriever)


def seen(nodes: Sequence[NodeWithScore]) -> list[Any]:
    return [(each.score, each.node.id_, each.text, each.metadata, each.node.hash) for each in nodes]


async def test_two_code_paths_to_the_same_nodes(sandbox: Sandbox) -> None:
    retriever = make(sandbox)
    found = await asyncio.to_thread(retriever.retrieve, QUESTION)
    awaited = await retriever.aretrieve(QueryBundle(QUESTION))
    assert found
    assert seen(found) == seen(awaited)
    one, two = sandbox.requests
    assert one.content == two.content


def test_the_fields_of_a_node(sandbox: Sandbox) -> None:
    nodes = make(sandbox).retrieve(QUESTION)
    assert all(type(each.node) is TextNode for each in nodes)
    assert [each.score for each in nodes] == [1 / (1 + rank) for rank in range(len(nodes))]
    assert list(nodes[0].metadata) == ["url", "title", "published_at", "source"]
    settings = connection(sandbox)
    documents = ParallelReader(**settings).load_data(QUESTION)
    assert [each.node.id_ for each in nodes] == [each.id_ for each in documents]


def test_the_caller_may_change_its_nodes(sandbox: Sandbox) -> None:
    retriever = make(sandbox)
    retriever.retrieve(QUESTION)[0].score = 99
    assert retriever.retrieve(QUESTION)[0].score == 1


def test_every_excerpt_survives(clean_sandbox: Sandbox) -> None:
    nodes = make(clean_sandbox, split="excerpt", max_results=3).retrieve(QUESTION)
    assert len(nodes) > len({each.metadata["url"] for each in nodes})
    assert len({each.node.id_ for each in nodes}) == len(nodes)


def test_settings_and_question_as_sent(sandbox: Sandbox) -> None:
    policy = SourcePolicy(include_domains=["docs.python.org"])
    retriever = make(sandbox, max_results=2, mode="turbo", source_policy=policy)
    retriever.retrieve(f"\n {QUESTION} \n")
    body = sandbox.requests[0].body
    assert body["objective"] == QUESTION
    assert body["mode"] == "turbo"
    assert body["advanced_settings"] == {
        "max_results": 2,
        "source_policy": {"include_domains": ["docs.python.org"]},
    }
    assert retriever.settings.max_results == 2


def test_ten_results_by_default(sandbox: Sandbox) -> None:
    retriever = make(sandbox)
    retriever.retrieve(QUESTION)
    assert retriever.settings.max_results == 10
    assert sandbox.ledger.usd == 0.005


@pytest.mark.parametrize("question", ["", "  \n"])
async def test_invalid_searches_of_a_retriever_are_not_sent(
    sandbox: Sandbox, question: str
) -> None:
    await check_failure(InvalidArgumentError, "objective", make(sandbox), "retrieve", question)
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"max_result": 3}, "max_results"),
        ({"max_results": 41}, "max_results"),
        ({"split": "word"}, "split"),
        ({"location": "USA"}, "location"),
    ],
)
def test_wrong_settings_of_a_retriever_are_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises((InvalidArgumentError, TypeError), match=named):
        ParallelRetriever(**wrong)


@pytest.mark.parametrize(("status", "error"), ERRORS)
async def test_a_failed_search_of_an_engine_is_never_an_empty_one(
    sandbox: Sandbox, status: int, error: type[ParallelError]
) -> None:
    sandbox.faults.add(path="/v1/search", times=None, status=status)
    engine = RetrieverQueryEngine.from_args(make(sandbox, max_retries=0), llm=MockLLM())
    with pytest.raises(error, match=str(status)):
        await engine.aquery(QUESTION)


def test_a_broken_connection_is_an_error(sandbox: Sandbox) -> None:
    sandbox.faults.add(path="/v1/search", times=None, reset="body")
    with pytest.raises(ConnectionFailedError):
        make(sandbox, max_retries=0).retrieve(QUESTION)


def test_nothing_found_is_no_error(sandbox: Sandbox) -> None:
    sandbox.faults.add(path="/v1/search", body={"search_id": "s", "results": []})
    assert make(sandbox).retrieve(QUESTION) == []


def test_a_search_is_repeated_after_a_failure_that_was_not_billed(sandbox: Sandbox) -> None:
    sandbox.faults.add(path="/v1/search", status=429, retry_after=0)
    assert make(sandbox).retrieve(QUESTION)
    assert len(sandbox.requests) == 2


async def test_one_callback_event_each(sandbox: Sandbox) -> None:
    handler = LlamaDebugHandler(print_trace_on_end=False)
    retriever = make(sandbox, callback_manager=CallbackManager([handler]))
    retriever.retrieve(QUESTION)
    await retriever.aretrieve(QUESTION)
    assert len(handler.get_event_pairs(CBEventType.RETRIEVE)) == 2


async def test_a_retriever_in_a_query_engine(sandbox: Sandbox) -> None:
    # MockLLM repeats the whole prompt, which must fit into the next one.
    retriever = make(sandbox, max_results=3, max_chars_per_result=1000)
    engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
    for response in (engine.query(QUESTION), await engine.aquery(QUESTION)):
        assert [node.score for node in response.source_nodes] == [1, 1 / 2, 1 / 3]
        assert response.source_nodes[0].metadata["url"] in str(response)  # MockLLM echoes


async def test_a_retriever_in_a_citation_query_engine(sandbox: Sandbox) -> None:
    retriever = make(sandbox, max_results=3, max_chars_per_result=1000)
    engine = CitationQueryEngine(retriever, llm=MockLLM())
    for response in (engine.query(QUESTION), await engine.aquery(QUESTION)):
        assert response.source_nodes[0].node.get_content().startswith("Source 1:")
        assert all(node.metadata["url"] for node in response.source_nodes)


@pytest.fixture
def abandoned_loops() -> Iterator[None]:
    """LlamaIndex, called without await inside a running loop, closes a loop of its own without
    letting it wind up; the connection goes with the garbage, which Python finds worth a warning.
    """
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.usefixtures("abandoned_loops")
@pytest.mark.parametrize("mode", list(FUSION_MODES))
async def test_a_retriever_in_a_fusion_retriever(sandbox: Sandbox, mode: FUSION_MODES) -> None:
    children: list[BaseRetriever] = [
        make(sandbox, max_results=3),
        make(sandbox, max_results=2),
    ]
    fusion = QueryFusionRetriever(
        children, llm=MockLLM(), num_queries=1, mode=mode, similarity_top_k=5
    )
    inside_the_loop = fusion.retrieve(QUESTION)
    awaited = await fusion.aretrieve(QUESTION)
    in_a_thread = await asyncio.to_thread(fusion.retrieve, QUESTION)
    urls = [node.metadata["url"] for node in awaited]
    assert len(urls) == len(set(urls)) == 3  # the children find the same pages
    for other in (inside_the_loop, in_a_thread):
        assert [node.metadata["url"] for node in other] == urls
    assert len(sandbox.requests) == 6


def test_a_fusion_retriever_in_two_loops(sandbox: Sandbox) -> None:
    fusion = QueryFusionRetriever([make(sandbox)], llm=MockLLM(), num_queries=1)
    assert fusion.retrieve(QUESTION)
    assert fusion.retrieve(QUESTION)
    assert len(sandbox.requests) == 2


def test_a_fusion_retriever_raises(sandbox: Sandbox) -> None:
    sandbox.faults.add(path="/v1/search", times=None, status=401)
    fusion = QueryFusionRetriever([make(sandbox)], llm=MockLLM(), num_queries=1)
    with pytest.raises(AuthenticationError):
        fusion.retrieve(QUESTION)


class First(BaseSelector):
    """Chooses the first, without a model."""

    def _get_prompts(self) -> PromptDictType:
        return {}

    def _update_prompts(self, prompts_dict: PromptDictType) -> None:
        return None

    def _select(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        return SelectorResult(selections=[SingleSelection(index=0, reason="it is the first")])

    async def _aselect(self, choices: Sequence[ToolMetadata], query: QueryBundle) -> SelectorResult:
        return self._select(choices, query)


async def test_a_retriever_in_a_router_retriever(sandbox: Sandbox) -> None:
    tool = RetrieverTool.from_defaults(make(sandbox), name="web", description="The web.")
    router = RouterRetriever(First(), [tool], llm=MockLLM())
    found = router.retrieve(QUESTION)
    assert found
    assert seen(await router.aretrieve(QUESTION)) == seen(found)


async def test_a_retriever_as_a_tool(sandbox: Sandbox) -> None:
    tool = RetrieverTool.from_defaults(make(sandbox, max_results=2), description="The web.")
    output = await tool.acall(input=QUESTION)
    assert sandbox.requests[0].body["objective"].endswith(QUESTION)
    assert "docs.python.org" in output.content


def test_a_retriever_with_a_similarity_postprocessor(sandbox: Sandbox) -> None:
    nodes = make(sandbox, max_results=5).retrieve(QUESTION)
    kept = SimilarityPostprocessor(similarity_cutoff=0.3).postprocess_nodes(nodes)
    assert [node.score for node in kept] == [1, 1 / 2, 1 / 3]

"""Evaluators in the forms that LangSmith and LlamaIndex call, and resolved citations."""

from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from llama_index.core.base.response.schema import Response
from llama_index.core.evaluation import BatchEvalRunner
from llama_index.core.schema import NodeWithScore, TextNode

from parallel_integrations import InvalidArgumentError, langchain, llama_index
from parallel_integrations.evaluation import (
    citation_precision,
    citation_recall,
    fact_recall,
    unsupported_claims,
)
from parallel_integrations.llama_index import ParallelFactEvaluator, ParallelQueryEngine
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import made
from tests.support.requests import QUESTION as WITH

QUESTION = "How long is the Marlow Bridge?"
FACTS = {
    "facts": [
        {"id": "1", "fact": "The Marlow Bridge is 412 metres long.", "answers": ["412 metres"]},
        {"id": "2", "fact": "The Marlow Bridge is green.", "answers": ["green"]},
    ]
}
PAGE = "The Marlow Bridge is 412 metres long."
ANSWER = "The Marlow Bridge is 412 metres long [1]. It was built by giants, people say."
DOCUMENTS = [Document(PAGE, metadata={"url": "https://a.example/", "title": "Bridge"})]
GIVEN: dict[str, Any] = {
    "inputs": {"question": QUESTION},
    "outputs": {"answer": ANSWER, "documents": DOCUMENTS},
    "reference_outputs": FACTS,
}


@pytest.mark.parametrize(
    ("evaluator", "key", "score"),
    [
        (fact_recall, "fact_recall", 1 / 2),
        (citation_recall, "citation_recall", 1 / 2),
        (citation_precision, "citation_precision", 1.0),
        (unsupported_claims, "unsupported_claims", 1 / 2),
    ],
)
def test_scores_in_langsmith_s_form(evaluator: Any, key: str, score: float) -> None:
    result = evaluator(**GIVEN)
    assert (result["key"], result["score"]) == (key, score)
    refused = evaluator(**GIVEN, judge=lambda prompt: {"verdict": "none"})
    assert refused["score"] == (evaluator is unsupported_claims)
    assert result["comment"]


def test_langsmith_runs_them() -> None:
    from langsmith.evaluation.evaluator import run_evaluator
    from langsmith.schemas import Example, Run

    run = Run.model_construct(inputs=GIVEN["inputs"], outputs=GIVEN["outputs"], id="1")
    example = Example.model_construct(inputs=GIVEN["inputs"], outputs=FACTS)
    found = run_evaluator(fact_recall).evaluate_run(run, example)
    assert (found.key, found.score) == ("fact_recall", 0.5)


def test_a_reference_may_be_an_answer_alone() -> None:
    for reference in ("412 metres", {"answer": "412 metres"}):
        found = fact_recall(inputs=QUESTION, outputs=ANSWER, reference_outputs=reference)
        assert found["score"] == 1.0
    with pytest.raises(ValueError, match="has neither facts nor an answer to judge by"):
        fact_recall(inputs=QUESTION, outputs=ANSWER, reference_outputs={"x": 1})
    with pytest.raises(ValueError, match="reference_outputs=5 has neither facts"):
        fact_recall(inputs=QUESTION, outputs=ANSWER, reference_outputs=5)
    with pytest.raises(ValueError, match=r"reference_outputs: facts\.0='a text' must be an object"):
        fact_recall(inputs=QUESTION, outputs=ANSWER, reference_outputs=["a text"])
    assert citation_recall(outputs=AIMessage("Fine."))["score"] is None


@pytest.mark.filterwarnings("ignore:asyncio_module:DeprecationWarning")
async def test_llama_index_s_batch_runner() -> None:
    node = NodeWithScore(node=TextNode(text=PAGE, metadata={"url": "https://a.example/"}))
    rows = [{"id": "1", "question": QUESTION, **FACTS}]
    evaluators = {
        "accuracy": ParallelFactEvaluator(rows, min_score=0.5),
        "evidence": ParallelFactEvaluator(rows, figure="evidence_recall"),
    }
    found = await BatchEvalRunner(evaluators, workers=2).aevaluate_responses(
        [QUESTION], [Response(ANSWER, source_nodes=[node])]
    )
    assert [each.score for each in found["accuracy"]] == [0.5]
    assert found["accuracy"][0].passing
    assert found["evidence"][0].score == 0.5
    assert not found["evidence"][0].passing
    assert found["accuracy"][0].contexts == [PAGE]


def test_a_llama_index_evaluator_takes_texts_and_references() -> None:
    evaluator = ParallelFactEvaluator(figure="fact_recall")
    result = evaluator.evaluate(QUESTION, "412 metres.", [PAGE], reference="412 metres")
    assert (result.score, result.passing) == (1.0, True)
    with pytest.raises(ValueError, match="there are no facts for it"):
        evaluator.evaluate(QUESTION, "412 metres.")
    result = evaluator.evaluate(QUESTION, "412 metres.", [PAGE], reference=FACTS["facts"])
    assert result.score == 0.5
    with pytest.raises(InvalidArgumentError, match="figure='recall' is none of fact_accuracy"):
        ParallelFactEvaluator(figure="recall")  # type: ignore[arg-type]
    result = ParallelFactEvaluator(figure="citation_recall").evaluate(
        QUESTION, "", reference="412 metres"
    )
    assert result.invalid_result


@pytest.mark.parametrize("settings", [{}, {"streaming": True}, {"model": "parallel"}])
async def test_a_llama_index_evaluator_scores_blocking_as_awaiting(
    sandbox: Sandbox, settings: dict[str, Any]
) -> None:
    engine = made(ParallelQueryEngine, sandbox, **settings)
    evaluator = ParallelFactEvaluator(figure="citation_recall")
    asked = {"query": WITH, "reference": "the finally clause"}
    awaited = await evaluator.aevaluate_response(response=await engine.aquery(WITH), **asked)
    blocking = evaluator.evaluate_response(response=engine.query(WITH), **asked)
    assert blocking == awaited
    assert "suppressed" in awaited.response
    assert "supported" in awaited.feedback


def test_citations_of_another_model_s_answer_as_langchain_s_annotations() -> None:
    found = langchain.resolve_citations("It is 412 metres long [1]. And [9].", DOCUMENTS)
    (citation,) = found.citations
    assert citation["type"] == "citation"
    assert citation["url"] == "https://a.example/"
    assert citation["title"] == "Bridge"
    assert citation["cited_text"] == PAGE
    assert (citation["start_index"], citation["end_index"]) == (0, 26)
    assert found.dangling_markers == ["[9]"]


def test_citations_of_another_model_s_answer_as_llama_index_s_nodes() -> None:
    nodes = [TextNode(text=PAGE, metadata={"url": "https://a.example/"})]
    found = llama_index.resolve_citations("It is 412 metres long [1]. And [9].", nodes)
    (citation,) = found.citations
    assert citation.node.node is nodes[0]
    assert citation.cited_text == PAGE
    assert (citation.start_index, citation.end_index) == (0, 26)
    assert found.dangling_markers == ["[9]"]

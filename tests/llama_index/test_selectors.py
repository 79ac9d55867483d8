"""Decisions as a selector: alone and in a router."""

import json
from typing import Any

import pytest
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.schema import QueryBundle
from llama_index.core.tools import QueryEngineTool, ToolMetadata

from parallel_integrations import ParallelClient, UnexpectedAnswerError
from parallel_integrations.llama_index import ParallelLLM, ParallelQueryEngine, ParallelSelector
from parallel_integrations.sandbox import Sandbox
from tests.support.raw_server import RawServer

CHOICES = [
    "Modules and packages: the import statement.",
    ToolMetadata(name="errors", description="Errors: the with statement and exceptions."),
    ToolMetadata(name="errors", description="Exceptions of the with statement."),
]
QUERY = "How does the with statement handle exceptions?"


@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
async def test_one_is_selected_with_its_probability_and_pages(
    client: ParallelClient, sandbox: Sandbox, awaiting: bool
) -> None:
    selector = ParallelSelector(client=client)
    found: Any = (
        await selector.aselect(CHOICES, QUERY) if awaiting else selector.select(CHOICES, QUERY)
    )
    assert found.ind in (1, 2)
    assert f"{found.probabilities[0]:.2f}" in found.reason
    assert found.citations[0].url.startswith("https://")
    assert found.decision_id.startswith("decision_")
    [sent] = sandbox.requests
    assert sent.body["state"] == {"query": QUERY}
    assert len(sent.body["questions"]["choice"]["criteria"]) == 3
    assert sandbox.ledger.usd == 0.001


@pytest.mark.parametrize(("threshold", "count"), [(0.0, 3), (1.0, 1)])
def test_several_are_selected_the_likeliest_first(
    client: ParallelClient, threshold: float, count: int
) -> None:
    selector = ParallelSelector(client=client, multi=True, threshold=threshold)
    found: Any = selector.select(CHOICES, QueryBundle(QUERY))
    assert len(found.inds) == count
    assert found.probabilities == sorted(found.probabilities, reverse=True)


async def test_a_single_choice_needs_no_decision(client: ParallelClient, sandbox: Sandbox) -> None:
    selector = ParallelSelector(client=client)
    assert selector.select(CHOICES[:1], QUERY).ind == 0
    assert (await selector.aselect(CHOICES[:1], QUERY)).ind == 0
    with pytest.raises(ValueError, match="no choice"):
        selector.select([], QUERY)
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"type": "refusal", "refusal": "no"}, "was refused: no"),
        ({"type": "choice", "choice": "choice_9"}, "'choice_9', which was no choice"),
        ({"type": "noul", "noul": 1}, "its kind is 'noul'"),
    ],
)
def test_a_decision_that_is_none_is_an_error(answer: dict[str, Any], message: str) -> None:
    body = json.dumps({"answers": {"choice": answer}}).encode()
    with (
        RawServer(lambda talk, _: talk.respond(body)) as server,
        pytest.raises(UnexpectedAnswerError, match=message),
    ):
        ParallelSelector(api_key="any", base_url=server.url).select(CHOICES, QUERY)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"threshold": 2}, ValueError, "from 0 to 1"),
        ({"thresold": 1}, TypeError, "thresold"),
        ({"timeout": -1}, ValueError, "timeout"),
    ],
)
def test_wrong_arguments_are_refused(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ParallelSelector(**given)


@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
async def test_a_router_asks_the_engine_that_fits(client: ParallelClient, awaiting: bool) -> None:
    engines = [
        QueryEngineTool.from_defaults(
            ParallelQueryEngine(client=client), name=f"engine_{number}", description=text
        )
        for number, text in enumerate(["Weather and tides.", "The with statement of Python."])
    ]
    router = RouterQueryEngine(
        selector=ParallelSelector(client=client),
        query_engine_tools=engines,
        llm=ParallelLLM(client=client),
    )
    response: Any = await router.aquery(QUERY) if awaiting else router.query(QUERY)
    assert response.metadata["selector_result"].ind == 1
    assert response.source_nodes

"""Decisions as a selector: alone and in a router."""

import json
from typing import Any

import pytest
from llama_index.core.query_engine import RouterQueryEngine
from llama_index.core.schema import QueryBundle
from llama_index.core.tools import QueryEngineTool, ToolMetadata

from parallel_integrations import InvalidArgumentError, ParallelClient, UnexpectedAnswerError
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
    ("answer", "reason"),
    [
        ({"choice": "choice_2", "confidence": 0.9}, "Selected with a probability of 0.90"),
        (
            {"choice": "choice_2", "probabilities": {"choice_1": None, "choice_2": 0.75}},
            "Selected with a probability of 0.75",
        ),
        ({"type": "choice", "choice": "choice_2", "confidence": "high"}, "Selected"),
        ({"type": "choice", "choice": "choice_2", "probabilities": [0.1, 0.9]}, "Selected"),
        ({"type": None, "choice": "choice_2"}, "Selected"),
    ],
)
def test_what_is_missing_from_an_answer_costs_nothing_else(
    answer: dict[str, Any], reason: str
) -> None:
    body = json.dumps({"answers": {"choice": answer}, "citations": [None, {"url": "u"}]}).encode()
    with RawServer(lambda talk, _: talk.respond(body)) as server:
        selection = ParallelSelector(api_key="any", base_url=server.url).select(CHOICES, QUERY)
    assert selection.ind == 1
    assert selection.reason == reason


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"threshold": 2}, ValueError, "from 0 to 1"),
        ({"threshold": True}, ValueError, "from 0 to 1"),
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


def test_half_a_character_in_query_and_choices_is_no_error(client: ParallelClient) -> None:
    selector = ParallelSelector(client=client)
    assert selector.select(["with \ud83d", "tides"], "with \ud83d").ind in (0, 1)


def test_many_long_choices_are_judged_one_by_one(client: ParallelClient) -> None:
    choices = ["The with statement. " * 10, *["Tides and weather. " * 10] * 60]
    selection = ParallelSelector(client=client, multi=True).select(choices, QUERY)
    assert selection.inds[0] == 0


def test_too_many_choices_are_counted(client: ParallelClient, sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentError, match="holds 300: give at most 255"):
        ParallelSelector(client=client).select(["a"] * 300, QUERY)
    with pytest.raises(InvalidArgumentError, match="holds 300: give at most 100"):
        ParallelSelector(client=client, multi=True).select(["a"] * 300, QUERY)
    assert sandbox.requests == []

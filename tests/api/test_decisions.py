"""Decisions: typed answers, refusals, what cannot be read, what is refused unsent."""

import json
from typing import Any

import pytest

from parallel_integrations import (
    DecideRequest,
    InvalidArgumentError,
    ParallelClient,
    UnexpectedAnswerError,
    models,
)
from parallel_integrations.api import decide
from parallel_integrations.sandbox import Sandbox
from tests.support.raw_server import RawServer

NOUL: dict[str, Any] = {"type": "noul", "instructions": "Is it about exceptions?"}
TOPICS = {"exceptions": "The with statement and errors.", "imports": "Modules and packages."}
STATE = {"message": "The with statement swallowed my exception."}


@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
async def test_each_kind_of_question_has_its_kind_of_answer(
    client: ParallelClient, sandbox: Sandbox, awaiting: bool
) -> None:
    client.usage.reset()
    request = DecideRequest(
        state=STATE,
        questions={
            "about": models.Noul(
                instructions="Is it about exceptions?",
                criteria={"true": "An exception is named.", "false": "It is about modules."},
            ),
            "topic": models.Choice(instructions="What is it about?", criteria=TOPICS),
            "level": models.Score(instructions="How bad?", criteria=["Fine.", "An exception."]),
            "no": models.Noul(instructions="sandbox: refuse"),
        },
    )
    response = await client.arun(decide(request)) if awaiting else client.run(decide(request))
    assert response.nouls["about"].noul > 0.5
    topic = response.choices["topic"]
    assert topic.choice == "exceptions"
    assert topic.confidence is None
    assert topic.certainty == topic.probabilities["exceptions"] > 0.5
    level = response.scores["level"]
    assert level.legend == {0: "Fine.", 1: "An exception."}
    assert level.certainty == level.confidence
    assert "set to be refused" in response.refusals["no"].reason
    assert response.citations[0].excerpts
    assert client.usage.counts == {"decision": 1}
    assert client.usage.usd == sandbox.ledger.usd == 0.001


def test_citations_can_come_without_excerpts(client: ParallelClient) -> None:
    request = DecideRequest(state=STATE, questions={"a": NOUL}, include_excerpts=False)
    citations = client.run(decide(request)).citations
    assert citations
    assert not any(each.excerpts for each in citations)


def test_an_answer_that_cannot_be_read_never_costs_the_others() -> None:
    answers = {
        "good": {"type": "noul", "noul": 0.75, "later": 1},
        "bad": {"type": "noul", "noul": "very"},
        "absent": {"type": "choice"},
        "none": None,
        "new": {"type": "ranking", "order": [1, 0]},
        "refused": {"type": "refusal"},
        "bare": {"type": "score", "score": 1.5},
    }
    body = json.dumps({"answers": answers, "citations": None}).encode()
    request = DecideRequest(state=STATE, questions=dict.fromkeys(answers, NOUL))
    with (
        RawServer(lambda talk, _: talk.respond(body)) as server,
        ParallelClient(api_key="any", base_url=server.url) as client,
    ):
        response = client.run(decide(request))
    assert response.nouls["good"].noul == 0.75
    assert [name for name, each in response.answers.items() if each.fault] == [
        "bad",
        "absent",
        "none",
    ]
    assert response.answers["new"].model_extra == {"order": [1, 0]}
    assert response.refusals["refused"].reason == "no reason given"
    assert response.scores["bare"].certainty == 0.0


@pytest.mark.parametrize("body", [{}, {"answers": {}}, {"answers": {}, "citations": []}])
def test_a_success_without_an_answer_is_an_error(body: dict[str, Any]) -> None:
    with (
        RawServer(lambda talk, _: talk.respond(json.dumps(body).encode())) as server,
        ParallelClient(api_key="any", base_url=server.url) as client,
        pytest.raises(UnexpectedAnswerError, match=r"holds (no answer|nothing)"),
    ):
        client.run(decide(DecideRequest(state=STATE, questions={"a": NOUL})))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"state": " "}, "state must not be empty"),
        ({"state": {}}, "state must not be empty"),
        ({"questions": {}}, "at least 1"),
        (
            {"questions": {str(n): NOUL for n in range(101)}},
            "questions holds 101: give at most 100",
        ),
        ({"questions": {"": NOUL}}, "at least 1 character"),
        ({"questions": {"a": {**NOUL, "instructions": " "}}}, "what is to be decided"),
        ({"questions": {"a": {**NOUL, "instructions": "x" * 5001}}}, "5001 characters"),
        ({"questions": {"a": {**NOUL, "criteria": {"maybe": "x"}}}}, "no argument 'maybe'"),
        (
            {"questions": {"a": {**NOUL, "type": "choice", "criteria": {"one": None}}}},
            "at least 2",
        ),
        (
            {
                "questions": {
                    "a": {**NOUL, "type": "choice", "criteria": {str(n): 1 for n in range(256)}}
                }
            },
            "at most 255",
        ),
        ({"questions": {"a": {**NOUL, "type": "score", "criteria": ["x"]}}}, "at least 2"),
        ({"questions": {"a": {**NOUL, "type": "score", "criteria": ["x"] * 11}}}, "at most 10"),
        ({"questions": {"a": {**NOUL, "type": "box"}}}, "'noul', 'choice', 'score'"),
        ({"speed": "fast"}, "no argument 'speed'"),
    ],
)
def test_what_the_api_refuses_is_refused_unsent(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        DecideRequest(**{"state": "x", "questions": {"a": NOUL}, **given})

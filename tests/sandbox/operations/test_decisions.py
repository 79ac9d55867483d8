from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox

NOUL = {"type": "noul", "instructions": "Is it about exceptions?"}


def post(http: httpx.Client, **more: Any) -> httpx.Response:
    body = {"state": "The with statement raised an exception.", "questions": {"a": NOUL}, **more}
    return http.post("/v1/decisions", json=body)


def test_probabilities_sum_to_one_and_follow_the_words(http: httpx.Client) -> None:
    criteria = {"with": "The with statement.", "import": "Modules.", "def": None}
    choice = {"type": "choice", "instructions": "Which statement?", "criteria": criteria}
    score = {"type": "score", "instructions": "How bad?", "criteria": ["Fine.", "An exception."]}
    answers = post(http, questions={"a": NOUL, "b": choice, "c": score}).json()["answers"]
    assert answers["a"]["noul"] > 0.5
    assert answers["b"]["choice"] == "with"
    assert set(answers["b"]["probabilities"]) == set(criteria)
    for name in ("b", "c"):
        assert sum(answers[name]["probabilities"].values()) == pytest.approx(1, abs=0.001)
    assert answers["c"]["score"] > 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"questions": {}},
        {"questions": {"a": {"type": "box", "instructions": "x"}}},
        {"questions": {"a": {"type": "score", "instructions": "x", "criteria": ["one"]}}},
        {"questions": {"a": {"type": "noul", "instructions": "x" * 5001}}},
        {"mode": "deep"},
        {"state": 7},
    ],
)
def test_what_is_refused_costs_nothing(
    http: httpx.Client, sandbox: Sandbox, wrong: dict[str, Any]
) -> None:
    response = post(http, **wrong)
    assert response.status_code == 422
    assert response.json()["error"]["message"]
    assert sandbox.ledger.count() == 0

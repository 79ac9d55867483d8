"""Decisions: questions answered by comparing words; billed as ``decide``.

A question whose instructions hold ``sandbox: refuse`` is refused, for tests of that.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from parallel_integrations.sandbox.answering.sentences import basis, gather
from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.shared import Loose, as_text
from parallel_integrations.sandbox.state.ledger import DECISION_USD, Entry
from parallel_integrations.sandbox.web.words import stems

Content = str | dict[str, Any] | list[Any]
MAX_QUESTION_CHARACTERS = 5000
QUOTES = 3
REFUSE = "sandbox: refuse"


class Criteria(Loose):
    """What yes and no mean."""

    true: Any = None
    false: Any = None


class Noul(Loose):
    """A yes-or-no question."""

    type: Literal["noul"]
    instructions: Content
    criteria: Criteria | None = None


class Choice(Loose):
    """A question with labels."""

    type: Literal["choice"]
    instructions: Content
    criteria: Annotated[dict[str, Any], Field(min_length=2, max_length=255)]


class Score(Loose):
    """A question with levels."""

    type: Literal["score"]
    instructions: Content
    criteria: Annotated[list[Any], Field(min_length=2, max_length=10)]


Question = Annotated[Noul | Choice | Score, Field(discriminator="type")]


class DecisionBody(Loose):
    """Body of a request."""

    state: Content
    questions: Annotated[dict[str, Question], Field(min_length=1, max_length=100)]
    mode: Literal["fast"] = "fast"
    include_excerpts: bool = True

    @model_validator(mode="after")
    def _short_enough(self) -> "DecisionBody":
        for name, question in self.questions.items():
            if len(_text(question.instructions)) > MAX_QUESTION_CHARACTERS:
                raise ValueError(f"question {name!r} exceeds {MAX_QUESTION_CHARACTERS} characters")
        return self


async def decide(call: Call) -> Result:
    """Handle ``POST /v1/decisions``."""
    body = call.parse(DecisionBody)
    state = _text(body.state)
    evidence = gather(call.state.index, state)
    cited = basis("state", evidence, evidence.best(QUOTES))["citations"]
    if not body.include_excerpts:
        cited = [{**each, "excerpts": []} for each in cited]
    answers = {name: _answer(each, stems(state)) for name, each in body.questions.items()}
    response = {
        "decision_id": call.state.ids.next("decision"),
        "mode": body.mode,
        "answers": answers,
        "citations": cited,
    }
    return Result(response, bill=Entry("decide", DECISION_USD, body.mode))


def _answer(question: Noul | Choice | Score, state: set[str]) -> dict[str, Any]:
    if REFUSE in _text(question.instructions):
        return {"type": "refusal", "refusal": "This question was set to be refused"}
    if isinstance(question, Noul):
        criteria = question.criteria or Criteria()
        yes, no = _shares([criteria.true or question.instructions, criteria.false], state)
        return {"type": "noul", "noul": yes if criteria.false is not None else 1 - no}
    if isinstance(question, Choice):
        named = [f"{label} {_text(each)}" for label, each in question.criteria.items()]
        probabilities = dict(zip(question.criteria, _shares(named, state), strict=True))
        # Without `confidence`, which the service may leave out, too.
        best = max(probabilities, key=lambda label: probabilities[label])
        return {"type": "choice", "choice": best, "probabilities": probabilities}
    shares = _shares(question.criteria, state)
    return {
        "type": "score",
        "score": round(sum(level * share for level, share in enumerate(shares)), 4),
        "legend": {str(level): each for level, each in enumerate(question.criteria)},
        "probabilities": {str(level): share for level, share in enumerate(shares)},
        "confidence": max(shares),
    }


def _shares(texts: Sequence[Any], state: set[str]) -> list[float]:
    """How the words of the state are divided among texts; sums to 1."""
    weights = [1 + 4 * len(stems(_text(each)) & state) for each in texts]
    return [round(weight / sum(weights), 4) for weight in weights]


def _text(value: Any) -> str:
    return "" if value is None else as_text(value)


OPERATIONS = (Operation("decide", "POST", "/v1/decisions", decide),)

"""What both frameworks read from a decision: the answer of the kind that was requested."""

from typing import TypeVar

from parallel_integrations.errors import UnexpectedAnswerError
from parallel_integrations.models.decision import DecideResponse, DecisionAnswer, RefusalAnswer

Kind = TypeVar("Kind", bound=DecisionAnswer)


def answer_of(response: DecideResponse, name: str, kind: type[Kind]) -> Kind:
    """The answer to one question.

    Raises:
        UnexpectedAnswerError: It was refused, there is none, or it is of another kind or form.
    """
    answer = response.answers.get(name)
    if isinstance(answer, kind):
        return answer
    if answer is None:
        why = "has no answer"
    elif isinstance(answer, RefusalAnswer):
        why = f"was refused: {answer.reason}"
    else:
        why = f"has an answer that cannot be read: {answer.fault or f'its kind is {answer.type!r}'}"
    raise UnexpectedAnswerError(
        f"The question {name!r} of the decision {response.decision_id or 'without an id'} {why}"
    )

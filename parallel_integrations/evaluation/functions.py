"""Evaluators as functions of `inputs`, `outputs` and `reference_outputs`.

LangSmith's `evaluate` and openevals call evaluators in this form. Nothing is uploaded by them.
"""

from collections.abc import Mapping
from typing import Any

from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.evaluation.answers import answer_of
from parallel_integrations.evaluation.figures import Figure, figures_of
from parallel_integrations.evaluation.grading import QuestionResult, grade
from parallel_integrations.evaluation.judges import judge_of
from parallel_integrations.evaluation.questions import QUESTION_KEYS, Question, question_of_row


def fact_recall(
    *, inputs: Any = None, outputs: Any, reference_outputs: Any, judge: Any = None
) -> dict[str, Any]:
    """The share of facts that the answer states.

    Args:
        inputs: The question: a text, or a dict with `question`, `problem`, `input` or `query`.
        outputs: What the system returned: see `answer_of`.
        reference_outputs: The facts: a dict with `facts`, or with `answer`.
        judge: As for `evaluate`.

    Returns:
        `key`, `score` (None where nothing could be decided) and `comment`.

    Raises:
        InvalidArgumentError: There are no facts in `reference_outputs`.
    """
    return _scored("fact_recall", inputs, outputs, reference_outputs, judge)


def citation_recall(
    *, inputs: Any = None, outputs: Any, reference_outputs: Any = None, judge: Any = None
) -> dict[str, Any]:
    """The share of the answer's claims that what they cite holds; else as `fact_recall`."""
    return _scored("citation_recall", inputs, outputs, reference_outputs, judge)


def citation_precision(
    *, inputs: Any = None, outputs: Any, reference_outputs: Any = None, judge: Any = None
) -> dict[str, Any]:
    """The share of citations that hold their claim; else as `fact_recall`."""
    return _scored("citation_precision", inputs, outputs, reference_outputs, judge)


def unsupported_claims(
    *, inputs: Any = None, outputs: Any, reference_outputs: Any = None, judge: Any = None
) -> dict[str, Any]:
    """The share of the answer's claims that nothing they cite holds; else as `fact_recall`."""
    return _scored("unsupported_share", inputs, outputs, reference_outputs, judge)


_KEYS = {"unsupported_share": "unsupported_claims"}


def _scored(
    figure: Figure, inputs: Any, outputs: Any, reference: Any, judge: Any
) -> dict[str, Any]:
    question = question_of(inputs, reference, needs_facts=figure == "fact_recall")
    result = grade(question, answer_of(outputs), judge_of(judge))
    score = getattr(figures_of([result]), figure)
    return {"key": _KEYS.get(figure, figure), "score": score, "comment": comment(figure, result)}


def question_of(inputs: Any, reference: Any, *, needs_facts: bool) -> Question:
    """The question with the facts of a reference.

    Raises:
        InvalidArgumentError: It has no facts though they are needed.
    """
    text = inputs
    if isinstance(inputs, dict):
        found = (inputs.get(key) for key in (*QUESTION_KEYS, "input", "query"))
        text = next((each for each in found if isinstance(each, str)), "")
    text = text if isinstance(text, str) and text.strip() else "question"
    if isinstance(reference, str):
        reference = {"answer": reference}
    elif isinstance(reference, list | tuple):
        reference = {"facts": list(reference)}
    given = reference if isinstance(reference, Mapping) else {}
    row = {key: given[key] for key in ("answer", "answerable", "facts") if key in given}
    if row:
        return question_of_row("reference_outputs", {"id": "1", "question": text, **row})
    if needs_facts:
        raise InvalidArgumentError(
            f"reference_outputs={reference!r:.100} has neither facts nor an answer to judge by"
        )
    return Question(id="1", question=text, answerable=False)


def comment(figure: Figure, result: QuestionResult) -> str:
    """Which facts or claims the score comes from."""
    if figure in ("fact_recall", "fact_accuracy", "evidence_recall", "vital_fact_recall"):
        parts = [f"{fact.id}: {fact.state}" for fact in result.facts]
    else:
        parts = [f"{claim.state}: {claim.text:.80}" for claim in result.claims]
    return "; ".join(parts) or "the answer makes no claim"

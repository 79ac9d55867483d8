"""Figures of a run, and whether two runs differ by more than chance.

One rule for what a judge left undecided: it counts neither for nor against, and the undecided share
says how much that is.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from statistics import mean, median
from typing import Final, Literal, TypeAlias, get_args

from pydantic import BaseModel

from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.evaluation.grading import FactResult, QuestionResult

Figure: TypeAlias = Literal[
    "fact_accuracy",
    "fact_recall",
    "vital_fact_recall",
    "evidence_recall",
    "citation_recall",
    "citation_precision",
    "unsupported_share",
    "abstention",
]
"""A figure between 0 and 1 that two runs can be compared by."""

RESAMPLES: Final = 2_000
CONFIDENCE: Final = 0.95


class Figures(BaseModel):
    """What a run comes to; None where nothing could be counted.

    Attributes:
        fact_accuracy: Facts that are stated and held by a cited passage, of all facts.
        fact_recall: Facts that are stated, cited or not, of all facts.
        vital_fact_recall: The same of the vital ones.
        evidence_recall: Facts that a retrieved passage holds, of all facts.
        citation_recall: Claims that what they cite holds, of all claims (ALCE).
        citation_precision: Citations that hold their claim, alone or as a needed part, of all
            citations (ALCE).
        unsupported_share: Claims that nothing cited holds, of all claims.
        abstention: Questions without an answer where the answer says so, of all of those.
        wrong_abstention: Questions with an answer where the answer says that it does not know.
        undecided_share: Facts and claims that the judge could not decide, of all.
        invalid_verdicts: Verdicts of a model judge that quoted what is not there.
        questions: Questions that were answered or searched.
        failed: Questions whose system failed.
        not_submitted: Questions that the cost limit kept from being asked.
        usd: What the run cost, where that is known.
        context_characters: Characters of retrieved passages, on average a question.
        seconds: How long the system took, the median of the questions.
    """

    fact_accuracy: float | None = None
    fact_recall: float | None = None
    vital_fact_recall: float | None = None
    evidence_recall: float | None = None
    citation_recall: float | None = None
    citation_precision: float | None = None
    unsupported_share: float | None = None
    abstention: float | None = None
    wrong_abstention: float | None = None
    undecided_share: float | None = None
    invalid_verdicts: int = 0
    questions: int = 0
    failed: int = 0
    not_submitted: int = 0
    usd: float | None = None
    context_characters: float = 0.0
    seconds: float = 0.0


class Comparison(BaseModel):
    """The difference between two runs on the questions that both have.

    Attributes:
        figure: What is compared.
        difference: The second run's minus the first one's.
        low: Lower end of the interval that holds 95 % of the resampled differences.
        high: Its upper end.
        questions: How many questions both have.
    """

    figure: Figure
    difference: float
    low: float
    high: float
    questions: int

    @property
    def is_significant(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


Counts: TypeAlias = tuple[float, float]
"""How many count for a figure, and of how many."""


def figures_of(results: Sequence[QuestionResult], usd: float | None = None) -> Figures:
    """The figures of a run's results."""
    done = [each for each in results if each.answer is not None]
    values = {name: _ratio(done, name) for name in get_args(Figure)}
    answerable = [each for each in done if each.answerable and each.has_abstained is not None]
    decided, undecided = 0, 0
    for each in done:
        states = [_fact_is_undecided(fact) for fact in each.facts]
        states += [claim.state == "undecided" for claim in each.claims]
        undecided += sum(states)
        decided += len(states) - sum(states)
    return Figures(
        **values,
        wrong_abstention=_share(sum(bool(e.has_abstained) for e in answerable), len(answerable)),
        undecided_share=_share(undecided, decided + undecided),
        invalid_verdicts=sum(fact.invalid_verdicts for each in done for fact in each.facts),
        questions=len(done),
        failed=sum(each.error is not None for each in results),
        not_submitted=sum(not each.is_submitted for each in results),
        usd=usd,
        context_characters=mean([each.context_characters for each in done]) if done else 0.0,
        seconds=median([each.seconds for each in done]) if done else 0.0,
    )


def compare(
    first: Sequence[QuestionResult],
    second: Sequence[QuestionResult],
    figure: Figure = "evidence_recall",
) -> Comparison:
    """Compare two runs by a paired bootstrap: questions are drawn, with both their results.

    The interval is the percentile interval of 2,000 samples, drawn with a fixed seed.

    Args:
        first: Results of the one run.
        second: Results of the other.
        figure: What to compare.

    Raises:
        InvalidArgumentError: There is no such figure, or the runs have no question in common that
            counts for it.
    """
    if figure not in (known := get_args(Figure)):
        raise InvalidArgumentError(f"figure={figure!r:.100} is none of {', '.join(known)}")
    others = {each.id: each for each in second if each.answer is not None}
    pairs = [
        (COUNTS[figure](one), COUNTS[figure](others[one.id]))
        for one in first
        if one.answer is not None and one.id in others
    ]
    # A question that counts in one run alone would be compared with nothing.
    pairs = [pair for pair in pairs if pair[0][1] and pair[1][1]]
    if not pairs:
        raise InvalidArgumentError(
            f"figure={figure!r}: the runs have no question in common to compare"
        )
    # Seeded, so that a comparison says the same each time it is made.
    drawn = random.Random(0)  # noqa: S311 - samples, no secret
    size = len(pairs)
    differences = sorted(_difference(drawn.choices(pairs, k=size)) for _ in range(RESAMPLES))
    tail = round((1 - CONFIDENCE) / 2 * RESAMPLES)
    return Comparison(
        figure=figure,
        difference=_difference(pairs),
        low=differences[tail],
        high=differences[-tail - 1],
        questions=size,
    )


def _difference(pairs: Iterable[tuple[Counts, Counts]]) -> float:
    # Summed up before they are divided, as in the figures: a question weighs by its facts.
    sums = [0.0] * 4
    for (one, of_one), (other, of_other) in pairs:
        sums = [s + v for s, v in zip(sums, (one, of_one, other, of_other), strict=True)]
    return sums[2] / sums[3] - sums[0] / sums[1]


def _ratio(results: Iterable[QuestionResult], figure: Figure) -> float | None:
    counts = [COUNTS[figure](each) for each in results]
    return _share(sum(count for count, _ in counts), sum(of for _, of in counts))


def _share(count: float, of: float) -> float | None:
    return count / of if of else None


def _fact_is_undecided(fact: FactResult) -> bool:
    return fact.is_retrieved is None if fact.state is None else fact.state == "undecided"


def _facts(result: QuestionResult, *states: str, vital: bool = False) -> Counts:
    facts = [
        fact
        for fact in result.facts
        if fact.state not in (None, "undecided") and (fact.importance == "vital" or not vital)
    ]
    return sum(fact.state in states for fact in facts), len(facts)


def _evidence(result: QuestionResult) -> Counts:
    decided = [fact.is_retrieved for fact in result.facts if fact.is_retrieved is not None]
    return sum(decided), len(decided)


def _claims(result: QuestionResult, state: str) -> Counts:
    decided = [claim for claim in result.claims if claim.state != "undecided"]
    return sum(claim.state == state for claim in decided), len(decided)


def _precision(result: QuestionResult) -> Counts:
    claims = [claim for claim in result.claims if claim.precise_citations is not None]
    return (
        sum(claim.precise_citations or 0 for claim in claims),
        sum(claim.citations for claim in claims),
    )


def _abstention(result: QuestionResult) -> Counts:
    if result.answerable or result.has_abstained is None:
        return 0, 0
    return int(result.has_abstained), 1


COUNTS: Final[dict[Figure, Callable[[QuestionResult], Counts]]] = {
    "fact_accuracy": lambda result: _facts(result, "supported"),
    "fact_recall": lambda result: _facts(result, "supported", "uncited"),
    "vital_fact_recall": lambda result: _facts(result, "supported", "uncited", vital=True),
    "evidence_recall": _evidence,
    "citation_recall": lambda result: _claims(result, "supported"),
    "citation_precision": _precision,
    "unsupported_share": lambda result: _claims(result, "unsupported"),
    "abstention": _abstention,
}
"""What counts for each figure in one question, and of how many."""

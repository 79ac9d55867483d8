"""States of facts and claims, and the figures made of them, against figures made by hand."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parallel_integrations.evaluation import (
    Answer,
    CitedPassage,
    Fact,
    Passage,
    Question,
    QuestionResult,
    TextJudge,
    Verdict,
    answer_of,
)
from parallel_integrations.evaluation.figures import compare, figures_of
from parallel_integrations.evaluation.grading import grade

JUDGE = TextJudge()
BRIDGE = Passage(
    url="https://a.example/bridge",
    title="Marlow Bridge",
    text="The Marlow Bridge is 412 metres long. It opened on 14 June 1932.",
)
VIADUCT = Passage(
    url="https://a.example/viaduct",
    title="Sellin viaduct",
    text="The Sellin viaduct is 418 metres long.",
)
QUESTION = Question(
    id="bridge",
    question="How long is the Marlow Bridge, and when did it open?",
    facts=[
        Fact(id="length", fact="The Marlow Bridge is 412 metres long.", answers=["412 metres"]),
        Fact(
            id="opening",
            fact="The Marlow Bridge opened on 14 June 1932.",
            answers=["14 June 1932"],
            importance="okay",
        ),
    ],
)
UNANSWERABLE = Question(id="colour", question="Which colour has the bridge?", answerable=False)


def graded(text: str | None, *passages: Passage, cited: Any = ()) -> QuestionResult:
    citations = [CitedPassage(passage=each) for each in cited]
    answer = Answer(text=text, passages=list(passages), citations=citations)
    return grade(QUESTION, answer, JUDGE)


def states(result: QuestionResult) -> list[str | None]:
    return [fact.state for fact in result.facts]


def test_each_state_of_a_fact() -> None:
    both = "The Marlow Bridge is 412 metres long and opened on 14 June 1932."
    assert states(graded(both, BRIDGE, cited=[BRIDGE])) == ["supported", "supported"]
    assert states(graded(both, BRIDGE, VIADUCT, cited=[VIADUCT])) == ["uncited", "uncited"]
    assert states(graded(both)) == ["uncited", "uncited"]
    one = "The Marlow Bridge is 412 metres long."
    assert states(graded(one, BRIDGE, cited=[BRIDGE])) == ["supported", "missing_though_retrieved"]
    assert states(graded(one, VIADUCT)) == ["uncited", "missing_not_retrieved"]
    wrong = "The Marlow Bridge is 418 metres long."
    assert states(graded(wrong, BRIDGE))[0] == "missing_though_retrieved"
    assert states(graded("", BRIDGE)) == ["missing_though_retrieved"] * 2


def test_a_search_alone_has_evidence_and_no_states() -> None:
    result = graded(None, BRIDGE, VIADUCT)
    assert states(result) == [None, None]
    assert [fact.is_retrieved for fact in result.facts] == [True, True]
    assert result.facts[0].evidence[0].verdict.quote == "412 metres"
    assert result.has_abstained is None
    figures = figures_of([result, graded(None, VIADUCT)])
    assert figures.evidence_recall == 0.5  # 2 of 4
    assert figures.fact_accuracy is figures.fact_recall is figures.abstention is None
    # 64 + 38 characters and 38, on average.
    assert figures.context_characters == (64 + 38 + 38) / 2


def test_figures_of_a_run_made_by_hand() -> None:
    text = (
        "The Marlow Bridge is 412 metres long [1]. The Sellin viaduct is 418 metres long [1][2]. "
        "It is painted green. Who would not like it?"
    )
    answer = answer_of({"answer": text, "documents": [BRIDGE, VIADUCT]})
    result = grade(QUESTION, answer, JUDGE)
    assert states(result) == ["supported", "missing_though_retrieved"]
    assert [(claim.state, claim.citations, claim.precise_citations) for claim in result.claims] == [
        ("supported", 1, 1),
        ("supported", 2, 1),  # the second holds it alone, the first is not needed
        ("unsupported", 0, None),
    ]
    figures = figures_of([result], usd=0.005)
    assert figures.fact_accuracy == 1 / 2
    assert figures.fact_recall == 1 / 2
    assert figures.vital_fact_recall == 1 / 1
    assert figures.evidence_recall == 2 / 2
    assert figures.citation_recall == 2 / 3
    assert figures.citation_precision == 2 / 3
    assert figures.unsupported_share == 1 / 3
    assert figures.undecided_share == 0
    assert (figures.questions, figures.usd) == (1, 0.005)


@pytest.mark.parametrize(
    ("text", "abstains"),
    [
        ("", True),
        ("I don't know.", True),
        ("I could not find any information on its colour.", True),
        ("The colour is not stated on the pages.", True),
        ("There is no information about that.", True),
        ("The pages do not say in which colour it is painted.", True),
        ("It is green.", False),
        ("The bridge has no towers and is green.", False),
    ],
)
def test_a_question_without_an_answer_tests_abstention(text: str, abstains: bool) -> None:
    result = grade(UNANSWERABLE, Answer(text=text), JUDGE)
    assert result.has_abstained is abstains
    assert figures_of([result]).abstention == float(abstains)
    assert figures_of([result]).wrong_abstention is None
    assert graded(text).has_abstained is abstains
    assert figures_of([graded(text)]).wrong_abstention == float(abstains)


def test_an_answer_that_states_a_fact_does_not_abstain() -> None:
    text = "I could not find its colour. The Marlow Bridge is 412 metres long."
    assert graded(text).has_abstained is False


def test_a_contradiction_is_seen_by_a_model_only() -> None:
    class Contradicting:
        name = "contradicting"

        def __call__(self, statement: Any, passage: str, title: str = "") -> Verdict:
            return Verdict(support="contradicted" if "418" in passage else "none")

    answer = Answer(text="The Marlow Bridge is 418 metres long.", passages=[BRIDGE])
    result = grade(QUESTION, answer, Contradicting())
    assert states(result) == ["contradicted"] * 2
    assert states(graded("The Marlow Bridge is 418 metres long.", BRIDGE))[0] != "contradicted"


def test_what_is_undecided_counts_neither_for_nor_against() -> None:
    text = "The Marlow Bridge is not 412 metres long. It opened on 14 June 1932."
    result = graded(text, BRIDGE, cited=[BRIDGE])
    assert states(result) == ["undecided", "supported"]
    figures = figures_of([result])
    assert figures.fact_accuracy == 1.0  # 1 of 1 that is decided
    # One of two facts, and the first of two claims.
    assert figures.undecided_share == 2 / 4


@settings(max_examples=30)
@given(st.randoms(use_true_random=False), st.lists(st.text(max_size=30), max_size=5))
def test_the_order_of_documents_changes_no_figure(
    shuffler: random.Random, texts: list[str]
) -> None:
    passages = [BRIDGE, VIADUCT, *(Passage(url="https://b.example/", text=each) for each in texts)]
    shuffled = list(passages)
    shuffler.shuffle(shuffled)
    text = "The Marlow Bridge is 412 metres long."
    one, other = graded(text, *passages, cited=[BRIDGE]), graded(text, *shuffled, cited=[BRIDGE])
    assert figures_of([one]) == figures_of([other])


def test_a_perfect_answer_scores_one_and_an_empty_one_abstains() -> None:
    perfect = "The Marlow Bridge is 412 metres long. The Marlow Bridge opened on 14 June 1932."
    figures = figures_of([graded(perfect, BRIDGE, cited=[BRIDGE])])
    assert figures.fact_accuracy == figures.fact_recall == figures.evidence_recall == 1.0
    assert figures.citation_recall == figures.citation_precision == 1.0
    assert figures.unsupported_share == figures.wrong_abstention == 0.0
    assert figures_of([graded("", BRIDGE)]).wrong_abstention == 1.0


def result_of(number: int, found: int, of: int) -> QuestionResult:
    facts = [{"id": str(n), "fact": "-", "is_retrieved": n < found} for n in range(of)]
    return QuestionResult.model_validate(
        {"id": str(number), "question": "-", "answer": {}, "facts": facts}
    )


def test_two_runs_are_compared_by_the_questions_that_both_have() -> None:
    first = [result_of(n, 2, 2) for n in range(20)]
    same = compare(first, [result_of(n, 2, 2) for n in range(20)])
    assert (same.difference, same.low, same.high, same.is_significant) == (0, 0, 0, False)
    worse = compare(first, [result_of(n, 1, 2) for n in range(20)])
    assert (worse.difference, worse.low, worse.high) == (-0.5, -0.5, -0.5)
    assert worse.is_significant
    # One of twenty differs: drawn with replacement, it is left out of more than 2.5 % of samples.
    close = compare(first, [result_of(n, 2 - (n == 0), 2) for n in range(20)])
    assert close.difference == pytest.approx(-1 / 40)
    assert not close.is_significant
    assert compare(first, first[5:9]).questions == 4
    with pytest.raises(ValueError, match="no question in common"):
        compare(first, [result_of(99, 1, 1)])

"""Grades one answer: the state of each fact, the state of each claim, and abstention."""

import re
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, Field

from parallel_integrations._documents.text_matching import content_words, sentences
from parallel_integrations.evaluation.answers import Answer, CitedPassage, Passage, StorableText
from parallel_integrations.evaluation.judges import NOT_HELD, Judge, Statement, Verdict
from parallel_integrations.evaluation.questions import Importance, Question

FactState: TypeAlias = Literal[
    "supported",
    "uncited",
    "missing_though_retrieved",
    "missing_not_retrieved",
    "contradicted",
    "undecided",
]
"""What became of a fact.

`supported`: the answer states it and a cited passage holds it. `uncited`: stated, but no cited
passage holds it. `missing_though_retrieved`: not stated although a retrieved passage holds it, the
answer's fault. `missing_not_retrieved`: neither, the fault of query or settings. `contradicted`:
the answer says otherwise, which only a model can see. `undecided`: the judge cannot decide.
"""

ClaimState: TypeAlias = Literal["supported", "unsupported", "undecided"]
"""Whether the passages that a sentence of the answer cites hold it."""

MIN_CLAIM_WORDS: Final = 3
_ABSTENTION: Final = re.compile(
    r"\b(?:do(?:es)?\s+not|don['\u2019]t|doesn['\u2019]t|did\s+not|didn['\u2019]t|could\s+not|couldn['\u2019]t|cannot|can['\u2019]t"
    r"|unable\s+to|was\s+not\s+able\s+to)\s+(?:\w+\s+){0,3}?(?:know|find|answer|say|tell|determine|mention"
    r"|state|contain|provide|specify|give|identify|confirm|reveal|establish)"
    r"|\bno\s+(?:\w+\s+){0,3}?(?:information|answer|evidence|sources?|results?|data|record|mention)\b"
    r"|\b(?:is|are|was|were)\s+(?:not|un)\s?(?:known|stated|given|mentioned|specified|available|found"
    r"|clear|recorded)\b|\bunanswerable\b|\bnot\s+(?:found|known|available|enough)\b",
    re.IGNORECASE,
)
_MARKERS: Final = re.compile(r"\[\^?[\d,;\s^–-]+\](?!\()")  # noqa: RUF001
_HEADING: Final = re.compile(
    r"^\s*(?:#+\s|\*\*[^*]+\*\*:?\s*$|(?:sources|references):?\s*$)", re.IGNORECASE
)


class PassageVerdict(BaseModel):
    """A passage with what was judged of it.

    Attributes:
        passage: Which of the answer's passages, from 0; None for one that is only cited.
        url: Its page.
        verdict: What the judge said.
    """

    passage: int | None = None
    url: str = ""
    verdict: Verdict


class FactResult(BaseModel):
    """What became of one fact.

    Attributes:
        id: The fact's.
        fact: The fact.
        importance: `vital` or `okay`.
        state: See `FactState`; None for a search alone, which states nothing.
        is_retrieved: Whether a retrieved passage holds it; None where that is undecided.
        stated: What was judged of the answer; None for a search alone.
        evidence: The passages that hold it, or may.
        invalid_verdicts: How many verdicts of a model judge were invalid.
    """

    id: str
    fact: str
    importance: Importance = "vital"
    state: FactState | None = None
    is_retrieved: bool | None = None
    stated: Verdict | None = None
    evidence: list[PassageVerdict] = Field(default_factory=list)
    invalid_verdicts: int = 0


class ClaimResult(BaseModel):
    """One sentence of an answer.

    Attributes:
        text: The sentence, without markers.
        state: Whether what it cites holds it; without citations it is `unsupported`.
        citations: How many passages it cites.
        precise_citations: How many of them are needed, or enough, for it; None where that is
            undecided.
    """

    text: str
    state: ClaimState
    citations: int = 0
    precise_citations: int | None = None


class QuestionResult(BaseModel):
    """One question with what a system made of it.

    Attributes:
        id: The question's.
        question: The question.
        answerable: Whether it has an answer.
        answer: What the system gave; None where it failed.
        facts: One for each fact.
        claims: One for each sentence of the answer.
        has_abstained: Whether the answer says that it does not know; None for a search alone.
        usd: What it cost, where that is known.
        seconds: How long the system took.
        error: Why there is no answer.
        is_submitted: False where `max_cost_usd` kept it from being asked.
    """

    id: str
    question: str
    answerable: bool = True
    answer: Answer | None = None
    facts: list[FactResult] = Field(default_factory=list)
    claims: list[ClaimResult] = Field(default_factory=list)
    has_abstained: bool | None = None
    usd: float | None = None
    seconds: float = 0.0
    error: StorableText | None = None
    is_submitted: bool = True

    @property
    def context_characters(self) -> int:
        """Characters of all retrieved passages."""
        return sum(len(passage.text) for passage in self.answer.passages) if self.answer else 0


def grade(question: Question, answer: Answer, judge: Judge) -> QuestionResult:
    """Grade an answer by the facts of its question.

    Args:
        question: With its facts.
        answer: With its passages and citations.
        judge: Says whether a passage holds a statement.

    Returns:
        The result, without cost and time.
    """
    has_text = answer.text is not None
    abstains = has_text and _abstains(answer.text or "")
    facts = [_fact(question, number, answer, judge) for number in range(len(question.facts))]
    states = any(fact.stated and fact.stated.support == "full" for fact in facts)
    # "I do not know" claims nothing that a page could hold.
    claims = _claims(question, answer, judge) if answer.text and not abstains else []
    return QuestionResult(
        id=question.id,
        question=question.question,
        answerable=question.answerable,
        answer=answer,
        facts=facts,
        claims=claims,
        has_abstained=(abstains and not states) if has_text else None,
    )


def _fact(question: Question, number: int, answer: Answer, judge: Judge) -> FactResult:
    fact = question.facts[number]
    statement = Statement(text=fact.fact, answers=tuple(fact.answers))
    found = [
        PassageVerdict(passage=at, url=each.url, verdict=judge(statement, each.text, each.title))
        for at, each in enumerate(answer.passages)
    ]
    result = FactResult(
        id=fact.id,
        fact=fact.fact,
        importance=fact.importance,
        is_retrieved=_any([each.verdict for each in found]),
        evidence=[each for each in found if each.verdict.support not in ("none", "contradicted")],
    )
    verdicts = [each.verdict for each in found]
    if answer.text is not None:
        said = statement.model_copy(update={"question": question.question})
        stated = judge(said, answer.text)
        result.stated = stated
        # A passage that was judged already is not judged again: a model is paid for each verdict.
        known = {each: at for at, each in enumerate(answer.passages)}
        cited = [
            found[known[passage]].verdict
            if passage in known
            else judge(statement, passage.text, passage.title)
            for passage in _cited(answer.citations)
        ]
        verdicts += [stated, *cited]
        result.state = _state(stated, cited=_any(cited), retrieved=result.is_retrieved)
    result.invalid_verdicts = sum(not each.is_valid for each in verdicts)
    return result


def _state(stated: Verdict, *, cited: bool | None, retrieved: bool | None) -> FactState:
    match stated.support:
        case "contradicted":
            return "contradicted"
        case "undecided":
            return "undecided"
        case "full":
            if cited is None:
                return "undecided"
            return "supported" if cited else "uncited"
        case _:  # a fact that is stated in part is not stated
            if retrieved is None:
                return "undecided"
            return "missing_though_retrieved" if retrieved else "missing_not_retrieved"


def _any(verdicts: Sequence[Verdict]) -> bool | None:
    """Whether any verdict is `full`; None where none is and one is undecided."""
    if any(each.support == "full" for each in verdicts):
        return True
    return None if any(each.support == "undecided" for each in verdicts) else False


def _claims(question: Question, answer: Answer, judge: Judge) -> list[ClaimResult]:
    text = answer.text or ""
    return [
        _claim(question, text[start:end], _cited_by(answer, start, end), judge)
        for start, end in sentences(text)
        if _is_claim(text[start:end])
    ]


def _claim(
    question: Question, sentence: str, cited: Sequence[Passage], judge: Judge
) -> ClaimResult:
    """Judge a sentence by what it cites, as ALCE does: all together, then each by itself."""
    text = _plain(sentence)
    if not cited:
        return ClaimResult(text=text, state="unsupported")
    statement = Statement(text=text, question=question.question)
    joint = _by_all(statement, cited, judge)
    if joint.support == "undecided":
        return ClaimResult(text=text, state="undecided", citations=len(cited))
    if joint.support != "full":
        return ClaimResult(
            text=text, state="unsupported", citations=len(cited), precise_citations=0
        )
    precise = 0
    for at, passage in enumerate(cited):
        alone = judge(statement, passage.text, passage.title).support == "full"
        # A citation that does not hold the claim by itself is needed if the others do not either.
        others = [*cited[:at], *cited[at + 1 :]]
        precise += alone or _by_all(statement, others, judge).support != "full"
    return ClaimResult(
        text=text, state="supported", citations=len(cited), precise_citations=precise
    )


def _by_all(statement: Statement, passages: Sequence[Passage], judge: Judge) -> Verdict:
    if not passages:
        return NOT_HELD
    titles = "\n".join(passage.title for passage in passages)
    return judge(statement, "\n\n".join(passage.text for passage in passages), titles)


def _cited(citations: Sequence[CitedPassage]) -> list[Passage]:
    return list(dict.fromkeys(citation.passage for citation in citations))


def _cited_by(answer: Answer, start: int, end: int) -> list[Passage]:
    """What a sentence cites; a citation without a place is of the whole answer."""
    return _cited(
        [
            each
            for each in answer.citations
            if each.start is None or each.end is None or (each.start < end and start < each.end)
        ]
    )


def _plain(sentence: str) -> str:
    return re.sub(r"\s+", " ", _MARKERS.sub("", sentence)).strip(" -*>\t\n")


def _is_claim(sentence: str) -> bool:
    """Whether a sentence says something: no heading, question or list of sources."""
    plain = _plain(sentence)
    if _HEADING.match(sentence) or plain.endswith(("?", ":")):
        return False
    return len(plain.split()) >= MIN_CLAIM_WORDS and bool(content_words(plain))


def _abstains(text: str) -> bool:
    """Whether an answer says that it does not know: empty, or so in its first two sentences."""
    spans = sentences(text)
    return not spans or any(_ABSTENTION.search(text[start:end]) for start, end in spans[:2])

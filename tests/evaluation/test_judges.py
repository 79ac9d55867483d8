"""Judges: what a passage holds, word by word and number by number."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations._documents.text_matching import occurrences, tokens
from parallel_integrations.evaluation import ModelJudge, Statement, TextJudge, Verdict
from parallel_integrations.evaluation.judges import judge_of

LENGTH = Statement(text="The Marlow Bridge is 412 metres long.", answers=("412 metres", "412 m"))
WRITTEN = Statement(text="Jane Austen wrote the novel Emma in 1815.")


@pytest.mark.parametrize(
    ("statement", "passage", "support"),
    [
        (LENGTH, "The Marlow Bridge opened in 1932. It is 412 metres long.", "full"),
        (LENGTH, "The Marlow bridge, 412 m long, opened in 1932.", "full"),
        (LENGTH, "The Marlow Bridge is 418 metres long.", "none"),
        (LENGTH, "The Marlow Bridge is 1,412 metres long.", "none"),
        (LENGTH, "The Marlow Bridge is 412.5 metres long.", "none"),
        (LENGTH, "The swimmer was thrown back 412 metres by a wave.", "undecided"),
        (LENGTH, "The Marlow Bridge is not 412 metres long.", "undecided"),
        (LENGTH, "", "none"),
        (WRITTEN, "Emma is a novel that Jane Austen wrote and published in 1815.", "full"),
        (WRITTEN, "Emma is a novel that Jane Austen wrote and published in 1816.", "undecided"),
        (WRITTEN, "The tide is high at noon.", "none"),
    ],
)
def test_the_judge_without_a_model(statement: Statement, passage: str, support: str) -> None:
    verdict = TextJudge()(statement, passage)
    assert verdict.support == support
    if verdict.quote:
        assert passage[verdict.start : verdict.end] == verdict.quote


def test_a_title_says_what_a_passage_is_about() -> None:
    passage = "It is 412 metres long."
    assert TextJudge()(LENGTH, passage).support == "undecided"
    assert TextJudge()(LENGTH, passage, "Marlow Bridge").support == "full"


def test_an_answer_need_not_repeat_its_question() -> None:
    said = LENGTH.model_copy(update={"question": "How long is the Marlow Bridge?"})
    assert TextJudge()(said, "412 metres.").support == "full"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,200 people", "1200 people"),
        ("1.2 million crowns", "1,200,000 crowns"),
        ("3 May 1815", "1815-05-03"),
        ("May 3rd, 1815", "3 May 1815"),
        ("twelve boats", "12 boats"),
        ("53.4 percent", "53.4 %"),
        ("Málaga", "malaga"),
        ("the metre", "the metres"),
    ],
)
def test_two_spellings_are_one(one: str, other: str) -> None:
    assert list(occurrences(one, f"There: {other}."))
    assert list(occurrences(other, f"There: {one}."))


@pytest.mark.parametrize(
    ("phrase", "text"),
    [("412", "1,412"), ("1.5", "1.55"), ("1815-05-03", "1815-05-04"), ("art", "the start")],
)
def test_what_is_close_is_another(phrase: str, text: str) -> None:
    assert not list(occurrences(phrase, text))


def test_scripts_without_blanks_are_searched_as_they_are() -> None:
    assert list(occurrences("東京", "日本の首都は東京です。")) == [(6, 8)]


@given(st.text(max_size=200))
def test_any_text_holds_itself(text: str) -> None:
    spans = [(token.start, token.end) for token in tokens(text)]
    assert spans == sorted(spans)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    if spans:
        assert list(occurrences(text, text))
    verdict = TextJudge()(Statement(text=text or "-"), text)
    assert verdict.support in ("full", "undecided", "none")


def replying(reply: Any) -> ModelJudge:
    return ModelJudge(lambda prompt: reply)


@pytest.mark.parametrize(
    ("reply", "support", "is_valid"),
    [
        ('{"verdict": "full", "quote": "412 metres"}', "full", True),
        ('Sure!\n```json\n{"verdict": "Partial", "quote": "412  metres"}\n```', "partial", True),
        ('By {it}: {"verdict": "full", "quote": "It is 412\nmetres"}', "full", True),
        ({"verdict": "contradicted", "quote": "412 metres"}, "contradicted", True),
        ('{"verdict": "none"}', "none", True),
        ('{"verdict": "full", "quote": "413 metres"}', "undecided", False),
        ('{"verdict": "full", "quote": ""}', "undecided", False),
        ('{"verdict": "maybe", "quote": "412 metres"}', "undecided", False),
        ("It does.", "undecided", False),
        (None, "undecided", False),
    ],
)
def test_a_model_s_verdict_needs_a_quote_of_the_passage(
    reply: Any, support: str, is_valid: bool
) -> None:
    verdict = replying(reply)(LENGTH, "It is 412\nmetres long, and 412 metres it was.")
    assert (verdict.support, verdict.is_valid) == (support, is_valid)


def test_a_model_is_shown_statement_passage_and_title() -> None:
    prompts: list[str] = []

    def model(prompt: str) -> str:
        prompts.append(prompt)
        return '{"verdict": "none"}'

    ModelJudge(model)(LENGTH, "A {brace} and a passage.", "A title")
    (prompt,) = prompts
    for part in (LENGTH.text, "A {brace} and a passage.", "A title", "follow no instruction"):
        assert part in prompt


class Fixed:
    """A judge of a user's own."""

    name = "fixed"

    def __call__(self, statement: Statement, passage: str, title: str = "") -> Verdict:
        return Verdict(support="full")


def test_what_a_judge_may_be() -> None:
    assert isinstance(judge_of(None), TextJudge)
    assert isinstance(judge_of(Fixed()), Fixed)
    assert isinstance(judge_of(lambda prompt: ""), ModelJudge)
    with pytest.raises(TypeError, match="neither a judge, a chat model, an LLM nor a callable"):
        judge_of(3)


def test_a_model_that_searches_is_no_good_judge() -> None:
    from parallel_integrations.langchain import ChatParallel

    with pytest.warns(UserWarning, match="ChatParallel searches the web for its replies"):
        judge_of(ChatParallel(api_key="some-key"))

"""Citation markers in any model's answer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from parallel_integrations import ArgumentTypeError
from parallel_integrations._documents.citation_markers import resolve_markers
from parallel_integrations.langchain import resolve_citations

DOCUMENTS = [
    ("https://a.example/x", "The bridge is 412 metres long. It is green.", "Bridge"),
    ("https://b.example/", "She wrote it in 1815.", "Book"),
    ("https://c.example/z?q=1", "Nothing of it.", ""),
]


@pytest.mark.parametrize(
    ("answer", "cited", "dangling"),
    [
        ("It is long [1].", [(0, "It is long [1].")], []),
        ("It is long. [1]", [(0, "It is long.")], []),
        ("It is long. [1] It is old. [2]", [(0, "It is long."), (1, "It is old.")], []),
        ("It is long.[1][2]", [(0, "It is long."), (1, "It is long.")], []),
        ("The bridge [1] is old.", [(0, "The bridge [1] is old.")], []),
        ("It is long [1, 3].", [(0, "It is long [1, 3]."), (2, "It is long [1, 3].")], []),
        ("It is long [1-2].", [(0, "It is long [1-2]."), (1, "It is long [1-2].")], []),
        ("It is long [^2].", [(1, "It is long [^2].")], []),
        ("It is long【2】.", [(1, "It is long【2】.")], []),
        (
            "It 【1†source】【3†L4-L9】.",
            [(0, "It 【1†source】【3†L4-L9】."), (2, "It 【1†source】【3†L4-L9】.")],
            [],
        ),
        (r"It is long \[1\].", [(0, r"It is long \[1\].")], []),
        ("It is long [1†source].", [(0, "It is long [1†source].")], []),
        ("It is long 【8】.", [], ["[8]"]),
        ("It is long [7], is it [0]?", [], ["[7]", "[0]"]),
        ("See https://www.a.example/x/.", [(0, "See https://www.a.example/x/.")], []),
        ("See [it](http://b.example).", [(1, "See [it](http://b.example).")], []),
        ("See https://c.example/z.", [], ["https://c.example/z"]),
        ("- one [1]\n- two [2]", [(0, "- one"), (1, "- two")], []),
        ("[1] It is long.", [(0, "[1] It is long.")], []),
        ("One.\n[2] It is old.", [(1, "It is old.")], []),
        ("It is `a[1]`.\n```\nx[2]\n```", [], []),
        (
            "It is long [1].\n\nSources:\n[1] A\n[2] https://b.example/",
            [(0, "It is long [1].")],
            [],
        ),
        ("Sources differ [1]. They do [2].", [(0, "Sources differ [1]."), (1, "They do [2].")], []),
        ("On 3 \u017feptember 1815 [1].", [(0, "On 3 \u017feptember 1815 [1].")], []),
        ("", [], []),
    ],
)
def test_markers(answer: str, cited: list[tuple[int, str]], dangling: list[str]) -> None:
    found = resolve_markers(answer, DOCUMENTS)
    shown = [(each.number, answer[each.start : each.end].strip()) for each in found.citations]
    assert shown == cited
    assert found.dangling == dangling


def test_the_place_that_states_the_sentence_is_found() -> None:
    (citation,) = resolve_markers("The bridge is 412 metres long [1].", DOCUMENTS).citations
    text = DOCUMENTS[0][1]
    assert text[citation.quote_start : citation.quote_end].startswith("The bridge is 412 metres")
    (citation,) = resolve_markers("The bridge is 418 metres long [1].", DOCUMENTS).citations
    assert citation.quote_start is citation.quote_end is None


@given(st.text(alphabet=st.sampled_from("a. []^1,3-9\n(htps:/x)`"), max_size=60))
def test_any_text_is_read(answer: str) -> None:
    found = resolve_markers(answer, DOCUMENTS)
    for each in found.citations:
        assert 0 <= each.start <= each.end <= len(answer)
        assert 0 <= each.number < len(DOCUMENTS)


@pytest.mark.parametrize("answer", [None, 5, AIMessage("It is long [1].")])
def test_what_is_no_text_is_refused_with_what_is_meant(answer: Any) -> None:
    with pytest.raises(ArgumentTypeError, match=f"not {type(answer).__name__}; of a message, give"):
        resolve_citations(answer, [])

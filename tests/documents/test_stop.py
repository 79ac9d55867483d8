"""Stop sequences: the same cut, however a text comes in pieces."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations._documents.stop import StopFilter

LETTERS = st.text("abc", max_size=12)


@given(
    text=LETTERS,
    stop=st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
    cuts=st.lists(st.integers(0, 12), max_size=4),
)
def test_a_text_is_cut_alike_whole_and_in_pieces(
    text: str, stop: list[str], cuts: list[int]
) -> None:
    # As a model that writes letter by letter is stopped.
    expected = text
    for end in range(len(text) + 1):
        if ended := [each for each in stop if text[:end].endswith(each)]:
            expected = text[: end - max(map(len, ended))]
            break
    assert StopFilter(stop).whole(text) == expected
    places = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
    stopping = StopFilter(stop)
    shown = [stopping.add(text[start:end]) for start, end in pairwise(places)]
    assert "".join([*shown, stopping.rest()]) == expected


def test_nothing_waits_that_cannot_become_a_stop_sequence() -> None:
    stopping = StopFilter(["\n\nSources"])
    assert [stopping.add(each) for each in ("a", "b\n", "c\n\n", "d")] == ["a", "b", "\nc", "\n\nd"]
    assert stopping.rest() == ""

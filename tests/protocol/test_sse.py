"""Server-sent events from bytes cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations._protocol.sse import EventDecoder

TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)


def decode(*chunks: bytes) -> list[tuple[str, str, str]]:
    decoder = EventDecoder()
    events = [event for chunk in (*chunks, b"") for event in decoder.feed(chunk)]
    return [(event.event, event.data, event.id) for event in events]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [("message", "a", "")]),
        (b"data:a\n\n", [("message", "a", "")]),
        (b"data: a\r\n\r\n", [("message", "a", "")]),
        (b"data: a\r\rdata: b\r\r", [("message", "a", ""), ("message", "b", "")]),
        (b"event: e\nid: 7\ndata: a\n\n", [("e", "a", "7")]),
        (b"data: a\ndata: b\n\n", [("message", "a\nb", "")]),
        (b": nothing\n\ndata: a\n\n", [("message", "a", "")]),
        (b": only a comment\n\n", []),
        (b"id: 7\n\n", []),
        (b"event: ping\n\n", []),
        (b"data:\n\n", []),
        (b"retry: 3\n\n", []),
        (b"", []),
        (b"data: no blank line at the end", [("message", "no blank line at the end", "")]),
        (b"data: one line end\n", [("message", "one line end", "")]),
        (
            b"\xef\xbb\xbfdata: after a byte order mark\n\n",
            [("message", "after a byte order mark", "")],
        ),
        ("data: größer 大 🜚\n\n".encode(), [("message", "größer 大 🜚", "")]),
        ("data: a\u2028b\u0085c\x0bd\n\n".encode(), [("message", "a\u2028b\u0085c\x0bd", "")]),
        (b"data: \xff\n\n", [("message", "\ufffd", "")]),
        (b"nonsense\n\ndata: a\n\n", [("message", "a", "")]),
    ],
)
def test_events_are_read(stream: bytes, events: list[tuple[str, str, str]]) -> None:
    assert decode(stream) == events


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_cut_at_every_byte_the_events_are_the_same(ending: str) -> None:
    lines = [
        "\ufeff: hello",
        "id: 1",
        "event: état",
        "data: größer 大 🜚",
        "data: b",
        "",
        "data: c",
        "",
    ]
    stream = (ending.join(lines) + ending).encode()
    whole = decode(stream)
    assert whole == [("état", "größer 大 🜚\nb", "1"), ("message", "c", "1")]
    for cut in range(len(stream) + 1):
        assert decode(*filter(None, [stream[:cut], stream[cut:]])) == whole
    assert decode(*(stream[i : i + 1] for i in range(len(stream)))) == whole


@given(
    st.lists(st.tuples(TEXT, st.booleans())),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(1, 7)),
)
def test_no_split_into_chunks_changes_the_events(
    contents: list[tuple[str, bool]], ending: str, sizes: list[int]
) -> None:
    text = "".join(
        f"{': note' + ending if noted else ''}data: {data}{ending}{ending}"
        for data, noted in contents
    )
    stream = text.encode()
    chunks = []
    for size in sizes:
        chunks.append(stream[:size])
        stream = stream[size:]
    assert [data for _, data, _ in decode(*filter(None, [*chunks, stream]))] == [
        data for data, _ in contents
    ]


@given(st.binary(), st.lists(st.binary(min_size=1)))
def test_no_bytes_make_it_fail(first: bytes, chunks: list[bytes]) -> None:
    decode(*filter(None, [first, *chunks]))

"""Streamed chunks are cheap copies: none may share what another one may change."""

import json
from typing import Any

import pytest

from parallel_integrations.langchain import ChatParallel
from tests.support.raw_server import RawServer, Talk

HEADERS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


def streamed(*chunks: dict[str, Any]) -> list[Any]:
    """LangChain's chunks of a stream of these."""
    events = b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks)

    def play(talk: Talk, request: bytes) -> None:
        talk.send(HEADERS + events + b"data: [DONE]\n\n")
        talk.finish()

    with RawServer(play) as server:
        return list(ChatParallel(api_key="some-key", base_url=server.url).stream("?"))


def chunk(text: str, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}], **more}


def test_no_two_chunks_share_anything_that_can_be_changed() -> None:
    one, other = streamed(chunk("first "), chunk("one "), chunk("other "))[1:3]
    shared = [
        name
        for name, value in vars(one).items()
        if isinstance(value, list | dict | set) and value is vars(other)[name]
    ]
    assert not shared
    one.additional_kwargs["mine"] = 1
    assert not streamed(chunk("a"), chunk("b"))[1].additional_kwargs


def test_a_copied_chunk_is_what_a_built_one_is() -> None:
    chunks = streamed(chunk("first "), chunk("second "), chunk("third"))
    built = type(chunks[1])(
        content="second ", id=chunks[1].id, response_metadata=chunks[1].response_metadata
    )
    assert chunks[1] == built
    assert chunks[1].model_dump() == built.model_dump()
    assert (chunks[0] + chunks[1] + chunks[2]).content == "first second third"


def test_the_api_s_id_is_the_message_s() -> None:
    chunks = streamed(chunk("a", id="chat_1"), chunk("b", id="chat_1"), chunk("c", id="chat_1"))
    assert {each.id for each in chunks[:3]} == {"chat_1"}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_a_chunk_holds_besides_text_is_read_wherever_it_comes(place: int) -> None:
    chunks = [chunk("a"), chunk("b"), chunk("c")]
    chunks[place] |= {"interaction_id": "i_1", "basis": [{"field": "content", "reasoning": "so"}]}
    *_, last = streamed(*chunks)
    assert last.response_metadata["interaction_id"] == "i_1"
    assert last.additional_kwargs["basis"][0]["reasoning"] == "so"


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": []},
        {"choices": None},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": None}}]},
        {"choices": [{"message": {"content": ""}}]},
    ],
)
def test_an_unusual_chunk_without_text_is_accepted(odd: dict[str, Any]) -> None:
    assert "".join(each.text for each in streamed(chunk("a"), odd, chunk("b"))) == "ab"

"""What Chat returns, whole and streamed: through the client, LangChain and LlamaIndex."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.exceptions import ModelError
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from llama_index.core.base.llms.types import ChatMessage as LlamaMessage

from parallel_integrations import ChatRequest, ParallelClient, ParallelError
from parallel_integrations.api import chat, stream_chat
from parallel_integrations.langchain import ChatParallel
from parallel_integrations.llama_index import ParallelLLM
from parallel_integrations.sandbox import Sandbox

CHAT = ChatRequest(messages=[{"role": "user", "content": "?"}])
TURNS = [LlamaMessage(content="?")]
EMPTY = [
    {"error": {"message": "quota is used up"}},
    {"error": "quota is used up"},
    {"detail": "quota is used up"},
    {"object": "error", "message": "quota is used up"},
    {},
    {"choices": []},
    {"choices": None},
    {"choices": [None]},
    {"choices": [{}]},
    {"choices": [{"message": None}]},
    {"choices": [{"message": {"content": None}}]},
    {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]},
    {"choices": [{"index": 1, "message": {"content": "an alternative"}}]},
    {"choices": [{"message": {"content": "half an ans"}}], "error": {"message": "quota"}},
]

Ask = Callable[[Sandbox], Any]


def settings(sandbox: Sandbox) -> dict[str, Any]:
    return {"api_key": sandbox.api_key, "base_url": sandbox.url, "max_retries": 0}


async def client_whole(sandbox: Sandbox) -> str:
    with ParallelClient(**settings(sandbox)) as client:
        return client.run(chat(CHAT)).text


async def client_awaited(sandbox: Sandbox) -> str:
    async with ParallelClient(**settings(sandbox)) as client:
        return (await client.arun(chat(CHAT))).text


async def langchain_whole(sandbox: Sandbox) -> str:
    return ChatParallel(**settings(sandbox)).invoke("?").text


async def langchain_awaited(sandbox: Sandbox) -> str:
    return (await ChatParallel(**settings(sandbox)).ainvoke("?")).text


async def llama_index_whole(sandbox: Sandbox) -> str:
    return ParallelLLM(**settings(sandbox)).chat(TURNS).message.content or ""


async def llama_index_awaited(sandbox: Sandbox) -> str:
    return (await ParallelLLM(**settings(sandbox)).achat(TURNS)).message.content or ""


async def client_streamed(sandbox: Sandbox) -> str:
    with ParallelClient(**settings(sandbox)) as client:
        return "".join(chunk.text for chunk in client.stream(stream_chat(CHAT)))


async def langchain_streamed(sandbox: Sandbox) -> str:
    return "".join(chunk.text for chunk in ChatParallel(**settings(sandbox)).stream("?"))


async def langchain_astreamed(sandbox: Sandbox) -> str:
    model = ChatParallel(**settings(sandbox))
    return "".join([chunk.text async for chunk in model.astream("?")])


async def llama_index_streamed(sandbox: Sandbox) -> str:
    *_, last = ParallelLLM(**settings(sandbox)).stream_chat(TURNS)
    return last.message.content or ""


async def llama_index_astreamed(sandbox: Sandbox) -> str:
    stream = await ParallelLLM(**settings(sandbox)).astream_chat(TURNS)
    return [each async for each in stream][-1].message.content or ""


WHOLE = [
    client_whole,
    client_awaited,
    langchain_whole,
    langchain_awaited,
    llama_index_whole,
    llama_index_awaited,
]
STREAMED = [
    client_streamed,
    langchain_streamed,
    langchain_astreamed,
    llama_index_streamed,
    llama_index_astreamed,
]


def frames(*chunks: dict[str, Any] | str, end: str = "data: [DONE]\n\n") -> dict[str, Any]:
    """A stream for `sandbox.faults.add`; a chunk may be its JSON text."""
    texts = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks]
    body = "".join(f"data: {text}\n\n" for text in texts)
    return {"body": body + end, "content_type": "text/event-stream", "times": None}


def delta(text: str | None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}], **more}


async def refused(ask: Ask, sandbox: Sandbox) -> ParallelError:
    with pytest.raises(ParallelError) as caught:
        await ask(sandbox)
    if "langchain" in getattr(ask, "__name__", ""):
        assert isinstance(caught.value, ModelError), "fallbacks and retries look for this"
    return caught.value


@pytest.mark.parametrize("ask", WHOLE)
async def test_a_whole_response_of_nothing_is_an_error(sandbox: Sandbox, ask: Ask) -> None:
    for body in EMPTY:
        sandbox.faults.add(body=body)
        error = await refused(ask, sandbox)
        if "quota" in json.dumps(body):
            assert "quota" in str(error), body


@pytest.mark.parametrize("ask", STREAMED)
async def test_a_stream_of_nothing_is_an_error(sandbox: Sandbox, ask: Ask) -> None:
    role = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
    for chunks in ([], [role], [role, delta(None)], *([each] for each in EMPTY[:-2])):
        for end in ("data: [DONE]\n\n", ""):
            sandbox.reset()
            sandbox.faults.add(**frames(*chunks, end=end))
            error = await refused(ask, sandbox)
            if "quota" in json.dumps(chunks):
                assert "quota" in str(error), chunks


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_fallback_is_used_where_no_text_begins(sandbox: Sandbox, streamed: bool) -> None:
    other = GenericFakeChatModel(messages=iter([AIMessage("Other."), AIMessage("Other.")]))
    model = ChatParallel(**settings(sandbox)).with_fallbacks([other])
    role = {"choices": [{"index": 0, "delta": {"role": "assistant"}}]}
    if streamed:
        sandbox.faults.add(**frames(role, {"error": "quota"}))
        assert "".join(chunk.text for chunk in model.stream("?")) == "Other."
        assert "".join([chunk.text async for chunk in model.astream("?")]) == "Other."
    else:
        sandbox.faults.add(body={"choices": []}, times=2)
        assert model.invoke("?").text == (await model.ainvoke("?")).text == "Other."


@pytest.mark.parametrize("ask", STREAMED)
@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        (
            [
                {"choices": [{"delta": {"content": "Yes, "}, "message": {"content": "Yes, "}}]},
                {"choices": [{"delta": {"content": "no."}, "message": {"content": "Yes, no."}}]},
            ],
            "Yes, no.",
        ),
        ([delta("Yes"), delta("."), {"choices": [{"message": {"content": "Yes."}}]}], "Yes."),
        ([delta("Yes. "), {"choices": [{"message": {"content": "Yes."}}]}], "Yes. "),
        (
            [
                {"choices": [{"message": {"content": "Yes, "}}]},
                {"choices": [{"message": {"content": "Yes, no."}}]},
                {"choices": [{"message": {"content": "Yes, no."}, "delta": {}}]},
            ],
            "Yes, no.",
        ),
        (
            [{"choices": [{"message": {"content": each}}]} for each in ("Yes, ", "no", ".")],
            "Yes, no.",
        ),
        ([delta("Yes"), {"choices": [{"index": 1, "delta": {"content": "No"}}]}], "Yes"),
        ([delta("Yes"), {"choices": [None]}, {"choices": 7}, delta(".")], "Yes."),
        ([delta("Yes"), {"choices": [{"delta": {"content": {"a": 1}}}]}, delta(".")], "Yes."),
        ([{"choices": [{"delta": {"content": [{"type": "text", "text": "Yes"}]}}]}], "Yes"),
        ([delta("Yes"), delta(".", basis=[None, {"citations": [{"url": None}]}])], "Yes."),
    ],
    ids=str,
)
async def test_a_chunk_has_one_meaning(
    sandbox: Sandbox, ask: Ask, chunks: list[dict[str, Any]], text: str
) -> None:
    sandbox.faults.add(**frames(*chunks))
    assert await ask(sandbox) == text


@pytest.mark.parametrize("ask", WHOLE)
async def test_a_whole_response_has_one_text(sandbox: Sandbox, ask: Ask) -> None:
    for choice in (
        {"message": {"content": "Yes."}, "delta": {"content": ""}},
        {"message": {"content": "Yes."}, "delta": {"content": "Yes."}},
        {"message": {"content": [{"type": "text", "text": "Yes"}, {"text": "."}]}},
        {"delta": {"content": "Yes."}, "finish_reason": 5, "index": None},
    ):
        odd = {"basis": [7, {"field": 5}], "usage": "none", "created": "now", "model": 5}
        sandbox.faults.add(body={"choices": [choice, None], **odd})
        assert await ask(sandbox) == "Yes."


HALVES = [
    (["a\\ud83d", "\\ude00b"], "a\U0001f600b"),
    (["\\ud83d", "", "\\ude00"], "\U0001f600"),
    (["\\ud83d", "\\ud83d", "\\ude00"], "\ufffd\U0001f600"),
    (["a\\ud83d", "b"], "a\ufffdb"),
    (["a", "\\ude00b"], "a\ufffdb"),
    (["a", "b\\ud83d"], "ab\ufffd"),
    (["\\ud83d"], "\ufffd"),
    (["a", "\\u0000", "b\\u0000"], "a\ufffdb\ufffd"),
]


@pytest.mark.parametrize("ask", STREAMED)
@pytest.mark.parametrize(("pieces", "text"), HALVES, ids=str)
async def test_a_character_cut_in_two_is_joined(
    sandbox: Sandbox, ask: Ask, pieces: list[str], text: str
) -> None:
    chunks = [f'{{"choices": [{{"delta": {{"content": "{piece}"}}}}]}}' for piece in pieces]
    sandbox.faults.add(**frames(*chunks))
    assert await ask(sandbox) == text


@pytest.mark.parametrize("ask", WHOLE)
async def test_half_a_character_does_not_cost_a_whole_response(sandbox: Sandbox, ask: Ask) -> None:
    for written in ("a\\ud83db", "a\\u0000b"):
        sandbox.faults.add(body=f'{{"choices": [{{"message": {{"content": "{written}"}}}}]}}')
        assert await ask(sandbox) == "a\ufffdb"


def test_what_was_left_out_is_named_in_the_metadata(sandbox: Sandbox) -> None:
    model = ChatParallel(**settings(sandbox))
    sandbox.faults.add(body={"choices": [{"message": {"content": "Yes."}}], "basis": [7]})
    metadata = model.invoke("?").response_metadata
    assert metadata["warnings"] == ["basis[0] was left out: it is a number"]
    sandbox.faults.add(**frames(delta("Yes."), delta("", basis=[None])))
    *_, last = model.stream("?")
    assert last.response_metadata["warnings"] == ["basis[0] was left out: it is null"]


@pytest.mark.parametrize("ids", [["x"] * 3, ["x", None, None], [None, "x", "y"], ["x", "y", "z"]])
async def test_all_chunks_of_a_message_have_one_id(sandbox: Sandbox, ids: list[Any]) -> None:
    """LangGraph shows a message for each id."""
    sandbox.faults.add(**frames(*(delta("a", id=each) for each in ids)))
    model = ChatParallel(**settings(sandbox))
    found = list(model.stream("?"))
    assert len(found) == 4
    assert len({chunk.id for chunk in found}) == 1
    assert len({chunk.id async for chunk in model.astream("?")}) == 1
    if ids[0]:
        assert found[-1].id == ids[0]

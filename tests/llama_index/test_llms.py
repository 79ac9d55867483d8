"""The LLM: eight methods, one answer; its citations, its refusals and its events."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from llama_index.core.agent import ReActAgent
from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    ChatResponse,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
)
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.chat_engine import ContextChatEngine, SimpleChatEngine
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers.base import (  # type: ignore[attr-defined]
    BaseEventHandler,
)
from llama_index.core.llms import LLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import RetrieverQueryEngine
from pydantic import PrivateAttr

from parallel_integrations import (
    AuthenticationError,
    ParallelError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    UnexpectedAnswerError,
)
from parallel_integrations.llama_index import ParallelLLM, ParallelRetriever, evidence_of
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import made
from tests.support.raw_server import RawServer, Talk, together
from tests.support.requests import QUESTION

INPUTS = [ChatMessage(role="user", content=QUESTION)]
CHAT = "/chat/completions"
PNG = b"\x89PNG\r\n\x1a\n"


make = partial(made, ParallelLLM)


async def eight(llm: ParallelLLM, **kwargs: Any) -> dict[str, list[Any]]:
    """The pieces that each of the eight methods gives."""
    return {
        "chat": [llm.chat(INPUTS, **kwargs)],
        "achat": [await llm.achat(INPUTS, **kwargs)],
        "stream_chat": list(llm.stream_chat(INPUTS, **kwargs)),
        "astream_chat": [each async for each in await llm.astream_chat(INPUTS, **kwargs)],
        "complete": [llm.complete(QUESTION, **kwargs)],
        "acomplete": [await llm.acomplete(QUESTION, **kwargs)],
        "stream_complete": list(llm.stream_complete(QUESTION, **kwargs)),
        "astream_complete": [each async for each in await llm.astream_complete(QUESTION, **kwargs)],
    }


def message_of(text: str) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", "content": text}}


def text_of(answer: Any) -> str:
    return (answer.message.content if isinstance(answer, ChatResponse) else answer.text) or ""


async def test_eight_code_paths_to_one_response(sandbox: Sandbox) -> None:
    answers = await eight(make(sandbox))
    texts = {name: text_of(pieces[-1]) for name, pieces in answers.items()}
    assert len(set(texts.values())) == 1
    assert texts["chat"]
    assert [request.body["messages"] for request in sandbox.requests] == [
        [{"role": "user", "content": QUESTION}]
    ] * 8
    assert {request.body["model"] for request in sandbox.requests} == {"speed"}
    for pieces in (pieces for name, pieces in answers.items() if "stream" in name):
        assert "".join(piece.delta for piece in pieces) == text_of(pieces[-1])
        so_far = ""
        for piece in pieces:
            so_far += piece.delta
            assert text_of(piece) == so_far


@pytest.mark.parametrize("model", ["lite", "base", "core"])
async def test_citations_come_once_and_last(sandbox: Sandbox, model: str) -> None:
    for pieces in (await eight(make(sandbox, model=model))).values():
        *before, last = pieces
        assert not any(piece.additional_kwargs for piece in before)
        (field,) = last.additional_kwargs["basis"]
        assert field["field"] == "output"
        assert field["reasoning"]
        assert field["citations"][0]["url"].startswith("https://docs.python.org")
        assert "sandbox" in last.additional_kwargs["interaction_id"]
        assert isinstance(last.raw, dict)
        assert last.raw["interaction_id"] == last.additional_kwargs["interaction_id"]
        if isinstance(last, ChatResponse):
            assert evidence_of(last.message) == last.additional_kwargs
            assert last.message.additional_kwargs == {}
        assert type(last).model_validate_json(last.model_dump_json()) == last


async def test_the_speed_model_returns_no_basis(sandbox: Sandbox) -> None:
    for pieces in (await eight(make(sandbox))).values():
        assert not any(piece.additional_kwargs for piece in pieces)
        assert all(isinstance(piece.raw, dict) for piece in pieces)


async def test_citations_wherever_the_stream_has_them(sandbox: Sandbox) -> None:
    basis = [{"field": "output", "reasoning": "So.", "citations": [{"url": "https://e.com"}]}]
    chunks = [
        {"choices": [{"index": 0, "delta": {"role": "assistant"}}]},
        {"choices": [{"index": 0, "delta": {"content": "A"}}], "basis": basis},
        {"choices": [], "interaction_id": "i", "basis": []},
        {"choices": [{"index": 0, "delta": {"content": "B"}}], "basis": None},
    ]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    sandbox.faults.add(path=CHAT, times=None, content_type="text/event-stream", body=body)
    llm = make(sandbox)
    for pieces in (
        list(llm.stream_chat(INPUTS)),
        [each async for each in await llm.astream_chat(INPUTS)],
    ):
        assert [piece.delta for piece in pieces] == ["A", "B", ""]
        assert [set(piece.additional_kwargs) for piece in pieces] == [
            set(),
            set(),
            {"basis", "interaction_id"},
        ]
        assert pieces[-1].message.content == "AB"


async def test_settings_of_an_llm_and_of_one_call(sandbox: Sandbox) -> None:
    first = make(sandbox, model="lite").chat(INPUTS).additional_kwargs["interaction_id"]
    second = make(sandbox, model="lite").chat(INPUTS).additional_kwargs["interaction_id"]
    llm = make(sandbox, model="lite", previous_interaction_id=first, extra_body={"a": 1, "b": 1})
    llm.chat(INPUTS)
    await llm.achat(
        INPUTS,
        model="base",
        previous_interaction_id=second,
        extra_body={"b": 2},
        response_format={"type": "text"},
    )
    one, two = (request.body for request in sandbox.requests[2:])
    messages = [{"role": "user", "content": QUESTION}]
    assert one == {
        "model": "lite",
        "messages": messages,
        "previous_interaction_id": first,
        "a": 1,
        "b": 1,
    }
    assert two == {
        "model": "base",
        "messages": messages,
        "previous_interaction_id": second,
        "response_format": {"type": "text"},
        "a": 1,
        "b": 2,
    }


async def test_extra_headers_of_an_llm(sandbox: Sandbox) -> None:
    llm = make(sandbox, extra_headers={"x-team": "docs", "x-trace": "1"})
    llm.chat(INPUTS)
    await llm.acomplete(QUESTION, extra_headers={"x-trace": "2"})
    sent = [(each.headers["x-team"], each.headers["x-trace"]) for each in sandbox.requests]
    assert sent == [("docs", "1"), ("docs", "2")]
    assert "x-trace" not in repr(llm) + str(llm.to_dict())


async def test_sampling_parameters_are_known_and_not_sent(sandbox: Sandbox) -> None:
    llm = make(sandbox, temperature=0.1, max_tokens=5)
    llm.chat(INPUTS, temperature=0, max_tokens=7, stop=["x"], top_p=0.5, seed=1)
    await llm.acomplete(QUESTION, formatted=True, temperature=0)
    for request in sandbox.requests:
        assert set(request.body) == {"model", "messages"}


def test_the_roles_that_chat_takes(sandbox: Sandbox) -> None:
    make(sandbox).chat(
        [
            ChatMessage(role=MessageRole.SYSTEM, content="a"),
            ChatMessage(role=MessageRole.DEVELOPER, content="b"),
            ChatMessage(role=MessageRole.USER, content="c"),
            ChatMessage(role=MessageRole.ASSISTANT, content="d"),
            ChatMessage(role=MessageRole.CHATBOT, content="e"),
            ChatMessage(role=MessageRole.MODEL, content="f"),
            ChatMessage(
                blocks=[
                    TextBlock(text="g"),
                    CachePoint.model_validate({"cache_control": {"type": "x"}}),
                    TextBlock(text="h"),
                ]
            ),
            ChatMessage(
                role="assistant", blocks=[ThinkingBlock(content="hm"), TextBlock(text="i")]
            ),
        ]
    )
    messages = sandbox.requests[0].body["messages"]
    assert [message["role"] for message in messages] == [
        *["system"] * 2,
        "user",
        *["assistant"] * 3,
        "user",
        "assistant",
    ]
    assert [message["content"] for message in messages] == [*"abcdef", "g\nh", "i"]


async def test_an_answer_ends_before_a_stop_sequence(sandbox: Sandbox) -> None:
    llm = make(sandbox, model="lite")
    whole = llm.complete(QUESTION).text
    stop = whole[30:50]
    cut = whole.partition(stop)[0]
    fixed = make(sandbox, model="lite", stop=stop)
    answers = [await eight(llm, stop=[stop]), await eight(fixed)]
    for pieces in (pieces for answer in answers for pieces in answer.values()):
        assert text_of(pieces[-1]) == cut
        assert pieces[-1].additional_kwargs["basis"]
        if len(pieces) > 1:
            assert "".join(piece.delta or "" for piece in pieces) == cut
    end = whole[-9:]
    for pieces in (await eight(llm, stop=f"{end}?")).values():
        assert text_of(pieces[-1]) == whole
        if len(pieces) > 1:
            assert "".join(piece.delta or "" for piece in pieces) == whole
    assert all("stop" not in request.body for request in sandbox.requests)
    with pytest.raises(ValueError, match="stop= takes texts"):
        await llm.astream_chat(INPUTS, stop=[""])


COUNTS: list[Any] = [
    {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
    {"prompt_tokens": "", "completion_tokens": ""},
    {"prompt_tokens": 7, "completion_tokens": None},
    {},
    [],
]


@pytest.mark.parametrize("usage", COUNTS)
@pytest.mark.parametrize("model", ["lite", "parallel"])
async def test_empty_counts_of_tokens_are_estimated(
    sandbox: Sandbox, model: str, usage: Any
) -> None:
    named = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
    if model == "parallel" and isinstance(usage, dict):
        usage = {named.get(name, name): count for name, count in usage.items()}
    body: dict[str, Any] = {"usage": usage, "choices": [message_of("Two words.")]}
    chunks = [{"choices": [{"index": 0, "delta": {"content": "Two words."}}]}, {"usage": usage}]
    if model == "parallel":
        part = {"type": "output_text", "text": "Two words.", "annotations": []}
        item = {"id": "m", "type": "message", "role": "assistant", "content": [part]}
        body = {"id": "r", "status": "completed", "usage": usage, "output": [item]}
        chunks = [{"type": "response.completed", "response": body}]
    path = CHAT if model == "lite" else "/v1/responses"
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    counter = TokenCountingHandler(tokenizer=str.split)
    llm = make(sandbox, model=model, callback_manager=CallbackManager([counter]))
    sandbox.faults.add(path=path, times=2, body=body)
    answers = [llm.chat(INPUTS), await llm.acomplete(QUESTION)]
    sandbox.faults.add(path=path, times=2, content_type="text/event-stream", body=stream)
    answers += [list(llm.stream_complete(QUESTION))[-1]]
    answers += [[each async for each in await llm.astream_chat(INPUTS)][-1]]
    assert {text_of(each) for each in answers} == {"Two words."}
    assert [each.completion_token_count > 1 for each in counter.llm_token_counts] == [True] * 4
    assert all(each.prompt_token_count >= 7 for each in counter.llm_token_counts)


UNSENDABLE = [
    (ChatMessage(role=MessageRole.TOOL, blocks=[ImageBlock(image=PNG)]), "ImageBlock"),
    (ChatMessage(blocks=[ImageBlock(image=PNG)]), "ImageBlock"),
    (ChatMessage(blocks=[TextBlock(text="a"), AudioBlock(audio=b"x")]), "AudioBlock"),
    (ChatMessage(blocks=[DocumentBlock(data=b"x")]), "DocumentBlock"),
]


@pytest.mark.parametrize(("message", "named"), UNSENDABLE)
async def test_messages_that_chat_cannot_take_are_not_sent(
    sandbox: Sandbox, message: ChatMessage, named: str
) -> None:
    llm = make(sandbox)
    pattern = rf"messages\[1\].*{named}.*Leave the message out"
    with pytest.raises(ValueError, match=pattern):
        llm.chat([*INPUTS, message])
    with pytest.raises(ValueError, match=pattern):
        await llm.achat([*INPUTS, message])
    with pytest.raises(ValueError, match=pattern):
        llm.stream_chat([*INPUTS, message])
    with pytest.raises(ValueError, match=pattern):
        await llm.astream_chat([*INPUTS, message])
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"tools": [{"type": "function"}]}, "no tools"),
        ({"nonsense": 1}, "nonsense"),
        ({"previous_interaction_id": ""}, "previous_interaction_id"),
        ({"extra_body": "x"}, "extra_body='x' must be an object"),
        ({"extra_headers": 5}, "extra_headers= must be a mapping"),
        ({"stop": 5}, "stop= takes texts"),
    ],
)
def test_unknown_arguments_of_a_call_are_refused(
    sandbox: Sandbox, kwargs: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        make(sandbox).chat(INPUTS, **kwargs)
    with pytest.raises(ValueError, match="messages"):
        make(sandbox).chat([])
    assert not sandbox.requests


ERRORS = [(401, AuthenticationError), (429, RateLimitError), (500, ServerError)]


@pytest.mark.parametrize(("status", "error"), ERRORS)
async def test_errors_of_an_llm_pass_unchanged(
    sandbox: Sandbox, status: int, error: type[ParallelError]
) -> None:
    sandbox.faults.add(path=CHAT, times=None, status=status)
    llm = make(sandbox, max_retries=0)
    with pytest.raises(error, match=str(status)):
        llm.chat(INPUTS)
    with pytest.raises(error, match=str(status)):
        await llm.acomplete(QUESTION)
    with pytest.raises(error, match=str(status)):
        list(llm.stream_complete(QUESTION))
    with pytest.raises(error, match=str(status)):
        _ = [each async for each in await llm.astream_chat(INPUTS)]


@pytest.mark.parametrize("cut", ["fin", "reset"])
async def test_a_cut_stream_is_an_error_with_what_had_come(sandbox: Sandbox, cut: Any) -> None:
    sandbox.faults.add(path=CHAT, times=None, cut_after_events=3, cut=cut)
    llm = make(sandbox)
    arrived: list[str | None] = []

    def read() -> None:
        arrived.extend(piece.delta for piece in llm.stream_chat(INPUTS))

    async def aread() -> None:
        async for piece in await llm.astream_complete(QUESTION):
            arrived.append(piece.delta)  # noqa: PERF401 - what came before the cut must be kept

    with pytest.raises(StreamInterruptedError) as caught:
        read()
    assert len(arrived) == 3
    assert caught.value.partial == "".join(piece or "" for piece in arrived)
    arrived.clear()
    with pytest.raises(StreamInterruptedError) as caught:
        await aread()
    assert len(arrived) == 3
    assert caught.value.partial == "".join(piece or "" for piece in arrived)
    assert len(sandbox.requests) == 2  # a response that has begun is not repeated


def test_an_unreadable_chat_response_is_an_error(sandbox: Sandbox) -> None:
    sandbox.faults.add(path=CHAT, times=None, body="<html>", content_type="text/html")
    with pytest.raises(UnexpectedAnswerError):
        make(sandbox).chat(INPUTS)
    with pytest.raises(UnexpectedAnswerError):
        list(make(sandbox).stream_chat(INPUTS))


class Endless:
    """Streams words until the client disconnects."""

    def __init__(self) -> None:
        self.left = False

    def __call__(self, talk: Talk, request: bytes) -> None:
        talk.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        )
        try:
            while True:
                talk.send(b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n')
                time.sleep(0.01)
        except OSError:
            self.left = True

    def noticed(self) -> bool:
        until = time.monotonic() + 30
        while not self.left and time.monotonic() < until:
            time.sleep(0.01)
        return self.left


@pytest.mark.parametrize("method", ["stream_chat", "stream_complete"])
@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_leaving_a_stream_closes_the_connection(method: str, how: str) -> None:
    endless = Endless()
    with RawServer(endless) as server:
        llm = ParallelLLM(api_key="any", base_url=server.url)
        pieces = getattr(llm, method)(INPUTS if method == "stream_chat" else QUESTION)
        next(pieces)
        if how == "closed":
            pieces.close()
        del pieces
        assert endless.noticed()


@pytest.mark.parametrize("method", ["astream_chat", "astream_complete"])
@pytest.mark.parametrize("how", ["closed", "dropped", "cancelled"])
async def test_leaving_an_awaited_stream_closes_the_connection(method: str, how: str) -> None:
    endless = Endless()
    with RawServer(endless) as server:
        llm = ParallelLLM(api_key="any", base_url=server.url)
        messages = INPUTS if method == "astream_chat" else QUESTION

        begun = asyncio.Event()

        async def consume() -> None:
            async for _ in await getattr(llm, method)(messages):
                begun.set()
                await asyncio.sleep(0)

        if how == "cancelled":
            task = asyncio.create_task(consume())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            pieces = await getattr(llm, method)(messages)
            await anext(pieces)
            if how == "closed":
                await pieces.aclose()
            del pieces
        assert await asyncio.to_thread(endless.noticed)
        await llm.resolved_client().aclose()


def test_two_event_loops_one_after_the_other_of_an_llm(sandbox: Sandbox) -> None:
    llm = make(sandbox)

    async def streamed() -> str:
        return "".join([each.delta or "" async for each in await llm.astream_chat(INPUTS)])

    first = asyncio.run(streamed())
    assert first == asyncio.run(streamed()) == asyncio.run(llm.acomplete(QUESTION)).text
    assert len(sandbox.requests) == 3


async def test_an_awaited_chat_does_not_block_the_loop() -> None:
    with RawServer(together(5, b'{"choices": [{"message": {"content": "word"}}]}')) as server:
        llm = ParallelLLM(api_key="any", base_url=server.url)
        await asyncio.gather(*(llm.acomplete(f"{QUESTION} {number}") for number in range(5)))
        assert len(server.requests) == 5


class Events(BaseEventHandler):
    """Counts what is dispatched."""

    _names: Counter[str] = PrivateAttr(default_factory=Counter)

    def handle(self, event: Any, **kwargs: Any) -> None:
        self._names[event.class_name()] += 1


@pytest.fixture
def events() -> Iterator[Counter[str]]:
    handler = Events()
    root = get_dispatcher()
    root.add_event_handler(handler)
    yield handler._names
    root.event_handlers.remove(handler)


async def test_each_call_is_counted_once(sandbox: Sandbox, events: Counter[str]) -> None:
    counting = TokenCountingHandler()
    await eight(make(sandbox, callback_manager=CallbackManager([counting])))
    assert len(sandbox.requests) == 8
    assert len(counting.llm_token_counts) == 8
    for name in ("LLMChatStartEvent", "LLMChatEndEvent"):
        assert events[name] == 4
    for name in ("LLMCompletionStartEvent", "LLMCompletionEndEvent"):
        assert events[name] == 4
    assert events["ExceptionEvent"] == 0


def test_name_and_metadata_of_an_llm() -> None:
    llm = ParallelLLM(model="base")
    assert LLM in ParallelLLM.__mro__
    assert llm.class_name() == "ParallelLLM"
    about = llm.metadata
    assert about.model_name == "base"
    assert about.context_window == 128_000
    assert about.num_output == -1
    assert about.is_chat_model
    assert not about.is_function_calling_model
    assert ParallelLLM(context_window=32_000).metadata.context_window == 32_000
    assert ParallelLLM().model == "speed"


def test_a_system_prompt_is_part_of_a_prediction(sandbox: Sandbox) -> None:
    llm = make(sandbox, system_prompt="Be brief.")
    assert llm.predict(PromptTemplate("What is {thing}?"), thing="a decorator")
    assert sandbox.requests[0].body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is a decorator?"},
    ]


async def test_a_long_prompt_is_one_call(sandbox: Sandbox) -> None:
    llm = make(sandbox)
    retriever = ParallelRetriever(api_key=sandbox.api_key, base_url=sandbox.url)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm)
    response = await engine.aquery(QUESTION)
    assert len(response.source_nodes) > 3
    assert sandbox.ledger.count("search") == 1
    assert sandbox.ledger.count("chat") == 1


async def test_a_conversation_keeps_its_citations_and_sends_none(sandbox: Sandbox) -> None:
    engine = SimpleChatEngine.from_defaults(
        llm=make(sandbox, model="lite"), memory=ChatMemoryBuffer.from_defaults()
    )
    engine.chat(QUESTION)
    await engine.achat("And what does it return?")
    stream = engine.stream_chat("And then?")
    assert "".join(stream.response_gen)
    for request in sandbox.requests:
        assert all(set(message) == {"role", "content"} for message in request.body["messages"])
    assert len(sandbox.requests[-1].body["messages"]) == 5
    said: Sequence[ChatMessage] = engine.chat_history
    assert evidence_of(said[1])["basis"]
    assert evidence_of(said[3])["interaction_id"]
    assert not any(message.additional_kwargs for message in said)


async def test_an_llm_in_a_context_chat_engine(sandbox: Sandbox) -> None:
    retriever = ParallelRetriever(api_key=sandbox.api_key, base_url=sandbox.url, max_results=2)
    engine = ContextChatEngine.from_defaults(
        retriever, llm=make(sandbox), memory=ChatMemoryBuffer.from_defaults()
    )
    response = await engine.achat(QUESTION)
    assert len(response.source_nodes) == 2
    body = sandbox.requests[-1].body
    assert body["messages"][0]["role"] == "system"
    assert response.source_nodes[0].metadata["url"] in body["messages"][0]["content"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex's agents have their own
async def test_an_llm_in_a_react_agent(sandbox: Sandbox) -> None:
    agent = ReActAgent(llm=make(sandbox, model="lite"), tools=[])
    memory = ChatMemoryBuffer.from_defaults()  # the default one leaves a database open
    result = await agent.run(user_msg=QUESTION, memory=memory)  # type: ignore[deprecated]
    assert str(result)
    assert sandbox.requests[0].body["messages"][-1] == {"role": "user", "content": QUESTION}
    found = evidence_of(result)
    assert found["basis"][0]["citations"]
    # Of a text that this process has not seen, the LLM's own response is all that is left.
    reworded = ChatMessage(role=MessageRole.ASSISTANT, content="In other words.")
    assert evidence_of(result.model_copy(update={"response": reworded})) == found

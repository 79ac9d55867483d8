"""The chat model, whole and streamed, with its citations and its refusals."""

import asyncio
from functools import partial
from typing import Any

import pytest
from langchain_core import exceptions
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
    convert_to_openai_messages,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from parallel_integrations import InvalidArgumentError, ParallelError, StreamInterruptedError
from parallel_integrations.langchain import ChatParallel
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import collected, four_code_paths
from tests.support.connected import made
from tests.support.requests import QUESTION

make = partial(made, ChatParallel)


async def test_four_code_paths_to_one_response(sandbox: Sandbox) -> None:
    model = make(sandbox)
    whole, chunks, awaited, achunks = await four_code_paths(model, QUESTION)
    streamed, astreamed = collected(chunks), collected(achunks)
    assert whole.text
    assert whole.text == streamed.text == awaited.text == astreamed.text
    for message in (whole, streamed, awaited, astreamed):
        assert message.response_metadata == {
            "model_name": "speed",
            "model_provider": "parallel",
            "finish_reason": "stop",
        }
        assert message.usage_metadata is None


def test_a_chat_model_streams_pieces(sandbox: Sandbox) -> None:
    chunks = list(make(sandbox).stream(QUESTION))
    assert len([chunk for chunk in chunks if chunk.text]) > 3
    assert chunks[-1].chunk_position == "last"


@pytest.mark.parametrize("stream", [False, True])
def test_research_models_return_a_basis(sandbox: Sandbox, stream: bool) -> None:
    model = make(sandbox, model="lite")
    message: AIMessage = (
        collected(list(model.stream(QUESTION))) if stream else model.invoke(QUESTION)
    )
    [basis] = message.additional_kwargs["basis"]
    assert basis["field"] == "output"
    assert message.response_metadata["interaction_id"]
    assert message.response_metadata["model_name"] == "lite"
    [block] = message.content_blocks
    assert block["type"] == "text"
    assert block["text"] == message.text
    cited = basis["citations"][0]
    annotation = block["annotations"][0]
    assert annotation["type"] == "citation"
    assert annotation["url"] == cited["url"]
    assert annotation["title"] == cited["title"]
    assert annotation["cited_text"] == cited["excerpts"][0]
    assert annotation["extras"]["field"] == "output"


def test_citations_in_v1_output_and_v3_events(sandbox: Sandbox) -> None:
    model = make(sandbox, model="lite", output_version="v1")
    [block] = model.invoke(QUESTION).content
    assert isinstance(block, dict)
    assert block["annotations"][0]["url"]
    output = make(sandbox, model="lite").stream_events(QUESTION, version="v3").output
    [block] = output.content_blocks
    assert block["annotations"][0]["url"]


def test_a_conversation_continues(sandbox: Sandbox) -> None:
    model = make(sandbox, model="lite")
    first = model.invoke(QUESTION)
    interaction = first.response_metadata["interaction_id"]
    model.invoke("And in async code?", previous_interaction_id=interaction)
    assert sandbox.requests[-1].body["previous_interaction_id"] == interaction
    make(sandbox, model="lite", previous_interaction_id=interaction).invoke("And then?")
    assert sandbox.requests[-1].body["previous_interaction_id"] == interaction


def test_messages_as_they_are_sent_to_chat(sandbox: Sandbox) -> None:
    messages: list[BaseMessage] = [
        SystemMessage("Be short."),
        HumanMessage([{"type": "text", "text": "What is "}, "a closure?"], name="pat"),
        AIMessage(
            [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "A function."}]
        ),
        ChatMessage(role="user", content="More."),
        AIMessageChunk("It captures."),
        HumanMessage("Thanks, and a decorator?"),
    ]
    make(sandbox).invoke(messages)
    assert sandbox.requests[0].body == {
        "model": "speed",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "What is a closure?", "name": "pat"},
            {"role": "assistant", "content": "A function."},
            {"role": "user", "content": "More."},
            {"role": "assistant", "content": "It captures."},
            {"role": "user", "content": "Thanks, and a decorator?"},
        ],
    }


def test_ignored_parameters_are_known_and_not_sent(sandbox: Sandbox) -> None:
    model = make(sandbox, temperature=0.5, max_tokens=10, stop=["x"], seed=1, top_p=0.1, n=1)
    model.invoke("What is a closure?", stop=["y"], temperature=1.0)
    assert set(sandbox.requests[0].body) == {"model", "messages"}


def test_extra_body_and_model_per_call(sandbox: Sandbox) -> None:
    model = make(sandbox, extra_body={"user": "u1"})
    model.invoke("What is a closure?", model="lite", extra_body={"store": False})
    body = sandbox.requests[0].body
    assert (body["model"], body["user"], body["store"]) == ("lite", "u1", False)


@pytest.mark.parametrize("model", ["lite", "parallel"])
async def test_extra_body_does_not_decide_how_an_answer_is_read(
    sandbox: Sandbox, model: str
) -> None:
    for stream in (True, False):
        chat = make(sandbox, model=model, extra_body={"stream": stream})
        whole, chunks, awaited, achunks = await four_code_paths(chat, QUESTION)
        assert whole.text == collected(chunks).text == awaited.text == collected(achunks).text
        assert len(chunks) == len(achunks) > 3
    assert {each.body.get("stream") for each in sandbox.requests} == {None, True}


def test_a_model_in_extra_body_is_the_model(sandbox: Sandbox) -> None:
    message = make(sandbox, extra_body={"model": "core"}).invoke(QUESTION)
    assert message.response_metadata["model_name"] == "core"
    assert message.additional_kwargs["basis"]
    answered = make(sandbox).invoke(QUESTION, extra_body={"model": "parallel"})
    assert answered.response_metadata["response_id"]
    assert sandbox.requests[-1].path == "/v1/responses"


def called(*names: str, **fields: Any) -> AIMessage:
    calls = [ToolCall(name=name, args={"a": "é"}, id=f"call_{name}") for name in names]
    return AIMessage(tool_calls=calls, **fields)


def test_an_answer_goes_on_to_another_model_as_its_text(sandbox: Sandbox) -> None:
    message = make(sandbox, model="lite").invoke("What is a closure?")
    assert message.additional_kwargs["basis"]
    for format_ in ("string", "block"):
        [sent] = convert_to_openai_messages([message], text_format=format_)
        text = message.content if format_ == "string" else [{"type": "text", "text": message.text}]
        assert sent == {"role": "assistant", "content": text}


LEGACY = {"function_call": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (called("f", content=""), '(I called the tool f with {"a":"é"})'),
        (
            called("f", "g", content="I see."),
            'I see.\n(I called the tool f with {"a":"é"})\n(I called the tool g with {"a":"é"})',
        ),
        (
            called("f", content=[{"type": "text", "text": "Let me see."}, {"type": "tool_use"}]),
            'Let me see.\n(I called the tool f with {"a":"é"})',
        ),
        (called("f\n\nUser: x", content=""), '(I called the tool f User: x with {"a":"é"})'),
        (
            AIMessage(
                "",
                invalid_tool_calls=[{"name": "f", "args": "{a", "id": None, "error": "no JSON"}],
            ),
            "(I called the tool f with {a)",
        ),
        (AIMessage("", additional_kwargs=LEGACY), "(I called the tool f with {})"),
        (AIMessage([{"type": "web_search_call", "id": "w"}, "Found."]), "Found."),
        (AIMessage([{"type": "non_standard", "value": {"a": 1}}, "Found."]), "Found."),
        (AIMessage([{"type": "refusal", "refusal": "I may not."}]), "I may not."),
        (AIMessage([{"type": "output_text", "text": "Found."}]), "Found."),
    ],
)
async def test_tool_calls_become_text(sandbox: Sandbox, message: AIMessage, text: str) -> None:
    model = make(sandbox)
    model.invoke([HumanMessage("a"), message, HumanMessage("b")])
    await model.ainvoke([HumanMessage("a"), message, HumanMessage("b")])
    list(model.stream([HumanMessage("a"), message, HumanMessage("b")]))
    for request in sandbox.requests:
        assert request.body["messages"][1] == {"role": "assistant", "content": text}


def cited(name: str) -> dict[str, Any]:
    """A page as our search tool shows it to models that cite by themselves."""
    content = [{"type": "text", "text": f"said by {name}"}]
    source = f"https://{name}.example"
    return {"type": "search_result", "source": source, "title": name, "content": content}


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (ToolMessage("1\n2", tool_call_id="call_f"), "(Result of the tool f)\n> 1\n> 2"),
        (ToolMessage("1", name="h", tool_call_id="x"), "(Result of the tool h)\n> 1"),
        (ToolMessage("1", tool_call_id="x"), "(Result of a tool)\n> 1"),
        (ToolMessage("no", tool_call_id="x", status="error"), "(Error of a tool)\n> no"),
        (ToolMessage([{"type": "text", "text": "1"}], tool_call_id="x"), "(Result of a tool)\n> 1"),
        (
            ToolMessage([cited("A"), "1 more."], tool_call_id="x"),
            "(Result of a tool)\n> A\n> https://A.example\n> said by A\n> 1 more.",
        ),
        (FunctionMessage("1", name="h"), "(Result of the tool h)\n> 1"),
        (ChatMessage(role="tool", content="1"), "(Result of a tool)\n> 1"),
    ],
)
def test_results_of_tools_become_text_that_is_not_the_users(
    sandbox: Sandbox, message: BaseMessage, text: str
) -> None:
    make(sandbox).invoke([HumanMessage("a"), called("f", content=""), message])
    assert sandbox.requests[0].body["messages"][2] == {"role": "user", "content": text}


@pytest.mark.parametrize(
    ("messages", "named"),
    [
        ([HumanMessage([{"type": "image_url", "image_url": {"url": "x"}}])], "image_url"),
        (
            [HumanMessage("a"), ToolMessage([{"type": "image", "url": "u"}], tool_call_id="1")],
            r"messages\[1\].*'image'",
        ),
        ([ChatMessage(role="wizard", content="x")], "wizard"),
    ],
)
def test_messages_that_chat_cannot_take_are_refused(
    sandbox: Sandbox, messages: list[BaseMessage], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        make(sandbox).invoke(messages)
    assert sandbox.requests == []


@pytest.mark.parametrize("name", ["stop", "model", "extra_body", "extra_headers"])
def test_an_argument_of_the_wrong_kind_is_refused_by_name(sandbox: Sandbox, name: str) -> None:
    with pytest.raises(ParallelError, match=name):
        make(sandbox).invoke("x", **{name: 5})
    assert sandbox.requests == []


def test_tools_and_unknown_arguments_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="call no tools"):
        make(sandbox).invoke("x", tools=[{"type": "function"}])
    with pytest.raises(ValueError, match="'temprature'; did you mean 'temperature'"):
        make(sandbox).invoke("x", temprature=1)
    with pytest.raises(TypeError, match="'modle'; did you mean 'model'"):
        ChatParallel(modle="lite")
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("status", "theirs"),
    [
        (401, exceptions.ModelAuthenticationError),
        (402, exceptions.ModelPermissionDeniedError),
        (403, exceptions.ModelPermissionDeniedError),
        (404, exceptions.ModelNotFoundError),
        (422, exceptions.ModelInvalidRequestError),
        (429, exceptions.ModelRateLimitError),
        (500, exceptions.ModelAPIError),
        (503, exceptions.ModelAPIError),
    ],
)
async def test_errors_are_ours_and_langchains(
    sandbox: Sandbox, status: int, theirs: type[exceptions.ModelError]
) -> None:
    sandbox.faults.add(times=None, status=status)
    model = make(sandbox, max_retries=0)
    with pytest.raises(theirs) as caught:
        model.invoke(QUESTION)
    assert isinstance(caught.value, ParallelError)
    assert caught.value.status == status
    with pytest.raises(theirs):
        await model.ainvoke(QUESTION)
    with pytest.raises(theirs):
        list(model.stream(QUESTION))
    with pytest.raises(theirs):
        [chunk async for chunk in model.astream(QUESTION)]


@pytest.mark.parametrize(
    ("question", "called", "theirs"),
    [
        (" ", {}, exceptions.ModelInvalidRequestError),
        (QUESTION, {"stop": [""]}, exceptions.ModelInvalidRequestError),
        (QUESTION, {"temprature": 1}, exceptions.ModelInvalidRequestError),
        ("long " * 5000, {"model": "parallel"}, exceptions.ContextOverflowError),
    ],
)
async def test_what_is_refused_unsent_is_langchains_error_too(
    sandbox: Sandbox, question: str, called: dict[str, Any], theirs: type[exceptions.ModelError]
) -> None:
    model = make(sandbox)
    with pytest.raises(theirs) as caught:
        model.invoke(question, **called)
    assert isinstance(caught.value, InvalidArgumentError)
    assert isinstance(caught.value, TypeError) == ("temprature" in called)
    with pytest.raises(theirs):
        await model.ainvoke(question, **called)
    with pytest.raises(theirs):
        list(model.stream(question, **called))
    with pytest.raises(theirs):
        [chunk async for chunk in model.astream(question, **called)]
    assert not sandbox.requests


def test_timeouts_and_lost_connections_are_langchains_too(sandbox: Sandbox) -> None:
    sandbox.faults.add(delay=1.0)
    with pytest.raises(exceptions.ModelTimeoutError):
        make(sandbox, timeout=0.1, max_retries=0).invoke(QUESTION)
    with pytest.raises(exceptions.ModelConnectionError):
        ChatParallel(api_key="test", base_url="http://127.0.0.1:9", max_retries=0).invoke(QUESTION)
    with pytest.raises(exceptions.ModelAuthenticationError, match="PARALLEL_API_KEY"):
        ChatParallel(base_url=sandbox.url).invoke(QUESTION)


@pytest.mark.parametrize("cut", ["fin", "reset"])
async def test_a_cut_stream_is_no_response(sandbox: Sandbox, cut: str) -> None:
    sandbox.faults.add(times=None, cut_after_events=3, cut=cut)
    model = make(sandbox)
    got: list[str] = []
    with pytest.raises(StreamInterruptedError) as caught:
        got.extend(chunk.text for chunk in model.stream(QUESTION))
    assert caught.value.partial == "".join(got) != ""
    with pytest.raises(exceptions.ModelConnectionError):
        [chunk async for chunk in model.astream(QUESTION)]


def test_invoke_may_stream_and_stream_may_not(sandbox: Sandbox) -> None:
    make(sandbox, streaming=True).invoke(QUESTION)
    assert sandbox.requests[-1].body["stream"] is True
    list(make(sandbox, disable_streaming=True).stream(QUESTION))
    assert "stream" not in sandbox.requests[-1].body


def test_two_event_loops_in_a_row(sandbox: Sandbox) -> None:
    model = make(sandbox)
    for _ in range(2):
        assert asyncio.run(model.ainvoke(QUESTION)).text
    assert len(sandbox.requests) == 2


def test_a_chat_model_in_a_chain(sandbox: Sandbox) -> None:
    prompt = ChatPromptTemplate.from_messages([("system", "Be short."), ("human", "{question}")])
    chain = prompt | make(sandbox) | StrOutputParser()
    assert "".join(chain.stream({"question": QUESTION})) == chain.invoke({"question": QUESTION})

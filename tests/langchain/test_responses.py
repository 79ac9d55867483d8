"""`ChatParallel(model="parallel")`: Responses as a chat model."""

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.exceptions import ModelAPIError, ModelInvalidRequestError
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage

from parallel_integrations import InvalidArgumentError, ParallelClient, StreamInterruptedError
from parallel_integrations.langchain import ChatParallel
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import Scripted, collected, script
from tests.support.cassettes import replaying
from tests.support.raw_server import RawServer
from tests.support.scenario import run
from tests.support.scenarios import ANSWER_SCHEMA, BY_NAME, FOLLOW_UP, QUESTION, Explained
from tests.support.scripted_operation import BOTH


@pytest.fixture
def model(client: ParallelClient) -> ChatParallel:
    return ChatParallel(model="parallel", reasoning_effort="low", client=client)


async def streamed(model: ChatParallel, messages: Any, *, awaiting: bool) -> AIMessageChunk:
    """The sum of a stream's chunks."""
    if awaiting:
        chunks = [each async for each in model.astream(messages)]
    else:
        chunks = list(model.stream(messages))
    assert len(chunks) > 3
    return collected(chunks)


def annotations(message: BaseMessage) -> list[Any]:
    """The standard annotations of a message's text."""
    [block] = message.content_blocks
    assert block["type"] == "text"
    return block.get("annotations", [])


@BOTH
async def test_citations_name_spans_of_the_answer_whole_and_streamed(
    model: ChatParallel, awaiting: bool
) -> None:
    whole = await model.ainvoke(QUESTION) if awaiting else model.invoke(QUESTION)
    pieces = await streamed(model, QUESTION, awaiting=awaiting)
    assert pieces.content == whole.content
    assert pieces.content_blocks == whole.content_blocks
    for citation in annotations(whole):
        assert citation["type"] == "citation"
        assert citation["title"]
        assert whole.text[citation["start_index"] : citation["end_index"]].startswith("“")
    assert pieces.usage_metadata == whole.usage_metadata is not None
    assert whole.id != pieces.id
    for message in (whole, pieces):
        assert message.id
        assert message.id.startswith("resp_")
        assert message.response_metadata == {
            "model_name": "parallel",
            "model_provider": "parallel",
            "finish_reason": "stop",
            "response_id": message.id,
        }


def test_every_code_path_replays_the_cassettes_of_the_core(replayed: ParallelClient) -> None:
    model = ChatParallel(model="parallel", reasoning_effort="low", client=replayed)
    with replaying("responses/cited_text"):
        [bare] = run(BY_NAME["responses/cited_text"], replayed)
    with replaying("responses/cited_text"):
        message = model.invoke(QUESTION)
    assert message.text == bare.text
    assert message.additional_kwargs["annotations"] == [
        each.model_dump(mode="json") for each in bare.annotations
    ]
    with replaying("responses/streamed"):
        assert "".join(each.text for each in model.stream(QUESTION)) == bare.text
    going_on = model.model_copy(update={"use_previous_response_id": True})
    with replaying("responses/continued"):
        first = going_on.invoke(QUESTION)
        assert going_on.invoke([HumanMessage(QUESTION), first, HumanMessage(FOLLOW_UP)]).text
    form = {"type": "json_schema", "json_schema": {"name": "explained", "schema": ANSWER_SCHEMA}}
    with replaying("responses/json_schema"):
        structured = model.invoke(
            [("system", "Answer in one sentence."), ("user", QUESTION)],
            response_format=form,
            extra_body={"metadata": {"purpose": "cassette"}},
        )
    assert set(json.loads(structured.text)) == {"statement", "explanation"}


@BOTH
async def test_structured_answers_with_their_spans(model: ChatParallel, awaiting: bool) -> None:
    structured: Any = model.with_structured_output(Explained, include_raw=True)
    found = await structured.ainvoke(QUESTION) if awaiting else structured.invoke(QUESTION)
    assert isinstance(found["parsed"], Explained)
    [first, *_] = annotations(found["raw"])
    span = found["raw"].text[first["start_index"] : first["end_index"]]
    assert json.loads(span) in (found["parsed"].statement, found["parsed"].explanation)
    plain: Any = model.with_structured_output(Explained)
    last = [each async for each in plain.astream(QUESTION)][-1]
    assert last == found["parsed"]
    with pytest.raises(InvalidArgumentError, match="plain text; give a schema"):
        model.with_structured_output(Explained, method="json_mode").invoke(QUESTION)


def test_a_conversation_goes_on_by_the_last_answers_id_on_request(
    model: ChatParallel, sandbox: Sandbox
) -> None:
    first = model.invoke(QUESTION)
    turns: list[Any] = [("system", "Be brief."), ("user", QUESTION), first, ("user", "And why?")]
    model.invoke(turns)
    model.model_copy(update={"use_previous_response_id": True}).invoke(turns)
    model.invoke("And why?", previous_response_id=first.id)
    bodies = [each.body for each in sandbox.requests[1:]]
    assert [each.get("previous_response_id") for each in bodies] == [None, first.id, first.id]
    assert len(bodies[0]["input"]) == 3
    assert bodies[1]["input"] == bodies[2]["input"] == "And why?"
    assert bodies[0]["instructions"] == bodies[1]["instructions"] == "Be brief."


def test_an_answer_of_another_provider_is_not_continued_by_its_id(
    model: ChatParallel, sandbox: Sandbox
) -> None:
    metadata = {"model_provider": "google_genai", "response_id": "its-own"}
    other = AIMessage("A function.", response_metadata=metadata)
    continuing = model.model_copy(update={"use_previous_response_id": True})
    first = continuing.invoke(QUESTION)
    continuing.invoke([("user", QUESTION), other, ("user", "And why?")])
    continuing.invoke([("user", QUESTION), first, ("user", "Why?"), other, ("user", "And how?")])
    bodies = [each.body for each in sandbox.requests[1:]]
    assert [each.get("previous_response_id") for each in bodies] == [None, first.id]
    assert [len(each["input"]) for each in bodies] == [3, 3]


def test_effort_is_given_once_or_per_call_and_other_settings_are_not_sent(
    client: ParallelClient, sandbox: Sandbox
) -> None:
    model = ChatParallel(
        model="parallel",
        reasoning_effort="low",
        temperature=0,
        client=client,
        extra_body={"top_p": 1},
    )
    model.invoke(QUESTION, max_tokens=5)
    model.invoke(QUESTION, reasoning_effort="high")
    ChatParallel(client=client).invoke(QUESTION, model="parallel", reasoning_effort="medium")
    efforts = [each.body["reasoning"]["effort"] for each in sandbox.requests]
    assert efforts == ["low", "high", "medium"]
    assert set(sandbox.requests[0].body) == {"model", "input", "reasoning", "top_p"}
    # Known and ignored by Chat, as before.
    ChatParallel(client=client).invoke(QUESTION, reasoning_effort="low")
    assert "reasoning" not in sandbox.requests[-1].body
    profile: Any = model.profile
    assert profile["reasoning_effort_default"] == "low"
    assert profile["max_input_tokens"] == 5000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reasoning_effort": "low"}, "reasoning_effort= has no effect with model='speed'"),
        ({"model": "lite", "previous_response_id": "r"}, "no effect with model='lite'"),
        ({"model": "core", "use_previous_response_id": True}, "no effect with model='core'"),
        ({"model": "parallel", "previous_interaction_id": "i"}, "no effect with model='parallel'"),
        ({"model": "parallel", "reasoning_effort": "max"}, "'low', 'medium' or 'high'"),
    ],
)
def test_settings_of_the_other_api_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChatParallel(**settings)


@pytest.mark.parametrize(
    ("messages", "called", "message"),
    [
        ("x" * 20_001, {}, "20001 characters, the API takes 20000"),
        ([("system", "Be brief.")], {}, "at least one message of the user"),
        (
            [("user", [{"type": "image", "url": "https://a.example/x.png"}])],
            {},
            "a block of type 'image'",
        ),
        ("x", {"previous_interaction_id": "i"}, "previous_response_id="),
        ("x", {"model": "lite", "previous_response_id": "r"}, "no effect with model='lite'"),
        ("x", {"reasoning_effort": "max"}, "'low', 'medium' or 'high'"),
        ("x", {"background": True}, "no argument 'background'; .*extra_body"),
    ],
)
def test_what_the_api_refuses_is_refused_unsent(
    model: ChatParallel, sandbox: Sandbox, messages: Any, called: dict[str, Any], message: str
) -> None:
    for go in (model.invoke, lambda *args, **more: list(model.stream(*args, **more))):
        with pytest.raises(ValueError, match=message):
            go(messages, **called)
    assert not sandbox.requests


def test_an_answer_that_ends_early_says_why_and_a_stop_sequence_drops_the_spans_behind_it(
    model: ChatParallel,
) -> None:
    cut = model.invoke(QUESTION, extra_body={"metadata": {"sandbox": "incomplete"}})
    assert cut.response_metadata["finish_reason"] == "length"
    whole = model.invoke(QUESTION)
    first, *others = annotations(whole)
    second = others[0]["start_index"]
    stop = [whole.text[second : second + 20]]
    assert annotations(model.invoke(QUESTION, stop=stop)) == [first]
    pieces = list(model.stream(QUESTION, stop=stop))
    assert annotations(collected(pieces)) == [first]


def test_failures_are_langchains_errors(model: ChatParallel) -> None:
    failing: Any = {"extra_body": {"metadata": {"sandbox": "fail"}}}
    with pytest.raises(ModelAPIError, match="set to fail"):
        model.invoke(QUESTION, **failing)
    with pytest.raises(StreamInterruptedError, match="set to fail"):
        list(model.stream(QUESTION, **failing))
    with pytest.raises(ModelInvalidRequestError, match="Unknown response"):
        model.invoke(QUESTION, previous_response_id="resp_other")


def _wire(*events: dict[str, Any]) -> bytes:
    return "".join(f"data: {json.dumps(each)}\n\n" for each in events).encode()


def _serving(stream: bytes) -> RawServer:
    return RawServer(lambda talk, _: talk.respond(stream, content_type="text/event-stream"))


PART = {"output_index": 0, "content_index": 0}
SPAN = {"type": "url_citation", "url": "https://a.example", "start_index": 0, "end_index": 2}


@pytest.mark.parametrize(
    "last",
    [
        {},
        {"output": []},
        {"output": [{"content": [{"type": "output_text", "text": "It wraps."}]}]},
        {"output": [{"content": [{"text": "It wraps.", "annotations": [SPAN]}]}]},
    ],
    ids=["bare", "empty", "text", "whole"],
)
def test_what_only_events_brought_is_kept(last: dict[str, Any]) -> None:
    stream = _wire(
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.output_text.delta", "delta": "It ", **PART},
        {"type": "response.output_text.delta", "delta": "wraps.", **PART},
        {"type": "response.output_text.annotation.added", "annotation": SPAN, **PART},
        {"type": "response.completed", "response": {"id": "resp_1", **last}},
    )
    with RawServer(
        lambda talk, _: talk.respond(stream, content_type="text/event-stream")
    ) as server:
        model = ChatParallel(model="parallel", api_key="any", base_url=server.url)
        chunks = list(model.stream("x"))
    whole = collected(chunks)
    assert whole.text == "It wraps."
    [citation] = annotations(whole)
    assert (citation["start_index"], citation["end_index"]) == (0, 2)
    assert citation["title"] == "a.example"


@pytest.mark.parametrize("begun", ["It ", ""], ids=["begun", "at once"])
def test_what_only_the_last_event_brought_is_shown(begun: str) -> None:
    output = [{"content": [{"text": "It wraps.", "annotations": [SPAN, {"url": 7}]}]}]
    stream = _wire(
        {"type": "response.output_text.delta", "delta": begun},
        {"type": "response.completed", "response": {"output": output}},
    )
    with (
        _serving(stream) as server,
        ParallelClient(api_key="any", base_url=server.url) as client,
    ):
        chunks = list(ChatParallel(model="parallel", client=client).stream("x"))
    whole = collected(chunks)
    assert whole.text == "It wraps."
    assert len(annotations(whole)) == 1
    [warning] = whole.response_metadata["warnings"]
    assert "annotations" in warning


@BOTH
async def test_what_tokens_were_for_is_kept(awaiting: bool) -> None:
    usage = {
        "input_tokens": 5,
        "output_tokens": 7,
        "total_tokens": 12,
        "input_tokens_details": {"cached_tokens": 2},
        "output_tokens_details": {"reasoning_tokens": 3, "unknown": "x"},
    }
    output = [{"content": [{"text": "It wraps."}]}]
    done = {"type": "response.completed", "response": {"output": output, "usage": usage}}
    with (
        _serving(_wire(done)) as server,
        ParallelClient(api_key="any", base_url=server.url) as client,
    ):
        model = ChatParallel(model="parallel", client=client)
        chunks = [each async for each in model.astream("x")] if awaiting else [*model.stream("x")]
    assert collected(chunks).usage_metadata == {
        "input_tokens": 5,
        "output_tokens": 7,
        "total_tokens": 12,
        "input_token_details": {"cache_read": 2},
        "output_token_details": {"reasoning": 3},
    }


@BOTH
async def test_a_history_that_is_too_long_is_summarized_with_less(
    model: ChatParallel, sandbox: Sandbox, awaiting: bool
) -> None:
    middleware = SummarizationMiddleware(
        model=model,
        trigger=("messages", 3),
        keep=("messages", 1),
        trim_tokens_to_summarize=None,
    )
    agent: Any = create_agent(Scripted(messages=script()), [], middleware=[middleware])
    turns = [HumanMessage("What is a closure? " * 600), AIMessage("A function. " * 600)]
    state = {"messages": [*turns, *turns, HumanMessage("And a generator?")]}
    found = await agent.ainvoke(state) if awaiting else agent.invoke(state)
    assert "summary" in found["messages"][0].text
    assert len(sandbox.requests) == 1

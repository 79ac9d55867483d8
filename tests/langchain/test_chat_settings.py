"""Chat model beside its answers: profile, tracing, cache, limits, headers."""

import asyncio
import pickle
from functools import partial
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.caches import InMemoryCache
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    messages_from_dict,
    messages_to_dict,
    trim_messages,
)
from langchain_core.rate_limiters import InMemoryRateLimiter

from parallel_integrations import ParallelClient
from parallel_integrations.langchain import ChatParallel
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import Listener, answer, collected
from tests.support.connected import connection, made
from tests.support.requests import QUESTION

SECRET = "tenant-token-0123456789"
BASIS = [
    {
        "field": "output",
        "reasoning": "It says so.",
        "confidence": "high",
        "citations": [
            {"url": "https://docs.python.org/3/", "title": "Docs", "excerpts": ["a", "b"]}
        ],
    }
]


make = partial(made, ChatParallel)


def test_the_profile_of_a_chat_model() -> None:
    profile = ChatParallel().profile
    assert profile is not None
    assert profile["structured_output"] is True
    assert profile["tool_calling"] is False
    assert profile["text_inputs"] is profile["text_outputs"] is True
    assert profile["image_outputs"] is profile["reasoning_output"] is False
    assert profile["name"] == "Parallel speed"
    given = ChatParallel(profile={"max_input_tokens": 5, "pdf_inputs": True}).profile
    assert given == {**profile, "max_input_tokens": 5, "pdf_inputs": True}


def test_tokens_are_counted_offline() -> None:
    model = ChatParallel()
    assert model.get_num_tokens("1234 1234") == 3
    cited = AIMessage("1234", additional_kwargs={"basis": [{"reasoning": "x" * 1000}]})
    turns = [HumanMessage("a" * 400), cited, HumanMessage("b" * 40)]
    assert model.get_num_tokens_from_messages(turns) < 130
    kept = trim_messages(turns, max_tokens=40, token_counter=model, strategy="last")
    assert kept == turns[1:]
    counting = ChatParallel(custom_get_token_ids=lambda text: list(range(len(text.split()))))
    assert counting.get_num_tokens("1234 1234") == 2
    assert counting.get_num_tokens_from_messages([HumanMessage("a b")]) == 3


async def stopped(model: ChatParallel, **called: Any) -> list[AIMessage]:
    """The answer whole and streamed, blocking and awaiting."""
    chunks = [list(model.stream(QUESTION, **called))]
    chunks.append([chunk async for chunk in model.astream(QUESTION, **called)])
    added: list[Any] = [sum(each[1:], each[0]) for each in chunks]
    return [model.invoke(QUESTION, **called), await model.ainvoke(QUESTION, **called), *added]


async def test_an_answer_ends_before_a_stop_sequence(sandbox: Sandbox) -> None:
    model = make(sandbox, model="lite")
    whole = model.invoke(QUESTION).text
    stop = whole[30:50]
    messages = await stopped(model, stop=[stop, "not in it"])
    messages += await stopped(make(sandbox, model="lite", stop=stop))
    for message in messages:
        assert message.text == whole.partition(stop)[0]
        assert message.additional_kwargs["basis"]
        assert message.response_metadata["finish_reason"] == "stop"
    messages = await stopped(make(sandbox, model="lite", stop=stop), stop=[whole[-9:] + "?"])
    assert {message.text for message in messages} == {whole}
    assert all("stop" not in request.body for request in sandbox.requests)


@pytest.mark.parametrize("stop", [[""], ["a", ""], [1]])
def test_what_cannot_stop_an_answer_is_refused(sandbox: Sandbox, stop: Any) -> None:
    for call in (make(sandbox).invoke, lambda *x, **y: list(make(sandbox).stream(*x, **y))):
        with pytest.raises(ValueError, match="stop= takes texts"):
            call(QUESTION, stop=stop)
    assert not sandbox.requests


def test_the_trace_of_a_chat_model(sandbox: Sandbox) -> None:
    listener = Listener()
    model = make(sandbox, temperature=0.3, max_tokens=7, stop=["x"])
    model.invoke(QUESTION, {"callbacks": [listener]}, model="lite")
    [started] = listener.started
    reported = started["metadata"]
    assert reported["ls_provider"] == "parallel"
    assert reported["ls_model_name"] == "lite"
    assert reported["ls_model_type"] == "chat"
    assert reported["ls_temperature"] == 0.3
    assert reported["ls_max_tokens"] == 7
    assert started["invocation_params"]["model"] == "lite"
    assert model.metadata is not None
    assert "parallel-integrations" in str(model.metadata)


@pytest.mark.parametrize("model", ["speed", "lite", "core"])
async def test_the_timeout_of_a_chat_depends_on_the_model(sandbox: Sandbox, model: str) -> None:
    seen: list[float] = []
    noting = {"request": [lambda request: seen.append(request.extensions["timeout"]["read"])]}
    with httpx.Client(event_hooks=noting, trust_env=False) as http_client:
        client = ParallelClient(**connection(sandbox), http_client=http_client)
        ChatParallel(client=client, model=model).invoke(QUESTION)
        ChatParallel(client=client).invoke(QUESTION, model=model)
        ChatParallel(client=client).invoke(QUESTION, extra_body={"model": model})
    assert seen == [60.0 if model == "speed" else 600.0] * 3


async def test_a_rate_limiter_limits_a_chat_model(sandbox: Sandbox) -> None:
    tool_input: list[bool] = []

    class Limiter(InMemoryRateLimiter):
        def acquire(self, *, blocking: bool = True) -> bool:
            tool_input.append(blocking)
            return True

        async def aacquire(self, *, blocking: bool = True) -> bool:
            tool_input.append(blocking)
            return True

    model = make(sandbox, rate_limiter=Limiter())
    await asyncio.to_thread(model.invoke, QUESTION)
    await asyncio.to_thread(lambda: list(model.stream(QUESTION)))
    await model.ainvoke(QUESTION)
    assert [chunk async for chunk in model.astream(QUESTION)]
    assert len(tool_input) == 4


def test_langchains_cache_sends_the_same_question_once(sandbox: Sandbox) -> None:
    cache = InMemoryCache()
    first = make(sandbox, cache=cache).invoke(QUESTION)
    assert make(sandbox, cache=cache).invoke(QUESTION).text == first.text
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("model", ["speed", "parallel"])
async def test_a_cached_answer_can_be_kept_in_a_history(sandbox: Sandbox, model: str) -> None:
    cached = make(sandbox, model=model, cache=InMemoryCache())
    first = cached.invoke(QUESTION)
    for again in (cached.invoke(QUESTION), await cached.ainvoke(QUESTION)):
        [loaded] = messages_from_dict(messages_to_dict([again]))
        assert isinstance(loaded, AIMessage)
        assert loaded.content_blocks == first.content_blocks
        counted = {**(loaded.usage_metadata or {})}
        counted.pop("total_cost", None)  # what LangChain notes of a cached answer
        assert counted == (first.usage_metadata or {})
    assert len(sandbox.requests) == 1


def test_models_with_other_settings_never_share_the_cache(sandbox: Sandbox) -> None:
    cache = InMemoryCache()
    elsewhere = ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url + "/")
    with Sandbox() as other:
        models: list[tuple[ChatParallel, dict[str, Any]]] = [
            (make(sandbox, cache=cache), {}),
            (make(sandbox, cache=cache, model="lite"), {}),
            (make(sandbox, cache=cache), {"model": "base"}),
            (make(sandbox, cache=cache, extra_body={"user": "u"}), {}),
            (make(sandbox, cache=cache), {"extra_body": {"user": "v"}}),
            (make(sandbox, cache=cache, extra_headers={"x-tenant": "a"}), {}),
            (make(sandbox, cache=cache), {"extra_headers": {"x-tenant": "b"}}),
            (make(sandbox, cache=cache), {"response_format": {"type": "json_object"}}),
            (ChatParallel(**connection(other), cache=cache), {}),
        ]
        for model, called in models:
            model.invoke(QUESTION, **called)
        assert len(sandbox.requests) + len(other.requests) == len(models)
        # A client with the same address is the same service.
        ChatParallel(client=elsewhere, cache=cache)
        for model, called in models:
            model.invoke(QUESTION, **called)
        assert len(sandbox.requests) + len(other.requests) == len(models)
    stored = str(cache._cache)
    assert sandbox.api_key not in stored
    assert "x-tenant" not in stored


def test_two_clients_with_other_addresses_never_share_the_cache(sandbox: Sandbox) -> None:
    cache = InMemoryCache()
    with Sandbox() as other:
        for each in (sandbox, other):
            client = ParallelClient(**connection(each))
            ChatParallel(client=client, cache=cache).invoke(QUESTION)
        assert (len(sandbox.requests), len(other.requests)) == (1, 1)


def test_two_interactions_never_share_the_cache(sandbox: Sandbox) -> None:
    cache = InMemoryCache()
    model = make(sandbox, model="lite")
    ids = [model.invoke(QUESTION).response_metadata["interaction_id"] for _ in range(2)]
    texts = [make(sandbox, cache=cache, previous_interaction_id=id_).invoke("And?") for id_ in ids]
    assert len(texts) == 2
    assert len(sandbox.requests) == 4


@pytest.mark.parametrize("model", ["speed", "lite"])
async def test_output_version_v1_of_a_chat_model(sandbox: Sandbox, model: str) -> None:
    blocks = make(sandbox, model=model, output_version="v1")
    plain = make(sandbox, model=model)
    whole = blocks.invoke(QUESTION)
    assert whole.response_metadata["output_version"] == "v1"
    assert whole.content == plain.invoke(QUESTION).content_blocks
    streamed = collected(list(blocks.stream(QUESTION)))
    astreamed = collected([chunk async for chunk in blocks.astream(QUESTION)])
    for message in (streamed, astreamed):
        [block] = message.content_blocks
        assert block["text"] == whole.text
        assert block.get("annotations") == whole.content_blocks[0].get("annotations")
    # History in either form goes back as text.
    blocks.invoke([("human", QUESTION), whole, ("human", "Go on.")])
    assert sandbox.requests[-1].body["messages"][1] == {"role": "assistant", "content": whole.text}


async def test_extra_headers_are_sent_and_the_calls_own_win(sandbox: Sandbox) -> None:
    model = make(sandbox, extra_headers={"x-tenant": "a", "x-trace": "1"})
    model.invoke(QUESTION)
    list(model.stream(QUESTION, extra_headers={"x-tenant": "b"}))
    await model.ainvoke(QUESTION, extra_headers={"x-tenant": "c"})
    sent = [(each.headers["x-tenant"], each.headers["x-trace"]) for each in sandbox.requests]
    assert sent == [("a", "1"), ("b", "1"), ("c", "1")]


@pytest.mark.parametrize("where", ["instance", "call"])
def test_extra_headers_are_never_shown(sandbox: Sandbox, where: str) -> None:
    headers = {"extra_headers": {"x-tenant": SECRET}}
    fixed, given = (headers, {}) if where == "instance" else ({}, headers)
    listener = Listener()
    model = make(sandbox, **fixed)
    model.invoke(QUESTION, {"callbacks": [listener]}, **given)
    list(model.stream(QUESTION, {"callbacks": [listener]}, **given))
    assert sandbox.requests[0].headers["x-tenant"] == SECRET
    assert len(listener.started) == 2
    assert SECRET not in str(listener.started)
    for shown in (repr(model), str(model), dumps(model), str(model.model_dump())):
        assert SECRET not in shown
    assert SECRET.encode() not in pickle.dumps(model)
    assert pickle.loads(pickle.dumps(model)).model == "speed"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (
            {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
            {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        ),
        (None, None),
        ({}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
        ({"prompt_tokens": None, "completion_tokens": 4}, None),
    ],
)
def test_usage_where_the_server_sends_it(
    sandbox: Sandbox, sent: Any, expected: Any, streamed: bool
) -> None:
    # Repeated in every chunk, as some servers do, it still counts once.
    sandbox.faults.add(**answer("A long enough answer.", streamed=streamed, each={"usage": sent}))
    model = make(sandbox)
    message = collected(list(model.stream(QUESTION))) if streamed else model.invoke(QUESTION)
    assert message.usage_metadata == expected


async def test_metadata_is_in_one_chunk_however_often_the_server_repeats_it(
    sandbox: Sandbox,
) -> None:
    repeated = {"interaction_id": "trun_1", "model": "lite-2026", "id": "chat_1", "basis": BASIS}
    sandbox.faults.add(times=3, **answer("A long enough answer.", streamed=True, each=repeated))
    model = make(sandbox, model="lite")
    astreamed = collected([chunk async for chunk in model.astream(QUESTION)])
    streamed = collected(list(model.stream(QUESTION)))
    output = model.stream_events(QUESTION, version="v3").output
    for message in (astreamed, streamed, output):
        metadata = message.response_metadata
        assert metadata["interaction_id"] == "trun_1"
        assert metadata["model_name"] == "lite-2026"
        assert metadata["finish_reason"] == "stop"
        assert message.text == "A long enough answer."
        assert len(message.content_blocks[0]["annotations"]) == 2
    assert streamed.id == "chat_1"
    assert len(streamed.additional_kwargs["basis"]) == 1


@pytest.mark.parametrize("version", [None, "v1"])
async def test_citations_in_a_chunk_of_their_own(sandbox: Sandbox, version: Any) -> None:
    trailing = {"basis": BASIS, "interaction_id": "trun_1"}
    sandbox.faults.add(times=2, **answer("A long enough answer.", streamed=True, last=trailing))
    model = make(sandbox, model="lite", output_version=version)
    astreamed = collected([chunk async for chunk in model.astream(QUESTION)])
    streamed = collected(list(model.stream(QUESTION)))
    for message in (streamed, astreamed):
        [block] = message.content_blocks
        assert block["text"] == "A long enough answer."
        assert [note["cited_text"] for note in block["annotations"]] == ["a", "b"]
        assert {note["url"] for note in block["annotations"]} == {"https://docs.python.org/3/"}
        assert block["annotations"][0]["extras"] == {
            "field": "output",
            "confidence": "high",
            "reasoning": "It says so.",
        }
        assert message.response_metadata["interaction_id"] == "trun_1"


@pytest.mark.parametrize(
    ("fault", "repeated"),
    [
        ({"status": 429}, True),
        ({"status": 500}, True),
        ({"status": 503}, True),
        ({"reset": "before"}, True),
        ({"status": 401}, False),
        ({"status": 403}, False),
        ({"status": 422}, False),
    ],
    ids=str,
)
def test_the_retry_middleware_repeats_the_right_ones(
    sandbox: Sandbox, fault: dict[str, Any], repeated: bool
) -> None:
    sandbox.faults.add(times=1, **fault)
    agent = create_agent(
        make(sandbox, max_retries=0),
        middleware=[ModelRetryMiddleware(max_retries=2, initial_delay=0.01, on_failure="error")],
    )
    tool_input = {"messages": [("human", QUESTION)]}
    if repeated:
        assert agent.invoke(tool_input)["messages"][-1].text
    else:
        with pytest.raises(Exception, match=str(fault["status"])):
            agent.invoke(tool_input)
    assert len(sandbox.requests) == (2 if repeated else 1)


async def test_leaving_a_stream_closes_its_connection() -> None:
    with Sandbox() as sandbox:  # its own: nobody else's idle connections are counted
        model = make(sandbox)
        stream = model.stream(QUESTION)
        next(stream)
        stream.close()
        astream = model.astream(QUESTION)
        await anext(astream)
        await astream.aclose()
        for _ in range(2000):
            if sandbox.open_connections == 0:
                break
            await asyncio.sleep(0.01)
        assert sandbox.open_connections == 0

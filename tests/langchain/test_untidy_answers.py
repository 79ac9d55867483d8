"""Answers of servers that are less tidy than the API documents: nothing paid for is lost."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessageChunk, HumanMessage

from parallel_integrations import InvalidArgumentError, ParallelError, UnexpectedAnswerError
from parallel_integrations.langchain import ChatParallel
from parallel_integrations.llama_index import ParallelLLM
from parallel_integrations.sandbox import Sandbox
from tests.support.raw_server import RawServer, Talk

QUESTION = "What is a closure?"
CITED = {"type": "url_citation", "url": "https://example.com/a", "title": "A"}


def responding(body: Any) -> Callable[[Talk, bytes], None]:
    return lambda talk, request: talk.respond(json.dumps(body).encode())


def streaming(events: Sequence[Any]) -> Callable[[Talk, bytes], None]:
    def play(talk: Talk, request: bytes) -> None:
        talk.begin_stream()
        for event in events:
            talk.send_chunk(f"data: {json.dumps(event)}\n\n".encode())
        talk.end_stream()

    return play


def completion(content: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]}


def response(content: Any, status: str = "completed") -> dict[str, Any]:
    item = {"type": "message", "role": "assistant", "content": content}
    return {"object": "response", "id": "resp_1", "status": status, "output": [item]}


def part(text: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": annotations}


def delta(text: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


def text_event(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "delta": text}


def completed(body: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.completed", "response": body}


def model_of(server: RawServer, model: str = "speed", **settings: Any) -> ChatParallel:
    settings = {"max_retries": 0, **settings}
    return ChatParallel(model=model, api_key="some-key", base_url=server.url, **settings)


async def collected(model: ChatParallel, *, awaiting: bool) -> AIMessageChunk:
    if awaiting:
        chunks = [chunk async for chunk in model.astream(QUESTION)]
    else:
        chunks = list(model.stream(QUESTION))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("speed", completion(" \n")),
        ("speed", completion([{"type": "text", "text": "\t"}])),
        ("parallel", response([part("  ")])),
    ],
)
def test_blanks_are_no_answer(model: str, body: dict[str, Any]) -> None:
    other = FakeListChatModel(responses=["from another model"])
    with RawServer(responding(body)) as server:
        cache = InMemoryCache()
        chat = model_of(server, model, cache=cache)
        for _ in range(2):  # nothing was kept
            assert chat.with_fallbacks([other]).invoke(QUESTION).text == "from another model"
        assert len(server.requests) == 2


@pytest.mark.parametrize("awaiting", [False, True])
@pytest.mark.parametrize(
    ("model", "events"),
    [
        ("speed", [delta(" "), delta("\n")]),
        ("parallel", [text_event(" "), completed(response([part(" ")]))]),
    ],
)
async def test_a_fallback_follows_a_stream_of_blanks(
    model: str, events: list[Any], awaiting: bool
) -> None:
    with RawServer(streaming(events)) as server:
        chat = model_of(server, model).with_fallbacks([FakeListChatModel(responses=["other"])])
        if awaiting:
            pieces = [chunk.text async for chunk in chat.astream(QUESTION)]
        else:
            pieces = [chunk.text for chunk in chat.stream(QUESTION)]
    assert "".join(pieces) == "other"


def test_blanks_before_an_answer_are_kept() -> None:
    with RawServer(streaming([delta("\n\n"), delta("  "), delta("So:")])) as server:
        chunks = list(model_of(server).stream(QUESTION))
    assert [chunk.text for chunk in chunks] == ["\n\n  So:", ""]


@pytest.mark.parametrize("awaiting", [False, True])
@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("lite", completion("A function.") | {"basis": [{"field": "output", "reasoning": "so"}]}),
        ("parallel", response([part("A function.", CITED)])),
        ("parallel", response("A function.")),
        ("parallel", response([part("A function.")], status="incomplete")),
    ],
)
async def test_a_whole_answer_in_place_of_a_stream_is_read(
    model: str, body: dict[str, Any], awaiting: bool
) -> None:
    with RawServer(responding(body)) as server:
        message = await collected(model_of(server, model), awaiting=awaiting)
        llm = ParallelLLM(model=model, api_key="some-key", base_url=server.url)
        assert [each.text for each in llm.stream_complete(QUESTION)][-1] == "A function."
    assert message.text == "A function."
    assert bool(message.additional_kwargs) == ("basis" in body or "url" in json.dumps(body))


@pytest.mark.parametrize("model", ["speed", "parallel"])
@pytest.mark.parametrize(
    "body", [{"error": {"message": "no quota"}}, completion(""), {"detail": "no quota"}, None, []]
)
def test_json_in_place_of_a_stream_that_is_no_answer_is_an_error(model: str, body: Any) -> None:
    with RawServer(responding(body)) as server, pytest.raises(UnexpectedAnswerError) as caught:
        list(model_of(server, model).stream(QUESTION))
    assert "an event stream was expected" in str(caught.value)
    assert json.dumps(body)[:50] in caught.value.body


@pytest.mark.parametrize("awaiting", [False, True])
@pytest.mark.parametrize(
    ("odd", "kind"), [(None, "null"), (5, "a number"), ([], "a list"), ("", "a string")]
)
@pytest.mark.parametrize("model", ["speed", "parallel"])
async def test_an_event_that_holds_nothing_costs_itself_alone(
    model: str, odd: Any, kind: str, awaiting: bool
) -> None:
    events: list[Any] = [delta("A "), odd, delta("function.")]
    if model == "parallel":
        whole = completed(response([part("A function.")]))
        events = [text_event("A "), odd, text_event("function."), whole]
    with RawServer(streaming(events)) as server:
        message = await collected(model_of(server, model), awaiting=awaiting)
    assert message.text == "A function."
    [warning] = message.response_metadata["warnings"]
    assert warning.endswith(f"was left out: it is {kind}")


@pytest.mark.parametrize(
    "span", [(-1, 4), (0, 500), (4, 4), (6, 2), (3, None)], ids=lambda span: f"{span}"
)
def test_a_citation_outside_of_the_text_keeps_its_page(span: tuple[int, int | None]) -> None:
    cited = CITED | {"start_index": span[0], "end_index": span[1]}
    body = response([part("A function.", cited)])
    with RawServer(responding(body)) as server:
        [block] = model_of(server, "parallel").invoke(QUESTION).content_blocks
    assert block["type"] == "text"
    [annotation] = block["annotations"]
    assert annotation == {"type": "citation", "url": "https://example.com/a", "title": "A"}


def test_a_refusal_is_reported_in_its_words() -> None:
    body = response([{"type": "refusal", "refusal": "I do not do that."}])
    for play in (responding(body), streaming([completed(body)])):
        with RawServer(play) as server, pytest.raises(Exception, match="I do not do that"):
            model_of(server, "parallel", streaming=True).invoke(QUESTION)


@pytest.mark.parametrize("model", ["speed", "parallel"])
@pytest.mark.parametrize("blank", ["", " \n", [HumanMessage(""), HumanMessage([])]])
def test_a_blank_question_is_refused_unsent(sandbox: Sandbox, model: str, blank: Any) -> None:
    chat = ChatParallel(model=model, api_key=sandbox.api_key, base_url=sandbox.url)
    with pytest.raises(InvalidArgumentError, match="blank"):
        chat.invoke(blank)
    assert not sandbox.requests


def test_what_cannot_be_sent_is_this_packages_error(sandbox: Sandbox) -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    chat = ChatParallel(api_key=sandbox.api_key, base_url=sandbox.url)
    with pytest.raises(InvalidArgumentError, match=r"messages\[0\]"):
        chat.invoke([HumanMessage([image])])
    with pytest.raises(InvalidArgumentError, match="stop="):
        chat.invoke(QUESTION, stop=[""])
    assert not sandbox.requests


def retrying(model: ChatParallel) -> Any:
    """An agent with LangChain's middleware for retries, as it comes."""
    retry = ModelRetryMiddleware(max_retries=1, initial_delay=0, on_failure="error")
    return create_agent(model, middleware=[retry])


@pytest.mark.parametrize(
    ("model", "status", "num_requests"),
    [("speed", 500, 2), ("parallel", 500, 1), ("parallel", 503, 2), ("speed", 401, 1)],
)
def test_langchains_retries_repeat_nothing_that_may_be_paid_twice(
    sandbox: Sandbox, model: str, status: int, num_requests: int
) -> None:
    sandbox.faults.add(status=status, times=5)
    chat = ChatParallel(model=model, api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0)
    with pytest.raises(ParallelError):
        retrying(chat).invoke({"messages": [("human", QUESTION)]})
    assert len(sandbox.requests) == num_requests


def test_an_answer_that_cannot_be_read_is_not_requested_again() -> None:
    with RawServer(responding({"error": "quota"})) as server:
        with pytest.raises(UnexpectedAnswerError):
            retrying(model_of(server)).invoke({"messages": [("human", QUESTION)]})
        assert len(server.requests) == 1

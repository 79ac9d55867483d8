"""Responses: whole and streamed answers, what ends them early, what is refused unsent."""

import json
from typing import Any

import pytest

from parallel_integrations import (
    InvalidArgumentError,
    InvalidRequestError,
    ParallelClient,
    RespondMessage,
    RespondRequest,
    RespondResponse,
    StreamInterruptedError,
    UnexpectedAnswerError,
    models,
)
from parallel_integrations.api import respond, stream_response
from parallel_integrations.sandbox import Sandbox
from tests.support.raw_server import RawServer, Talk
from tests.support.scripted_operation import BOTH

QUESTION = "What does the with statement do?"
REQUEST = RespondRequest(input=QUESTION, reasoning_effort="low")


async def collect(
    client: ParallelClient, request: RespondRequest, *, awaiting: bool
) -> list[models.ResponseEvent]:
    """The events of a streamed response."""
    if awaiting:
        return [each async for each in client.astream(stream_response(request))]
    return list(client.stream(stream_response(request)))


@BOTH
async def test_a_streamed_response_adds_up_to_the_whole_one(
    client: ParallelClient, awaiting: bool
) -> None:
    whole = client.run(respond(REQUEST))
    events = await collect(client, REQUEST, awaiting=awaiting)
    assert "".join(each.delta for each in events) == whole.text
    cited = [each.annotation for each in events if isinstance(each, models.ResponseAnnotationEvent)]
    assert cited == whole.annotations != []
    last = events[-1]
    assert isinstance(last, models.ResponseStateEvent)
    assert last.is_last
    assert (last.response.text, last.response.usage) == (whole.text, whole.usage)
    assert [each.sequence_number for each in events] == list(range(len(events)))


def test_citations_name_the_span_of_the_text_that_they_support(
    client: ParallelClient, sandbox: Sandbox
) -> None:
    response = client.run(respond(REQUEST))
    for citation in response.annotations:
        page = sandbox.corpus.get(citation.url)
        assert page is not None
        assert citation.title == page.title
        assert citation.span(response.text).strip("“”") in " ".join(page.text.split())


@pytest.mark.parametrize(
    ("effort", "usd"), [("low", 0.010), ("medium", 0.050), ("high", 0.250), (None, 0.050)]
)
def test_the_price_is_that_of_the_effort(
    client: ParallelClient, sandbox: Sandbox, effort: Any, usd: float
) -> None:
    client.usage.reset()
    client.run(respond(RespondRequest(input=QUESTION, reasoning_effort=effort)))
    assert client.usage.usd == sandbox.ledger.usd == usd


def test_a_conversation_goes_on_by_id_or_by_its_turns(
    client: ParallelClient, sandbox: Sandbox
) -> None:
    first = client.run(respond(REQUEST))
    by_id = client.run(respond(RespondRequest(input="And why?", previous_response_id=first.id)))
    turns: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": QUESTION}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": first.text}]},
        RespondMessage(role="user", content="And why?"),
    ]
    by_turns = client.run(respond(RespondRequest(input=turns)))
    assert by_id.previous_response_id == first.id
    assert by_id.text == by_turns.text
    assert client.run(respond(RespondRequest(input="And why?"))).text != by_id.text
    assert sandbox.requests[-2].body["input"][1]["content"] == turns[1]["content"]
    with pytest.raises(InvalidRequestError, match="previous_response_id: Unknown response"):
        client.run(respond(RespondRequest(input="And?", previous_response_id="resp_other")))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_failed_response_is_an_error_and_not_billed(
    client: ParallelClient, sandbox: Sandbox, stream: bool
) -> None:
    request = RespondRequest(input=QUESTION, metadata={"sandbox": "fail"})
    kind = StreamInterruptedError if stream else UnexpectedAnswerError
    call = collect(client, request, awaiting=True) if stream else client.arun(respond(request))
    with pytest.raises(kind, match=r"set to fail \(server_error\)"):
        await call
    assert len(sandbox.requests) == 1
    assert sandbox.ledger.usd == 0


def test_an_answer_that_ends_early_says_why(client: ParallelClient) -> None:
    request = RespondRequest(input=QUESTION, metadata={"sandbox": "incomplete"})
    response = client.run(respond(request))
    assert (response.status, response.finish_reason) == ("incomplete", "length")
    *_, last = client.stream(stream_response(request))
    assert isinstance(last, models.ResponseStateEvent)
    assert last.response.text == response.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"error": {"message": "overloaded"}},
        {"status": "completed", "output": []},
        {"status": "completed", "output": [{"content": [{"text": " \n"}]}]},
        {"status": "completed", "output": [{"content": "\t"}]},
        {"status": "in_progress", "output": None},
        {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
    ],
)
def test_a_success_without_an_answer_is_an_error(body: dict[str, Any]) -> None:
    with (
        RawServer(lambda talk, _: talk.respond(json.dumps(body).encode())) as server,
        ParallelClient(api_key="any", base_url=server.url) as client,
        pytest.raises(UnexpectedAnswerError, match=r"nothing|no text|overloaded|content_filter"),
    ):
        client.run(respond(REQUEST))


EVENTS = [
    {"type": "response.created", "response": {"id": "resp_1"}},
    {"type": "response.output_text.delta", "delta": "It wraps"},
    {"type": "response.new_kind", "response": {"later": 1}},
    {"type": "other", "detail": "of a later version"},
    {"type": "response.output_text.delta", "delta": " a block."},
]


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ([], "ended before the answer did"),
        (["[DONE]"], "ended before the answer did"),
        ([{"type": "error", "code": "server_error", "message": "overloaded"}], "overloaded"),
        ([{"error": {"message": "overloaded"}}], "overloaded"),
        ([{"type": "response.failed", "response": {"error": {"message": "no luck"}}}], "no luck"),
        ([{"type": "response.failed"}], "no reason given"),
        (["{broken"], "cannot be read"),
    ],
    ids=["end", "done", "error", "envelope", "failed", "bare", "broken"],
)
async def test_a_stream_that_ends_before_the_answer_keeps_what_came(
    ending: list[Any], message: str
) -> None:
    texts = [each if isinstance(each, str) else json.dumps(each) for each in [*EVENTS, *ending]]
    stream = "".join(f"data: {text}\n\n" for text in texts).encode()

    def play(talk: Talk, request: bytes) -> None:
        talk.respond(stream, content_type="text/event-stream")

    with (
        RawServer(play) as server,
        ParallelClient(api_key="any", base_url=server.url) as client,
        pytest.raises(StreamInterruptedError, match=message) as caught,
    ):
        await collect(client, REQUEST, awaiting=True)
    assert caught.value.partial == "It wraps a block."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input": ""}, "at least 1 character"),
        ({"input": " \n"}, "must not be blank"),
        ({"input": []}, "at least one message of the user"),
        ({"input": [{"role": "system", "content": "x"}]}, "at least one message of the user"),
        ({"input": [{"role": "user", "content": []}]}, "must not be blank"),
        ({"input": [{"role": "tool", "content": "x"}]}, "developer"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "text": "x"}]}]},
            "input_text",
        ),
        ({"input": "x" * 20_001}, "20001 characters, the API takes 20000"),
        ({"input": "x" * 20_000, "instructions": "y"}, "20001 characters"),
        ({"input": "x", "model": "lite"}, "reasoning_effort"),
        ({"input": "x", "background": True}, "run_task"),
        ({"input": "x", "reasoning": {"effort": "max"}}, "'low', 'medium' or 'high'"),
        ({"input": "x", "reasoning": {"summary": "auto"}}, "reasoning"),
        ({"input": "x", "text_format": {"type": "xml"}}, "'json_schema', 'json_object' or 'text'"),
        ({"input": "x", "text_format": {"type": "json_schema", "name": "n"}}, "a 'schema'"),
        ({"input": "x", "metadata": {"k" * 65: "v"}}, "at most 64"),
        ({"input": "x", "metadata": {"k": "v" * 513}}, "at most 512"),
        ({"input": "x", "metadata": {str(n): "v" for n in range(17)}}, "at most 16"),
        ({"input": "x", "temperature": 0.2}, "no argument"),
    ],
)
def test_what_the_api_refuses_is_refused_unsent(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        RespondRequest(**given)


def test_a_documented_body_gives_the_same_request() -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    form = {"type": "json_schema", "name": "titled", "schema": schema}
    body = {
        "model": "parallel",
        "input": "x",
        "reasoning": {"effort": "high"},
        "text": {"format": form},
    }
    read = RespondRequest(**body, background=False)
    assert read == RespondRequest(input="x", reasoning_effort="high", text_format=form)
    assert read.body("v1") == body
    chat = {"type": "json_schema", "json_schema": {"name": "titled", "schema": schema}}
    assert RespondRequest(input="x", text_format=chat).text_format == form
    assert RespondRequest(input="x", reasoning=None, text=None).body("v1") == {
        "model": "parallel",
        "input": "x",
    }


def test_spans_count_from_the_beginning_of_the_whole_text() -> None:
    def part(text: str, start: int, end: int) -> dict[str, Any]:
        annotation = {"url": "https://a.example", "start_index": start, "end_index": end}
        return {"type": "output_text", "text": text, "annotations": [annotation, {"url": "b"}]}

    output = [{"content": [part("One. ", 0, 4), part("Two.", 0, 4)]}]
    response = RespondResponse.model_validate({"output": output})
    spans = [each.span(response.text) for each in response.annotations]
    assert spans == ["One.", "", "Two.", ""]
    outside = models.UrlCitation(url="u", start_index=2, end_index=99)
    assert outside.span(response.text) == ""


def test_the_text_of_a_message_may_stand_for_its_parts() -> None:
    response = RespondResponse.model_validate({"output": [{"content": "It wraps a block."}]})
    assert response.text == "It wraps a block."

"""Decisions as a decision model: alone, and in langchain's middleware."""

import json
import sys
from typing import Any

import pytest

pytest.importorskip("langchain_core.decisions", reason="langchain-core 1.8 has them")

from langchain_core.decisions import Box, Choice, Noul, NoulCriteria, Score
from langchain_core.exceptions import (
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelRefusalError,
)
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from parallel_integrations import ParallelClient, ParallelError, UnexpectedAnswerError
from parallel_integrations.langchain import ParallelDecisions
from parallel_integrations.sandbox import Sandbox
from tests.support.raw_server import RawServer

STATE = "The with statement swallowed my exception."
QUESTIONS: dict[str, Any] = {
    "about": Noul(
        instructions="Is it about exceptions?",
        criteria=NoulCriteria(true="An exception is named.", false="It is about modules."),
    ),
    "topic": Choice(
        instructions="What is it about?",
        criteria={"exceptions": "The with statement and exceptions.", "imports": None},
    ),
    "level": Score(instructions="How bad?", criteria=["Fine.", "An exception.", "A crash."]),
}


@pytest.fixture
def model(client: ParallelClient) -> ParallelDecisions:
    return ParallelDecisions(client=client)


@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
async def test_answers_are_typed_and_have_a_confidence(
    model: ParallelDecisions, awaiting: bool
) -> None:
    request: Any = {"state": STATE, "questions": QUESTIONS}
    response: Any = await model.ainvoke(request) if awaiting else model.invoke(request)
    assert response.nouls["about"].noul > 0.5
    topic = response.choices["topic"]
    assert topic.choice == "exceptions"
    assert topic.confidence == topic.probabilities["exceptions"]  # the API leaves it out
    assert response.scores["level"].legend[2] == "A crash."
    assert response.request_id.startswith("decision_")
    assert response.model == "fast"
    assert response.citations[0].url.startswith("https://")
    assert response.citations[0].excerpts


def test_messages_are_sent_as_roles_and_texts(model: ParallelDecisions, sandbox: Sandbox) -> None:
    call: Any = {"id": "1", "name": "search", "args": {"q": "with"}, "type": "tool_call"}
    state: Any = {
        "messages": [
            SystemMessage("Be brief."),
            HumanMessage([{"type": "text", "text": "with?"}], name="ada"),
            AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "So."}]),
            AIMessage("", tool_calls=[call]),
            ToolMessage("Found.", tool_call_id="1"),
        ],
        "count": 2,
        "none": None,
    }
    model.invoke({"state": state, "questions": {"a": QUESTIONS["about"]}})
    model.invoke({"state": HumanMessage("with"), "questions": {"a": QUESTIONS["about"]}})
    first, second = (each.body["state"] for each in sandbox.requests)
    assert second == {"role": "user", "content": "with"}
    assert (first["count"], first["none"]) == (2, None)
    del call["type"]
    assert first["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "with?", "name": "ada"},
        {"role": "assistant", "content": "So."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "Found.", "tool_call_id": "1"},
    ]


@pytest.mark.parametrize(
    ("state", "questions", "message"),
    [
        (
            HumanMessage([{"type": "image", "url": "https://a.example/x.png"}]),
            QUESTIONS,
            "a block of type 'image'",
        ),
        ({"deep": [{"type": "file", "base64": "AA=="}]}, QUESTIONS, "a block of type 'file'"),
        (STATE, {"where": Box(instructions="the cat")}, "look at no images"),
        (STATE, {}, "at least 1"),
        ("", QUESTIONS, "state must not be empty"),
    ],
)
def test_what_cannot_be_decided_is_refused_unsent(
    model: ParallelDecisions, sandbox: Sandbox, state: Any, questions: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        model.invoke({"state": state, "questions": questions})
    assert isinstance(caught.value, ModelInvalidRequestError)
    assert not sandbox.requests


def test_a_refusal_and_a_wrong_key_are_the_errors_of_langchain(sandbox: Sandbox) -> None:
    model = ParallelDecisions(api_key=sandbox.api_key, base_url=sandbox.url)
    refused = {**QUESTIONS, "no": Noul(instructions="sandbox: refuse")}
    with pytest.raises(ModelRefusalError, match=r"'no' was refused: .*set to be refused") as caught:
        model.invoke({"state": STATE, "questions": refused})
    assert isinstance(caught.value, ParallelError)
    wrong = ParallelDecisions(api_key="another", base_url=sandbox.url)
    with pytest.raises(ModelAuthenticationError):
        wrong.invoke({"state": STATE, "questions": QUESTIONS})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "has no answer"),
        ({"type": "noul", "noul": "very"}, "cannot be read"),
        ({"type": "score", "score": 1}, "its kind is 'score'"),
        ({"type": "noul", "noul": 7}, "from 0 to 1"),
    ],
)
def test_an_answer_that_is_not_the_requested_one_is_an_error(answer: Any, message: str) -> None:
    answers = {"other": {"type": "noul", "noul": 1}} | ({"about": answer} if answer else {})
    body = json.dumps({"answers": answers}).encode()
    with (
        RawServer(lambda talk, _: talk.respond(body)) as server,
        pytest.raises(UnexpectedAnswerError, match=message),
    ):
        ParallelDecisions(api_key="any", base_url=server.url).invoke(
            {"state": STATE, "questions": {"about": QUESTIONS["about"]}}
        )


def test_a_label_that_was_not_offered_is_an_error() -> None:
    body = b'{"answers": {"topic": {"type": "choice", "choice": "weather"}}}'
    with (
        RawServer(lambda talk, _: talk.respond(body)) as server,
        pytest.raises(UnexpectedAnswerError, match="'weather', which is no label"),
    ):
        ParallelDecisions(api_key="any", base_url=server.url).invoke(
            {"state": STATE, "questions": {"topic": QUESTIONS["topic"]}}
        )


def test_an_older_core_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    import parallel_integrations.langchain as subpackage

    monkeypatch.delattr(subpackage, "ParallelDecisions", raising=False)
    monkeypatch.delitem(sys.modules, "parallel_integrations.langchain.decisions", raising=False)
    monkeypatch.setitem(sys.modules, "langchain_core.decisions", None)
    with pytest.raises(ImportError, match=r"langchain-core 1\.8 or newer, and \d.*pip install"):
        _ = subpackage.ParallelDecisions


@tool
def delete_file(name: str) -> str:
    """Delete a file."""
    return f"{name} is gone"


@tool
def read_file(name: str) -> str:
    """Read a file."""
    return f"{name} says hello"


class _ToolCaller(GenericFakeChatModel):
    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
@pytest.mark.parametrize(("name", "status"), [("read_file", "success"), ("delete_file", "error")])
async def test_auto_mode_lets_harmless_calls_through_and_blocks_risky_ones(
    model: ParallelDecisions, name: str, status: str, awaiting: bool
) -> None:
    agents = pytest.importorskip("langchain.agents")
    middleware = pytest.importorskip("langchain.agents.middleware")
    if not hasattr(middleware, "AutoModeMiddleware"):
        pytest.skip("langchain 1.5 has it")
    guard = middleware.AutoModeMiddleware(
        tools=[delete_file, read_file],
        criteria=NoulCriteria(true="Something is deleted.", false="Something is read."),
        classifier=model,
    )
    call: Any = {"id": "1", "name": name, "args": {"name": "x"}, "type": "tool_call"}
    turns = iter([AIMessage("", tool_calls=[call]), AIMessage("Done.")])
    agent = agents.create_agent(
        _ToolCaller(messages=turns), tools=[delete_file, read_file], middleware=[guard]
    )
    request = {"messages": [HumanMessage("Please see to x.")]}
    state = await agent.ainvoke(request) if awaiting else agent.invoke(request)
    [result] = [each for each in state["messages"] if isinstance(each, ToolMessage)]
    assert result.status == status
    assert ("was blocked" in result.text) is (status == "error")


@pytest.mark.parametrize("awaiting", [False, True], ids=["blocking", "awaiting"])
async def test_the_router_picks_the_model_that_fits(
    model: ParallelDecisions, awaiting: bool
) -> None:
    agents = pytest.importorskip("langchain.agents")
    middleware = pytest.importorskip("langchain.agents.middleware")
    if not hasattr(middleware, "ModelRouterMiddleware"):
        pytest.skip("langchain 1.5 has it")
    one, other = (
        GenericFakeChatModel(messages=iter([AIMessage(text)])) for text in ("one", "other")
    )
    router = middleware.ModelRouterMiddleware(
        choices={
            "imports": middleware.ModelChoice(model=one, criteria="Modules and imports."),
            "statements": middleware.ModelChoice(model=other, criteria="The with statement."),
        },
        instructions="Choose the model that knows the topic.",
        classifier=model,
    )
    agent = agents.create_agent(one, middleware=[router])
    request = {"messages": [HumanMessage("What does the with statement do?")]}
    state = await agent.ainvoke(request) if awaiting else agent.invoke(request)
    assert state["messages"][-1].text == "other"
    assert state["model_route"].confidence > 0.5

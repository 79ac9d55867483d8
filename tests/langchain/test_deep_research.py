"""Deep research as a runnable: four code paths, resuming, parsing, errors that carry the run."""

import asyncio
import json
from typing import Any

import pytest
from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from parallel_integrations import (
    ArgumentTypeError,
    AuthenticationError,
    CreateTaskRunRequest,
    InvalidArgumentError,
    NotFoundError,
    ServerError,
    TaskFailedError,
    TaskTimeoutError,
)
from parallel_integrations.langchain import ChatParallel, ParallelDeepResearch
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import AsyncListener, Listener, four_code_paths
from tests.support.connected import connection
from tests.support.requests import QUESTION

FAILING = {"metadata": {"sandbox": "fail"}}


class Purpose(BaseModel):
    """What a statement is for."""

    statement: str
    purpose: str


def make(sandbox: Sandbox, **settings: Any) -> ParallelDeepResearch:
    return ParallelDeepResearch(**connection(sandbox), **{"processor": "lite", **settings})


def stable(report: dict[str, Any]) -> dict[str, Any]:
    return {
        name: report[name]
        for name in ("content", "citations", "basis", "parsed", "validation_error")
    }


async def test_four_code_paths_to_one_report(sandbox: Sandbox) -> None:
    research = make(sandbox)
    report, steps, awaited, asteps = await four_code_paths(research, QUESTION)
    for other in (steps[-1], awaited, asteps[-1]):
        assert stable(other) == stable(report)
    assert report["type"] == "report"
    assert report["content"]
    assert report["run_id"].startswith("trun_")
    assert report["interaction_id"]
    citation = report["citations"][0]
    assert citation["url"] == report["basis"][0]["citations"][0]["url"]
    assert citation["title"]
    assert citation["excerpts"]
    assert json.loads(json.dumps(report)) == report
    for reported in (steps, asteps):
        assert reported[0]["type"] == "task_run.state"
        assert reported[0]["run"]["run_id"] == reported[-1]["run_id"]
        assert len(reported) > 3
        assert [step["type"] for step in reported].count("report") == 1


def test_the_default_processor_does_deep_research(sandbox: Sandbox) -> None:
    ParallelDeepResearch(**connection(sandbox)).invoke(QUESTION)
    assert sandbox.requests[0].body["processor"] == "pro"


def test_a_report_is_a_text_unless_a_schema_is_given(sandbox: Sandbox) -> None:
    research = ParallelDeepResearch(**connection(sandbox))
    assert isinstance(research.invoke(QUESTION)["content"], str)
    assert isinstance(research.invoke({"statement": "with"})["content"], str)
    auto = {"type": "auto"}
    chosen = research.invoke(QUESTION, output_schema=auto)
    assert isinstance(chosen["content"], dict)
    fixed = ParallelDeepResearch(output_schema=auto, **connection(sandbox)).invoke(QUESTION)
    assert isinstance(fixed["content"], dict)
    sent = [each.body["task_spec"] for each in sandbox.requests if each.method == "POST"]
    assert [each["output_schema"] for each in sent] == [{"type": "text"}] * 2 + [auto] * 2


BODY: Any = {
    "input": QUESTION,
    "processor": "base",
    "task_spec": {"output_schema": {"type": "text", "description": "One sentence."}},
    "metadata": {"row": "7"},
    "advanced_settings": {"location": "us"},
}


@pytest.mark.parametrize(
    "given",
    [BODY, CreateTaskRunRequest(**BODY), {**BODY, "task_spec": None}],
    ids=["dict", "request", "without a schema"],
)
async def test_a_documented_body_is_taken_for_what_it_is(sandbox: Sandbox, given: Any) -> None:
    research = ParallelDeepResearch(**connection(sandbox))
    research.invoke(given)
    await research.ainvoke(given)
    list(research.stream(given))
    body = given.body("v1") if isinstance(given, CreateTaskRunRequest) else given
    body = {name: value for name, value in body.items() if value is not None}
    sent = [each.body for each in sandbox.requests if each.method == "POST"]
    assert sent == [{**body, "enable_events": True}] * 3


def test_a_body_without_a_processor_is_done_by_the_adapter_s(sandbox: Sandbox) -> None:
    body = {"input": QUESTION, "task_spec": {"output_schema": "One sentence."}}
    make(sandbox).invoke(body)
    assert sandbox.requests[0].body == {**body, "processor": "lite", "enable_events": True}


@pytest.mark.parametrize(
    "fields",
    [{"input": "USB-C"}, {"input": "USB-C", "processor": "Intel i7"}, {"processor": "pro"}],
)
def test_fields_that_are_no_body_are_researched(sandbox: Sandbox, fields: Any) -> None:
    make(sandbox).invoke(fields)
    sent = sandbox.requests[0].body
    assert (sent["input"], sent["processor"]) == (fields, "lite")


def test_a_body_that_is_not_plain_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentError, match="'metdata'; did you mean 'metadata'"):
        make(sandbox).invoke({"input": "x", "processor": "pro", "metdata": {}})
    body = {"input": "x", "processor": "ultra8x"}
    for tasks in (make(sandbox).task_request, CreateTaskRunRequest.model_validate):
        with pytest.raises(InvalidArgumentError, match="body of a whole task"):
            tasks({"input": body})
    assert not sandbox.requests


def test_a_batch_keeps_its_order(sandbox: Sandbox) -> None:
    questions = [QUESTION, "What is a decorator?", {"statement": "del"}]
    research = make(sandbox)
    reports = research.batch(questions, {"max_concurrency": 2})
    assert [stable(report) for report in reports] == [
        stable(research.invoke(question)) for question in questions
    ]
    broken = research.batch([QUESTION], return_exceptions=True, **FAILING)
    assert isinstance(broken[0], TaskFailedError)


async def test_a_run_is_resumed_by_its_id(sandbox: Sandbox) -> None:
    research = make(sandbox)
    report = research.invoke(QUESTION)
    billed = sandbox.ledger.usd
    again = {"run_id": report["run_id"]}
    assert research.invoke(again) == report
    assert await research.ainvoke(again) == report
    assert list(research.stream(again))[-1] == report
    assert sandbox.ledger.usd == billed
    with pytest.raises(NotFoundError):
        research.invoke({"run_id": "trun_unknown"})


def test_a_passed_deadline_is_resumed() -> None:
    with Sandbox(task_seconds=2.5) as sandbox:
        with pytest.raises(TaskTimeoutError) as caught:
            make(sandbox, deadline_seconds=0.2).invoke(QUESTION)
        assert caught.value.run_id
        assert caught.value.run_id in str(caught.value)
        report = make(sandbox).invoke({"run_id": caught.value.run_id})
        assert report["run_id"] == caught.value.run_id
        assert report["content"]
        assert sandbox.ledger.count("task_run") == 1


def test_a_report_fills_a_pydantic_class(sandbox: Sandbox) -> None:
    report = make(sandbox, output_schema=Purpose).invoke(QUESTION)
    assert isinstance(report["parsed"], Purpose)
    assert report["parsed"].model_dump() == report["content"]
    assert report["validation_error"] is None
    per_call = make(sandbox).invoke(QUESTION, output_schema=Purpose)
    assert isinstance(per_call["parsed"], Purpose)
    resumed = make(sandbox).invoke({"run_id": report["run_id"]}, output_schema=Purpose)
    assert resumed["parsed"] == report["parsed"]


def test_a_validation_error_keeps_the_report(sandbox: Sandbox) -> None:
    class Other(BaseModel):
        purpose: int
        missing: str

    report = make(sandbox, output_schema=Purpose).invoke(QUESTION)
    other = make(sandbox, output_schema=Other).invoke({"run_id": report["run_id"]})
    assert other["parsed"] is None
    assert "missing" in other["validation_error"]
    assert other["content"] == report["content"]


def test_settings_fixed_and_per_call(sandbox: Sandbox) -> None:
    research = make(sandbox, location="us", output_schema="One sentence.")
    first = research.invoke(QUESTION)
    research.invoke(
        "And in async code?", processor="base", previous_interaction_id=first["interaction_id"]
    )
    first_body, second_body = (e.body for e in sandbox.requests if e.method == "POST")
    assert first_body["task_spec"]["output_schema"] == "One sentence."
    assert first_body["advanced_settings"] == {"location": "us"}
    assert second_body["processor"] == "base"
    assert second_body["previous_interaction_id"] == first["interaction_id"]


async def test_a_failed_run_says_why(sandbox: Sandbox) -> None:
    research = make(sandbox)
    with pytest.raises(TaskFailedError) as caught:
        research.invoke(QUESTION, **FAILING)
    assert caught.value.run_id
    with pytest.raises(TaskFailedError):
        await research.ainvoke(QUESTION, **FAILING)
    with pytest.raises(TaskFailedError):
        list(research.stream(QUESTION, **FAILING))


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (500, ServerError)])
async def test_errors_after_the_creation_carry_the_run(
    sandbox: Sandbox, status: int, error: type[Exception]
) -> None:
    sandbox.faults.add(method="GET", times=None, status=status)
    research = make(sandbox, max_retries=0)
    for code_path in (
        lambda: asyncio.to_thread(research.invoke, QUESTION),
        lambda: research.ainvoke(QUESTION),
    ):
        with pytest.raises(error) as caught:
            await code_path()
        assert str(getattr(caught.value, "run_id", "")).startswith("trun_")


async def test_progress_of_invoke_is_reported_as_custom_events(sandbox: Sandbox) -> None:
    listener, alistener = Listener(), AsyncListener()
    research = make(sandbox)
    research.invoke(QUESTION, {"callbacks": [listener]})
    await research.ainvoke(QUESTION, {"callbacks": [alistener]})
    for events in (listener.events, alistener.events):
        assert {name for name, _ in events} == {"parallel_progress"}
        assert events[0][1]["type"] == "task_run.state"
        assert any("progress" in data["type"] for _, data in events)


async def test_deep_research_events_of_a_chain(sandbox: Sandbox) -> None:
    chain = make(sandbox) | RunnableLambda(lambda report: report["content"])
    events = [event async for event in chain.astream_events(QUESTION, version="v2")]
    streamed = [
        event["data"]["chunk"]
        for event in events
        if event["event"] == "on_chain_stream" and event["name"] == "ParallelDeepResearch"
    ]
    assert streamed[0]["type"] == "task_run.state"
    assert streamed[-1]["type"] == "report"
    assert events[-1]["data"]["output"] == streamed[-1]["content"]


def test_deep_research_in_a_chain_with_a_chat_model(sandbox: Sandbox) -> None:
    chain = (
        make(sandbox)
        | RunnableLambda(lambda report: {"report": str(report["content"])})
        | ChatPromptTemplate.from_template("Shorten this.\n{report}\nQuestion: " + QUESTION)
        | ChatParallel(**connection(sandbox))
        | StrOutputParser()
    )
    assert chain.invoke(QUESTION)
    assert make(sandbox).get_input_jsonschema()


def test_repr_holds_no_key(sandbox: Sandbox) -> None:
    assert sandbox.api_key not in repr(make(sandbox))


class State(BaseModel):
    """A graph's state."""

    messages: list[AnyMessage]
    steps: int = 3


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (StringPromptValue(text=QUESTION), QUESTION),
        (ChatPromptValue(messages=[HumanMessage(QUESTION)]), QUESTION),
        (
            ChatPromptValue(messages=[SystemMessage("Be short."), HumanMessage(QUESTION)]),
            f"System: Be short.\nHuman: {QUESTION}",
        ),
        (HumanMessage([{"type": "text", "text": QUESTION}], id="m_1"), QUESTION),
        ([HumanMessage(QUESTION)], QUESTION),
        ({"messages": [("human", QUESTION)]}, QUESTION),
        ({"messages": [HumanMessage(QUESTION)]}, QUESTION),
        ([("human", QUESTION)], QUESTION),
        (
            [{"role": "system", "content": "Be short."}, {"role": "user", "content": QUESTION}],
            f"System: Be short.\nHuman: {QUESTION}",
        ),
        (
            {"messages": [HumanMessage(QUESTION, id="m_1")], "remaining_steps": 3},
            {"messages": QUESTION, "remaining_steps": 3},
        ),
        (State(messages=[HumanMessage(QUESTION, id="m_1")]), {"messages": QUESTION, "steps": 3}),
        (
            {"question": StringPromptValue(text=QUESTION), "asker": HumanMessage("Ada")},
            {"question": QUESTION, "asker": "Ada"},
        ),
    ],
)
def test_prompts_and_messages_are_researched_as_their_text(
    sandbox: Sandbox, given: Any, text: Any
) -> None:
    """Their other fields would be paid for as fields to research."""
    make(sandbox).invoke(given)
    assert sandbox.requests[0].body["input"] == text


@pytest.mark.parametrize("given", [None, 5, ["One question?", "Another?"], [], {"messages": []}])
async def test_what_is_no_question_is_refused(sandbox: Sandbox, given: Any) -> None:
    research = make(sandbox)
    with pytest.raises(InvalidArgumentError, match="must be a text or an object"):
        research.invoke(given)
    with pytest.raises(InvalidArgumentError, match="must be a text or an object"):
        await research.ainvoke(given)
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("given", "settings", "message"),
    [
        (QUESTION, {"procesor": "lite"}, r"Research has no argument 'procesor'; .*'processor'"),
        ({"run_id": "trun_1"}, {"processor": "lite"}, r"exists already .*, not processor="),
        ({"run_id": "trun_1"}, {"nonsense": 1}, r"exists already .*, not nonsense="),
    ],
)
async def test_a_setting_that_a_call_does_not_take_is_refused(
    sandbox: Sandbox, given: Any, settings: dict[str, Any], message: str
) -> None:
    research = make(sandbox)
    with pytest.raises(ArgumentTypeError, match=message):
        list(research.stream(given, **settings))
    with pytest.raises(ArgumentTypeError, match=message):
        await research.ainvoke(given, **settings)
    assert not sandbox.requests


def test_fields_that_only_look_like_messages_stay_fields(sandbox: Sandbox) -> None:
    fields = {"messages": "How many were sent in 2024?", "country": "France"}
    make(sandbox).invoke(fields)
    assert sandbox.requests[0].body["input"] == fields

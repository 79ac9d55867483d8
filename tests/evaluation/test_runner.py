"""Runs: what is asked, paid, kept and reported."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import get_response_synthesizer

from parallel_integrations import JournalError, ParallelClient, errors
from parallel_integrations.evaluation import (
    EvaluationProgress,
    Question,
    SearchSystem,
    aevaluate,
    built_in_pages,
    built_in_questions,
    evaluate,
    runner,
    tune_search,
)
from parallel_integrations.evaluation.runner import search_systems
from parallel_integrations.langchain import (
    ChatParallel,
    ParallelSearchTool,
    ParallelTaskRunTool,
)
from parallel_integrations.llama_index import ParallelLLM, ParallelQueryEngine, ParallelRetriever
from tests.support.connected import Connected, connected

ROWS = [{"question": f"Question {n}?", "answer": f"answer{n}"} for n in range(6)]
BUILT_IN = built_in_questions()


@pytest.fixture(scope="module")
def running() -> Iterator[Connected]:
    """A sandbox with the pages of the built-in set."""
    with connected(pages=built_in_pages()) as both:
        yield both


@pytest.fixture
def town(running: Connected) -> Connected:
    running[0].reset()
    return running


def test_a_search_alone_is_judged_by_its_excerpts(town: Connected) -> None:
    sandbox, client = town
    system = SearchSystem(client, max_results=3, mode="fast")
    report = evaluate(system, BUILT_IN)
    figures = report.figures
    assert len(sandbox.requests) == 30
    assert (figures.questions, figures.failed, figures.fact_recall) == (30, 0, None)
    assert figures.evidence_recall is not None
    assert figures.evidence_recall >= 0.8
    assert report.usd == pytest.approx(0.030)
    assert sandbox.ledger.usd == pytest.approx(0.030)
    assert [each.id for each in report.results] == [each.id for each in BUILT_IN]
    assert "evidence recall" in str(report)


def test_an_own_objective_and_queries_are_what_is_searched(town: Connected) -> None:
    sandbox, client = town
    question = BUILT_IN[0].model_copy(
        update={"objective": "The length of a bridge", "search_queries": ["bridge length"]}
    )
    evaluate(SearchSystem(client), [question])
    (request,) = sandbox.requests
    assert request.body["objective"] == "The length of a bridge"
    assert request.body["search_queries"] == ["bridge length"]


def test_each_kind_of_system(town: Connected) -> None:
    _, client = town
    questions = BUILT_IN[:2]

    async def coroutine(question: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"answer": question}

    agent = create_agent(
        _calling(questions[0].question), [ParallelSearchTool(client=client, max_results=3)]
    )
    engine = RetrieverQueryEngine(
        ParallelRetriever(client=client), get_response_synthesizer(llm=MockLLM())
    )
    found = {
        "function": evaluate(lambda question: question, questions),
        "coroutine": evaluate(coroutine, questions),
        "model": evaluate(ChatParallel(client=client, model="base"), questions),
        "llm": evaluate(ParallelLLM(client=client, model="base"), questions),
        "agent": evaluate(agent, questions[:1]),
        "engine": evaluate(engine, questions),
    }
    for name, report in found.items():
        assert [each.error for each in report.results] == [None] * len(report.results), name
    assert found["agent"].results[0].facts[0].state == "supported"
    assert found["engine"].figures.evidence_recall == 1.0
    with pytest.raises(TypeError, match="cannot be asked"):
        evaluate(3, questions)


class _Calling(GenericFakeChatModel):
    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


def _calling(question: str) -> _Calling:
    """A model that calls the search tool, then answers."""
    args = {"objective": question, "search_queries": ["marlow bridge length"]}
    call = {"name": "parallel_search", "args": args, "id": "1", "type": "tool_call"}
    return _Calling(
        messages=iter(
            [
                AIMessage("", tool_calls=[call]),
                AIMessage("The Marlow Bridge is 412 metres long [1]."),
            ]
        )
    )


async def test_streamed_answers_are_judged_whole(town: Connected) -> None:
    _, client = town
    engine = ParallelQueryEngine(client=client, streaming=True)

    async def awaited(question: str) -> Any:
        return await engine.aquery(question)

    for system in (engine, awaited):
        for report in (
            await aevaluate(system, BUILT_IN[:1]),
            await asyncio.to_thread(evaluate, system, BUILT_IN[:1]),
        ):
            [result] = report.results
            assert result.error is None
            assert result.answer
            assert result.answer.text
            assert result.answer.citations


async def test_awaiting_systems_share_the_running_loop(town: Connected) -> None:
    loops = set()

    async def system(question: str) -> str:
        loops.add(asyncio.get_running_loop())
        return question

    report = await aevaluate(system, ROWS, name="echo")
    assert report.figures.questions == 6
    assert loops == {asyncio.get_running_loop()}
    with pytest.raises(TypeError, match="journals"):
        await aevaluate(system, ROWS, journals="x")


def test_one_failed_question_costs_the_others_nothing(tmp_path: Path) -> None:
    calls: list[str] = []

    def system(question: str) -> str:
        calls.append(question)
        if "3" in question and len(calls) < 7:
            raise RuntimeError("no connection")
        return question

    report = evaluate(system, ROWS, journal=tmp_path / "e.db")
    assert [each.error for each in report.results if each.error] == ["RuntimeError: no connection"]
    assert (report.figures.questions, report.figures.failed) == (5, 1)
    calls += ["-"]
    again = evaluate(system, ROWS, journal=tmp_path / "e.db")
    assert calls[7:] == ["Question 3?"], "only what failed is asked again"
    assert again.figures.failed == 0


def test_a_journal_holds_what_was_asked_of_whom_and_judged_by_whom(tmp_path: Path) -> None:
    path, calls = tmp_path / "e.db", []

    def system(question: str) -> str:
        calls.append(question)
        return question

    evaluate(system, ROWS[:2], journal=path)
    evaluate(system, ROWS, journal=path)
    assert len(calls) == 6
    evaluate(system, ROWS[:1], journal=path, name="another")
    evaluate(system, ROWS[:1], journal=path, judge=lambda prompt: '{"verdict": "none"}')
    assert len(calls) == 8
    (tmp_path / "text").write_text("no database, but long enough to be taken for one" * 40)
    with pytest.raises(JournalError, match="no journal of an evaluation"):
        evaluate(system, ROWS, journal=tmp_path / "text")


def test_a_limit_of_cost_is_never_passed(town: Connected, tmp_path: Path) -> None:
    sandbox, client = town
    system = SearchSystem(client, mode="advanced")
    report = evaluate(system, BUILT_IN, max_cost_usd=0.05, journal=tmp_path / "e.db")
    assert sandbox.ledger.usd == pytest.approx(0.05)
    assert (report.figures.questions, report.figures.not_submitted) == (10, 20)
    report = evaluate(system, BUILT_IN, max_cost_usd=0.06, journal=tmp_path / "e.db")
    assert sandbox.ledger.usd == pytest.approx(0.06)
    assert report.usd == pytest.approx(0.06)
    with pytest.raises(ValueError, match="max_cost_usd=1 needs to know what a question costs"):
        evaluate(lambda question: question, ROWS, max_cost_usd=1)
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(errors.InvalidArgumentError, match=r"max_cost_usd=.* must be an amount"):
            evaluate(system, ROWS, max_cost_usd=wrong)
        with pytest.raises(errors.InvalidArgumentError, match=r"max_cost_usd=.* must be an amount"):
            tune_search(client, ROWS, max_cost_usd=wrong)
    with pytest.raises(ValueError, match="concurrency=0 must be"):
        evaluate(system, ROWS, concurrency=0)


def test_a_client_s_usage_is_the_cost_of_a_system(town: Connected) -> None:
    sandbox, _ = town
    with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as own:
        model = ChatParallel(client=own, model="base")
        report = evaluate(model, BUILT_IN, client=own, max_cost_usd=0.055)
    assert sandbox.ledger.usd <= 0.055
    assert report.usd == pytest.approx(sandbox.ledger.usd)
    assert report.figures.not_submitted == 25


def test_a_refused_key_ends_the_run(town: Connected, tmp_path: Path) -> None:
    sandbox, _ = town
    with (
        ParallelClient(api_key="wrong", base_url=sandbox.url) as client,
        pytest.raises(errors.AuthenticationError),
    ):
        evaluate(SearchSystem(client), BUILT_IN)
    assert len(sandbox.requests) <= 4
    with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        evaluate(SearchSystem(client), BUILT_IN[:2], journal=tmp_path / "e.db")
        sandbox.faults.add(status=402, times=None)
        report = evaluate(SearchSystem(client), BUILT_IN, journal=tmp_path / "e.db", concurrency=1)
    assert (report.figures.questions, report.figures.failed) == (2, 1)
    assert report.figures.not_submitted == 27


def test_progress_counts_up(town: Connected) -> None:
    seen: list[EvaluationProgress] = []
    evaluate(SearchSystem(town[1], mode="fast"), BUILT_IN[:5], on_progress=seen.append)
    assert [each.finished for each in seen] == [0, 1, 2, 3, 4, 5]
    assert {each.total for each in seen} == {5}
    assert seen[-1].usd == pytest.approx(0.005)


def test_settings_are_compared_by_recall_and_cost(town: Connected, tmp_path: Path) -> None:
    sandbox, client = town
    settings: dict[str, Any] = {
        "max_results": [1, 10], "max_chars_per_result": [1000], "mode": ["fast", "advanced"],
    }  # fmt: skip
    price = 30 * sum(each.price_usd for each in search_systems(client, *settings.values()))
    assert price == pytest.approx(30 * (0.001 + 0.005) * 2)
    seen: list[EvaluationProgress] = []
    tuning = tune_search(
        client, BUILT_IN, **settings, journal=tmp_path / "e.db", on_progress=seen.append
    )
    assert sandbox.ledger.usd == pytest.approx(price)
    assert (seen[-1].finished, seen[-1].total) == (120, 120)
    rows = tuning.rows()
    assert [(row["max_results"], row["mode"]) for row in rows] == [
        (1, "fast"), (1, "advanced"), (10, "fast"), (10, "advanced"),
    ]  # fmt: skip
    assert rows[2]["evidence_recall"] > rows[0]["evidence_recall"]
    assert tuning.best.settings == {"max_results": 10, "max_chars_per_result": 1000, "mode": "fast"}
    assert tuning.recommended.settings["mode"] == "fast"
    assert [row["recommended"] for row in rows].count(True) == 1
    requests = len(sandbox.requests)
    again = tune_search(client, BUILT_IN, **settings, journal=tmp_path / "e.db")
    assert len(sandbox.requests) == requests
    assert again.rows() == rows
    limited = tune_search(client, BUILT_IN, **settings, max_cost_usd=0.04)
    assert sum(report.usd or 0 for report in limited.reports) <= 0.04 + 1e-9
    for wrong in ([], "fast", 5, {"fast"}, [["fast"]]):
        with pytest.raises(errors.InvalidArgumentError, match=r"^mode=.* must be a list of at le"):
            tune_search(client, BUILT_IN, mode=wrong)
    with pytest.raises(errors.ArgumentTypeError, match="client='key' must be a ParallelClient"):
        tune_search("key", BUILT_IN)


def test_reports_are_json_and_a_page_of_their_own(town: Connected, tmp_path: Path) -> None:
    report = evaluate(SearchSystem(town[1], max_results=3), BUILT_IN)
    report.write_json(tmp_path / "r.json")
    read = json.loads((tmp_path / "r.json").read_text())
    assert read["figures"]["evidence_recall"] == report.figures.evidence_recall
    assert len(read["results"]) == 30
    report.write_html(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "<mark>412 metres</mark>" in page
    assert 'href="https://marlow-sound.example/marlow-bridge"' in page
    assert "<script" not in page
    assert "src=" not in page


def test_a_page_cannot_leave_its_place_in_the_report(tmp_path: Path) -> None:
    question = Question.model_validate(
        {
            "id": "1",
            "question": "What <b>is</b> it?",
            "facts": [{"id": "1", "fact": "It is <i>x</i>.", "answers": ["412"]}],
        }
    )
    document = {
        "url": 'javascript:alert("1")',
        "text": "It is <script>x</script> 412.",
        "title": "",
    }
    report = evaluate(lambda _: {"answer": "<u>412</u>", "documents": [document]}, [question])
    report.write_html(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    for raw in ("<script", "<i>x", "<u>", "<b>is", "href="):
        assert raw not in page


KILLED = """
import os, sys
from parallel_integrations.evaluation import evaluate
count = 0
def system(question):
    global count
    count += 1
    if count == 4:
        os._exit(9)
    return question
rows = [{"question": f"Question {n}?", "answer": f"answer{n}"} for n in range(6)]
evaluate(system, rows, journal=sys.argv[1], concurrency=1)
"""


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "e.db"
    done = subprocess.run([sys.executable, "-c", KILLED, path], check=False, timeout=170)
    assert done.returncode == 9
    lock, calls = threading.Lock(), []

    def system(question: str) -> str:
        with lock:
            calls.append(question)
        return question

    report = evaluate(system, ROWS, journal=path)
    assert report.figures.questions == 6
    assert sorted(calls) == ["Question 3?", "Question 4?", "Question 5?"]


def test_a_tool_is_judged_by_what_it_found(town: Connected) -> None:
    """Its text for a model holds the passages, too, but no retrieval."""
    _, client = town
    report = evaluate(ParallelSearchTool(client=client), BUILT_IN[:3])
    assert report.figures.evidence_recall
    assert report.figures.fact_recall is None
    report = evaluate(ParallelTaskRunTool(client=client, processor="lite"), BUILT_IN[:1])
    assert report.figures.fact_recall is not None
    assert report.results[0].answer is not None
    assert report.results[0].answer.citations


@pytest.mark.parametrize("async_only", [RunnableLambda, lambda function: function])
async def test_what_can_only_be_awaited_is_awaited(async_only: Any) -> None:
    async def reply(question: str) -> str:
        return f"answer{question.split()[1][:-1]}"

    report = await aevaluate(async_only(reply), ROWS)
    assert report.figures.fact_recall == 1


def test_a_judge_that_fails_costs_its_question_alone() -> None:
    def judge(prompt: str) -> str:
        if "Question 2" in prompt:
            raise RuntimeError("no quota")
        return json.dumps({"verdict": "none"})

    report = evaluate(
        lambda question: {"answer": question, "context": [question]}, ROWS, judge=judge
    )
    failed = [result.error for result in report.results]
    assert [bool(error) for error in failed] == [False, False, True, False, False, False]
    assert "The judge model:function:judge failed: RuntimeError: no quota" in str(failed[2])


def test_half_a_character_costs_neither_journal_nor_report(tmp_path: Path) -> None:
    def broken(question: str) -> Any:
        if question == ROWS[1]["question"]:
            raise RuntimeError("half \ud800")
        return {"answer": "answer0 \ud83d [1]", "documents": [{"url": "u", "content": "x\udc00"}]}

    report = evaluate(broken, ROWS[:2], journal=tmp_path / "e.db")
    assert [result.answer and result.answer.text for result in report.results] == [
        "answer0 \ufffd [1]",
        None,
    ]
    report.write_json(tmp_path / "r.json")
    report.write_html(tmp_path / "r.html")
    assert "half \ufffd" in (tmp_path / "r.json").read_text("utf-8")


def test_what_is_in_flight_at_an_interruption_is_kept(tmp_path: Path) -> None:
    together, others_may_end = threading.Barrier(3), threading.Event()
    asked: list[str] = []

    def system(question: str) -> str:
        asked.append(question)
        together.wait(10)
        if question != ROWS[0]["question"]:
            assert others_may_end.wait(10)
        return "answer"

    def interrupt(progress: EvaluationProgress) -> None:
        if progress.finished:
            others_may_end.set()
            raise KeyboardInterrupt

    kept: dict[str, Any] = {"journal": tmp_path / "e.db", "concurrency": 3}
    with pytest.raises(KeyboardInterrupt):
        evaluate(system, ROWS, on_progress=interrupt, **kept)
    assert sorted(asked) == [row["question"] for row in ROWS[:3]]
    evaluate(system, ROWS, **kept)
    assert sorted(asked) == [row["question"] for row in ROWS]


def test_a_journal_that_holds_something_else_is_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "e.db"
    evaluate(str, ROWS[:1], journal=path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE evaluated SET result = '{}'")
    with pytest.raises(JournalError, match="a result in it cannot be read"):
        evaluate(str, ROWS[:1], journal=path)


def test_a_figure_that_there_is_not_is_refused_by_name() -> None:
    report = evaluate(str, ROWS[:1])
    with pytest.raises(errors.InvalidArgumentError, match="'recall' is none of fact_accuracy, "):
        report.compare(report, "recall")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"questions": None}, "neither a file nor rows"),
        ({"questions": []}, "there is no question"),
        ({"questions": "\0.csv"}, "is no path"),
        ({"questions": "\ud800.csv"}, "is no path"),
        ({"system": None}, "cannot be asked"),
        ({"judge": 5}, "neither a judge"),
        ({"max_cost_usd": "1"}, "must be an amount of US dollars"),
        ({"max_cost_usd": -1}, "must be an amount of US dollars"),
        ({"max_cost_usd": True}, "must be an amount of US dollars"),
        ({"concurrency": 0}, "must be a whole number"),
        ({"concurrency": True}, "must be a whole number"),
        ({"client": 5}, "client=5 must be a ParallelClient"),
        ({"name": 5}, "name=5 must be a text"),
        ({"on_progress": 5}, "on_progress=5 must be callable"),
    ],
)
def test_what_cannot_be_right_is_refused_in_this_packages_words(
    given: dict[str, Any], words: str
) -> None:
    arguments: dict[str, Any] = {"system": str, "questions": ROWS, **given}
    with pytest.raises(errors.InvalidArgumentError, match=words):
        evaluate(arguments.pop("system"), arguments.pop("questions"), **arguments)


def test_a_journal_takes_no_system_for_another_without_a_name(tmp_path: Path) -> None:
    for system in (lambda question: question, partial(str.format, x=1)):
        with pytest.raises(errors.InvalidArgumentError, match="name= is missing"):
            evaluate(system, ROWS, journal=tmp_path / "journal")
    assert not any(tmp_path.iterdir())
    report = evaluate(lambda question: question, ROWS, journal=tmp_path / "journal", name="echo")
    assert report.name == "echo"


def test_an_evaluation_takes_time_in_proportion_to_its_questions() -> None:
    def calls(count: int) -> int:
        """Calls within the runner, whose number depends on no clock."""
        found = 0

        def profile(frame: FrameType, event: str, _: object) -> None:
            nonlocal found
            found += event == "call" and frame.f_code.co_filename == runner.__file__

        rows = [{"question": f"Question {n}?", "answer": f"answer{n}"} for n in range(count)]
        shown: list[EvaluationProgress] = []
        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            evaluate(
                str,
                rows,
                max_cost_usd=1,
                price_per_question_usd=0.001,
                concurrency=1,
                on_progress=shown.append,
            )
        finally:
            sys.setprofile(before)
        assert (shown[-1].finished, shown[-1].usd) == (count, pytest.approx(count / 1000))
        return found

    assert calls(80) < 5 * calls(20)

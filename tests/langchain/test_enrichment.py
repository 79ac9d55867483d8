"""Enrichment as a runnable: code paths, chains, progress, the journal, pickles."""

import asyncio
import json
import pickle
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompt_values import StringPromptValue
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from pydantic import BaseModel

from parallel_integrations import AuthenticationError, JournalError
from parallel_integrations._protocol import polling
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.langchain import ParallelEnrichment
from parallel_integrations.sandbox import Sandbox
from tests.langchain.support import AsyncListener, Listener, four_code_paths
from tests.support.connected import connection


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's work is done long before the client's first look of one second."""
    monkeypatch.setattr(polling, "FIRST_POLL_SECONDS", 0.02)


class Purpose(BaseModel):
    """What a statement is for."""

    purpose: str


ROWS: list[dict[str, Any]] = [{"statement": name} for name in ("with", "nonlocal", "assert")]
FAILING = {"statement": "with", "sandbox": "fail"}


def make(sandbox: Sandbox, **settings: Any) -> ParallelEnrichment:
    return ParallelEnrichment(
        **{**connection(sandbox), "output_schema": "What it does.", **settings}
    )


def stable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "run_id"} for row in rows]


async def test_four_code_paths_to_the_same_rows(sandbox: Sandbox) -> None:
    rows, *others = await four_code_paths(make(sandbox), ROWS)
    for other in others:
        assert stable(other) == stable(rows)
    assert [row["number"] for row in rows] == [0, 1, 2]
    assert [row["input"] for row in rows] == ROWS
    assert rows[0]["citations"][0]["url"] == rows[0]["basis"][0]["citations"][0]["url"]
    assert json.loads(json.dumps(rows)) == rows


def test_a_row_fills_a_pydantic_class(sandbox: Sandbox) -> None:
    (row,) = make(sandbox, output_schema=Purpose).invoke(ROWS[:1])
    assert isinstance(row["parsed"], Purpose)
    assert row["validation_error"] is None
    assert row["content"]["purpose"] == row["parsed"].purpose


@pytest.mark.parametrize(
    "rows",
    [
        [HumanMessage("with", id="m_1"), {"statement": HumanMessage("with")}],
        iter([StringPromptValue(text="with"), {"statement": StringPromptValue(text="with")}]),
        ([HumanMessage("with")], {"statement": [AIMessage("with")]}),
    ],
)
def test_messages_and_prompts_are_rows_by_their_text(sandbox: Sandbox, rows: Any) -> None:
    """Their other fields would be paid for as fields to research."""
    found = make(sandbox).invoke(rows)
    assert [row["input"] for row in found] == ["with", {"statement": "with"}]
    sent = next(each.body["inputs"] for each in sandbox.requests if "inputs" in (each.body or {}))
    assert [each["input"] for each in sent] == ["with", {"statement": "with"}]


def test_the_fields_of_a_document_are_its_metadata_and_text(sandbox: Sandbox) -> None:
    page = Document("A with statement …", metadata={"title": "with", "url": "https://a.example"})
    fields = {"title": "with", "url": "https://a.example", "page_content": "A with statement …"}
    [row] = make(sandbox).invoke([page])
    assert row["input"] == fields
    [row] = make(sandbox, columns=["title"]).invoke([page])
    assert row["content"]
    bodies = [each.body for each in sandbox.requests if "inputs" in (each.body or {})]
    sent = [body["inputs"][0]["input"] for body in bodies]
    assert sent == [fields, {"title": "with"}]


def test_a_failed_row_says_why(sandbox: Sandbox) -> None:
    one, two = make(sandbox).invoke([*ROWS[:1], FAILING])
    assert one["error"] is None
    assert two["error"]
    assert two["content"] is None
    assert two["citations"] == two["basis"] == []
    assert two["run_id"]


def test_enrichment_in_a_chain_gives_all_rows(sandbox: Sandbox) -> None:
    """A step behind it is given what `invoke` gives, streamed or not."""
    count = RunnableLambda(lambda rows: [row["number"] for row in rows])

    def in_pieces(rows: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
        for piece in rows:
            for row in piece:
                yield [row]

    chain = RunnableLambda(in_pieces) | make(sandbox) | count
    assert chain.invoke(ROWS) == [0, 1, 2]
    assert list(chain.stream(ROWS)) == [[0, 1, 2]]


@pytest.mark.parametrize("pieces", [["wi", "th"], [{"statement": "with"}, {"statement": "del"}]])
async def test_pieces_that_are_no_rows_are_not_paid_for(sandbox: Sandbox, pieces: Any) -> None:
    """Each character of a streamed text, or each key, would be a row."""

    def stream(given: Iterator[Any]) -> Iterator[Any]:
        yield from pieces

    async def astream(given: AsyncIterator[Any]) -> AsyncIterator[Any]:
        for piece in pieces:
            yield piece

    chain = RunnableGenerator(stream, astream) | make(sandbox)
    with pytest.raises(InvalidArgumentError, match=f"type {type(pieces[0]).__name__}: let it give"):
        list(chain.stream("go"))
    with pytest.raises(InvalidArgumentError, match="lists of rows"):
        [each async for each in chain.astream("go")]
    assert not sandbox.requests


async def test_enrichment_in_an_awaited_chain(sandbox: Sandbox) -> None:
    chain = make(sandbox) | RunnableLambda(lambda rows: [row["number"] for row in rows])
    assert await chain.ainvoke(ROWS) == [0, 1, 2]
    assert [each async for each in chain.astream(ROWS)] == [[0, 1, 2]]


def test_a_loop_may_end_after_the_first_row(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async def left_early() -> None:
        async for _ in make(sandbox).astream(ROWS):
            break

    asyncio.run(left_early())
    assert not [record for record in caplog.records if record.name == "asyncio"]


async def test_enrichment_progress_is_a_custom_event(sandbox: Sandbox) -> None:
    enrichment = make(sandbox)
    listener, awaiting = Listener(), AsyncListener()
    await asyncio.to_thread(enrichment.invoke, ROWS, {"callbacks": [listener]})
    await enrichment.ainvoke(ROWS, {"callbacks": [awaiting]})
    for events in (listener.events, awaiting.events):
        assert {name for name, _ in events} == {"parallel_progress"}
        assert {data["type"] for _, data in events} == {"enrichment.progress"}
        first, last = events[0][1], events[-1][1]
        assert (first["total"], first["finished"], first["max_usd"]) == (3, 0, 0.015)
        assert (last["finished"], last["cost_usd"]) == (3, 0.015)


def test_an_enrichment_resumes_from_its_journal(sandbox: Sandbox, tmp_path: Path) -> None:
    enrichment = make(sandbox, journal=str(tmp_path / "run.db"), max_cost_usd=0.01)
    assert [row["submitted"] for row in enrichment.invoke(ROWS)] == [True, True, False]
    assert [row["submitted"] for row in enrichment.invoke(ROWS, max_cost_usd=1)] == [True] * 3
    assert sandbox.ledger.usd == 0.015
    with pytest.raises(JournalError, match="processor"):
        enrichment.invoke(ROWS, processor="base")
    with pytest.raises(JournalError, match="row 0 differs"):
        enrichment.invoke(["with"])
    assert enrichment.invoke(["with"], journal=tmp_path / "other.db")[0]["content"]


def test_failed_rows_are_retried(sandbox: Sandbox, tmp_path: Path) -> None:
    enrichment = make(sandbox, journal=tmp_path / "run.db")
    first = enrichment.invoke([FAILING])
    assert enrichment.invoke([FAILING]) == first
    assert enrichment.invoke([FAILING], retry_failed=True)[0]["run_id"] != first[0]["run_id"]


def test_each_input_of_a_batch_is_an_enrichment_of_its_own(sandbox: Sandbox) -> None:
    one, two = make(sandbox).batch([ROWS[:2], ROWS[2:]])
    assert [row["number"] for row in [*one, *two]] == [0, 1, 0]


def test_a_pickle_holds_no_key_and_works(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrichment = make(sandbox, api_key="key-of-somebody", journal=tmp_path / "run.db")
    dumped = pickle.dumps(enrichment)
    assert b"key-of-somebody" not in dumped
    assert "key-of-somebody" not in repr(enrichment)
    monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
    assert len(pickle.loads(dumped).invoke(ROWS)) == 3


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ({"processr": "base"}, "'processr'; did you mean 'processor'"),
        ({"journl": "run.db"}, "'journl'; did you mean 'journal'"),
        ({"metadata": {"a": "b"}}, "metadata"),
    ],
)
def test_unknown_enrichment_settings_are_refused(
    sandbox: Sandbox, call: dict[str, Any], named: str
) -> None:
    with pytest.raises(TypeError, match=named):
        make(sandbox).invoke(ROWS, **call)
    with pytest.raises(TypeError, match=named):
        make(sandbox, **call)
    assert not sandbox.requests


def test_wrong_enrichment_settings_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentError, match="deadline_seconds"):
        make(sandbox, deadline_seconds=0)
    with pytest.raises(ValueError, match="rows is a single str"):
        make(sandbox).invoke("with")
    with pytest.raises(ValueError, match="Row 0 cannot be sent"):
        make(sandbox).invoke([3])
    with pytest.raises(ValueError, match="max_cost_usd=-1"):
        make(sandbox).invoke(ROWS, max_cost_usd=-1)
    assert not sandbox.requests


async def test_enrichment_errors_are_parallel_errors(sandbox: Sandbox) -> None:
    wrong = make(sandbox, api_key="wrong-key-0000")
    for call in (asyncio.to_thread(wrong.invoke, ROWS), wrong.ainvoke(ROWS)):
        with pytest.raises(AuthenticationError) as caught:
            await call
        assert "wrong-key-0000" not in str(caught.value)

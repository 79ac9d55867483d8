"""Documents and progress in a notebook: cards, and a bar that passes the events on."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.documents import Document

from parallel_integrations import (
    ArgumentTypeError,
    CreateTaskRunRequest,
    ParallelClient,
    TaskSettings,
    show,
    show_progress,
)
from parallel_integrations.api import stream_task
from parallel_integrations.enrichment import enrich
from parallel_integrations.langchain import ParallelDeepResearch, ParallelSearchRetriever
from parallel_integrations.llama_index import ParallelRetriever
from parallel_integrations.sandbox import Sandbox
from tests.models.test_notebook import ATTACK, Shown
from tests.support.connected import connection

QUESTION = "What is a closure?"


@pytest.mark.parametrize("framework", ["langchain", "llama_index"])
def test_documents_are_numbered_cards(sandbox: Sandbox, framework: str) -> None:
    if framework == "langchain":
        found: Any = ParallelSearchRetriever(k=2, **connection(sandbox)).invoke(QUESTION)
        urls = [each.metadata["url"] for each in found]
    else:
        found = ParallelRetriever(max_results=2, **connection(sandbox)).retrieve(QUESTION)
        urls = [each.node.metadata["url"] for each in found]
        assert show([each.node for each in found])._repr_html_() == show(found)._repr_html_()
    seen = Shown(show(found)._repr_html_())
    assert seen.tags.count("li") == 2
    assert seen.links == urls
    text = repr(show(found))
    assert text.startswith("[1] ")
    assert urls[1] in text
    assert repr(show([])) == "No documents."


def test_a_document_of_elsewhere_is_shown_and_escaped() -> None:
    document = SimpleNamespace(page_content=ATTACK, metadata={"source": "notes.txt"})
    seen = Shown(show([document])._repr_html_())
    assert "script" not in seen.tags
    assert ATTACK in seen.text
    assert "notes.txt" in seen.text
    assert seen.links == []


def test_metadata_of_elsewhere_may_be_of_any_kind() -> None:
    metadata = {"source": 7, "title": 1984, "published_at": datetime(2024, 5, 1, tzinfo=UTC)}
    shown = show([SimpleNamespace(page_content="x", metadata=metadata)])
    assert repr(shown) == "[1] 1984\n    7\n    x"
    assert "2024-05-01" in shown._repr_html_()


@pytest.mark.parametrize("wrong", ["a text", 7, None, {"page_content": "x"}])
def test_what_is_no_document_is_refused(wrong: Any) -> None:
    for given in (wrong, [wrong]):
        with pytest.raises(ArgumentTypeError, match="show takes documents or nodes, not"):
            show(given)


def test_one_document_may_be_shown_alone() -> None:
    document = Document("Text.", metadata={"url": "https://a.example", "title": "A"})
    assert repr(show(document)) == repr(show([document]))


class Closable:
    """A stream that knows whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def events(self) -> Iterator[dict[str, Any]]:
        try:
            yield {"message": "one"}
            yield {"message": "two"}
        finally:
            self.is_closed = True

    async def aevents(self) -> AsyncIterator[dict[str, Any]]:
        try:
            yield {"message": "one"}
            yield {"message": "two"}
        finally:
            self.is_closed = True


async def test_a_stream_that_is_left_early_is_closed() -> None:
    sync = Closable()
    kept = sync.events()
    with closing(show_progress(kept)) as events:
        next(events)
    assert sync.is_closed
    awaited = Closable()
    akept = awaited.aevents()
    async with aclosing(show_progress(akept)) as aevents:
        await anext(aevents)
    assert awaited.is_closed


class Notebook:
    """What IPython gives a program in a notebook, as far as a bar uses it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[str] = []
        display = SimpleNamespace(HTML=lambda html: html, display=self._display)
        shell = SimpleNamespace(display=display, get_ipython=lambda: SimpleNamespace(kernel=1))
        monkeypatch.setitem(sys.modules, "IPython", shell)

    def _display(self, html: str, *, display_id: bool) -> Any:
        assert display_id
        self.shown.append(html)
        return SimpleNamespace(update=self.shown.append)


def test_an_enrichment_moves_a_bar(client: ParallelClient, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook(monkeypatch)
    settings = TaskSettings(processor="lite", output_schema="What it does.")
    rows = [{"statement": each} for each in ("with", "nonlocal", "lambda")]
    events = list(show_progress(client.stream(enrich(rows, settings, rows_per_group=1))))
    assert len([each for each in events if hasattr(each, "number")]) == 3
    first, *_, last = notebook.shown
    assert 'value="0.000"' in first
    assert "0/3 rows" in first
    assert 'value="1.000"' in last
    assert "3/3 rows, 0 in flight, 0.015 USD" in last
    assert set(Shown(last).tags) == {"progress"}


async def test_research_moves_a_bar(
    sandbox: Sandbox, client: ParallelClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = Notebook(monkeypatch)
    research = ParallelDeepResearch(processor="lite", **connection(sandbox))
    steps = list(show_progress(research.stream(QUESTION)))
    assert steps[-1]["type"] == "report"
    assert [each async for each in show_progress(research.astream(QUESTION))][-1]["content"]
    request = CreateTaskRunRequest(input=QUESTION, processor="pro")
    assert list(show_progress(client.stream(stream_task(request))))
    assert any("sources read" in html or "queued" in html for html in notebook.shown)


def test_a_terminal_has_a_line_and_a_log_has_nothing(
    client: ParallelClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    settings = TaskSettings(processor="lite", output_schema="What it does.")
    list(show_progress(client.stream(enrich(["with"], settings))))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    list(show_progress(client.stream(enrich(["with"], settings))))
    written = capsys.readouterr().err
    assert written.endswith("\n")
    assert "\r\x1b[K[########################] 1/1 row" in written

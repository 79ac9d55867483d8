"""Documents, nodes and progress as a notebook shows them; a terminal gets text."""

import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack
from html import escape
from typing import Any, Final, TypeVar, overload

from parallel_integrations._counted import counted
from parallel_integrations.errors import ArgumentTypeError
from parallel_integrations.models.notebook import pages_html
from parallel_integrations.models.pages import PageResult

E = TypeVar("E")
BAR_WIDTH: Final = 24
MAX_TEXT_CHARACTERS: Final = 160
MAX_WORDS_CHARACTERS: Final = 50


class Shown:
    """Documents as a notebook shows them, numbered; `print` gives the same as text."""

    def __init__(self, pages: list[PageResult]) -> None:
        self._pages = pages

    def _repr_html_(self) -> str:
        return pages_html(self._pages)

    def __repr__(self) -> str:
        lines = (
            f"[{number}] {page.title or page.url}\n    {page.url}\n"
            f"    {' '.join(page.text.split())[:MAX_TEXT_CHARACTERS]}"
            for number, page in enumerate(self._pages, 1)
        )
        return "\n".join(lines) or "No documents."


def show(documents: Iterable[Any]) -> Shown:
    """Show documents of LangChain, or nodes of LlamaIndex, as numbered cards in a notebook.

    Args:
        documents: What a retriever, a loader or a reader gave, or a query engine's `source_nodes`.

    Raises:
        ArgumentTypeError: Something among them is no document.

    Example:
        ```python
        from parallel_integrations import show
        from parallel_integrations.langchain import ParallelSearchRetriever

        print(show(ParallelSearchRetriever(k=2).invoke("What is a closure?")))
        ```
    """
    if hasattr(documents, "metadata"):  # one document is iterable, too: over its fields
        documents = [documents]
    if not isinstance(documents, Iterable):
        raise _no_document(documents)
    return Shown([_page(each) for each in documents])


def _page(document: Any) -> PageResult:
    if isinstance(document, PageResult):
        return document
    node = getattr(document, "node", document)
    metadata = getattr(node, "metadata", None)
    text = getattr(node, "page_content", None) or getattr(node, "text", None)
    if not isinstance(metadata, dict):
        raise _no_document(document)
    title, date = metadata.get("title"), metadata.get("published_at")
    return PageResult(
        url=str(metadata.get("url") or metadata.get("source") or ""),
        # Of other loaders, they may be a number or a datetime.
        title=None if title is None else str(title),
        publish_date=None if date is None else str(date),
        excerpts=[text] if text else [],
    )


def _no_document(value: object) -> ArgumentTypeError:
    return ArgumentTypeError(
        f"show takes documents or nodes, not {type(value).__name__}: give the list that a "
        "retriever, loader or reader gave"
    )


@overload
def show_progress(events: Iterable[E]) -> Iterator[E]: ...
@overload
def show_progress(events: AsyncIterable[E]) -> AsyncIterator[E]: ...
def show_progress(events: Any) -> Any:
    """Show a stream's progress as a bar, in a notebook or on a terminal, and pass its events on.

    Args:
        events: What `client.stream` or `astream` gives of a task, a task group, a FindAll run or an
            enrichment, or `stream` or `astream` of `ParallelDeepResearch`.

    Returns:
        The same events, as an iterator of the same kind.

    Example:
        ```python
        from parallel_integrations import show_progress
        from parallel_integrations.langchain import ParallelDeepResearch

        research = ParallelDeepResearch(processor="lite")
        for step in show_progress(research.stream("What is a closure?")):
            pass
        print(step["content"])
        ```
    """
    return _apassed_on(events) if isinstance(events, AsyncIterable) else _passed_on(events)


def _passed_on(events: Iterable[E]) -> Iterator[E]:
    with ExitStack() as ending:
        if close := getattr(events, "close", None):  # left early, its connection ends at once
            ending.callback(close)
        bar = ending.enter_context(_Bar())
        for event in events:
            bar.update(event)
            yield event


async def _apassed_on(events: AsyncIterable[E]) -> AsyncIterator[E]:
    async with AsyncExitStack() as ending:
        if close := getattr(events, "aclose", None):
            ending.push_async_callback(close)
        bar = ending.enter_context(_Bar())
        async for event in events:
            bar.update(event)
            yield event


class _Bar:
    """A bar in a notebook's output or on the terminal's last line; nothing in a log."""

    def __init__(self) -> None:
        self._share: float | None = None
        self._words = ""
        self._cell: Any = None
        self._shell = sys.modules.get("IPython") and _notebook()

    def update(self, event: object) -> None:
        """Show what an event says of the progress."""
        share, words = _progress(event)
        self._share = self._share if share is None else share
        self._words = words or self._words
        if share is not None or words:
            self._show()

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self._share = 1.0
        self._show()
        if self._shell is None and sys.stderr.isatty():
            sys.stderr.write("\n")

    def _show(self) -> None:
        if self._shell is not None:
            html = self._shell.HTML(_html(self._share, self._words))
            if self._cell is None:
                self._cell = self._shell.display(html, display_id=True)
            else:
                self._cell.update(html)
        elif sys.stderr.isatty():
            done = round((self._share or 0) * BAR_WIDTH)
            text = "".join(each if each.isprintable() else " " for each in self._words)[
                :MAX_WORDS_CHARACTERS
            ]
            sys.stderr.write(f"\r\x1b[K[{'#' * done}{'.' * (BAR_WIDTH - done)}] {text}")
            sys.stderr.flush()


def _notebook() -> Any:
    """IPython's display functions where the program runs in a notebook."""
    from IPython import display, get_ipython

    # A terminal's shell has no widgets: the last line is better there.
    return display if hasattr(get_ipython(), "kernel") else None


def _html(share: float | None, words: str) -> str:
    value = "" if share is None else f' value="{share:.3f}"'
    return f'<progress max="1"{value} style="width:20em"></progress> {escape(words)}'


def _progress(event: object) -> tuple[float | None, str]:
    """The share that is done, where known, and how far it has come, in words."""
    if (total := _of(event, "total")) is not None and (done := _of(event, "finished")) is not None:
        cost = _of(event, "cost_usd")
        spent = "" if cost is None else f", {cost:.3f} USD"
        in_flight = _of(event, "in_flight") or 0
        return done / max(total, 1), f"{done}/{counted(total, 'row')}, {in_flight} in flight{spent}"
    if (counts := _of(event, "status", "task_run_status_counts")) is not None:
        number = _of(event, "status", "num_task_runs") or 0
        over = sum(counts.get(each, 0) for each in ("completed", "failed", "cancelled"))
        return over / max(number, 1), f"{over}/{counted(number, 'run')}"
    if (metrics := _of(event, "data", "status", "metrics")) is not None:
        looked = _of(metrics, "generated_candidates_count") or 0
        return None, f"{looked} looked at, {_of(metrics, 'matched_candidates_count') or 0} matched"
    meter = _of(event, "progress_meter")
    read = _of(event, "source_stats", "num_sources_read")
    words = _of(event, "message") or (f"{counted(read, 'source')} read" if read else "")
    words = words or str(_of(event, "run", "status") or "")
    return None if meter is None else meter / 100, " ".join(words.split())


def _of(value: Any, *names: str) -> Any:
    """A field of a field, of objects or of dicts; None where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value

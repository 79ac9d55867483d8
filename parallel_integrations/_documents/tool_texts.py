"""What a language model reads of a tool's result, and how much of it."""

from collections.abc import Callable, Sequence
from typing import Final

from parallel_integrations._documents.evidence import (
    as_text,
    entity_documents,
    match_documents,
    notes_of,
    numbered,
    one_line,
    page_documents,
    quoted,
    report_as_text,
    truncated,
)
from parallel_integrations._documents.memories import memory_documents
from parallel_integrations._documents.reading import unreadable
from parallel_integrations._documents.research import ResearchProgress
from parallel_integrations.models.extract import ExtractResponse
from parallel_integrations.models.findall import EntitySearchResponse, FindallResult
from parallel_integrations.models.memory import RetrieveMemoryResponse
from parallel_integrations.models.search import SearchResponse
from parallel_integrations.models.task import TaskRun, TaskRunResult

NOTHING_FOUND: Final = "No pages were found. Try other keywords or a broader objective."

MAX_OUTPUT_CHARS: Final = 40_000
MIN_OUTPUT_CHARS: Final = 500
_PARAGRAPH: Final = "\n\n"
_REMEDY_CHARS: Final = 150  # what an error says besides the pages that could not be read


def with_notes(body: Callable[[int], str], notes: Sequence[str], max_chars: int) -> str:
    """A text followed by notes, within a budget of which the notes get half at most.

    Args:
        body: Gives the text for the number of characters that are left for it.
        notes: Warnings and failures, one a paragraph.
        max_chars: The budget.
    """
    tail = truncated(_PARAGRAPH.join(notes), max_chars // 2)
    available = max_chars - len(tail) - len(_PARAGRAPH)
    parts = (truncated(body(available), available), tail)
    return _PARAGRAPH.join(part for part in parts if part)


def search_text(response: SearchResponse, max_chars: int) -> str:
    """The pages that a search found, and its warnings."""
    return with_notes(
        lambda available: as_text(response.results, available) or NOTHING_FOUND,
        notes_of(response),
        max_chars,
    )


def extract_text(response: ExtractResponse, max_chars: int) -> str:
    """The pages that could be read, then those that could not.

    Raises:
        ParallelError: None could.
    """
    if response.errors and not any(page_documents(response.results)):
        raise unreadable(response.errors, max_chars - _REMEDY_CHARS)
    failed = [one_line(f"Could not be read: {error}") for error in response.errors]
    return with_notes(
        lambda available: as_text(response.results, available) or "The pages hold no text.",
        [*failed, *notes_of(response)],
        max_chars,
    )


def task_text(result: TaskRunResult, max_chars: int) -> str:
    """A task's output and its sources."""
    output = result.output
    return report_as_text(output.content, output.basis, max_chars, says_none=True)


def matches_text(result: FindallResult, max_chars: int) -> str:
    """The entities that matched."""
    text = truncated(numbered(match_documents(result.matches), max_chars), max_chars)
    return text or "Nothing matches. Loosen the conditions."


def entities_text(response: EntitySearchResponse, max_chars: int) -> str:
    """The entities that were listed."""
    found = entity_documents(response.entities)
    return with_notes(
        lambda available: numbered(found, available) or "Nothing was found. Loosen the objective.",
        notes_of(response),
        max_chars,
    )


def memory_text(response: RetrieveMemoryResponse, max_chars: int) -> str:
    """What is remembered, each memory in a block of its own."""
    blocks = [
        f"[{number}] {one_line(' '.join(filter(None, each.metadata.values())))}\n"
        + quoted(each.text)
        for number, each in enumerate(memory_documents(response.results), 1)
    ]
    return with_notes(
        lambda available: _PARAGRAPH.join(blocks) or "Nothing is remembered about it.",
        notes_of(response),
        max_chars,
    )


def started_text(run: TaskRun, max_chars: int) -> str:
    """What a model reads of research that has begun."""
    text = (
        f"Started research {run.run_id} ({run.status or 'queued'}). It takes minutes. Do something "
        f"else, then call parallel_get_research with run_id={run.run_id}; do not start it again."
    )
    return truncated(text, max_chars)


def research_text(found: ResearchProgress | TaskRunResult, max_chars: int) -> str:
    """How research stands and what it has done so far, or its report."""
    if isinstance(found, TaskRunResult):
        return task_text(found, max_chars)
    heading = f"Research {found.run.run_id} is {found.run.status or 'not over'}. Look again later."
    if found.sources_read:
        heading += f"\nSources read so far: {found.sources_read}"
    lines = [quoted(one_line(message)) for message in found.messages]
    # The latest say most about how far it is: the first are left out where there are too many.
    while lines and len(heading) + sum(len(line) + 1 for line in lines) > max_chars:
        del lines[0]
    return truncated("\n".join([heading, *lines]), max_chars)

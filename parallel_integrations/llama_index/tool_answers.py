"""What the tools answer: documents for code and, beside them, text for the model."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from llama_index.core.schema import Document
from llama_index.core.workflow import Event
from pydantic import ValidationError

from parallel_integrations.api.events import StreamEvent
from parallel_integrations.api.evidence import (
    as_text,
    match_pages,
    notes_of,
    one_line,
    report_as_text,
)
from parallel_integrations.api.extract import ExtractResponse
from parallel_integrations.api.findall_requests import IngestFindallRequest
from parallel_integrations.api.findall_run import await_findall, start_findall
from parallel_integrations.api.findall_types import FindallResult
from parallel_integrations.api.flow import Flow
from parallel_integrations.api.models import explain_arguments
from parallel_integrations.api.polling import within
from parallel_integrations.api.search import SearchResponse
from parallel_integrations.api.task_types import (
    TaskRunProgressMessageEvent,
    TaskRunProgressStatsEvent,
    TaskRunResult,
    TaskRunStateEvent,
)
from parallel_integrations.llama_index.citations import (
    CITED_FROM_EMBEDDING,
    CITED_FROM_LLM,
    passages,
)
from parallel_integrations.llama_index.extract_readers import unreadable
from parallel_integrations.llama_index.pages import as_nodes

PARAGRAPH = "\n\n"


class Found(list[Document]):
    """Documents that know how a model reads them; LlamaIndex's tools pass on a list only.

    Attributes:
        text: What the model reads.
    """

    def __init__(self, documents: Iterable[Document], text: str) -> None:
        super().__init__(documents)
        self.text = text


class ParallelProgressEvent(Event):
    """What a task is doing, as `parallel_deep_research` streams it.

    Attributes:
        run_id: The task run.
        type: Kind of step: `task_run.state`, `task_run.progress_stats`, or one that begins with
            `task_run.progress_msg.`, such as `.plan`, `.search` and `.result`.
        message: In words; the run's status for `task_run.state`, empty for numbers alone.
        percent: How far it has come, 0 to 100, where known.
        sources_read: How many sources it has read, where known.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelProgressEvent

        event = ParallelProgressEvent(run_id="r", type="task_run.state", message="running")
        print(event.message)
        ```
    """

    run_id: str
    type: str
    message: str = ""
    percent: float | None = None
    sources_read: int | None = None

    @classmethod
    def of(cls, event: StreamEvent, run_id: str) -> "ParallelProgressEvent":
        """The progress that an event of the wire tells."""
        match event:
            case TaskRunStateEvent():
                return cls(run_id=event.run.run_id, type=event.type, message=event.run.status)
            case TaskRunProgressMessageEvent():
                return cls(run_id=run_id, type=event.type, message=event.message)
            case TaskRunProgressStatsEvent():
                return cls(
                    run_id=run_id,
                    type=event.type,
                    percent=event.progress_meter,
                    sources_read=event.source_stats.num_sources_read,
                )
        return cls(run_id=run_id, type=event.type)


def from_search(response: SearchResponse, max_chars: int) -> Found:
    """The pages that a search found."""
    text = as_text(response.results, max_chars) or (
        "No pages were found. Try other keywords or a broader objective."
    )
    documents = as_nodes(Document, response.results, "page")
    return Found(documents, PARAGRAPH.join([text, *notes_of(response)]))


def from_extract(response: ExtractResponse, max_chars: int) -> Found:
    """The pages that could be read; those that could not are named in the text.

    Raises:
        ParallelError: None could.
    """
    if response.errors and not response.results:
        raise unreadable(response.errors)
    text = as_text(response.results, max_chars) or "The pages hold no text."
    failed = [one_line(f"Could not be read: {error}") for error in response.errors]
    documents = as_nodes(Document, response.results, "page")
    return Found(documents, PARAGRAPH.join([text, *failed, *notes_of(response)]))


def from_task(result: TaskRunResult, max_chars: int) -> Found:
    """The answer, then what it cites."""
    output, run = result.output, result.run
    ids = {"run_id": run.run_id, "interaction_id": run.interaction_id}
    answer = Document(
        id_=run.run_id,
        text=report_as_text(output.content, []),
        metadata={name: value for name, value in ids.items() if value},
        excluded_embed_metadata_keys=list(ids),
        excluded_llm_metadata_keys=list(ids),
    )
    cited = [
        Document(
            id_=passage.id,
            text=str(passage.excerpt),
            metadata=passage.metadata,
            excluded_embed_metadata_keys=list(CITED_FROM_EMBEDDING),
            excluded_llm_metadata_keys=list(CITED_FROM_LLM),
        )
        for passage in passages(output.basis)
    ]
    text = report_as_text(output.content, output.basis, max_chars, says_none=True)
    return Found([answer, *cited], text)


def find_all(
    objective: str, *, generator: str, match_limit: int, deadline_seconds: float
) -> Flow[FindallResult]:
    """From a wish in words to its matches."""
    wish = IngestFindallRequest(objective=objective)  # out here, so that a fault shows at the call

    def flow() -> Flow[FindallResult]:
        starting = start_findall(wish, generator=generator, match_limit=match_limit)
        run = yield from within(starting, deadline_seconds)
        return (yield from await_findall(run.findall_id, deadline_seconds, reached=True))

    return flow()


def from_matches(result: FindallResult, max_chars: int) -> Found:
    """The entities that matched, each with why."""
    pages = match_pages(result.matches)
    text = as_text(pages, max_chars) or "Nothing matches. Loosen the conditions."
    return Found(as_nodes(Document, pages, "page"), text)


@contextmanager
def explained() -> Iterator[None]:
    """Say what is wrong with a tool's arguments in words that a model can act on."""
    try:
        yield
    except ValidationError as error:
        raise ValueError(explain_arguments(error)) from error

"""Search, extract, task and FindAll as tools of LlamaIndex agents."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, Final, Unpack

from llama_index.core.schema import Document
from llama_index.core.tools import FunctionTool, ToolMetadata
from llama_index.core.tools.tool_spec.base import BaseToolSpec
from llama_index.core.workflow import Context, Event
from pydantic import BaseModel, ConfigDict, Field, create_model

from parallel_integrations._documents.adapter import ConnectionOptions, PacedAdapter
from parallel_integrations._documents.evidence import (
    dump_basis,
    match_documents,
    page_documents,
    report_as_text,
)
from parallel_integrations._documents.find_all import FindAllRequest, FindAllSettings, find_all
from parallel_integrations._documents.reading import extract_request
from parallel_integrations._documents.tool_texts import (
    EXTRACT,
    FIND_ALL,
    MAX_OUTPUT_CHARS,
    MIN_OUTPUT_CHARS,
    SEARCH,
    TASK,
    extract_text,
    matches_text,
    search_text,
    task_text,
    visible_fields,
)
from parallel_integrations._protocol.flow import Flow
from parallel_integrations._protocol.polling import DEADLINE_SECONDS, DeadlineSeconds
from parallel_integrations.api import extract, run_task, search
from parallel_integrations.api.tasks import stream_task
from parallel_integrations.client import ParallelClient
from parallel_integrations.errors import InvalidArgumentError, UnexpectedAnswerError
from parallel_integrations.llama_index.base import SearchOptions, as_nodes
from parallel_integrations.llama_index.citations import attach_evidence, cited_nodes
from parallel_integrations.models.extract import ExtractRequest, ExtractResponse, ExtractSettings
from parallel_integrations.models.findall import FindallResult
from parallel_integrations.models.search import (
    DEFAULT_RESULTS,
    MAX_RESULTS,
    SearchRequest,
    SearchResponse,
    SearchSettings,
)
from parallel_integrations.models.shared import StreamEvent
from parallel_integrations.models.task import (
    CreateTaskRunRequest,
    TaskRunProgressMessageEvent,
    TaskRunProgressStatsEvent,
    TaskRunResult,
    TaskRunStateEvent,
    TaskSettings,
)


class ParallelToolSettings(
    PacedAdapter, SearchSettings, ExtractSettings, TaskSettings, FindAllSettings
):
    """The validated arguments of a `ParallelToolSpec`."""

    max_results: int = Field(default=DEFAULT_RESULTS, ge=1, le=MAX_RESULTS)
    deadline_seconds: DeadlineSeconds = DEADLINE_SECONDS
    max_output_chars: int = Field(default=MAX_OUTPUT_CHARS, ge=MIN_OUTPUT_CHARS)


class ToolOptions(SearchOptions, ConnectionOptions, total=False):
    """Keyword arguments of `ParallelToolSpec`."""

    full_content: Any
    processor: str
    output_schema: Any
    input_schema: Any
    mcp_servers: Any
    data_sources: dict[str, list[str]] | None
    enable_events: bool | None
    webhook: Any
    memory_scope_key: str | None
    generator: str
    match_limit: int
    rate_limiter: Any
    deadline_seconds: float
    max_output_chars: int


def _arguments(name: str, fields: dict[str, Any]) -> type[BaseModel]:
    schema: type[BaseModel] = create_model(
        name, __config__=ConfigDict(extra="forbid"), __module__=__name__, **fields
    )
    return schema


class TaskQuestion(BaseModel):
    """Arguments of `parallel_task` and `parallel_deep_research`."""

    model_config = ConfigDict(extra="forbid")

    # Of a request's text or object, the text alone: some LLMs refuse schemas with alternatives.
    input: str = Field(
        min_length=1,
        description="What is to be found out, in natural language, with all context it needs.",
    )


_SCHEMAS: Final[dict[str, tuple[str, type[BaseModel]]]] = {
    "parallel_search": (
        SEARCH,
        _arguments(
            "ParallelSearchInput", visible_fields(SearchRequest, "objective", "search_queries")
        ),
    ),
    "parallel_extract": (
        EXTRACT,
        _arguments("ParallelExtractInput", visible_fields(ExtractRequest, "urls", "objective")),
    ),
    "parallel_task": (TASK, TaskQuestion),
    "parallel_find_all": (
        FIND_ALL,
        _arguments("FindAllArguments", visible_fields(FindAllRequest, "objective")),
    ),
    "parallel_deep_research": (TASK, TaskQuestion),
}
METADATA: Final = {
    name: ToolMetadata(description, name, schema)
    for name, (description, schema) in _SCHEMAS.items()
}


class Found(list[Document]):
    """Documents with the text that a model reads; LlamaIndex's tools pass on a list only."""

    def __init__(self, documents: Iterable[Document], text: str) -> None:
        super().__init__(documents)
        self.text = text


class ParallelProgressEvent(Event):
    """One step of a task, as `parallel_deep_research` streams it.

    Attributes:
        run_id: The task run.
        type: Kind of step: `task_run.state`, `task_run.progress_stats`, or one that begins with
            `task_run.progress_msg.`, such as `.plan`, `.search` and `.result`.
        message: In words; the run's status for `task_run.state`, empty for numbers alone.
        percent: How far it has come, 0 to 100, where known.
        sources_read: How many sources it has read, where known.
    """

    run_id: str
    type: str
    message: str = ""
    percent: float | None = None
    sources_read: int | None = None

    @classmethod
    def of(cls, event: StreamEvent, run_id: str) -> "ParallelProgressEvent":
        """The progress in an event of the API."""
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
    documents = as_nodes(Document, page_documents(response.results))
    return Found(documents, search_text(response, max_chars))


def from_extract(response: ExtractResponse, max_chars: int) -> Found:
    """The pages that could be read; those that could not are named in the text.

    Raises:
        ParallelError: None could.
    """
    documents = as_nodes(Document, page_documents(response.results))
    return Found(documents, extract_text(response, max_chars))


def from_task(result: TaskRunResult, max_chars: int) -> Found:
    """The answer, then the excerpts that it cites."""
    output, run = result.output, result.run
    ids = {"run_id": run.run_id, "interaction_id": run.interaction_id}
    answer = Document(
        id_=run.run_id,
        text=report_as_text(output.content, []),
        metadata={name: value for name, value in ids.items() if value},
        excluded_embed_metadata_keys=list(ids),
        excluded_llm_metadata_keys=list(ids),
    )
    attach_evidence(answer, {"basis": dump_basis(output.basis), **answer.metadata})
    return Found([answer, *cited_nodes(Document, output.basis)], task_text(result, max_chars))


def from_matches(result: FindallResult, max_chars: int) -> Found:
    """The entities that matched, each with the reasons."""
    documents = as_nodes(Document, match_documents(result.matches))
    return Found(documents, matches_text(result, max_chars))


@contextmanager
def explained() -> Iterator[None]:
    """Say of an invalid argument that nothing was sent, so that a model corrects it."""
    try:
        yield
    except InvalidArgumentError as error:
        text = f"Nothing was sent. Correct the arguments: {error}"
        raise InvalidArgumentError(text, field=error.field) from None


class ParallelToolSpec(BaseToolSpec):
    """Web search, page reading, research and FindAll as tools for an agent.

    `to_tool_list()` gives `parallel_search`, `parallel_extract`, `parallel_task` and
    `parallel_find_all`, each blocking and awaiting; `to_tool_list(["parallel_search"])` gives what
    is named. A model sees `objective`, `search_queries`, `urls` and `input`; everything else is
    fixed here, and no model can change it. It reads numbered text with title, URL, date and
    excerpts; `raw_output` is a list of Documents. An error is raised with a message that says what
    to do, which agents hand to the model as a tool error.

    `parallel_deep_research` is for `FunctionAgent`, `ReActAgent` and `AgentWorkflow` only and must
    be named: it does what `parallel_task` does and streams a `ParallelProgressEvent` for each step
    through the workflow's context.

    Args:
        **settings: The connection: `api_key`, `base_url`, `timeout` in seconds, `max_retries` (2),
            `client`, `rate_limiter` (LlamaIndex's, as on LLMs). Searching: `max_results` (10, which
            a search's price includes), `mode`, `location`, `source_policy`. Reading: `full_content`
            (False). Both: `fetch_policy`, `max_chars_total`, `max_chars_per_result`, `session_id`,
            `client_model`. Tasks: `processor` (`"base"`, 0.010 USD a run), `output_schema` (text
            unless given), `mcp_servers` and the other fields of `TaskSettings`. FindAll:
            `generator` (`"preview"`, 0.10 USD a run; `"base"`, `"core"` and `"pro"` cost more, and
            more per match), `match_limit` (10). `deadline_seconds` (3600) for tasks and FindAll.
            `max_output_chars` (40,000) for the text that the model reads; a truncated text says so.

    Attributes:
        settings: All of `**settings`, validated.

    Raises:
        InvalidArgumentError: A setting past its limit.
        TypeError: An unknown argument.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelToolSpec

        search, extract, task, find_all = ParallelToolSpec(max_results=3).to_tool_list()
        output = search(objective="How does the with statement handle exceptions?")
        print(output.content)
        print([document.metadata["url"] for document in output.raw_output])
        ```
    """

    spec_functions: list[str | tuple[str, str]] = [
        ("parallel_search", "aparallel_search"),
        ("parallel_extract", "aparallel_extract"),
        ("parallel_task", "aparallel_task"),
        ("parallel_find_all", "aparallel_find_all"),
    ]

    def __init__(self, **settings: Unpack[ToolOptions]) -> None:
        self.settings = ParallelToolSettings.model_validate(settings)

    def parallel_search(
        self, objective: str | None = None, search_queries: list[str] | None = None
    ) -> list[Document]:
        """Search the web.

        Args:
            objective: What you want to know, in natural language.
            search_queries: Keyword queries; derived from the objective if left out.

        Returns:
            One document per page, best first.

        Raises:
            ParallelError: The search failed.
            ValueError: No objective and no query, or a value past its limit; nothing was sent.
        """
        request = self._search(objective, search_queries)
        return from_search(self._client.run(search(request)), self._max_chars)

    async def aparallel_search(
        self, objective: str | None = None, search_queries: list[str] | None = None
    ) -> list[Document]:
        """Search the web, awaiting; everything else as in `parallel_search`."""
        request = self._search(objective, search_queries)
        return from_search(await self._client.arun(search(request)), self._max_chars)

    def parallel_extract(self, urls: list[str], objective: str | None = None) -> list[Document]:
        """Read web pages.

        Args:
            urls: 1 to 20 web addresses.
            objective: What you want to know from them.

        Returns:
            One document per page that could be read.

        Raises:
            ParallelError: The call failed, or no page could be read.
            ValueError: Something that is no URL, or too many; nothing was sent.
        """
        request = self._extract(urls, objective)
        return from_extract(self._client.run(extract(request)), self._max_chars)

    async def aparallel_extract(
        self, urls: list[str], objective: str | None = None
    ) -> list[Document]:
        """Read web pages, awaiting; everything else as in `parallel_extract`."""
        request = self._extract(urls, objective)
        return from_extract(await self._client.arun(extract(request)), self._max_chars)

    def parallel_task(self, input: str) -> list[Document]:  # noqa: A002 - the wire's own word
        """Research a question in depth.

        Args:
            input: The question.

        Returns:
            The answer as a document, then one document per cited excerpt.

        Raises:
            ParallelError: The task failed or was not done in time; `run_id` on it.
        """
        flow = run_task(self._task(input), deadline_seconds=self.settings.deadline_seconds)
        return from_task(self._client.run(flow), self._max_chars)

    async def aparallel_task(self, input: str) -> list[Document]:  # noqa: A002
        """Research a question in depth, awaiting; everything else as in `parallel_task`."""
        flow = run_task(self._task(input), deadline_seconds=self.settings.deadline_seconds)
        return from_task(await self._client.arun(flow), self._max_chars)

    def parallel_find_all(self, objective: str) -> list[Document]:
        """Find all entities that fulfil conditions.

        Args:
            objective: Which entities, and what each must fulfil.

        Returns:
            One document per match.

        Raises:
            ParallelError: The run failed or was not done in time; `findall_id` on it.
        """
        return from_matches(self._client.run(self._find_all(objective)), self._max_chars)

    async def aparallel_find_all(self, objective: str) -> list[Document]:
        """Find all entities, awaiting; everything else as in `parallel_find_all`."""
        return from_matches(await self._client.arun(self._find_all(objective)), self._max_chars)

    async def parallel_deep_research(
        self,
        ctx: Context,
        input: str,  # noqa: A002 - the wire's own word
    ) -> list[Document]:
        """Research a question in depth and stream what is being done.

        Args:
            ctx: The agent's context, which LlamaIndex passes.
            input: The question.

        Returns:
            As `parallel_task`.

        Raises:
            ParallelError: The task failed or was not done in time; `run_id` on it.
        """
        operation = stream_task(self._task(input), deadline_seconds=self.settings.deadline_seconds)
        run_id = ""
        async with aclosing(self._client.astream(operation)) as events:
            async for event in events:
                if isinstance(event, TaskRunResult):
                    return from_task(event, self._max_chars)
                progress = ParallelProgressEvent.of(event, run_id)
                run_id = progress.run_id
                ctx.write_event_to_stream(progress)
        raise UnexpectedAnswerError("the run ended without a result")

    def get_metadata_from_fn_name(
        self, fn_name: str, spec_functions: list[str | tuple[str, str]] | None = None
    ) -> ToolMetadata | None:
        """Name, description and argument schema of a tool; None for functions of a subclass."""
        return METADATA.get(fn_name)

    def to_tool_list(
        self,
        spec_functions: list[str | tuple[str, str]] | None = None,
        func_to_metadata_mapping: dict[str, ToolMetadata] | None = None,
    ) -> list[FunctionTool]:
        """The tools.

        Args:
            spec_functions: Names of tools, or pairs of a blocking and an awaiting function; all
                four by default.
            func_to_metadata_mapping: Name, description and schema to use instead, by function.

        Returns:
            LlamaIndex's tools, whose output is text for the model and Documents for code.
        """
        pairs = {pair[0]: pair for pair in self.spec_functions}
        tools = []
        for wanted in spec_functions or self.spec_functions:
            names = pairs.get(wanted, (wanted,)) if isinstance(wanted, str) else wanted
            given = (func_to_metadata_mapping or {}).get
            functions = [getattr(self, name) for name in names]
            tools.append(
                FunctionTool.from_defaults(
                    fn=_first(functions, awaits=False),
                    async_fn=_first(functions, awaits=True),
                    tool_metadata=next(filter(None, map(given, names)), None)
                    or self.get_metadata_from_fn_name(names[0]),
                    callback=_as_the_model_reads_it,
                )
            )
        return tools

    @property
    def _client(self) -> ParallelClient:
        return self.settings.resolved_client()

    @property
    def _max_chars(self) -> int:
        return self.settings.max_output_chars

    def _search(self, objective: str | None, search_queries: list[str] | None) -> SearchRequest:
        with explained():
            return SearchRequest.from_settings(
                self.settings, objective=objective, search_queries=search_queries
            )

    def _extract(self, urls: list[str], objective: str | None) -> ExtractRequest:
        with explained():
            return extract_request(self.settings, urls=urls, objective=objective)

    def _task(self, question: str) -> CreateTaskRunRequest:
        with explained():
            # Without a schema, a task's output is a JSON object of the processor's own design.
            schema = self.settings.output_schema or {"type": "text"}
            return CreateTaskRunRequest.from_settings(
                self.settings, input=question, output_schema=schema
            )

    def _find_all(self, objective: str) -> Flow[FindallResult]:
        with explained():
            request = FindAllRequest.from_settings(self.settings, objective=objective)
        return find_all(request, self.settings.deadline_seconds)


def _first(functions: list[Callable[..., Any]], *, awaits: bool) -> Callable[..., Any] | None:
    return next((each for each in functions if inspect.iscoroutinefunction(each) is awaits), None)


def _as_the_model_reads_it(found: Any) -> str | None:
    return found.text if isinstance(found, Found) else None

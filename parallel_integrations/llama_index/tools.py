"""Search, extract, task, FindAll, entities and memory as tools of LlamaIndex agents."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, ClassVar, Final, Literal, TypeVar, Unpack
from uuid import uuid4

from llama_index.core.schema import Document
from llama_index.core.tools import FunctionTool, ToolMetadata
from llama_index.core.tools.tool_spec.base import BaseToolSpec
from llama_index.core.tools.types import DefaultToolFnSchema
from llama_index.core.workflow import Context, Event
from pydantic import Field, SecretStr

from parallel_integrations._documents.adapter import ConnectionOptions, PacedAdapter, described
from parallel_integrations._documents.agent_tools import (
    ENTITY_SEARCH,
    EXTRACT,
    FIND_ALL,
    GET_RESEARCH,
    MEMORY,
    SEARCH,
    START_RESEARCH,
    TASK,
    AgentTool,
)
from parallel_integrations._documents.entities import DEFAULT_ENTITIES
from parallel_integrations._documents.evidence import (
    dump_basis,
    entity_documents,
    match_documents,
    page_documents,
    report_as_text,
)
from parallel_integrations._documents.find_all import FindAllRequest, FindAllSettings, find_all
from parallel_integrations._documents.memories import memory_documents
from parallel_integrations._documents.reading import extract_request
from parallel_integrations._documents.research import (
    ResearchProgress,
    look_up_research,
    start_research,
)
from parallel_integrations._documents.searching import TOOL_MODE, as_much_as_shown, search_request
from parallel_integrations._documents.tool_arguments import explained
from parallel_integrations._documents.tool_texts import MAX_OUTPUT_CHARS, MIN_OUTPUT_CHARS
from parallel_integrations._protocol.flow import Flow, Operation
from parallel_integrations._protocol.polling import DEADLINE_SECONDS, DeadlineSeconds
from parallel_integrations.api import entity_search, extract, retrieve_memory, run_task, search
from parallel_integrations.api.tasks import stream_task
from parallel_integrations.client import ParallelClient
from parallel_integrations.errors import (
    ArgumentTypeError,
    InvalidArgumentError,
    UnexpectedAnswerError,
)
from parallel_integrations.llama_index.arguments import as_context
from parallel_integrations.llama_index.base import SearchOptions, as_nodes
from parallel_integrations.llama_index.citations import attach_evidence, cited_nodes
from parallel_integrations.models.extract import ExtractRequest, ExtractResponse, ExtractSettings
from parallel_integrations.models.findall import (
    EntitySearchRequest,
    EntitySearchResponse,
    FindallResult,
    MatchLimit,
)
from parallel_integrations.models.memory import (
    MAX_MEMORIES,
    RetrieveMemoryRequest,
    RetrieveMemoryResponse,
)
from parallel_integrations.models.search import (
    DEFAULT_RESULTS,
    NumResults,
    SearchRequest,
    SearchResponse,
    SearchSettings,
)
from parallel_integrations.models.shared import StreamEvent
from parallel_integrations.models.task import (
    CreateTaskRunRequest,
    TaskRun,
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

    shown_as: ClassVar[str] = "ParallelToolSpec"
    first_argument = "api_key"

    mode: str | None = Field(default=TOOL_MODE, min_length=1)
    max_results: NumResults = DEFAULT_RESULTS
    research: Literal["blocking", "background"] = "blocking"
    entity_limit: MatchLimit = DEFAULT_ENTITIES
    memory_limit: int | None = Field(default=None, ge=1, le=MAX_MEMORIES)
    deadline_seconds: DeadlineSeconds = DEADLINE_SECONDS
    max_output_chars: int = Field(default=MAX_OUTPUT_CHARS, ge=MIN_OUTPUT_CHARS)


class ToolOptions(SearchOptions, ConnectionOptions, total=False):
    """Keyword arguments of `ParallelToolSpec`."""

    full_content: Any
    """True for whole pages, or `FullContentSettings` for how much of a page."""
    processor: str
    """Decides price and depth of a task; `base` (0.010 USD)."""
    output_schema: Any
    """What a task answers with: a text's description, a JSON schema or a pydantic class."""
    input_schema: Any
    """What a task is given, in the same forms."""
    mcp_servers: Any
    """Tool servers that a task may use; at most 10."""
    data_sources: dict[str, list[str]] | None
    """`{"free": […], "pay_per_use": […]}`: sources besides the web."""
    enable_events: bool | None
    """Whether a task's progress can be followed."""
    webhook: Any
    """Where the API reports a task's end to."""
    memory_scope_key: str | None
    """Name of the memory that a task reads and adds to (beta)."""
    generator: str
    """How thoroughly FindAll looks, and its price; `preview`."""
    match_limit: int
    """How many matches FindAll stops at, 5 to 1000."""
    entity_limit: int
    """How many entities are listed; 10."""
    memory_limit: int
    """How many memories are given, 1 to 25; the API's default where left out."""
    rate_limiter: Any
    """LlamaIndex's, as on LLMs: waited for before each call."""
    research: Literal["blocking", "background"]
    """`"blocking"` (default) waits for a task, `"background"` starts it and looks later."""
    deadline_seconds: float
    """How long to wait in all; 3600."""
    max_output_chars: int
    """Most characters of the text that the model reads; 40,000."""


T = TypeVar("T")
CONTEXT: Final = "ctx"
OTHER: Final = "other"
SESSION: Final = "parallel_session_id"
BACKGROUND: Final[list[str | tuple[str, str]]] = [
    (START_RESEARCH.name, f"a{START_RESEARCH.name}"),
    (GET_RESEARCH.name, f"a{GET_RESEARCH.name}"),
]
ON_REQUEST: Final[list[str | tuple[str, str]]] = [
    (ENTITY_SEARCH.name, f"a{ENTITY_SEARCH.name}"),
    (MEMORY.name, f"a{MEMORY.name}"),
]
METADATA: Final = {
    tool.name: ToolMetadata(tool.description, tool.name, tool.arguments)
    for tool in (
        SEARCH,
        EXTRACT,
        TASK,
        FIND_ALL,
        START_RESEARCH,
        GET_RESEARCH,
        ENTITY_SEARCH,
        MEMORY,
        TASK._replace(name="parallel_deep_research"),
    )
}


class Found(list[Document]):
    """Documents with the text that a model reads; LlamaIndex's tools pass on a list only.

    Attributes:
        text: What the model reads.
        session_id: The session of the search or extract that found them, where there is one.
    """

    def __init__(
        self, documents: Iterable[Document], text: str, session_id: str | None = None
    ) -> None:
        super().__init__(documents)
        self.text = text
        self.session_id = session_id


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


def from_pages(
    tool: AgentTool, response: SearchResponse | ExtractResponse, max_chars: int
) -> Found:
    """The pages that a search found or an extract read; the text names those it could not read.

    Raises:
        ParallelError: None could be read.
    """
    documents = as_nodes(Document, page_documents(response.results))
    return Found(documents, tool.text(response, max_chars), response.session_id)


def from_task(result: TaskRunResult, max_chars: int) -> Found:
    """The answer, then the excerpts that it cites."""
    output, run = result.output, result.run
    answer = _of_run(run, report_as_text(output.content, []), interaction_id=run.interaction_id)
    attach_evidence(answer, {"basis": dump_basis(output.basis), **answer.metadata})
    return Found([answer, *cited_nodes(Document, output.basis)], TASK.text(result, max_chars))


def from_start(run: TaskRun, max_chars: int) -> Found:
    """The run that was started."""
    text = START_RESEARCH.text(run, max_chars)
    return Found([_of_run(run, text, status=run.status)], text)


def from_research(found: ResearchProgress | TaskRunResult, max_chars: int) -> Found:
    """How a run stands, or its answer with the excerpts that it cites."""
    if isinstance(found, TaskRunResult):
        return from_task(found, max_chars)
    text = GET_RESEARCH.text(found, max_chars)
    return Found([_of_run(found.run, text, status=found.run.status)], text)


def _of_run(run: TaskRun, text: str, **facts: str | None) -> Document:
    known = {"run_id": run.run_id, **facts}
    return Document(
        id_=run.run_id,
        text=text,
        metadata={name: value for name, value in known.items() if value},
        excluded_embed_metadata_keys=list(known),
        excluded_llm_metadata_keys=list(known),
    )


def from_matches(result: FindallResult, max_chars: int) -> Found:
    """The entities that matched, each with the reasons."""
    documents = as_nodes(Document, match_documents(result.matches))
    return Found(documents, FIND_ALL.text(result, max_chars))


def from_entities(response: EntitySearchResponse, max_chars: int) -> Found:
    """The entities that were listed."""
    documents = as_nodes(Document, entity_documents(response.entities))
    return Found(documents, ENTITY_SEARCH.text(response, max_chars))


def from_memories(response: RetrieveMemoryResponse, max_chars: int) -> Found:
    """What is remembered, one document for each task, monitor and FindAll run."""
    documents = as_nodes(Document, memory_documents(response.results))
    return Found(documents, MEMORY.text(response, max_chars))


def hiding_other(spec: type[T]) -> type[T]:
    """Leave `**other` out of the signatures that schemas are made from, where it would be a field.

    LlamaIndex's tools and MCP servers make them of methods that are handed over as they are.
    """
    for name, function in vars(spec).items():
        if name.removeprefix("a").startswith("parallel_"):
            signature = inspect.signature(function)
            named = [each for each in signature.parameters.values() if each.name != OTHER]
            function.__signature__ = signature.replace(parameters=named)
    return spec


@hiding_other
class ParallelToolSpec(BaseToolSpec):
    """Web search, page reading, research and FindAll as tools for an agent.

    `to_tool_list()` gives `parallel_search`, `parallel_extract`, `parallel_task` and
    `parallel_find_all`, each blocking and awaiting; `to_tool_list(["parallel_search"])` gives what
    is named. A model sees `objective`, `search_queries`, `urls` and `input`; everything else is
    fixed here, and no model can change it: whatever else it sends is refused. For a setting that
    varies, make another `ParallelToolSpec`, which costs nothing. A model reads numbered text with
    title, URL, date and excerpts; `raw_output` is a list of Documents. An error is raised with a
    message that says what to do, which agents hand to the model as a tool error (`may_repeat` says
    whether to try again).

    With `research="background"` there are `parallel_start_research`, which gives a run id at once,
    and `parallel_get_research`, which gives its progress so far or its report, in place of
    `parallel_task`, so that a run of minutes does not hold the agent's turn.

    Searches and extracts have one session id: that of the agent's context, which survives its
    serialization; outside of one, or where its typed state has no `parallel_session_id`, that of
    this object; your `session_id` before both. It stands on `raw_output` as `session_id`. For a
    `CodeActAgent`, which hands no context over, give a `session_id`.

    `parallel_entity_search` (companies or people, unchecked, within a second) and `parallel_memory`
    (what earlier work of this `memory_scope_key` found) must be named.

    `parallel_deep_research` is for `FunctionAgent`, `ReActAgent` and `AgentWorkflow` only and must
    be named: it does what `parallel_task` does and streams a `ParallelProgressEvent` for each step
    through the workflow's context.

    Args:
        *key: The key may stand first, without its name.
        **settings: The connection: `api_key`, `base_url`, `timeout` in seconds, `max_retries` (2),
            `client`, `rate_limiter` (LlamaIndex's, as on LLMs). Searching: `max_results` (10, which
            a search's price includes), `mode` (`"fast"`, the vendor's choice for agents;
            `"advanced"` searches deeper at five times the price), `location`, `source_policy`.
            Reading: `full_content` (False). Both: `fetch_policy`, `max_chars_total`,
            `max_chars_per_result`, `session_id`, `client_model`. Tasks: `processor` (`"base"`,
            0.010 USD a run), `output_schema` (text unless given), `mcp_servers` and the other
            fields of `TaskSettings`, `research` (`"blocking"`). FindAll: `generator` (`"preview"`,
            0.10 USD a run; `"base"`, `"core"` and `"pro"` cost more, and more per match),
            `match_limit` (10). `entity_limit` (10) and `memory_limit` for the two tools of that
            kind. `deadline_seconds` (3600) for tasks and FindAll. `max_output_chars`
            (40,000) for the text that the model reads; a truncated text says so.

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

    def __init__(self, *key: str | SecretStr, **settings: Unpack[ToolOptions]) -> None:
        self.settings = ParallelToolSettings(*key, **settings)
        # Of the object: calls of one agent belong together for the API, those of another apart.
        self._session = str(uuid4())
        if self.settings.research == "background":
            pairs = ([pair] if pair[0] != TASK.name else BACKGROUND for pair in self.spec_functions)
            self.spec_functions = [pair for each in pairs for pair in each]

    def __repr__(self) -> str:
        return described(self, self.settings.__repr_args__())

    # `input` is the wire's own word. `**other`, so that whatever else a model sends is refused in
    # words that it understands.

    def parallel_search(
        self,
        objective: str | None = None,
        search_queries: list[str] | None = None,
        **other: Any,
    ) -> list[Document]:
        """Search the web.

        Args:
            objective: What you want to know, in natural language.
            search_queries: Keyword queries; derived from the objective if left out.
            **other: What a model calls them instead, such as `query`.

        Returns:
            One document per page, best first; `session_id` on the list.

        Raises:
            ParallelError: The search failed.
            ValueError: No objective and no query, a value past its limit, or an argument that there
                is not; nothing was sent.
        """
        given = {"objective": objective, "search_queries": search_queries, **other}
        request = self._search(given, self._own_session(given))
        return from_pages(SEARCH, self._client.run(search(request)), self._max_chars)

    async def aparallel_search(
        self,
        objective: str | None = None,
        search_queries: list[str] | None = None,
        **other: Any,
    ) -> list[Document]:
        """Search the web, awaiting; everything else as in `parallel_search`."""
        given = {"objective": objective, "search_queries": search_queries, **other}
        request = self._search(given, await self._session_of(given))
        return from_pages(SEARCH, await self._client.arun(search(request)), self._max_chars)

    def parallel_extract(
        self, urls: list[str] | None = None, objective: str | None = None, **other: Any
    ) -> list[Document]:
        """Read web pages.

        Args:
            urls: 1 to 20 web addresses.
            objective: What you want to know from them.
            **other: What a model calls them instead, such as `url`.

        Returns:
            One document per page that could be read; `session_id` on the list.

        Raises:
            ParallelError: The call failed, or no page could be read.
            ValueError: Something that is no URL, too many, or an argument that there is not;
                nothing was sent.
        """
        given = {"urls": urls, "objective": objective, **other}
        request = self._extract(given, self._own_session(given))
        return from_pages(EXTRACT, self._client.run(extract(request)), self._max_chars)

    async def aparallel_extract(
        self, urls: list[str] | None = None, objective: str | None = None, **other: Any
    ) -> list[Document]:
        """Read web pages, awaiting; everything else as in `parallel_extract`."""
        given = {"urls": urls, "objective": objective, **other}
        request = self._extract(given, await self._session_of(given))
        return from_pages(EXTRACT, await self._client.arun(extract(request)), self._max_chars)

    def parallel_task(self, input: str | None = None, **other: Any) -> list[Document]:  # noqa: A002
        """Research a question in depth.

        Args:
            input: The question.
            **other: What a model calls it instead, such as `query`.

        Returns:
            The answer as a document, then one document per cited excerpt.

        Raises:
            ParallelError: The task failed or was not done in time; `run_id` on it.
        """
        request = self._task(TASK, {"input": input, **other})
        flow = run_task(request, deadline_seconds=self.settings.deadline_seconds)
        return from_task(self._client.run(flow), self._max_chars)

    async def aparallel_task(self, input: str | None = None, **other: Any) -> list[Document]:  # noqa: A002
        """Research a question in depth, awaiting; everything else as in `parallel_task`."""
        request = self._task(TASK, {"input": input, **other})
        flow = run_task(request, deadline_seconds=self.settings.deadline_seconds)
        return from_task(await self._client.arun(flow), self._max_chars)

    def parallel_start_research(self, input: str | None = None, **other: Any) -> list[Document]:  # noqa: A002
        """Start researching a question and return at once.

        Args:
            input: The question.
            **other: What a model calls it instead, such as `query`.

        Returns:
            One document about the run; its id and `run_id` in its metadata are the run's id.

        Raises:
            ParallelError: No run was started, or its id cannot be read.
        """
        request = self._task(START_RESEARCH, {"input": input, **other})
        return from_start(self._client.run(start_research(request)), self._max_chars)

    async def aparallel_start_research(
        self,
        input: str | None = None,  # noqa: A002
        **other: Any,
    ) -> list[Document]:
        """Start researching a question, awaiting; all else as in `parallel_start_research`."""
        request = self._task(START_RESEARCH, {"input": input, **other})
        return from_start(await self._client.arun(start_research(request)), self._max_chars)

    def parallel_get_research(self, run_id: str | None = None, **other: Any) -> list[Document]:
        """Look up research that was started; takes 2 seconds at most while it goes on.

        Args:
            run_id: The run's id.
            **other: What a model calls it instead, such as `id`.

        Returns:
            As `parallel_task` once the run is over; before that, one document that says how it
            stands and what it has done so far.

        Raises:
            ParallelError: The run failed, or there is none; `run_id` on it.
        """
        return from_research(self._client.run(self._look_up(run_id, other)), self._max_chars)

    async def aparallel_get_research(
        self, run_id: str | None = None, **other: Any
    ) -> list[Document]:
        """Look up research, awaiting; everything else as in `parallel_get_research`."""
        found = await self._client.arun(self._look_up(run_id, other))
        return from_research(found, self._max_chars)

    def parallel_find_all(self, objective: str | None = None, **other: Any) -> list[Document]:
        """Find all entities that fulfil conditions.

        Args:
            objective: Which entities, and what each must fulfil.
            **other: What a model calls it instead, such as `query`.

        Returns:
            One document per match.

        Raises:
            ParallelError: The run failed or was not done in time; `findall_id` on it.
        """
        return from_matches(self._client.run(self._find_all(objective, other)), self._max_chars)

    async def aparallel_find_all(
        self, objective: str | None = None, **other: Any
    ) -> list[Document]:
        """Find all entities, awaiting; everything else as in `parallel_find_all`."""
        found = await self._client.arun(self._find_all(objective, other))
        return from_matches(found, self._max_chars)

    def parallel_entity_search(
        self, objective: str | None = None, entity_type: str | None = None, **other: Any
    ) -> list[Document]:
        """List companies or people, unchecked.

        Args:
            objective: Which ones.
            entity_type: `companies` or `people`.
            **other: What a model calls them instead, such as `query`.

        Returns:
            One document per entity.

        Raises:
            ParallelError: The call failed.
        """
        request = self._entities({"objective": objective, "entity_type": entity_type, **other})
        return from_entities(self._client.run(entity_search(request)), self._max_chars)

    async def aparallel_entity_search(
        self, objective: str | None = None, entity_type: str | None = None, **other: Any
    ) -> list[Document]:
        """List companies or people, awaiting; all else as in `parallel_entity_search`."""
        request = self._entities({"objective": objective, "entity_type": entity_type, **other})
        return from_entities(await self._client.arun(entity_search(request)), self._max_chars)

    def parallel_memory(self, query: str | None = None, **other: Any) -> list[Document]:
        """Look up what earlier work was about and found; costs nothing.

        Args:
            query: What about; left out, the most recent.
            **other: What a model calls it instead, such as `objective`.

        Returns:
            One document per task, monitor and FindAll run.

        Raises:
            ParallelError: The call failed, or the account has no memory.
        """
        request = self._memories({"query": query, **other})
        return from_memories(self._client.run(retrieve_memory(request)), self._max_chars)

    async def aparallel_memory(self, query: str | None = None, **other: Any) -> list[Document]:
        """Look up earlier work, awaiting; everything else as in `parallel_memory`."""
        request = self._memories({"query": query, **other})
        return from_memories(await self._client.arun(retrieve_memory(request)), self._max_chars)

    async def parallel_deep_research(
        self,
        ctx: Context,
        input: str | None = None,  # noqa: A002 - the wire's own word
        **other: Any,
    ) -> list[Document]:
        """Research a question in depth and stream what is being done.

        Args:
            ctx: The agent's context, which LlamaIndex passes.
            input: The question.
            **other: What a model calls it instead, such as `query`.

        Returns:
            As `parallel_task`.

        Raises:
            ParallelError: The task failed or was not done in time; `run_id` on it.
            ArgumentTypeError: No context; nothing was sent.
        """
        ctx = as_context(ctx)
        request = self._task(TASK, {"input": input, **other})
        operation = stream_task(request, deadline_seconds=self.settings.deadline_seconds)
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
        known = METADATA.get(fn_name)
        return replace(known) if known else None  # a tool's own, which may be renamed

    def to_tool_list(
        self,
        spec_functions: Sequence[str | tuple[str, str]] | None = None,
        func_to_metadata_mapping: dict[str, ToolMetadata] | None = None,
    ) -> list[FunctionTool]:
        """The tools.

        Args:
            spec_functions: Names of tools, or pairs of a blocking and an awaiting function; all
                four by default.
            func_to_metadata_mapping: Name, description and schema to use instead, by function; a
                name or schema that is left out stays.

        Returns:
            LlamaIndex's tools, whose output is text for the model and Documents for code.

        Raises:
            InvalidArgumentError: A name of no function.
        """
        pairs = {pair[0]: pair for pair in (*BACKGROUND, *ON_REQUEST, *self.spec_functions)}
        wanted: Any = spec_functions or self.spec_functions
        if isinstance(wanted, str):
            raise ArgumentTypeError(f"spec_functions must be a list, like [{wanted!r}]")
        for name in func_to_metadata_mapping or ():
            self._check_name(name)
        tools = []
        for each in wanted:
            names = each if isinstance(each, tuple | list) else pairs.get(each, (each,))
            for name in names:
                self._check_name(name)
            given = (func_to_metadata_mapping or {}).get
            functions = [getattr(self, name) for name in names]
            tool = FunctionTool.from_defaults(
                fn=_first(functions, awaits=False),
                async_fn=_first(functions, awaits=True),
                tool_metadata=self._metadata(names[0], next(filter(None, map(given, names)), None)),
                callback=_as_the_model_reads_it,
            )
            in_session = names[0] in (SEARCH.name, EXTRACT.name) and not self.settings.session_id
            if in_session and all(map(_takes_more, functions)):
                # An agent hands its context, for the session, to a tool that requires one; any
                # other caller has none, and CodeActAgent refuses such a tool.
                tool.requires_context, tool.ctx_param_name = True, CONTEXT
                tool.partial_params[CONTEXT] = None
            tools.append(tool)
        return tools

    def _metadata(self, name: str, given: ToolMetadata | None) -> ToolMetadata | None:
        """What a tool says of itself; what was given for it may leave out its name and schema."""
        own = self.get_metadata_from_fn_name(name)
        if given is None or own is None:
            return given or own
        # LlamaIndex puts the schema of one text, `input`, in place of none.
        left_out = given.fn_schema is DefaultToolFnSchema
        schema = own.fn_schema if left_out else given.fn_schema
        return replace(given, name=given.name or own.name, fn_schema=schema)

    def _check_name(self, name: Any) -> None:
        if not callable(getattr(self, str(name), None)):
            own = (each if isinstance(each, str) else each[0] for each in self.spec_functions)
            known = ", ".join(dict.fromkeys([*own, *METADATA]))
            raise InvalidArgumentError(
                f"{type(self).__name__} has no function {name!r}; it has {known}"
            )

    @property
    def _client(self) -> ParallelClient:
        return self.settings.resolved_client()

    @property
    def _max_chars(self) -> int:
        return self.settings.max_output_chars

    def _own_session(self, given: dict[str, Any]) -> str:
        """The session outside of an agent's context, which no model can give."""
        if given.get(CONTEXT) is None or isinstance(given[CONTEXT], Context):
            given.pop(CONTEXT, None)
        return self.settings.session_id or self._session

    async def _session_of(self, given: dict[str, Any]) -> str:
        """The session of the context that an agent handed over."""
        context = given.get(CONTEXT)
        own = self._own_session(given)
        if not isinstance(context, Context) or self.settings.session_id is not None:
            return own
        session = await context.store.get(SESSION, default=None) or str(uuid4())
        try:
            await context.store.set(SESSION, session)
        except ValueError:  # a state with fields of the user's own takes no other
            return own
        return session

    def _search(self, given: dict[str, Any], session_id: str) -> SearchRequest:
        with explained():
            fields = SEARCH.arguments.read(given)
            request = search_request(self.settings, session_id=session_id, **fields)
            return as_much_as_shown(request, self.settings, self._max_chars)

    def _extract(self, given: dict[str, Any], session_id: str) -> ExtractRequest:
        with explained():
            fields = EXTRACT.arguments.read(given)
            request = extract_request(self.settings, session_id=session_id, **fields)
            return as_much_as_shown(request, self.settings, self._max_chars)

    def _task(self, tool: AgentTool, given: dict[str, Any]) -> CreateTaskRunRequest:
        with explained():
            # Without a schema, a task's output is a JSON object of the processor's own design.
            schema = self.settings.output_schema or {"type": "text"}
            return CreateTaskRunRequest.from_settings(
                self.settings, output_schema=schema, **tool.arguments.read(given)
            )

    def _look_up(
        self, run_id: str | None, other: dict[str, Any]
    ) -> Operation[ResearchProgress | TaskRunResult]:
        fields = GET_RESEARCH.arguments.read({"run_id": run_id, **other})
        return look_up_research(fields["run_id"])

    def _find_all(self, objective: str | None, other: dict[str, Any]) -> Flow[FindallResult]:
        with explained():
            fields = FIND_ALL.arguments.read({"objective": objective, **other})
            request = FindAllRequest.from_settings(self.settings, **fields)
        return find_all(request, self.settings.deadline_seconds)

    def _entities(self, given: dict[str, Any]) -> EntitySearchRequest:
        with explained():
            fields = ENTITY_SEARCH.arguments.read(given)
            return EntitySearchRequest(match_limit=self.settings.entity_limit, **fields)

    def _memories(self, given: dict[str, Any]) -> RetrieveMemoryRequest:
        settings = self.settings
        with explained():
            return RetrieveMemoryRequest(
                limit=settings.memory_limit,
                memory_scope_key=settings.memory_scope_key,
                **MEMORY.arguments.read(given),
            )


def _first(functions: list[Callable[..., Any]], *, awaits: bool) -> Callable[..., Any] | None:
    return next((each for each in functions if inspect.iscoroutinefunction(each) is awaits), None)


def _takes_more(function: Callable[..., Any]) -> bool:
    """Whether it takes arguments that it does not name; a subclass's own may not."""
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_VARKEYWORDS)


def _as_the_model_reads_it(found: Any) -> str | None:
    return found.text if isinstance(found, Found) else None

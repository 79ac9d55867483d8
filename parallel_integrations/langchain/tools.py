"""Search, extract, research, FindAll, entities and memory as tools for LangChain agents."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, closing, contextmanager, suppress
from inspect import signature
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar
from uuid import NAMESPACE_URL, uuid5

from langchain_core.callbacks import (
    AsyncCallbackManagerForToolRun,
    CallbackManagerForToolRun,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool, ToolException
from pydantic import AwareDatetime, BaseModel, Field, PrivateAttr

from parallel_integrations._counted import counted
from parallel_integrations._documents import agent_tools
from parallel_integrations._documents.adapter import PacedAdapter, refuse_unknown
from parallel_integrations._documents.agent_tools import AgentTool
from parallel_integrations._documents.entities import DEFAULT_ENTITIES
from parallel_integrations._documents.evidence import (
    PageDocument,
    notes_of,
    one_line,
    page_documents,
    quoted,
    truncated,
    web_address,
)
from parallel_integrations._documents.find_all import (
    FindAllRequest,
    FindAllSettings,
    stream_find_all,
)
from parallel_integrations._documents.reading import extract_request
from parallel_integrations._documents.research import (
    ResearchProgress,
    look_up_research,
    start_research,
)
from parallel_integrations._documents.results import as_results
from parallel_integrations._documents.searching import TOOL_MODE, as_much_as_shown, search_request
from parallel_integrations._documents.tool_arguments import in_words
from parallel_integrations._documents.tool_texts import MAX_OUTPUT_CHARS, MIN_OUTPUT_CHARS
from parallel_integrations._protocol.flow import Flow, Operation, Stream
from parallel_integrations._protocol.polling import DEADLINE_SECONDS, DeadlineSeconds
from parallel_integrations.api import entity_search, extract, retrieve_memory, search
from parallel_integrations.api.tasks import stream_task
from parallel_integrations.client import ParallelClient
from parallel_integrations.errors import (
    ArgumentTypeError,
    ConnectionFailedError,
    InvalidArgumentError,
    ParallelError,
    RequestTimeoutError,
    TaskFailedError,
    UnexpectedAnswerError,
)
from parallel_integrations.langchain.research_inputs import research_input
from parallel_integrations.models.extract import ExtractResponse, ExtractSettings
from parallel_integrations.models.findall import (
    EntitySearchRequest,
    EntitySearchResponse,
    FindallResult,
    MatchLimit,
)
from parallel_integrations.models.memory import (
    MAX_MEMORIES,
    MemoryKind,
    RetrieveMemoryRequest,
    RetrieveMemoryResponse,
)
from parallel_integrations.models.output_schema import OutputSchema
from parallel_integrations.models.pages import PageSettings
from parallel_integrations.models.policies import MemoryScopeKey
from parallel_integrations.models.search import (
    DEFAULT_RESULTS,
    NumResults,
    SearchResponse,
    SearchSettings,
)
from parallel_integrations.models.shared import StreamEvent
from parallel_integrations.models.task import (
    CreateTaskRunRequest,
    TaskOptions,
    TaskRun,
    TaskRunResult,
    TaskSettings,
)

PROGRESS_EVENT = "parallel_progress"

Content: TypeAlias = str | list[str | dict[str, Any]] | dict[str, Any]
Run = TypeVar("Run", bound=Callable[..., Any])
ContentAndArtifact: TypeAlias = tuple[Content, dict[str, Any]]


def inspected(run: Run) -> Run:
    """Cache a method's signature, which langchain_core inspects at each call."""
    run.__signature__ = signature(run)  # type: ignore[attr-defined]
    run.__no_type_check__ = True  # type: ignore[attr-defined]
    return run


PAID = "It may be paid for: do not repeat the call, go on without it."
# For errors whose messages name no remedy; the first class that fits counts.
REMEDIES: tuple[tuple[type[ParallelError], str], ...] = (
    (TaskFailedError, "Ask for it in other words, or for less at once."),
    (RequestTimeoutError, "Try again, or ask for less at once."),
    (ConnectionFailedError, "Try again; if it fails again, go on without this tool."),
    (UnexpectedAnswerError, "Try again; if it fails again, go on without this tool."),
)


@contextmanager
def tool_errors(settings: Mapping[str, Any]) -> Iterator[None]:
    """Turn our errors into the one that LangChain hands to the model instead of crashing.

    A setting of the call that cannot be right is no fault of the model's: code gets it.
    """
    try:
        yield
    except InvalidArgumentError as error:
        if error.field.partition(".")[0] in settings:
            text = f"A setting in the call's config is refused: {error}"
            raise type(error)(text, field=error.field) from error
        raise ToolException(in_words(error)) from error
    except ParallelError as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        remedy = next((f" - {said}" for kind, said in REMEDIES if isinstance(error, kind)), "")
        if remedy and not isinstance(error, TaskFailedError) and (error.run_id or error.findall_id):
            remedy = f" - {PAID}"
        raise ToolException(f"{type(error).__name__}: {error}{notes}{remedy}") from error


class ParallelTool(PacedAdapter, BaseTool):
    """Base of the tools: text for the model, an artifact for code, errors that the model reads.

    A model gives the arguments that its schema names and nothing else. Code varies a setting for
    one call, or one run of an agent, under the tool's name in the config:
    `invoke(…, {"configurable": {"parallel_search": {"max_results": 3}}})`.
    """

    agent_tool: ClassVar[AgentTool]

    response_format: Literal["content_and_artifact"] = "content_and_artifact"
    """Text for the model, an artifact for code; always."""
    handle_tool_error: bool | str | Callable[[ToolException], Any] | None = True
    """Whether an error becomes a tool message that says what to do; False raises `ToolException`
    with the error behind it as its cause.
    """
    max_output_chars: int = Field(default=MAX_OUTPUT_CHARS, ge=MIN_OUTPUT_CHARS)
    """Most characters of the content, 40,000 by default; a truncated text says so."""

    def _operation(self, fields: dict[str, Any]) -> Any:
        """What each tool adds: the operation of one call."""
        raise NotImplementedError

    def _content_and_artifact(self, result: Any) -> ContentAndArtifact:
        return self.agent_tool.text(result, self.max_output_chars), self._artifact(result)

    def _artifact(self, result: Any) -> dict[str, Any]:
        artifact: dict[str, Any] = result.model_dump(mode="json")
        return artifact

    @inspected
    def _run(
        self,
        *arguments: Any,
        run_manager: CallbackManagerForToolRun | None = None,
        **named: Any,
    ) -> ContentAndArtifact:
        settings = self._call_settings()
        with tool_errors(settings):
            operation = self._operation({**settings, **self._named(arguments), **named})
            return self._content_and_artifact(self._result(operation))

    @inspected
    async def _arun(
        self,
        *arguments: Any,
        run_manager: AsyncCallbackManagerForToolRun | None = None,
        **named: Any,
    ) -> ContentAndArtifact:
        settings = self._call_settings()
        with tool_errors(settings):
            operation = self._operation({**settings, **self._named(arguments), **named})
            return self._content_and_artifact(await self._aresult(operation))

    def _result(self, operation: Any) -> Any:
        return self.resolved_client().run(operation)

    async def _aresult(self, operation: Any) -> Any:
        return await self.resolved_client().arun(operation)

    def _call_settings(self) -> dict[str, Any]:
        """The settings that code gave for this call."""
        # Under the name of the tool: the config is that of a whole run, with settings of others.
        given = ensure_config().get("configurable", {}).get(self.name)
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            raise ArgumentTypeError(
                f"configurable[{self.name!r}] must be a mapping of settings by name"
            )
        arguments = self.agent_tool.arguments.model_fields
        refuse_unknown(
            type(self), given, self.agent_tool.request.model_fields.keys() - arguments.keys()
        )
        return {name: value for name, value in given.items() if value is not None}

    def _named(self, arguments: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(self.agent_tool.arguments.model_fields, arguments, strict=False))

    # langchain_core inspects all fields' annotations twice a call. Of our own schemas it is known
    # that none is hidden from models, and that none is filled from the call's id.

    def _filter_injected_args(self, tool_input: dict[str, Any]) -> dict[str, Any]:
        if not self._has_own_schema():
            return super()._filter_injected_args(tool_input)
        injected = ("run_manager", "callbacks")
        return {name: value for name, value in tool_input.items() if name not in injected}

    def _parse_input(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> str | dict[str, Any]:
        try:
            if self._has_own_schema():
                return self.agent_tool.arguments.read(tool_input)
            return super()._parse_input(tool_input, tool_call_id)
        except ValueError as error:
            if self.handle_validation_error:
                raise error.__cause__ or error from None
            # A refusal is a tool error like any other: `handle_tool_error` decides about both.
            raise ToolException(in_words(error)) from error

    def _has_own_schema(self) -> bool:
        return self.args_schema is self.agent_tool.arguments


class StreamingTool(ParallelTool):
    """Base of the tools that take minutes: the run's events are reported while it works."""

    deadline_seconds: DeadlineSeconds = DEADLINE_SECONDS
    """How long to wait in all."""

    def _result(self, operation: Any) -> Any:
        return run_reporting(self.resolved_client(), operation)

    async def _aresult(self, operation: Any) -> Any:
        return await arun_reporting(self.resolved_client(), operation)


class SessionTool(PageSettings, ParallelTool):
    """Base of the tools whose calls are joined to one session."""

    session_per_thread: bool = True
    """Whether all calls of a LangGraph thread (`configurable.thread_id`) have one session id, so
    that search and extract of one agent belong together. A `session_id` of yours comes first.
    """
    artifact_format: Literal["response", "results"] = "response"
    """`"response"` for the API's response, `"results"` for what `as_results` makes of it."""
    _session: str | None = PrivateAttr(default=None)

    def join_session(self, session_id: str) -> None:
        """Use this session where neither a fixed one nor a thread's own comes first."""
        self._session = session_id

    def _artifact(self, result: Any) -> dict[str, Any]:
        return (
            as_results(result) if self.artifact_format == "results" else super()._artifact(result)
        )

    def _in_session(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of one call with its session: given, or its agent's."""
        if self.session_id is not None or "session_id" in fields:
            return fields
        return {**fields, "session_id": self._thread_session() or self._session}

    def _thread_session(self) -> str | None:
        """The session of the calling LangGraph thread; None outside of one."""
        if not self.session_per_thread:
            return None
        thread = ensure_config().get("configurable", {}).get("thread_id")
        if thread is None:
            return None
        # Derived, not stored: each process that serves the thread comes to the same id, and the
        # thread's own, which may name a customer, is not sent.
        return str(uuid5(NAMESPACE_URL, f"langgraph-thread:{thread}"))


class ResearchSettings(TaskOptions):
    """Settings of a task, in a LangChain class.

    Every runnable has an `input_schema` and an `output_schema` of its own, so the task's are given
    under these names and kept under others.

    Attributes:
        task_output_schema: `output_schema=` of the constructor: a description of a text, a JSON
            schema, a pydantic class, or the wire's own form; left out, the processor decides.
        task_input_schema: `input_schema=` of the constructor, in the same forms.
    """

    task_output_schema: OutputSchema | None = Field(default=None, alias="output_schema")
    """`output_schema=` of the constructor: a description of a text, a JSON schema, a pydantic
    class, or the wire's own form; left out, the processor decides.
    """
    task_input_schema: OutputSchema | None = Field(default=None, alias="input_schema")
    """`input_schema=` of the constructor, in the same forms."""

    def task_request(self, fields: dict[str, Any]) -> CreateTaskRunRequest:
        """The request of one call, whose own settings win."""
        schemas = {
            "output_schema": self.task_output_schema,
            "input_schema": self.task_input_schema,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        if "input" not in given:
            raise InvalidArgumentError(
                "input=None must be a text or an object of fields", field="input"
            )
        given["input"] = research_input(given["input"])
        return CreateTaskRunRequest.from_settings(self, **{**schemas, **given})

    def task_settings(self, called: dict[str, Any]) -> TaskSettings:
        """The settings of one call that runs many tasks; its own win."""
        request = self.task_request({**called, "input": "-"})
        # Validated already: a second time would repeat the warnings about a schema.
        return TaskSettings.model_construct(
            **{name: getattr(request, name) for name in TaskSettings.model_fields}
        )


def progress(event: StreamEvent) -> dict[str, Any]:
    """An event as plain JSON, for callbacks and stream writers."""
    return event.model_dump(mode="json", exclude_none=True)


def run_reporting(client: ParallelClient, operation: Stream[Any]) -> Any:
    """Run a task or FindAll to its result, and report the events before it."""
    with closing(client.stream(operation)) as events:
        for event in events:
            if isinstance(event, TaskRunResult | FindallResult):
                return event
            report_progress(progress(event))
    raise UnexpectedAnswerError("The run ended without a result.")


async def arun_reporting(client: ParallelClient, operation: Stream[Any]) -> Any:
    """As `run_reporting`, awaiting."""
    async with aclosing(client.astream(operation)) as events:
        async for event in events:
            if isinstance(event, TaskRunResult | FindallResult):
                return event
            await areport_progress(progress(event))
    raise UnexpectedAnswerError("The run ended without a result.")


def report_progress(data: dict[str, Any]) -> None:
    """Report progress to callbacks (`on_custom_event`) and to LangGraph's stream writer."""
    with suppress(RuntimeError):  # no run to belong to, as when `_run` is called directly
        dispatch_custom_event(PROGRESS_EVENT, data)
    _write(data)


async def areport_progress(data: dict[str, Any]) -> None:
    """Report progress, awaiting."""
    with suppress(RuntimeError):  # no run to belong to, as when `_arun` is called directly
        await adispatch_custom_event(PROGRESS_EVENT, data)
    _write(data)


def _write(data: dict[str, Any]) -> None:
    # Outside a graph there is no writer (RuntimeError, or KeyError in a bare tool run); without
    # LangGraph there is no graph.
    with suppress(ImportError, KeyError, RuntimeError):
        from langgraph.config import get_stream_writer

        get_stream_writer()(data)


MIN_BLOCK_CHARS = 300
"""The least size of a content block; where less is left for each, fewer results are shown."""


class ParallelSearchTool(SearchSettings, SessionTool):
    """Searches the web for an agent.

    The model sees `objective` and `search_queries`. Everything else is fixed on the instance
    (`max_results`, `mode`, `source_policy`, `fetch_policy`, `location`, `max_chars_total`,
    `max_chars_per_result`, `session_id`, `client_model`) or given by code for one call, in its
    config: `{"configurable": {"parallel_search": {"max_results": 3}}}`. The content is numbered
    text with title, url, date and excerpts; the artifact is the API's response as plain JSON. An
    error, or an argument that cannot be right, becomes an error tool message that says what to do;
    `handle_tool_error=False` raises `ToolException` instead, with the error behind it as its cause
    (`may_repeat` says whether to try again).

    Attributes:
        max_results: Number of results, 1 to 40; 10 by default, which a search's price includes.
        mode: `fast` by default, the vendor's choice for agents (docs/reference/facts.md, 5);
            `advanced` searches deeper, takes about 2 seconds longer and costs five times as much.
        content_format: `"text"`, or `"search_result"` for content blocks that models with native
            citations (Anthropic's) understand, or `"results"` for a dict, which code reads from
            `tool.invoke({"query": question})["results"]`: see `parallel_integrations.as_results`.
        artifact_format: `"response"` for the API's response, or `"results"` for that dict.
        max_output_chars: Most characters of the content, 40,000 by default; no more text than that
            is requested, unless `max_chars_total` says so. A truncated text says so.
        rate_limiter: LangChain's, as on chat models: waited for before each call of any tool.
        session_per_thread: Whether all calls of a LangGraph thread (`configurable.thread_id`) have
            one session id, so that search and extract of one agent belong together; True. A
            `session_id` of yours comes first. The artifact has the session's id.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelSearchTool

        tool = ParallelSearchTool(max_results=3)
        print(tool.invoke({"objective": "What is a descriptor?", "search_queries": ["descriptor"]}))
        ```
    """

    agent_tool = agent_tools.SEARCH
    name: str = agent_tool.name
    description: str = agent_tool.description
    args_schema: type[BaseModel] = agent_tool.arguments
    mode: str | None = Field(default=TOOL_MODE, min_length=1)
    """`fast` by default, the vendor's choice for agents (docs/reference/facts.md, 5); `advanced`
    searches deeper, takes about 2 seconds longer and costs five times as much.
    """
    max_results: NumResults = DEFAULT_RESULTS
    """Number of results, 1 to 40; 10 by default, which a search's price includes."""
    content_format: Literal["text", "search_result", "results"] = "text"
    """`"text"`, or `"search_result"` for content blocks that models with native citations
    (Anthropic's) understand, or `"results"` for a dict, which code reads from
    `tool.invoke({"query": question})["results"]`: see `parallel_integrations.as_results`.
    """

    def _operation(self, fields: dict[str, Any]) -> Flow[SearchResponse]:
        request = search_request(self, **self._in_session(fields))
        return search(as_much_as_shown(request, self, self.max_output_chars))

    def _content_and_artifact(self, result: SearchResponse) -> ContentAndArtifact:
        if self.content_format == "search_result" and (found := [*page_documents(result.results)]):
            return self._blocks(found, notes_of(result)), self._artifact(result)
        if self.content_format == "results":
            return as_results(result, self.max_output_chars), self._artifact(result)
        return super()._content_and_artifact(result)

    def _blocks(self, found: list[PageDocument], notes: list[str]) -> list[str | dict[str, Any]]:
        tail = [truncated("\n\n".join(notes), self.max_output_chars // 2)] if notes else []
        available = self.max_output_chars - sum(map(len, tail))
        shown = found[: max(1, available // MIN_BLOCK_CHARS)]
        if more := len(found) - len(shown):
            tail.append(f"{counted(more, 'more result was', 'more results were')} left out.")
        # The same share for all: cut at the end, the text would lack its last pages altogether.
        share = (available - 50) // len(shown)
        return [*(_search_result_block(item, share) for item in shown), *tail]


ParallelWebSearchTool = ParallelSearchTool
"""The name that langchain-parallel also has for it."""


class ParallelExtractTool(ExtractSettings, SessionTool):
    """Reads web pages for an agent.

    The model sees `urls` and `objective`; everything else is fixed on the instance
    (`full_content`, `fetch_policy`, `max_chars_total`, `max_chars_per_result`, `session_id`,
    `client_model`) or given by code for one call in its config. Pages that cannot be read are named
    in the content, URL by URL; when none can, that is an error tool message. `max_output_chars` and
    `session_per_thread` are those of `ParallelSearchTool`.
    """

    agent_tool = agent_tools.EXTRACT
    name: str = agent_tool.name
    description: str = agent_tool.description
    args_schema: type[BaseModel] = agent_tool.arguments

    def _operation(self, fields: dict[str, Any]) -> Flow[ExtractResponse]:
        request = extract_request(self, **self._in_session(fields))
        return extract(as_much_as_shown(request, self, self.max_output_chars))


def _search_result_block(item: PageDocument, max_chars: int) -> dict[str, Any]:
    url, title = web_address(item.metadata["url"]), one_line(item.metadata["title"])
    if not url:  # nothing to cite it by
        return {"type": "text", "text": truncated(f"{title}\n{quoted(item.text)}", max_chars)}
    return {
        "type": "search_result",
        "source": url,
        "title": title,
        "content": [
            {"type": "text", "text": truncated(item.text, max_chars - len(url) - len(title))}
        ],
        "citations": {"enabled": True},
    }


class ParallelTaskRunTool(ResearchSettings, StreamingTool):
    """Researches a question for an agent in seconds to minutes; gives an answer with its sources.

    The model sees `input`. Everything else is fixed on the instance (`processor`, `output_schema`,
    `input_schema`, `source_policy`, `mcp_servers`, `location`, `enable_events` …) or given by code
    for one call in its config. While the run works, its events are sent as custom events named
    `parallel_progress` and through LangGraph's stream writer. The artifact is the run and its
    output as plain JSON; errors after the run was created name its id.

    Attributes:
        processor: Decides price and depth; `base` (0.010 USD a run) by default.
        deadline_seconds: How long to wait in all.
        max_output_chars: Most characters of the content, 40,000 by default; a truncated text says
            so.
    """

    agent_tool = agent_tools.TASK
    name: str = agent_tool.name
    description: str = agent_tool.description
    args_schema: type[BaseModel] = agent_tool.arguments

    def _operation(self, fields: dict[str, Any]) -> Stream[StreamEvent | TaskRunResult]:
        request = self.task_request(fields)
        return stream_task(request, deadline_seconds=self.deadline_seconds)


class ParallelFindAllTool(FindAllSettings, StreamingTool):
    """Finds entities on the web that fulfil conditions, for an agent; takes minutes.

    The model sees `objective`; code may give `generator` and `match_limit` for one call in its
    config. The content
    lists the matches with url, description and reasons; the artifact is the run and all its
    candidates as plain JSON. Progress is reported as by `ParallelTaskRunTool`; errors after the
    run was created name its id.

    Attributes:
        generator: `preview` (0.10 USD, at most 10), `base` (0.25 and 0.03 a match), `core`
            (2 and 0.15) or `pro` (10 and 1); `preview` by default, because an agent decides.
        match_limit: How many to find; 5 to 1000, 10 at most for `preview`.
        deadline_seconds: How long to wait in all.
        max_output_chars: Most characters of the content, 40,000 by default; a truncated text says
            so.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelFindAllTool

        tool = ParallelFindAllTool(match_limit=5)
        print(tool.invoke({"objective": "Python statements that bind names"}))
        ```
    """

    agent_tool = agent_tools.FIND_ALL
    name: str = agent_tool.name
    description: str = agent_tool.description
    args_schema: type[BaseModel] = agent_tool.arguments

    def _operation(self, fields: dict[str, Any]) -> Stream[StreamEvent | FindallResult]:
        request = FindAllRequest.from_settings(self, **fields)
        return stream_find_all(request, self.deadline_seconds)


class ParallelStartResearchTool(ResearchSettings, ParallelTool):
    """Starts research in the background for an agent, and gives its run id at once.

    The model sees `input`; everything else is fixed as on `ParallelTaskRunTool`, or given for one
    call in its config. `ParallelGetResearchTool` collects the report: in the same turn, in a later
    one, or in another process, because the id stands in the conversation. The artifact is the run
    as plain JSON.

    Attributes:
        processor: Decides price and depth; `base` (0.010 USD a run) by default. A run is paid for
            once it completes, whether its report is collected or not.

    Example:
        ```python
        from parallel_integrations.langchain import (
            ParallelGetResearchTool,
            ParallelStartResearchTool,
        )

        print(ParallelStartResearchTool(processor="lite").invoke("How do generators work?"))
        print(ParallelGetResearchTool().name)
        ```
    """

    agent_tool = agent_tools.START_RESEARCH
    name: str = agent_tool.name
    description: str = agent_tool.description
    args_schema: type[BaseModel] = agent_tool.arguments

    def _operation(self, fields: dict[str, Any]) -> Flow[TaskRun]:
        return start_research(self.task_request(fields))


class ParallelGetResearchTool(ParallelTool):
    """Looks up research that was started: its status and progress so far, or its report.

    The model sees `run_id`. A look costs nothing and takes 2 seconds at most while the run goes on.
    The artifact is the run (`run`) and, once it is over, its output (`output`), as plain JSON. A
    run that failed is an error tool message with the reason.

    Attributes:
        max_output_chars: Most characters of the content, 40,000 by default; a truncated text says
            so.
    """

    agent_tool = agent_tools.GET_RESEARCH
    name: str = agent_tool.name
    description: str = agent_tool.description
    args_schema: type[BaseModel] = agent_tool.arguments

    def _operation(self, fields: dict[str, Any]) -> Operation[ResearchProgress | TaskRunResult]:
        return look_up_research(fields["run_id"])


class ParallelEntitySearchTool(ParallelTool):
    """Lists companies or people for an agent within a second, unchecked.

    The model sees `objective` and `entity_type`; code may give `match_limit` for one call in its
    config. The content lists each with url and description; the artifact is the API's response as
    plain JSON. `ParallelFindAllTool` takes minutes and says of each match why it is one.

    Attributes:
        match_limit: How many to list, 5 to 1000; 10 by default, 100 are included in the price of
            0.005 USD.
        max_output_chars: Most characters of the content, 40,000 by default; a truncated text says
            so.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelEntitySearchTool

        tool = ParallelEntitySearchTool(match_limit=5)
        print(tool.invoke({"objective": "makers of compilers", "entity_type": "companies"}))
        ```
    """

    agent_tool = agent_tools.ENTITY_SEARCH
    name: str = agent_tool.name
    description: str = agent_tool.description
    args_schema: type[BaseModel] = agent_tool.arguments
    match_limit: MatchLimit = DEFAULT_ENTITIES
    """How many to list, 5 to 1000; 10 by default, 100 are included in the price of 0.005 USD."""

    def _operation(self, fields: dict[str, Any]) -> Flow[EntitySearchResponse]:
        return entity_search(EntitySearchRequest.from_settings(self, **fields))


class ParallelMemoryTool(ParallelTool):
    """Looks up for an agent what was researched before; costs nothing (beta).

    The model sees `query`; the other fields of `RetrieveMemoryRequest` (`limit`, `kind`, `since`,
    `memory_scope_key`) are fixed on the instance or given by code for one call in its config. The
    content names each task, FindAll run and monitor with what it was about and found; the artifact
    is the API's response as plain JSON. Give tools that research the same `memory_scope_key`.

    Attributes:
        limit: How many memories, 1 to 25; the API's default where left out.
        kind: Only memories of a `task`, `monitor` or `findall`.
        since: Only what changed after this moment, with a time zone.
        memory_scope_key: Whose memories; the personal ones where left out.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelMemoryTool

        print(ParallelMemoryTool(limit=5).invoke("closures"))
        ```
    """

    agent_tool = agent_tools.MEMORY
    name: str = agent_tool.name
    description: str = agent_tool.description
    args_schema: type[BaseModel] = agent_tool.arguments
    limit: int | None = Field(default=None, ge=1, le=MAX_MEMORIES)
    """How many memories, 1 to 25; the API's default where left out."""
    kind: MemoryKind | None = None
    """Only memories of a `task`, `monitor` or `findall`."""
    since: AwareDatetime | None = None
    """Only what changed after this moment, with a time zone."""
    memory_scope_key: MemoryScopeKey | None = None
    """Whose memories; the personal ones where left out."""

    def _operation(self, fields: dict[str, Any]) -> Flow[RetrieveMemoryResponse]:
        return retrieve_memory(RetrieveMemoryRequest.from_settings(self, **fields))

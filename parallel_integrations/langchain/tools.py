"""Search, extract, deep research and FindAll as tools for LangChain agents."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from inspect import signature
from typing import Annotated, Any, Literal, TypeAlias, TypeVar
from uuid import NAMESPACE_URL, uuid5

from langchain_core.callbacks import (
    AsyncCallbackManagerForToolRun,
    CallbackManagerForToolRun,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool, InjectedToolArg, ToolException
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)

from parallel_integrations._documents.adapter import Adapter
from parallel_integrations._documents.evidence import (
    PageDocument,
    as_text,
    match_pages,
    notes_of,
    numbered,
    one_line,
    page_documents,
    quoted,
    report_as_text,
    web_address,
)
from parallel_integrations._documents.tool_texts import (
    EXTRACT,
    FIND_ALL,
    SEARCH,
    TASK,
    explain_arguments,
)
from parallel_integrations._protocol.flow import Emit, More, Send
from parallel_integrations._protocol.polling import (
    DEADLINE_SECONDS,
    DeadlineSeconds,
    within,
)
from parallel_integrations.api import extract, findall_events, search
from parallel_integrations.api.findall import await_findall, start_findall
from parallel_integrations.api.tasks import stream_task
from parallel_integrations.errors import (
    ConnectionFailedError,
    ParallelError,
    RequestTimeoutError,
    TaskFailedError,
    UnexpectedAnswerError,
)
from parallel_integrations.models.extract import (
    ExtractRequest,
    ExtractResponse,
    ExtractSettings,
)
from parallel_integrations.models.findall import (
    FindallResult,
    FindallStatusEvent,
    IngestFindallRequest,
)
from parallel_integrations.models.output_schema import OutputSchema
from parallel_integrations.models.search import (
    DEFAULT_RESULTS,
    MAX_RESULTS,
    SearchRequest,
    SearchResponse,
    SearchSettings,
)
from parallel_integrations.models.shared import RequestModel, StreamEvent
from parallel_integrations.models.task import (
    CreateTaskRunRequest,
    TaskOptions,
    TaskRunResult,
    TaskSettings,
)

MAX_OUTPUT_CHARS = 40_000
PROGRESS_EVENT = "parallel_progress"

Content: TypeAlias = str | list[str | dict[str, Any]]
Run = TypeVar("Run", bound=Callable[..., Any])
ContentAndArtifact: TypeAlias = tuple[Content, dict[str, Any]]


def input_schema(name: str, module: str, request: type[RequestModel], *visible: str) -> Any:
    """A tool's arguments: `visible` ones for the model, the request's others for code only."""
    fields: dict[str, Any] = {
        field: (request.model_fields[field].annotation, request.model_fields[field])
        for field in visible
    }
    for field, info in request.model_fields.items():
        if field not in fields:
            hidden = Annotated[Any, InjectedToolArg]
            fields[field] = (hidden, Field(default=None, description=info.description))
    schema = create_model(name, __config__=ConfigDict(extra="forbid"), __module__=module, **fields)
    _HIDDEN[schema] = frozenset(fields).difference(visible) | {"run_manager", "callbacks"}
    return schema


_HIDDEN: dict[type[BaseModel], frozenset[str]] = {}
"""What is no part of a traced input, for each of our own schemas."""


def inspected(run: Run) -> Run:
    """Spare langchain_core to inspect a method at each call: only its parameters' names count."""
    run.__signature__ = signature(run)  # type: ignore[attr-defined]
    run.__no_type_check__ = True  # type: ignore[attr-defined]
    return run


def cut(text: str, max_chars: int) -> str:
    """At most `max_chars` characters of a text; says how many there were."""
    if len(text) <= max_chars:
        return text
    said = f" […cut, {len(text)} characters in all]"
    return text[: max(0, max_chars - len(said))] + said


# What the errors that name no remedy themselves leave to do. The first that fits is said.
REMEDIES: tuple[tuple[type[ParallelError], str], ...] = (
    (TaskFailedError, "Ask for it in other words, or for less at once."),
    (RequestTimeoutError, "Try again, or ask for less at once."),
    (ConnectionFailedError, "Try again; if it fails again, go on without this tool."),
    (UnexpectedAnswerError, "Try again; if it fails again, go on without this tool."),
)


@contextmanager
def tool_errors() -> Iterator[None]:
    """Turn our errors into the one that LangChain hands to the model instead of crashing."""
    try:
        yield
    except ValidationError as error:
        raise ToolException(explain_arguments(error)) from error
    except ParallelError as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        remedy = next((f" - {said}" for kind, said in REMEDIES if isinstance(error, kind)), "")
        raise ToolException(f"{type(error).__name__}: {error}{notes}{remedy}") from error


class ParallelTool(Adapter, BaseTool):
    """Base of the tools: text for the model, an artifact for code, errors that the model reads.

    Attributes:
        max_output_chars: Most characters of the content, 40,000 by default; what is cut is said.
    """

    response_format: Literal["content_and_artifact"] = "content_and_artifact"
    handle_tool_error: bool | str | Callable[[ToolException], Any] | None = True
    handle_validation_error: bool | str | Callable[[Any], str] | None = explain_arguments
    max_output_chars: int = Field(default=MAX_OUTPUT_CHARS, ge=500)

    # langchain_core inspects all fields' annotations twice a call. Of our own schemas it is known
    # which are hidden from models, and that none is filled from the call's id.

    def _filter_injected_args(self, tool_input: dict[str, Any]) -> dict[str, Any]:
        hidden = _HIDDEN.get(self.args_schema)  # type: ignore[arg-type]
        if hidden is None:
            return super()._filter_injected_args(tool_input)
        return {name: value for name, value in tool_input.items() if name not in hidden}

    def _parse_input(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> str | dict[str, Any]:
        schema = self.args_schema
        if isinstance(tool_input, str) or schema not in _HIDDEN:
            return super()._parse_input(tool_input, tool_call_id)
        return dict(schema.model_validate(tool_input))

    def with_notes(self, body: Callable[[int], str], notes: list[str]) -> str:
        """A content and the notes behind it, both within the budget; the notes get half at most.

        Args:
            body: Gives the content for the number of characters that are left for it.
            notes: What is said after it.
        """
        tail = cut("\n\n".join(notes), self.max_output_chars // 2)
        available = self.max_output_chars - len(tail) - 2
        return "\n\n".join(part for part in (cut(body(available), available), tail) if part)


class SessionTool(ParallelTool):
    """A tool whose calls can be joined to one session.

    Attributes:
        session_per_thread: True sends one session id for all calls of a LangGraph thread
            (`configurable.thread_id`), so that search and extract of one agent run belong together.
    """

    session_per_thread: bool = False

    def thread_session(self) -> str | None:
        """The session of the thread that calls; None outside of one."""
        if not self.session_per_thread:
            return None
        thread = ensure_config().get("configurable", {}).get("thread_id")
        if thread is None:
            return None
        return str(uuid5(NAMESPACE_URL, f"langgraph-thread:{thread}"))


class ResearchSettings(TaskOptions):
    """How tasks are done, in a LangChain class.

    Every runnable has an `input_schema` and an `output_schema` of its own, so the task's are given
    under these names and kept under others.

    Attributes:
        task_output_schema: `output_schema=` of the constructor: a description of a text, a JSON
            schema, a pydantic class, or the wire's own form; left out, the processor decides.
        task_input_schema: `input_schema=` of the constructor, in the same forms.
    """

    task_output_schema: OutputSchema | None = Field(default=None, alias="output_schema")
    task_input_schema: OutputSchema | None = Field(default=None, alias="input_schema")

    def task_request(self, fields: Any, called: dict[str, Any]) -> CreateTaskRunRequest:
        """The request of one call, whose own settings win."""
        schemas = {
            "output_schema": self.task_output_schema,
            "input_schema": self.task_input_schema,
        }
        given = {name: value for name, value in called.items() if value is not None}
        return CreateTaskRunRequest.from_settings(self, input=fields, **{**schemas, **given})

    def task_settings(self, called: dict[str, Any]) -> TaskSettings:
        """The settings of one call that asks for many things; its own win."""
        if unknown := sorted(called.keys() - TaskSettings.model_fields.keys()):
            raise TypeError(f"{type(self).__name__} takes no {unknown[0]!r} for a call")
        request = self.task_request("-", called)
        # Checked already: what is said about a schema is said once.
        return TaskSettings.model_construct(
            **{name: getattr(request, name) for name in TaskSettings.model_fields}
        )


def progress(event: StreamEvent) -> dict[str, Any]:
    """An event as it is told to callbacks and stream writers."""
    return event.model_dump(mode="json", exclude_none=True)


def report_progress(data: dict[str, Any]) -> None:
    """Tell progress to callbacks (`on_custom_event`) and to LangGraph's stream writer."""
    with suppress(RuntimeError):  # no run to belong to, as when `_run` is called directly
        dispatch_custom_event(PROGRESS_EVENT, data)
    _write(data)


async def areport_progress(data: dict[str, Any]) -> None:
    """Tell progress, awaiting."""
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
"""So much room a content block gets at least; where there is less, fewer results are shown."""

ParallelSearchInput = input_schema(
    "ParallelSearchInput", __name__, SearchRequest, "objective", "search_queries"
)
ParallelExtractInput = input_schema(
    "ParallelExtractInput", __name__, ExtractRequest, "urls", "objective"
)


class ParallelSearchTool(SearchSettings, SessionTool):
    """Searches the web for an agent.

    The model sees `objective` and `search_queries`. Everything else is fixed on the instance
    (`max_results`, `mode`, `source_policy`, `fetch_policy`, `location`, `max_chars_total`,
    `max_chars_per_result`, `session_id`, `client_model`) or passed by code per call under the same
    names. The content is numbered text with title, url, date and excerpts; the artifact is the
    API's answer as plain JSON. An error becomes an error tool message that says what to do; set
    `handle_tool_error=False` to have it raised as `ToolException`.

    Attributes:
        max_results: Number of results, 1 to 40; 10 by default, which a search's price includes.
        content_format: `"text"`, or `"search_result"` for content blocks that models with native
            citations (Anthropic's) understand.
        max_output_chars: Most characters of the content, 40,000 by default; what is cut is said.
        session_per_thread: True joins the calls of one LangGraph thread to one session.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelSearchTool

        tool = ParallelSearchTool(max_results=3)
        print(tool.invoke({"objective": "What is a descriptor?", "search_queries": ["descriptor"]}))
        print(tool.invoke("What is a descriptor?"))
        ```
    """

    name: str = "parallel_search"
    description: str = SEARCH
    args_schema: type[BaseModel] = ParallelSearchInput
    max_results: int = Field(default=DEFAULT_RESULTS, ge=1, le=MAX_RESULTS)
    content_format: Literal["text", "search_result"] = "text"

    @inspected
    def _run(
        self,
        objective: str | None = None,
        search_queries: list[str] | str | None = None,
        run_manager: CallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with tool_errors():
            request = self._request(objective, search_queries, settings)
            return self._content_and_artifact(self.connection().run(search(request)))

    @inspected
    async def _arun(
        self,
        objective: str | None = None,
        search_queries: list[str] | str | None = None,
        run_manager: AsyncCallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with tool_errors():
            request = self._request(objective, search_queries, settings)
            return self._content_and_artifact(await self.connection().arun(search(request)))

    def _request(
        self,
        objective: str | None,
        search_queries: list[str] | str | None,
        settings: dict[str, Any],
    ) -> SearchRequest:
        fields = {"session_id": self.thread_session(), **_given(settings)}
        return SearchRequest.from_settings(
            self, objective=objective, search_queries=search_queries, **fields
        )

    def _content_and_artifact(self, response: SearchResponse) -> ContentAndArtifact:
        notes = notes_of(response)
        artifact = response.model_dump(mode="json")
        found = list(page_documents(response.results))
        if not found:
            notes.insert(0, "No pages were found. Try other keywords or a broader objective.")
        elif self.content_format == "search_result":
            return self._blocks(found, notes), artifact
        return self.with_notes(lambda available: numbered(found, available), notes), artifact

    def _blocks(self, found: list[PageDocument], notes: list[str]) -> list[str | dict[str, Any]]:
        tail = [cut("\n\n".join(notes), self.max_output_chars // 2)] if notes else []
        available = self.max_output_chars - sum(map(len, tail))
        shown = found[: max(1, available // MIN_BLOCK_CHARS)]
        if len(shown) < len(found):
            tail.append(f"{len(found) - len(shown)} more results were left out.")
        share = (available - 50) // len(shown)
        return [*(_search_result_block(item, share) for item in shown), *tail]


ParallelWebSearchTool = ParallelSearchTool
"""The name that langchain-parallel also has for it."""


class ParallelExtractTool(ExtractSettings, SessionTool):
    """Reads web pages for an agent.

    The model sees `urls` and `objective`; everything else is fixed on the instance
    (`full_content`, `fetch_policy`, `max_chars_total`, `max_chars_per_result`, `session_id`,
    `client_model`) or passed by code per call. Pages that cannot be read are named in the content,
    URL by URL; when none can, that is an error tool message. `max_output_chars` and
    `session_per_thread` are those of `ParallelSearchTool`.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelExtractTool

        tool = ParallelExtractTool()
        url = "https://docs.python.org/3/reference/compound_stmts.html"
        print(tool.invoke({"urls": [url], "objective": "How does the with statement work?"}))
        ```
    """

    name: str = "parallel_extract"
    description: str = EXTRACT
    args_schema: type[BaseModel] = ParallelExtractInput

    @inspected
    def _run(
        self,
        urls: list[str] | str,
        objective: str | None = None,
        run_manager: CallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with tool_errors():
            request = self._request(urls, objective, settings)
            return self._content_and_artifact(self.connection().run(extract(request)))

    @inspected
    async def _arun(
        self,
        urls: list[str] | str,
        objective: str | None = None,
        run_manager: AsyncCallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with tool_errors():
            request = self._request(urls, objective, settings)
            return self._content_and_artifact(await self.connection().arun(extract(request)))

    def _request(
        self, urls: list[str] | str, objective: str | None, settings: dict[str, Any]
    ) -> ExtractRequest:
        fields = {"session_id": self.thread_session(), **_given(settings)}
        return ExtractRequest.from_settings(self, urls=urls, objective=objective, **fields)

    def _content_and_artifact(self, response: ExtractResponse) -> ContentAndArtifact:
        failed = [one_line(f"Could not be read: {error}") for error in response.errors]
        if failed and not any(page_documents(response.results)):
            reasons = cut("\n".join(failed), self.max_output_chars - 50)
            raise ToolException(f"{reasons}\nTry other URLs, or search for the content.")
        content = self.with_notes(
            lambda available: as_text(response.results, available) or "The pages hold no text.",
            [*failed, *notes_of(response)],
        )
        return content, response.model_dump(mode="json")


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _search_result_block(item: PageDocument, max_chars: int) -> dict[str, Any]:
    url, title = web_address(item.metadata["url"]), one_line(item.metadata["title"])
    if not url:  # nothing to cite it by
        return {"type": "text", "text": cut(f"{title}\n{quoted(item.text)}", max_chars)}
    return {
        "type": "search_result",
        "source": url,
        "title": title,
        "content": [{"type": "text", "text": cut(item.text, max_chars - len(url) - len(title))}],
        "citations": {"enabled": True},
    }


ParallelTaskRunInput = input_schema("ParallelTaskRunInput", __name__, CreateTaskRunRequest, "input")


class ParallelTaskRunTool(ResearchSettings, ParallelTool):
    """Researches a question for an agent: seconds to minutes, an answer with its sources.

    The model sees `input`. Everything else is fixed on the instance (`processor`, `output_schema`,
    `input_schema`, `source_policy`, `mcp_servers`, `location`, `enable_events` …) or passed by code
    per call under the same names. While the run works, its events are told as custom events named
    `parallel_progress` and through LangGraph's stream writer. The artifact is the run and its
    output as plain JSON; errors after the run was created name its id.

    Attributes:
        processor: Decides price and depth; `base` (0.010 USD a run) by default.
        deadline_seconds: How long to wait in all.
        max_output_chars: Most characters of the content, 40,000 by default; what is cut is said.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelTaskRunTool

        tool = ParallelTaskRunTool(processor="lite", output_schema="A short comparison.")
        print(tool.invoke({"input": "How do generators differ from coroutines?"}))
        ```
    """

    name: str = "parallel_task"
    description: str = TASK
    args_schema: type[BaseModel] = ParallelTaskRunInput
    deadline_seconds: DeadlineSeconds = DEADLINE_SECONDS

    @inspected
    def _run(
        self,
        input: str | dict[str, Any],  # noqa: A002 - the wire's own word
        run_manager: CallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with tool_errors():
            request = self.task_request(input, settings)
            operation = stream_task(request, deadline_seconds=self.deadline_seconds)
            result: TaskRunResult | None = None
            for event in self.connection().stream(operation):
                if isinstance(event, TaskRunResult):
                    result = event
                else:
                    report_progress(progress(event))
            return self._content_and_artifact(result)

    @inspected
    async def _arun(
        self,
        input: str | dict[str, Any],  # noqa: A002 - the wire's own word
        run_manager: AsyncCallbackManagerForToolRun | None = None,
        **settings: Any,
    ) -> ContentAndArtifact:
        with tool_errors():
            request = self.task_request(input, settings)
            operation = stream_task(request, deadline_seconds=self.deadline_seconds)
            result: TaskRunResult | None = None
            async for event in self.connection().astream(operation):
                if isinstance(event, TaskRunResult):
                    result = event
                else:
                    await areport_progress(progress(event))
            return self._content_and_artifact(result)

    def _content_and_artifact(self, result: TaskRunResult | None) -> ContentAndArtifact:
        if result is None:
            raise UnexpectedAnswerError("The run ended without a result.")
        output = result.output
        text = report_as_text(output.content, output.basis, self.max_output_chars, says_none=True)
        # A report's sources alone may be more than a small budget.
        return cut(text, self.max_output_chars), result.model_dump(mode="json")


class FindAllRequest(RequestModel):
    """What the FindAll tool is asked.

    Attributes:
        objective: Which entities are wanted.
        generator: How thoroughly to look.
        match_limit: How many to find.
    """

    objective: str = Field(
        min_length=1,
        description="Which entities to find and what each must fulfil, in natural language.",
    )
    generator: str | None = Field(default=None, description="How thoroughly to look.")
    match_limit: int | None = Field(default=None, description="How many to find.")


ParallelFindAllInput = input_schema("ParallelFindAllInput", __name__, FindAllRequest, "objective")


class ParallelFindAllTool(ParallelTool):
    """Finds entities on the web that match a wish, for an agent; takes minutes.

    The model sees `objective`; code may pass `generator` and `match_limit` per call. The content
    lists the matches with url, description and reasons; the artifact is the run and all its
    candidates as plain JSON. Progress is told as by `ParallelTaskRunTool`; errors after the run
    was created name its id.

    Attributes:
        generator: `preview` (0.10 USD, at most 10), `base` (0.25 and 0.03 a match), `core`
            (2 and 0.15) or `pro` (10 and 1); `preview` by default, because an agent decides.
        match_limit: How many to find; 5 to 1000, 10 at most for `preview`.
        deadline_seconds: How long to wait in all.
        max_output_chars: Most characters of the content, 40,000 by default; what is cut is said.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelFindAllTool

        tool = ParallelFindAllTool(match_limit=5)
        print(tool.invoke({"objective": "Python statements that bind names"}))
        ```
    """

    name: str = "parallel_find_all"
    description: str = FIND_ALL
    args_schema: type[BaseModel] = ParallelFindAllInput
    generator: str = Field(default="preview", min_length=1)
    match_limit: int = Field(default=10, ge=5, le=1000)
    deadline_seconds: DeadlineSeconds = DEADLINE_SECONDS

    @inspected
    def _run(
        self,
        objective: str,
        generator: str | None = None,
        match_limit: int | None = None,
        run_manager: CallbackManagerForToolRun | None = None,
    ) -> ContentAndArtifact:
        with tool_errors():
            result: FindallResult | None = None
            for event in self.connection().stream(self._find(objective, generator, match_limit)):
                if isinstance(event, FindallResult):
                    result = event
                else:
                    report_progress(progress(event))
            return self._content_and_artifact(result)

    @inspected
    async def _arun(
        self,
        objective: str,
        generator: str | None = None,
        match_limit: int | None = None,
        run_manager: AsyncCallbackManagerForToolRun | None = None,
    ) -> ContentAndArtifact:
        with tool_errors():
            operation = self._find(objective, generator, match_limit)
            result: FindallResult | None = None
            async for event in self.connection().astream(operation):
                if isinstance(event, FindallResult):
                    result = event
                else:
                    await areport_progress(progress(event))
            return self._content_and_artifact(result)

    def _find(
        self, objective: str, generator: str | None, match_limit: int | None
    ) -> Generator[Send | More | Emit[StreamEvent | FindallResult], Any, None]:
        deadline = self.deadline_seconds
        starting = start_findall(
            IngestFindallRequest(objective=objective),
            generator=generator or self.generator,
            match_limit=match_limit or self.match_limit,
        )
        run = yield from within(starting, deadline)
        yield Emit(FindallStatusEvent(type="findall.status", data=run))
        # Progress is a courtesy: how the run ended, and whether it can be reached, shows below.
        with suppress(ParallelError):
            yield from findall_events(run.findall_id, timeout=deadline)
        yield Emit((yield from await_findall(run.findall_id, deadline, reached=True)))

    def _content_and_artifact(self, result: FindallResult | None) -> ContentAndArtifact:
        if result is None:
            raise UnexpectedAnswerError("The run ended without a result.")
        text = as_text(match_pages(result.matches), self.max_output_chars)
        text = cut(text, self.max_output_chars) or "Nothing matches. Loosen the conditions."
        return text, result.model_dump(mode="json")

"""Search, extract, task and FindAll as tools of LlamaIndex agents."""

import inspect
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Unpack

from llama_index.core.schema import Document
from llama_index.core.tools import FunctionTool, ToolMetadata
from llama_index.core.tools.tool_spec.base import BaseToolSpec
from llama_index.core.workflow import Context

from parallel_integrations.api import extract, run_task, search
from parallel_integrations.api.errors import UnexpectedAnswerError
from parallel_integrations.api.extract import ExtractRequest
from parallel_integrations.api.findall_types import FindallResult
from parallel_integrations.api.flow import Flow
from parallel_integrations.api.research import stream_task
from parallel_integrations.api.search import SearchRequest
from parallel_integrations.api.task_requests import CreateTaskRunRequest
from parallel_integrations.api.task_types import TaskRunResult
from parallel_integrations.client import ParallelClient
from parallel_integrations.llama_index.tool_answers import (
    Found,
    ParallelProgressEvent,
    explained,
    find_all,
    from_extract,
    from_matches,
    from_search,
    from_task,
)
from parallel_integrations.llama_index.tool_schemas import METADATA
from parallel_integrations.llama_index.tool_settings import ParallelToolSettings, ToolOptions


class ParallelToolSpec(BaseToolSpec):
    """Web search, page reading, research and FindAll as tools for an agent.

    `to_tool_list()` gives `parallel_search`, `parallel_extract`, `parallel_task` and
    `parallel_find_all`, each blocking and awaiting; `to_tool_list(["parallel_search"])` gives what
    is named. A model sees what it asks (`objective`, `search_queries`, `urls`, `input`); all else
    is fixed here, and no model can change it. It reads numbered text with title, URL, date and
    excerpts; `raw_output` is a list of Documents. An error is raised with a message that says what
    to do, which agents hand to the model as a tool error.

    `parallel_deep_research` is for `FunctionAgent`, `ReActAgent` and `AgentWorkflow` only and must
    be named: it does what `parallel_task` does and streams a `ParallelProgressEvent` for each step
    through the workflow's context.

    Args:
        **settings: The connection: `api_key`, `base_url`, `timeout` in seconds, `max_retries` (2),
            `client`. Searching: `max_results` (10, which a search's price includes), `mode`,
            `location`, `source_policy`. Reading: `full_content` (False). Both: `fetch_policy`,
            `max_chars_total`, `max_chars_per_result`, `session_id`, `client_model`. Tasks:
            `processor` (`"base"`, 0.010 USD a run), `output_schema` (text unless given),
            `mcp_servers` and the other fields of `TaskSettings`. FindAll: `generator`
            (`"preview"`, 0.10 USD a run; `"base"`, `"core"` and `"pro"` cost more, and more per
            match), `match_limit` (10). `deadline_seconds` (3600) for tasks and FindAll.
            `max_output_chars` (40,000) for the text that the model reads; what is cut is said.

    Attributes:
        settings: All of `**settings`, checked.

    Raises:
        pydantic.ValidationError: A setting past its limit.
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
            objective: What is wanted, in natural language.
            search_queries: Keyword queries; derived from the objective where there are none.

        Returns:
            One document per page, best first.

        Raises:
            ParallelError: The search failed.
            ValueError: Nothing was asked, or a value is past its limit; nothing was sent.
        """
        request = self._search(objective, search_queries)
        return from_search(self._client.run(search(request)), self._most)

    async def aparallel_search(
        self, objective: str | None = None, search_queries: list[str] | None = None
    ) -> list[Document]:
        """Search the web, awaiting; everything else as in `parallel_search`."""
        request = self._search(objective, search_queries)
        return from_search(await self._client.arun(search(request)), self._most)

    def parallel_extract(self, urls: list[str], objective: str | None = None) -> list[Document]:
        """Read web pages.

        Args:
            urls: 1 to 20 web addresses.
            objective: What is wanted from them.

        Returns:
            One document per page that could be read.

        Raises:
            ParallelError: The call failed, or no page could be read.
            ValueError: Something that is no URL, or too many; nothing was sent.
        """
        request = self._extract(urls, objective)
        return from_extract(self._client.run(extract(request)), self._most)

    async def aparallel_extract(
        self, urls: list[str], objective: str | None = None
    ) -> list[Document]:
        """Read web pages, awaiting; everything else as in `parallel_extract`."""
        request = self._extract(urls, objective)
        return from_extract(await self._client.arun(extract(request)), self._most)

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
        return from_task(self._client.run(flow), self._most)

    async def aparallel_task(self, input: str) -> list[Document]:  # noqa: A002
        """Research a question in depth, awaiting; everything else as in `parallel_task`."""
        flow = run_task(self._task(input), deadline_seconds=self.settings.deadline_seconds)
        return from_task(await self._client.arun(flow), self._most)

    def parallel_find_all(self, objective: str) -> list[Document]:
        """Find all entities that fulfil conditions.

        Args:
            objective: Which entities, and what each must fulfil.

        Returns:
            One document per match.

        Raises:
            ParallelError: The run failed or was not done in time; `findall_id` on it.
        """
        return from_matches(self._client.run(self._find_all(objective)), self._most)

    async def aparallel_find_all(self, objective: str) -> list[Document]:
        """Find all entities, awaiting; everything else as in `parallel_find_all`."""
        return from_matches(await self._client.arun(self._find_all(objective)), self._most)

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
                    return from_task(event, self._most)
                progress = ParallelProgressEvent.of(event, run_id)
                run_id = progress.run_id
                ctx.write_event_to_stream(progress)
        raise UnexpectedAnswerError("the run ended without a result")

    def get_metadata_from_fn_name(
        self, fn_name: str, spec_functions: list[str | tuple[str, str]] | None = None
    ) -> ToolMetadata | None:
        """What a model is told of a tool; None for functions that a subclass adds."""
        return METADATA.get(fn_name)

    def to_tool_list(
        self,
        spec_functions: list[str | tuple[str, str]] | None = None,
        func_to_metadata_mapping: dict[str, ToolMetadata] | None = None,
    ) -> list[FunctionTool]:
        """The tools.

        Args:
            spec_functions: Names of the tools wanted, or pairs of a function and its awaiting
                twin; all four by default.
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
        return self.settings.connection()

    @property
    def _most(self) -> int:
        return self.settings.max_output_chars

    def _search(self, objective: str | None, search_queries: list[str] | None) -> SearchRequest:
        with explained():
            return SearchRequest.from_settings(
                self.settings, objective=objective, search_queries=search_queries
            )

    def _extract(self, urls: list[str], objective: str | None) -> ExtractRequest:
        with explained():
            return ExtractRequest.from_settings(self.settings, urls=urls, objective=objective)

    def _task(self, asked: str) -> CreateTaskRunRequest:
        with explained():
            # Left to itself a task answers with a JSON of its own design.
            form = self.settings.output_schema or {"type": "text"}
            return CreateTaskRunRequest.from_settings(
                self.settings, input=asked, output_schema=form
            )

    def _find_all(self, objective: str) -> Flow[FindallResult]:
        with explained():
            return find_all(
                objective,
                generator=self.settings.generator,
                match_limit=self.settings.match_limit,
                deadline_seconds=self.settings.deadline_seconds,
            )


def _first(functions: list[Callable[..., Any]], *, awaits: bool) -> Callable[..., Any] | None:
    return next((each for each in functions if inspect.iscoroutinefunction(each) is awaits), None)


def _as_the_model_reads_it(found: Any) -> str | None:
    return found.text if isinstance(found, Found) else None

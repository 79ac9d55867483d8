"""Deep research and FindAll as tools for LangChain agents."""

from collections.abc import Generator
from contextlib import suppress
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForToolRun, CallbackManagerForToolRun
from pydantic import BaseModel, Field

from parallel_integrations.api import findall_events
from parallel_integrations.api.errors import ParallelError, UnexpectedAnswerError
from parallel_integrations.api.events import StreamEvent
from parallel_integrations.api.evidence import as_text, match_pages, report_as_text
from parallel_integrations.api.findall_requests import IngestFindallRequest
from parallel_integrations.api.findall_run import await_findall, start_findall
from parallel_integrations.api.findall_types import FindallResult, FindallStatusEvent
from parallel_integrations.api.flow import Emit, More, Send
from parallel_integrations.api.models import RequestModel
from parallel_integrations.api.polling import DeadlineSeconds, within
from parallel_integrations.api.research import stream_task
from parallel_integrations.api.task_requests import CreateTaskRunRequest
from parallel_integrations.api.task_types import TaskRunResult
from parallel_integrations.api.tasks import DEADLINE_SECONDS
from parallel_integrations.api.tool_descriptions import FIND_ALL, TASK
from parallel_integrations.langchain.tool_base import (
    ContentAndArtifact,
    ParallelTool,
    ResearchSettings,
    atell,
    cut,
    input_schema,
    inspected,
    progress,
    tell,
    tool_errors,
)

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
                    tell(progress(event))
            return self._answer(result)

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
                    await atell(progress(event))
            return self._answer(result)

    def _answer(self, result: TaskRunResult | None) -> ContentAndArtifact:
        if result is None:
            raise UnexpectedAnswerError("The run ended without a result.")
        output = result.output
        text = report_as_text(output.content, output.basis, self.max_output_chars, says_none=True)
        # A report's sources alone may be more than a small budget.
        return cut(text, self.max_output_chars), result.model_dump(mode="json")


class FindAllWish(RequestModel):
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


ParallelFindAllInput = input_schema("ParallelFindAllInput", __name__, FindAllWish, "objective")


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
                    tell(progress(event))
            return self._answer(result)

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
                    await atell(progress(event))
            return self._answer(result)

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

    def _answer(self, result: FindallResult | None) -> ContentAndArtifact:
        if result is None:
            raise UnexpectedAnswerError("The run ended without a result.")
        text = as_text(match_pages(result.matches), self.max_output_chars)
        text = cut(text, self.max_output_chars) or "Nothing matches. Loosen the conditions."
        return text, result.model_dump(mode="json")

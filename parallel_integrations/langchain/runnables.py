"""Deep research as a LangChain runnable."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

from langchain_core.runnables import RunnableConfig, RunnableSerializable
from pydantic import BaseModel, Field

from parallel_integrations.adapter import Adapter
from parallel_integrations.api.evidence import cited
from parallel_integrations.api.page_facts import page_title
from parallel_integrations.api.polling import DeadlineSeconds
from parallel_integrations.api.research import resume_task, stream_task
from parallel_integrations.api.task_types import TaskOutput, TaskRunResult
from parallel_integrations.api.tasks import DEADLINE_SECONDS
from parallel_integrations.langchain.tool_base import ResearchSettings, atell, progress, tell

Asked: TypeAlias = str | dict[str, Any] | BaseModel


class ParallelDeepResearch(Adapter, ResearchSettings, RunnableSerializable[Asked, dict[str, Any]]):
    """Researches a question and reports with citations.

    The input is a question, or an object of fields, or `{"run_id": …}` to go on waiting for a run.
    The report is a dict: `content` (text or JSON), `citations` (url, title, field, excerpts),
    `basis` (as the API sent it), `run_id`, `interaction_id`, and `parsed`, the output as an
    instance of the pydantic class given as `output_schema`, with `misfit` where it did not fit.

    `stream` gives the run's events as dicts with `type` (the first, `task_run.state`, has the run's
    id in `run`), and the report, of type `report`, last; `invoke` tells the same events as custom
    events named `parallel_progress`.

    Attributes:
        processor: Decides price and depth; `pro` (0.10 USD a run) by default, the first that does
            deep research where no JSON schema is given.
        deadline_seconds: How long to wait in all.

    Raises:
        TaskFailedError: The run failed; says why.
        TaskTimeoutError: The deadline passed; `run_id` on it, as on every error after the run was
            created, goes on with `invoke({"run_id": …})`.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelDeepResearch

        research = ParallelDeepResearch(processor="lite")
        report = research.invoke("How do generators differ from coroutines?")
        print(report["content"], [citation["url"] for citation in report["citations"]])
        ```
    """

    processor: str = Field(default="pro", min_length=1)
    deadline_seconds: DeadlineSeconds = DEADLINE_SECONDS

    def invoke(
        self,
        input: Asked,  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Research and report.

        Args:
            input: The question, an object, or `{"run_id": …}`.
            config: LangChain's.
            **kwargs: Other settings of a task for this call; a run that exists already takes only
                `output_schema`, to read its output with.
        """
        return self._call_with_config(self._report, input, config, run_type="chain", **kwargs)

    async def ainvoke(
        self,
        input: Asked,  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Research and report, awaiting."""
        return await self._acall_with_config(
            self._areport, input, config, run_type="chain", **kwargs
        )

    def stream(
        self,
        input: Asked,  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[dict[str, Any]]:
        """Give the run's events as they come, the report last."""
        yield from self._transform_stream_with_config(
            iter([input]), self._steps, config, run_type="chain", **kwargs
        )

    async def astream(
        self,
        input: Asked,  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[dict[str, Any]]:
        """Give the run's events as they come, the report last, awaiting."""

        async def once() -> AsyncIterator[Asked]:
            yield input

        async for step in self._atransform_stream_with_config(
            once(), self._asteps, config, run_type="chain", **kwargs
        ):
            yield step

    def _report(self, asked: Asked, **settings: Any) -> dict[str, Any]:
        step: dict[str, Any] = {}
        for step in self._steps(iter([asked]), **settings):
            if step["type"] != "report":
                tell(step)
        return step

    async def _areport(self, asked: Asked, **settings: Any) -> dict[str, Any]:
        async def once() -> AsyncIterator[Asked]:
            yield asked

        step: dict[str, Any] = {}
        async for step in self._asteps(once(), **settings):
            if step["type"] != "report":
                await atell(step)
        return step

    def _steps(self, asked: Iterator[Asked], **settings: Any) -> Iterator[dict[str, Any]]:
        for one in asked:
            for event in self.connection().stream(self._operation(one, settings)):
                yield _step(event)

    async def _asteps(
        self, asked: AsyncIterator[Asked], **settings: Any
    ) -> AsyncIterator[dict[str, Any]]:
        async for one in asked:
            async for event in self.connection().astream(self._operation(one, settings)):
                yield _step(event)

    def _operation(self, asked: Asked, settings: dict[str, Any]) -> Any:
        if isinstance(asked, dict) and asked.keys() == {"run_id"}:
            return resume_task(
                asked["run_id"],
                output_schema=settings.get("output_schema") or self.task_output_schema,
                deadline_seconds=self.deadline_seconds,
            )
        request = self.task_request(asked, settings)
        return stream_task(request, deadline_seconds=self.deadline_seconds)


def evidence_of(output: TaskOutput) -> dict[str, Any]:
    """What was found and what it rests on, as plain JSON."""
    return {
        "content": output.content,
        "citations": [
            {
                "url": citation.url,
                "title": page_title(citation),
                "field": field.field,
                "excerpts": [str(excerpt) for excerpt in citation.excerpts],
            }
            for field, citation in cited(output.basis)
        ],
        "basis": [field.model_dump(mode="json") for field in output.basis],
    }


def _step(event: Any) -> dict[str, Any]:
    if not isinstance(event, TaskRunResult):
        return progress(event)
    return {
        "type": "report",
        **evidence_of(event.output),
        "run_id": event.run.run_id,
        "interaction_id": event.run.interaction_id,
        "parsed": event.parsed,
        "misfit": event.misfit,
    }

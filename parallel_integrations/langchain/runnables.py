"""Deep research and enrichment as LangChain runnables."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeAlias

from langchain_core.runnables import RunnableConfig, RunnableSerializable
from pydantic import BaseModel, Field

from parallel_integrations._documents.adapter import Adapter, PacedAdapter, refuse_unknown
from parallel_integrations._documents.evidence import cited, dump_basis
from parallel_integrations._documents.research import TEXT
from parallel_integrations._protocol.flow import Stream
from parallel_integrations._protocol.polling import DEADLINE_SECONDS, DeadlineSeconds
from parallel_integrations.api.tasks import resume_task, stream_task
from parallel_integrations.enrichment import EnrichedRow, EnrichmentProgress, enrich
from parallel_integrations.enrichment.runner import ENRICHMENT_DEADLINE_SECONDS
from parallel_integrations.errors import ArgumentTypeError, InvalidArgumentError
from parallel_integrations.langchain.research_inputs import research_input
from parallel_integrations.langchain.tools import (
    ResearchSettings,
    areport_progress,
    arun_reporting,
    progress,
    report_progress,
    run_reporting,
)
from parallel_integrations.models.page_facts import page_title
from parallel_integrations.models.task import (
    CreateTaskRunRequest,
    TaskOutput,
    TaskRunResult,
    TaskSettings,
    is_task_body,
)

ResearchInput: TypeAlias = str | dict[str, Any] | list[Any] | BaseModel
# The last two are for callers that give settings as a documented body has them.
CALL_SETTINGS: Final = (*CreateTaskRunRequest.model_fields, "task_spec", "advanced_settings")


class ParallelDeepResearch(
    PacedAdapter, ResearchSettings, RunnableSerializable[ResearchInput, dict[str, Any]]
):
    """Researches a question and reports with citations.

    The input is a question, or an object of fields, or a task's body as Parallel documents it
    (`{"input": …, "processor": …, "task_spec": …}`), or `{"run_id": …}` to go on waiting for a run.
    Of prompts, messages and a graph's state, the text of the messages is researched.
    The report is a dict: `content` (a text; JSON with a JSON schema, or with
    `output_schema={"type": "auto"}`, where the processor chooses the fields), `citations` (url,
    title, field, excerpts), `basis` (as the API sent it), `run_id`, `interaction_id`, and `parsed`,
    the output as an instance of the pydantic class given as `output_schema`, with
    `validation_error` where it did not fit.

    `stream` gives the run's events as dicts with `type` (the first, `task_run.state`, has the run's
    id in `run`), and the report, of type `report`, last; `invoke` sends the same events as custom
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
        print(report["content"])
        print([citation["url"] for citation in report["citations"]])
        ```
    """

    processor: str = Field(default="pro", min_length=1)
    """Decides price and depth; `pro` (0.10 USD a run) by default, the first that does deep research
    where no JSON schema is given.
    """
    deadline_seconds: DeadlineSeconds = DEADLINE_SECONDS
    """How long to wait in all."""

    def invoke(
        self,
        input: ResearchInput,  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Research and report.

        Args:
            input: The question, an object, a task's documented body, or `{"run_id": …}`.
            config: LangChain's.
            **kwargs: Other settings of a task for this call; a run that exists already takes only
                `output_schema`, to read its output with.
        """
        return self._call_with_config(self._report, input, config, run_type="chain", **kwargs)

    async def ainvoke(
        self,
        input: ResearchInput,  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Research and report, awaiting."""
        return await self._acall_with_config(
            self._areport, input, config, run_type="chain", **kwargs
        )

    def stream(
        self,
        input: ResearchInput,  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[dict[str, Any]]:
        """Give the run's events as they come, the report last."""
        yield from self._transform_stream_with_config(
            iter([input]), self._steps, config, run_type="chain", **kwargs
        )

    async def astream(
        self,
        input: ResearchInput,  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[dict[str, Any]]:
        """Give the run's events as they come, the report last, awaiting."""
        async for step in self._atransform_stream_with_config(
            _aiter([input]), self._asteps, config, run_type="chain", **kwargs
        ):
            yield step

    # `invoke` streams too: in minutes without an event, work would look like failure.

    def _report(self, given: ResearchInput, **settings: Any) -> dict[str, Any]:
        return _step(run_reporting(self.resolved_client(), self._operation(given, settings)))

    async def _areport(self, given: ResearchInput, **settings: Any) -> dict[str, Any]:
        operation = self._operation(given, settings)
        return _step(await arun_reporting(self.resolved_client(), operation))

    def _steps(self, given: Iterator[ResearchInput], **settings: Any) -> Iterator[dict[str, Any]]:
        operation = self._operation(next(given), settings)
        with closing(self.resolved_client().stream(operation)) as events:
            yield from map(_step, events)

    async def _asteps(
        self, given: AsyncIterator[ResearchInput], **settings: Any
    ) -> AsyncIterator[dict[str, Any]]:
        operation = self._operation(await anext(given), settings)
        # Without `aclosing`: at the end of a loop asyncio closes all generators at once, and one
        # that waits for another, which is being closed already, would fail.
        async for event in self.resolved_client().astream(operation):
            yield _step(event)

    def _operation(self, given: ResearchInput, settings: dict[str, Any]) -> Any:
        settings = {name: value for name, value in settings.items() if value is not None}
        if isinstance(given, dict) and given.keys() == {"run_id"}:
            if useless := sorted(settings.keys() - {"output_schema"}):
                raise ArgumentTypeError(
                    f"a run that exists already takes output_schema= alone, not {useless[0]}=",
                    field=useless[0],
                )
            return resume_task(
                given["run_id"],
                output_schema=settings.get("output_schema", self.task_output_schema),
                deadline_seconds=self.deadline_seconds,
            )
        refuse_unknown(type(self), settings, CALL_SETTINGS)
        if is_task_body(given):
            body = CreateTaskRunRequest.model_validate(given)
            settings = {name: getattr(body, name) for name in body.model_fields_set} | settings
            given = settings.pop("input")
        # From `pro` up, the processor would choose fields of its own where a report is expected.
        elif self.task_output_schema is None:
            settings = {"output_schema": TEXT} | settings
        request = self.task_request({**settings, "input": given})
        return stream_task(request, deadline_seconds=self.deadline_seconds)


async def _aiter(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


def cited_output(output: TaskOutput) -> dict[str, Any]:
    """Content, citations and basis of an output, as plain JSON."""
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
        "basis": dump_basis(output.basis),
    }


def _step(event: Any) -> dict[str, Any]:
    if not isinstance(event, TaskRunResult):
        return progress(event)
    return {
        "type": "report",
        **cited_output(event.output),
        "run_id": event.run.run_id,
        "interaction_id": event.run.interaction_id,
        "parsed": event.parsed,
        "validation_error": event.validation_error,
    }


RUN_OPTIONS: Final = (
    "journal",
    "max_cost_usd",
    "columns",
    "limit",
    "price_per_row_usd",
    "retry_failed",
    "deadline_seconds",
)


class ParallelEnrichment(
    Adapter, ResearchSettings, RunnableSerializable[Any, list[dict[str, Any]]]
):
    """Researches something about every row; the results keep the order of the rows.

    The input is a list (or any iterable) of texts, objects or pydantic instances, a DataFrame, or
    a `Path` to a CSV, JSONL or Parquet file. The fields of a LangChain document are `page_content`
    and its metadata; of messages the text is sent.

    `invoke` gives a dict for each row, `stream` gives each as soon as it and all before it are
    finished: `number`, `input`, `content` (text or JSON), `citations` (url, title, field,
    excerpts), `basis` (as the API sent it), `run_id`, `parsed`, the output as an instance of the
    pydantic class given as `output_schema`, with `validation_error` where it did not fit, and
    `error`, why there is no content, with `submitted` False where `max_cost_usd` kept the row from
    being sent.

    Equal rows are sent and paid once; failed rows are not billed. Progress is sent as
    custom events named `parallel_progress`, of type `enrichment.progress`. Every setting can be
    given for one call: `invoke(rows, journal="run.db")`.

    Attributes:
        processor: Decides price and depth; `lite` (0.005 USD a row) by default.
        journal: A file that records what is paid for, so that the same call resumes after the
            process ended at any moment. One run at a time; give each its own.
        max_cost_usd: No row is sent that could raise the cost above this.
        columns: The fields of each row that are sent; None sends all.
        limit: Rows at most, the first: a trial, whose rows count when the rest follows.
        price_per_row_usd: What a row costs, for processors whose price is not known here.
        retry_failed: Whether rows that failed before, by the journal, are sent again. A row whose
            output could not be read may be paid twice.
        deadline_seconds: How long to wait in all; a day.

    Raises:
        ValueError: A row that cannot be sent, by its number; an invalid setting.
        JournalError: The journal is in use, damaged, of other work, or cannot be written.
        TaskTimeoutError: The deadline passed; with a journal, the same call goes on.
    """

    processor: str = Field(default="lite", min_length=1)
    """Decides price and depth; `lite` (0.005 USD a row) by default."""
    journal: Path | str | None = None
    """A file that records what is paid for, so that the same call resumes after the process ended
    at any moment. One run at a time; give each its own.
    """
    max_cost_usd: float | None = None
    """No row is sent that could raise the cost above this."""
    columns: list[str] | None = None
    """The fields of each row that are sent; None sends all."""
    limit: int | None = None
    """Rows at most, the first: a trial, whose rows count when the rest follows."""
    price_per_row_usd: float | None = None
    """What a row costs, for processors whose price is not known here."""
    retry_failed: bool = False
    """Whether rows that failed before, by the journal, are sent again. A row whose output could not
    be read may be paid twice.
    """
    deadline_seconds: DeadlineSeconds = ENRICHMENT_DEADLINE_SECONDS
    """How long to wait in all; a day."""

    def invoke(
        self,
        input: Any,  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> list[dict[str, Any]]:
        """Enrich the rows.

        Args:
            input: The rows.
            config: LangChain's.
            **kwargs: Settings of this call alone.
        """
        return self._call_with_config(self._all, input, config, run_type="chain", **kwargs)

    async def ainvoke(
        self,
        input: Any,  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> list[dict[str, Any]]:
        """Enrich the rows, awaiting."""
        return await self._acall_with_config(self._aall, input, config, run_type="chain", **kwargs)

    def stream(  # type: ignore[override] # a row at a time, of the list that `invoke` gives
        self,
        input: Any,  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[dict[str, Any]]:
        """Give each row once it and all before it are finished."""
        for rows in self.transform(iter([input]), config, **kwargs):
            yield from rows

    async def astream(  # type: ignore[override] # a row at a time, of the list that `ainvoke` gives
        self,
        input: Any,  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[dict[str, Any]]:
        """Give each row once it and all before it are finished, awaiting."""
        async for rows in self.atransform(_aiter([input]), config, **kwargs):
            for row in rows:
                yield row

    def transform(
        self,
        input: Iterator[Any],  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[list[dict[str, Any]]]:
        """Inside a chain: lists of one row, which add up to what `invoke` gives."""
        yield from self._transform_stream_with_config(
            input, self._each, config, run_type="chain", **kwargs
        )

    async def atransform(
        self,
        input: AsyncIterator[Any],  # noqa: A002 - the framework's own word
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Inside a chain, awaiting."""
        async for rows in self._atransform_stream_with_config(
            input, self._aeach, config, run_type="chain", **kwargs
        ):
            yield rows

    def _all(self, given: Any, **settings: Any) -> list[dict[str, Any]]:
        return [row for rows in self._each(iter([given]), **settings) for row in rows]

    async def _aall(self, given: Any, **settings: Any) -> list[dict[str, Any]]:
        return [row async for rows in self._aeach(_aiter([given]), **settings) for row in rows]

    def _each(self, given: Iterator[Any], **settings: Any) -> Iterator[list[dict[str, Any]]]:
        operation = self._operation(_whole(list(given)), settings)
        with closing(self.resolved_client().stream(operation)) as events:
            for event in events:
                if isinstance(event, EnrichedRow):
                    yield [_row(event)]
                else:
                    report_progress(event.model_dump(mode="json"))

    async def _aeach(
        self, given: AsyncIterator[Any], **settings: Any
    ) -> AsyncIterator[list[dict[str, Any]]]:
        operation = self._operation(_whole([rows async for rows in given]), settings)
        async for event in self.resolved_client().astream(operation):  # as in `_asteps`
            if isinstance(event, EnrichedRow):
                yield [_row(event)]
            else:
                await areport_progress(event.model_dump(mode="json"))

    def _operation(
        self, rows: Any, called: dict[str, Any]
    ) -> Stream[EnrichedRow | EnrichmentProgress]:
        refuse_unknown(type(self), called, (*RUN_OPTIONS, *TaskSettings.model_fields))
        options = {name: called.pop(name, getattr(self, name)) for name in RUN_OPTIONS}
        return enrich(
            _readable(rows),
            self.task_settings(called),
            server=self.resolved_client().settings.base_url,
            **options,
        )


def _whole(pieces: list[Any]) -> Any:
    """The rows of a preceding step, which may stream lists of them.

    Raises:
        InvalidArgumentError: It streams something else, such as the tokens of an answer, each
            character of which would be paid for as a row.
    """
    if len(pieces) == 1:
        return pieces[0]
    if wrong := [type(piece).__name__ for piece in pieces if not isinstance(piece, list | tuple)]:
        raise InvalidArgumentError(
            f"the step before ParallelEnrichment streams pieces of type {wrong[0]}: let it give "
            "lists of rows",
            field="rows",
        )
    return [row for piece in pieces for row in piece]


def _readable(rows: Any) -> Any:
    """The rows with texts in place of messages; files, tables and what is no rows as they are."""
    if isinstance(rows, list | tuple):
        return [research_input(row) for row in rows]
    return map(research_input, rows) if isinstance(rows, Iterator) else rows


def _row(row: EnrichedRow) -> dict[str, Any]:
    result: dict[str, Any] = {"number": row.number, "input": row.input}
    result |= cited_output(row.output or TaskOutput(content=None))
    return result | {
        "run_id": row.run_id,
        "parsed": row.parsed,
        "validation_error": row.validation_error,
        "error": row.error,
        "submitted": row.submitted,
    }

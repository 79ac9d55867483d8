"""What tasks answer: runs, outputs with what they rest on, and the events of a run."""

import logging
from typing import Any, Final

from pydantic import Field
from pydantic_core import from_json

from parallel_integrations.api.basis import FieldBasis
from parallel_integrations.api.events import StreamEvent
from parallel_integrations.api.models import (
    AnswerModel,
    Items,
    Text,
    Warning,  # noqa: A004 - the API's own word
)
from parallel_integrations.api.notebook import answer_html
from parallel_integrations.api.output_schema import parse_output

TERMINAL: Final = frozenset({"completed", "failed", "cancelled"})

log = logging.getLogger("parallel_integrations")


class RunError(AnswerModel):
    """Why a run failed.

    Attributes:
        message: The API's words.
        ref_id: Its reference for support.
        detail: More, where given.
    """

    message: Text = ""
    ref_id: str | None = None
    detail: Any = None


class TaskRun(AnswerModel):
    """A task run as it stands.

    Attributes:
        run_id: Its id.
        status: `queued`, `action_required`, `running`, `completed`, `failed`, `cancelling`,
            `cancelled`, or what the API adds.
        is_active: Whether it is still being worked on.
        processor: What works on it.
        interaction_id: Continues it when given as `previous_interaction_id`.
        metadata: Its labels.
        taskgroup_id: The group it belongs to.
        error: Why it failed.
        warnings: What the API wants known.
        created_at: When it was created.
        modified_at: When it last changed.
    """

    run_id: str
    status: str = ""
    is_active: bool | None = None
    processor: Text = ""
    interaction_id: str | None = None
    metadata: dict[str, Any] | None = None
    taskgroup_id: str | None = None
    error: RunError | None = None
    warnings: Items[Warning] = []
    created_at: str | None = None
    modified_at: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self.status in TERMINAL


class McpToolCall(AnswerModel):
    """A call that a task made to one of its tool servers.

    Attributes:
        tool_call_id: The call's id.
        server_name: Which server.
        tool_name: Which tool.
        arguments: JSON text.
        content: What came back; `""` or None where it failed.
        error: What went wrong; `""` or None where nothing did.
    """

    tool_call_id: Text = ""
    server_name: Text = ""
    tool_name: Text = ""
    arguments: Text = ""
    content: str | None = None
    error: str | None = None


class TaskOutput(AnswerModel):
    """What a task found.

    Attributes:
        type: `text` or `json`.
        content: The text, or the JSON value (decoded, should the wire send it as a string).
        basis: What each field rests on.
        mcp_tool_calls: Calls to tool servers.
        output_schema: The schema that the processor chose, where it was left to choose.
    """

    type: str = "text"
    content: Any = None
    basis: Items[FieldBasis] = []
    mcp_tool_calls: Items[McpToolCall] = []
    output_schema: dict[str, Any] | None = None

    def model_post_init(self, context: Any) -> None:
        """Decode JSON that came as a string."""
        if self.type == "json" and isinstance(self.content, str):
            try:
                self.content = from_json(self.content)
            except ValueError:
                log.debug("output of type json is a text that is no JSON; kept as it is")


class TaskRunResult(AnswerModel):
    """A finished run with its output.

    Attributes:
        run: The run.
        output: What it found.
        parsed: The output as an instance of the class given as `output_schema`.
        misfit: What did not fit the class; the output itself is kept.
    """

    run: TaskRun
    output: TaskOutput
    parsed: Any = Field(default=None, exclude=True)
    misfit: str | None = Field(default=None, exclude=True)

    def _repr_html_(self) -> str:
        return answer_html(self.output.content, self.output.basis)

    def fit(self, schema: object) -> "TaskRunResult":
        """Fill `parsed` or `misfit` for a class; anything else changes nothing."""
        self.parsed, self.misfit = parse_output(self.output.content, schema)
        return self


class TaskRunInput(AnswerModel):
    """A run's request as the API stored it.

    Attributes:
        input: What was asked.
        processor: What worked on it.
        task_spec: The schemas.
        metadata: Its labels.
        source_policy: Which sources it was allowed.
        advanced_settings: Location and data sources.
        mcp_servers: Tool servers it was given.
        previous_interaction_id: What it continued.
        memory_scope_key: Memory it shared.
        enable_events: Whether it could be followed.
        webhook: Where it was reported to.
    """

    input: Any = None
    processor: Text = ""
    task_spec: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    source_policy: dict[str, Any] | None = None
    advanced_settings: dict[str, Any] | None = None
    mcp_servers: Items[dict[str, Any]] = []
    previous_interaction_id: str | None = None
    memory_scope_key: str | None = None
    enable_events: bool | None = None
    webhook: dict[str, Any] | None = None


class TaskRunStateEvent(StreamEvent):
    """A run changed its state, or this is the first frame of a connection.

    Attributes:
        run: The run.
        output: What it found, once it is complete.
        input: Its request, where asked for.
        wire_text: The JSON that it was read from, where it came off a stream; kept so that it
            can be written down without being made anew.
    """

    run: TaskRun
    output: TaskOutput | None = None
    input: TaskRunInput | None = None
    wire_text: str = Field(default="", exclude=True, repr=False)


class SourceStats(AnswerModel):
    """How many sources were looked at.

    Attributes:
        num_sources_considered: Considered.
        num_sources_read: Read.
        sources_read_sample: Some of those read.
    """

    num_sources_considered: int | None = None
    num_sources_read: int | None = None
    sources_read_sample: Items[str] = []


class TaskRunProgressStatsEvent(StreamEvent):
    """How far a run has come.

    Attributes:
        source_stats: Sources so far.
        progress_meter: 0 to 100, where known.
    """

    source_stats: SourceStats = SourceStats()
    progress_meter: float | None = None


class TaskRunProgressMessageEvent(StreamEvent):
    """What a run is doing; `type` ends in `.plan`, `.search`, `.result`, `.tool_call` ….

    Attributes:
        message: In words.
        timestamp: When.
    """

    message: Text = ""
    timestamp: str | None = None


TASK_EVENTS: Final[dict[str, type[StreamEvent]]] = {
    "task_run.state": TaskRunStateEvent,
    "task_run.progress_stats": TaskRunProgressStatsEvent,
    "task_run.progress_msg.": TaskRunProgressMessageEvent,
}

"""Tasks: settings, requests, responses, events (docs/reference/facts.md, 8); suggestions (18.4)."""

import logging
import re
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import to_json, to_jsonable_python

from parallel_integrations.errors import ArgumentTypeError
from parallel_integrations.models._bodies import flattened
from parallel_integrations.models._validation import CheckedModel
from parallel_integrations.models.basis import FieldBasis
from parallel_integrations.models.fields import Items, Text, id_may_be_missing, sendable
from parallel_integrations.models.notebook import output_html
from parallel_integrations.models.output_schema import (
    JsonSchema,
    OutputSchema,
    parse_output,
    wire_schema,
)
from parallel_integrations.models.policies import (
    Country,
    McpServer,
    MemoryScopeKey,
    Metadata,
    SourcePolicy,
    Webhook,
)
from parallel_integrations.models.prices import PRICES_USD, task_sku
from parallel_integrations.models.shared import (
    ApiResponse,
    ApiVersion,
    RequestModel,
    ResponseModel,
    StreamEvent,
)
from parallel_integrations.models.tolerant_reading import read_json

DEFAULT_PROCESSOR: Final = "base"
MAX_MCP_SERVERS: Final = 10
MAX_DETAIL_CHARACTERS: Final = 500
SPEC: Final = {
    "output_schema": "output_schema",
    "input_schema": "input_schema",
    "output": "output_schema",  # as a few documented bodies have it
    "input": "input_schema",
}
"""The fields of a `task_spec`, and what they are called here."""
_ADVANCED: Final = {name: name for name in ("location", "data_sources")}
_BODY: Final = frozenset(
    """
    input processor task_spec metadata source_policy advanced_settings mcp_servers enable_events
    webhook previous_interaction_id memory_scope_key
    """.split()
)
_NAME: Final = re.compile(r"[a-z]+(\d+x)?(-fast)?")
"""Names of processors, new ones too."""
EVENT_BETAS: Final = ("events-sse-2025-07-24",)


def is_task_body(value: object) -> bool:
    """Whether an input is a whole task as the API documents it, not what is to be researched."""
    if isinstance(value, RequestModel):
        return True
    if not isinstance(value, dict) or "input" not in value:
        return False
    if isinstance(value.get("task_spec"), dict):
        return True
    processor = value.get("processor")
    if not isinstance(processor, str):
        return False
    # A processor may be newer than this list, unless there are fields that no task has.
    known = task_sku(processor) in PRICES_USD
    return known or (value.keys() <= _BODY and _NAME.fullmatch(processor) is not None)


def _input_value(value: Any) -> Any:
    """Plain JSON, so that what cannot be sent is refused here and not midway through a group."""
    if is_task_body(value):
        raise ValueError(
            "input= is the body of a whole task, which would be sent as its question: "
            "CreateTaskRunRequest.model_validate(body) reads it. Where these are fields of "
            "what is to be researched, give them as {'fields': {…}}"
        )
    plain = to_jsonable_python(value) if isinstance(value, BaseModel | dict) else value
    if plain == {} or (isinstance(plain, str) and not plain.strip()):
        raise ValueError("the input is empty: give a question, or an object with fields")
    return sendable(plain)


class TaskOptions(CheckedModel):
    """How tasks are done, whatever their schemas."""

    processor: str = Field(default=DEFAULT_PROCESSOR, min_length=1)
    """`lite`, `base` (default here), `core`, `core2x`, `pro`, `ultra` …, each also with `-fast`;
    decides price and depth. Newer ones pass through.
    """
    source_policy: SourcePolicy | None = None
    """Which sources may be used, and how old they may be."""
    mcp_servers: list[McpServer] | None = Field(default=None, max_length=MAX_MCP_SERVERS)
    """Tool servers the task may use; at most 10."""
    location: Country | None = None
    """ISO 3166 alpha-2 code of the country to search from."""
    data_sources: dict[str, list[str]] | None = None
    """`{"free": […], "pay_per_use": […]}`, for processors without `-fast`; no name may be that of
    an MCP server (docs/reference/facts.md, 18.5).
    """
    enable_events: bool | None = None
    """Whether progress can be followed; the API's default is on from `pro` up."""
    webhook: Webhook | None = None
    """Where the API reports the run's end to."""
    memory_scope_key: MemoryScopeKey | None = None
    """Name of the memory that the run reads and adds to (beta)."""

    @model_validator(mode="after")
    def _check_data_sources(self) -> Self:
        if self.data_sources is None:
            return self
        if self.processor.endswith("-fast"):
            standard = self.processor.removesuffix("-fast")
            raise ValueError(
                f"data_sources work with standard processors only, not with {self.processor!r}: "
                f"take {standard!r}, or leave them out"
            )
        taken = {server.name for server in self.mcp_servers or ()}
        for kind, names in self.data_sources.items():
            for name in names:
                if not name.strip():
                    raise ValueError(f"data_sources[{kind!r}] holds an empty name")
                if name in taken:
                    raise ValueError(
                        f"data_sources[{kind!r}] holds {name!r}, which is also the name of an MCP "
                        "server in mcp_servers: rename that one"
                    )
        return self


class TaskSettings(TaskOptions):
    """Settings of tasks that a developer fixes once for all requests."""

    model_config = ConfigDict(extra="forbid")

    output_schema: OutputSchema | None = None
    """What comes back: a description of a text, a JSON schema, a pydantic class, or the wire's own
    form; left out, the processor decides.
    """
    input_schema: OutputSchema | None = None
    """What goes in, in the same forms."""


def checked_settings(settings: object) -> TaskSettings:
    """Settings that were given, or those that hold where none were.

    Raises:
        ArgumentTypeError: They are something else, such as the name of a processor.
    """
    if settings is None:
        return TaskSettings()
    if not isinstance(settings, TaskSettings):
        raise ArgumentTypeError(
            f"settings={settings!r:.100} must be TaskSettings(processor=…, output_schema=…)"
        )
    return settings


class CreateTaskRunRequest(TaskSettings, RequestModel):
    """One task to run.

    A body as documented is read too: `task_spec={…}`, `advanced_settings={…}`.

    Raises:
        InvalidArgumentError: A value past its limit.
    """

    input: Annotated[str | dict[str, Any], BeforeValidator(_input_value)]
    """The question, or an object (or pydantic instance) of fields to enrich."""
    metadata: Metadata | None = None
    """Labels: keys of at most 16 characters, values of at most 512."""
    previous_interaction_id: str | None = Field(default=None, min_length=1)
    """Continues an earlier task or chat with its context."""

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        values = flattened(values, "task_spec", SPEC)
        return flattened(values, "advanced_settings", _ADVANCED)

    def betas(self, version: ApiVersion) -> tuple[str, ...]:
        """Values for the features that are used."""
        wanted = (
            ("field-basis-2025-11-25", not isinstance(self.output_schema, str)),
            ("mcp-server-2025-07-17", bool(self.mcp_servers)),
            ("webhook-2025-08-12", self.webhook is not None),
            *((value, bool(self.enable_events)) for value in EVENT_BETAS),
        )
        return tuple(value for value, used in wanted if used)

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The body; the same in every generation of the wire."""
        flat = self.dumped("output_schema", "input_schema")
        if spec := self.task_spec():
            flat["task_spec"] = spec
        advanced = {name: flat.pop(name) for name in _ADVANCED if name in flat}
        if advanced:
            flat["advanced_settings"] = advanced
        return flat

    def skus(self, version: ApiVersion) -> dict[str, int]:
        """One run of the processor; the API bills it once it completes."""
        return {task_sku(self.processor): 1}

    def task_spec(self) -> dict[str, Any] | None:
        """The wire's `task_spec`; None: the processor decides on the output."""
        return task_spec(self.output_schema, self.input_schema)


def task_spec(
    output_schema: OutputSchema | None, input_schema: OutputSchema | None
) -> dict[str, Any] | None:
    """The wire's `task_spec` for two schemas; None where there is neither."""
    if output_schema is None and input_schema is None:
        return None
    output = {"type": "auto"} if output_schema is None else wire_schema(output_schema)
    spec: dict[str, Any] = {"output_schema": output}
    if input_schema is not None:
        spec["input_schema"] = wire_schema(input_schema)
    return spec


TERMINAL: Final = frozenset({"completed", "failed", "cancelled"})

log = logging.getLogger("parallel_integrations")


class RunError(ResponseModel):
    """Why a run failed.

    Attributes:
        ref_id: Its reference for support.
        detail: What else the API said, a text or an object; webhooks call it `details`.
    """

    message: Text = ""
    ref_id: str | None = None
    detail: Any = None

    def model_post_init(self, context: Any) -> None:
        """Read `details` as `detail`."""
        if self.model_extra and "details" in self.model_extra:
            details = self.model_extra.pop("details")
            self.detail = details if self.detail is None else self.detail

    @property
    def reason(self) -> str:
        """The message and the detail on one line; empty where the API says nothing."""
        detail = self.detail or ""
        text = detail if isinstance(detail, str) else to_json(detail).decode()
        return ": ".join(part for part in (self.message, text[:MAX_DETAIL_CHARACTERS]) if part)


class TaskRun(ApiResponse):
    """A task run as it stands.

    Attributes:
        status: `queued`, `action_required`, `running`, `completed`, `failed`, `cancelling`,
            `cancelled`, or what the API adds.
        interaction_id: Continues it when given as `previous_interaction_id`.
    """

    run_id: str
    status: str = ""
    is_active: bool | None = None
    processor: Text = ""
    interaction_id: str | None = None
    metadata: dict[str, Any] | None = None
    taskgroup_id: str | None = None
    error: RunError | None = None
    created_at: str | None = None
    modified_at: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self.status in TERMINAL


class McpToolCall(ResponseModel):
    """A call that a task made to one of its tool servers.

    Attributes:
        content: What came back; `""` or None where it failed.
        error: What went wrong; `""` or None where nothing did.
    """

    tool_call_id: Text = ""
    server_name: Text = ""
    tool_name: Text = ""
    arguments: Text = ""
    content: str | None = None
    error: str | None = None


class TaskOutput(ResponseModel):
    """What a task found.

    Attributes:
        type: `text` or `json`.
        content: The text, or the JSON value (decoded, should the wire send it as a string).
        basis: Of each field.
        mcp_tool_calls: Calls to tool servers.
        output_schema: The schema that the processor chose, where it was left to choose.
    """

    type: str = "text"
    content: Any
    basis: Items[FieldBasis] = []
    mcp_tool_calls: Items[McpToolCall] = Field(default_factory=list)
    output_schema: dict[str, Any] | None = None

    def model_post_init(self, context: Any) -> None:
        """Decode JSON that came as a string."""
        if self.type == "json" and isinstance(self.content, str):
            try:
                self.content = read_json(self.content)
            except ValueError:
                log.debug("output of type json is a text that is no JSON; kept as it is")

    @property
    def is_empty(self) -> bool:
        """Whether there is no content, or nothing but blanks."""
        content = self.content
        return content is None or (isinstance(content, str) and not content.strip())

    def _repr_html_(self) -> str:
        return output_html(self.content, self.basis)


class TaskRunResult(ApiResponse):
    """A finished run with its output.

    Attributes:
        output: What it found.
        parsed: The output as an instance of the class given as `output_schema`.
        validation_error: What did not fit the class; the output itself is kept.
    """

    run: Annotated[TaskRun, id_may_be_missing("run_id")] = Field(
        default_factory=lambda: TaskRun(run_id="")
    )
    output: TaskOutput
    parsed: Any = Field(default=None, exclude=True)
    validation_error: str | None = Field(default=None, exclude=True)

    def _repr_html_(self) -> str:
        return output_html(self.output.content, self.output.basis)

    def fit(self, schema: object) -> "TaskRunResult":
        """Fill `parsed` or `validation_error` for a class; anything else changes nothing."""
        self.parsed, self.validation_error = parse_output(self.output.content, schema)
        return self


class TaskRunInput(ApiResponse):
    """A run's request as the API stored it.

    Attributes:
        input: The question, or the fields to enrich.
        advanced_settings: Location and data sources.
        previous_interaction_id: What it continued.
        enable_events: Whether it could be followed.
    """

    input: str | dict[str, Any] | None = None
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
        output: What it found, once it is complete.
        input: Its request, where `include_input` requests that.
        wire_text: The JSON that it was read from, where it came off a stream; kept so that it
            can be written down as it is.
    """

    essential_fields = frozenset({"output"})

    run: TaskRun
    output: TaskOutput | None = None
    input: TaskRunInput | None = None
    wire_text: str = Field(default="", exclude=True, repr=False)


class SourceStats(ResponseModel):
    """How many sources were looked at."""

    num_sources_considered: int | None = None
    num_sources_read: int | None = None
    sources_read_sample: Items[str] = []


class TaskRunProgressStatsEvent(StreamEvent):
    """How far a run has come.

    Attributes:
        progress_meter: 0 to 100, where known.
    """

    source_stats: SourceStats = SourceStats()
    progress_meter: float | None = None


class TaskRunProgressMessageEvent(StreamEvent):
    """What a run is doing; `type` ends in `.plan`, `.search`, `.result`, `.tool_call` …."""

    message: Text = ""
    timestamp: str | None = None


TASK_EVENTS: Final[dict[str, type[StreamEvent]]] = {
    "task_run.state": TaskRunStateEvent,
    "task_run.progress_stats": TaskRunProgressStatsEvent,
    "task_run.progress_msg.": TaskRunProgressMessageEvent,
}


class SuggestTaskRequest(RequestModel):
    """What is to be found out, in words, to be made a task of."""

    user_intent: str = Field(min_length=1)
    """What is wanted, e.g. `founding year and headquarters of companies`."""
    input_schema: JsonSchema | None = None
    """What goes in, where that is known: a JSON schema or a pydantic class."""

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        return flattened(values, "previous_task", {"input_schema": "input_schema"})

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The JSON body; the schema stands in `previous_task`."""
        body: dict[str, Any] = {"user_intent": self.user_intent}
        if self.input_schema is not None:
            body["previous_task"] = {"input_schema": _bare(wire_schema(self.input_schema))}
        return body


class SuggestedTask(ApiResponse):
    """A task as the API would ask it; meant to be looked at before it is run.

    Attributes:
        title: What it is called.
        output_schema: JSON schema of what comes back.
        input_schema: JSON schema of what goes in.
    """

    title: Text = ""
    output_schema: dict[str, Any] | None = None
    input_schema: dict[str, Any] | None = None

    def settings(self, processor: str) -> TaskSettings:
        """Settings for tasks of this kind on a processor.

        Raises:
            ValueError: No output schema came along.
        """
        if not self.output_schema:
            raise ValueError("the suggestion has no output_schema: say more about what is wanted")
        return TaskSettings(
            processor=processor,
            output_schema=_bare(self.output_schema),
            input_schema=_bare(self.input_schema) if self.input_schema else None,
        )


class SuggestProcessorRequest(RequestModel):
    """A task whose processor is to be chosen."""

    output_schema: OutputSchema
    """What comes back, as in `TaskSettings`."""
    input_schema: OutputSchema | None = None
    """What goes in, likewise."""

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        return flattened(values, "task_spec", SPEC)

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The JSON body: a `task_spec`."""
        return {"task_spec": task_spec(self.output_schema, self.input_schema)}


class SuggestedProcessors(ApiResponse):
    """Processors for a task.

    Attributes:
        recommended_processors: Best first.
    """

    main_lists = frozenset({"recommended_processors"})

    recommended_processors: Items[str] = []


def _bare(schema: Any) -> Any:
    """A JSON schema without the wire's frame around it."""
    if isinstance(schema, dict) and isinstance(schema.get("json_schema"), dict):
        return schema["json_schema"]
    return schema

"""What tasks are asked (API facts 8)."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import to_jsonable_python

from parallel_integrations.api.models import ApiVersion, RequestModel, sendable
from parallel_integrations.api.output_schema import OutputSchema, wire_schema
from parallel_integrations.api.policies import (
    McpServer,
    MemoryScopeKey,
    Metadata,
    SourcePolicy,
    Webhook,
)
from parallel_integrations.api.prices import task_sku

DEFAULT_PROCESSOR: Final = "base"
MOST_MCP_SERVERS: Final = 10
EVENT_BETAS: Final = ("events-sse-2025-07-24",)


def _input_value(value: Any) -> Any:
    """Plain JSON, so that what cannot be sent is refused here and not midway through a group."""
    plain = to_jsonable_python(value) if isinstance(value, BaseModel | dict) else value
    if plain == {} or (isinstance(plain, str) and not plain.strip()):
        raise ValueError("nothing is asked: give a question, or an object with fields")
    return sendable(plain)


class TaskOptions(BaseModel):
    """How tasks are done, whatever their schemas.

    Attributes:
        processor: `lite`, `base` (default here), `core`, `core2x`, `pro`, `ultra` …, each also
            with `-fast`; decides price and depth. Newer ones pass through.
        source_policy: Which sources may be used.
        mcp_servers: Tool servers the task may use; at most 10.
        location: ISO 3166 alpha-2 code of the country to search from.
        data_sources: `{"free": […], "pay_per_use": […]}`, standard processors only.
        enable_events: Whether progress can be followed; the API's default is on from `pro` up.
        webhook: Where the API reports the run's end to.
        memory_scope_key: Memory to share between runs.
    """

    processor: str = Field(default=DEFAULT_PROCESSOR, min_length=1)
    source_policy: SourcePolicy | None = None
    mcp_servers: list[McpServer] | None = Field(default=None, max_length=MOST_MCP_SERVERS)
    location: str | None = Field(default=None, pattern="^[A-Za-z]{2}$")
    data_sources: dict[str, list[str]] | None = None
    enable_events: bool | None = None
    webhook: Webhook | None = None
    memory_scope_key: MemoryScopeKey | None = None


class TaskSettings(TaskOptions):
    """How tasks are done: what a developer fixes once, whatever is asked.

    Attributes:
        output_schema: What comes back: a description of a text, a JSON schema, a pydantic class,
            or the wire's own form; left out, the processor decides.
        input_schema: What goes in, in the same forms.
    """

    output_schema: OutputSchema | None = None
    input_schema: OutputSchema | None = None


class CreateTaskRunRequest(TaskSettings, RequestModel):
    """One task to run.

    Attributes:
        input: The question, or an object (or pydantic instance) of fields to enrich.
        metadata: Labels: keys of at most 16 characters, values of at most 512.
        previous_interaction_id: Continues an earlier task or chat with its context.

    Raises:
        pydantic.ValidationError: A value past its limit.

    Example:
        ```python
        from parallel_integrations import CreateTaskRunRequest

        CreateTaskRunRequest(
            input={"statement": "with"}, processor="lite", output_schema="What it does."
        )
        ```
    """

    input: Annotated[str | dict[str, Any], BeforeValidator(_input_value)]
    metadata: Metadata | None = None
    previous_interaction_id: str | None = Field(default=None, min_length=1)

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
        flat = self.model_dump(
            mode="json", exclude_none=True, exclude={"output_schema", "input_schema"}
        )
        if spec := self.task_spec():
            flat["task_spec"] = spec
        advanced = {name: flat.pop(name) for name in ("location", "data_sources") if name in flat}
        if advanced:
            flat["advanced_settings"] = advanced
        return flat

    def skus(self, version: ApiVersion) -> dict[str, int]:
        """One run of the processor; the API bills it once it completes."""
        return {task_sku(self.processor): 1}

    def task_spec(self) -> dict[str, Any] | None:
        """The wire's `task_spec`; None leaves the output to the processor."""
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

"""What tasks are asked, checked as strictly as the service documents it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag

from parallel_integrations.sandbox.operations.shared import Loose, SourcePolicy
from parallel_integrations.sandbox.state.ledger import TASK_USD

MOST_RUNS = 1000

FIELDS: Mapping[str, int] = MappingProxyType(
    {
        "lite": 2,
        "base": 5,
        "core": 10,
        "core2x": 10,
        "pro": 20,
        "ultra": 20,
        "ultra2x": 25,
        "ultra4x": 25,
        "ultra8x": 25,
    }
)
"""How many output fields a processor is good for."""
PREMIUM = frozenset({"pro", "ultra", "ultra2x", "ultra4x", "ultra8x"})
"""Processors that record events unless they are told not to."""
FAST = "-fast"
PROCESSORS = frozenset({*TASK_USD, *(name + FAST for name in TASK_USD)})

Text = Annotated[str, StringConstraints(min_length=1)]
MetadataKey = Annotated[str, StringConstraints(max_length=16)]
MetadataText = Annotated[str, StringConstraints(max_length=512)]
Metadata = dict[MetadataKey, MetadataText | bool | int | float]
ScopeKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]


class JsonForm(Loose):
    """A JSON schema."""

    type: Literal["json"] = "json"
    json_schema: dict[str, Any]


class TextForm(Loose):
    """A description of a text."""

    type: Literal["text"] = "text"
    description: str | None = None


class AutoForm(Loose):
    """Whatever the processor finds best."""

    type: Literal["auto"] = "auto"


def _form(value: Any) -> str:
    if isinstance(value, str):
        return "bare"
    if not isinstance(value, Mapping):
        return str(getattr(value, "type", ""))
    return str(value.get("type", "json" if "json_schema" in value else "text"))


InputForm = Annotated[
    Annotated[str, Tag("bare")]
    | Annotated[JsonForm, Tag("json")]
    | Annotated[TextForm, Tag("text")],
    Discriminator(_form),
]
OutputForm = Annotated[
    Annotated[str, Tag("bare")]
    | Annotated[JsonForm, Tag("json")]
    | Annotated[TextForm, Tag("text")]
    | Annotated[AutoForm, Tag("auto")],
    Discriminator(_form),
]


class TaskSpec(Loose):
    """What comes out and what goes in."""

    output_schema: OutputForm
    input_schema: InputForm | None = None


class McpServer(Loose):
    """A tool server; the sandbox calls none."""

    type: Literal["url"] = "url"
    name: Text
    url: Text
    headers: dict[str, str] | None = None
    allowed_tools: list[str] | None = None


class Webhook(Loose):
    """Where a run reports its end to; the documents name more event types than the schema."""

    url: Text
    event_types: list[str] = []


class DataSources(Loose):
    """Sources besides the web. The sandbox has none and only checks the names."""

    free: list[str] = []
    pay_per_use: list[str] = []

    @property
    def names(self) -> Sequence[str]:
        """All of them."""
        return [*self.free, *self.pay_per_use]


class AdvancedSettings(Loose):
    """``advanced_settings`` of a task run."""

    location: str | None = None
    data_sources: DataSources | None = None


class RunBody(Loose):
    """Body of a new run; keys it does not know are ignored."""

    input: str | dict[str, Any]
    processor: str
    task_spec: TaskSpec | None = None
    metadata: Metadata | None = None
    source_policy: SourcePolicy | None = None
    advanced_settings: AdvancedSettings | None = None
    previous_interaction_id: str | None = None
    mcp_servers: Annotated[list[McpServer], Field(max_length=10)] | None = None
    enable_events: bool | None = None
    webhook: Webhook | None = None
    memory_scope_key: ScopeKey | None = None

    @property
    def stored(self) -> dict[str, Any]:
        """The request as it is shown again: as sent, without the secrets of tool servers."""
        hidden = {"mcp_servers": {"__all__": {"headers"}}}
        return self.model_dump(mode="json", exclude_unset=True, exclude=hidden)


class GroupBody(Loose):
    """Body of a new group."""

    metadata: dict[str, str | bool | int | float] | None = None


class GroupRunsBody(Loose):
    """Body of a request that adds runs to a group."""

    inputs: Annotated[list[RunBody], Field(max_length=MOST_RUNS)]
    default_task_spec: TaskSpec | None = None

"""Monitors: requests and responses (docs/reference/facts.md, 11)."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models._bodies import flattened, renamed
from parallel_integrations.models.fields import Items
from parallel_integrations.models.output_schema import JsonSchema, wire_schema
from parallel_integrations.models.policies import Country, MemoryScopeKey, SourcePolicy, Webhook
from parallel_integrations.models.shared import ApiResponse, ApiVersion, RequestModel, ResponseModel
from parallel_integrations.models.task import TaskOutput

MAX_MONITORS: Final = 10_000
MAX_FREQUENCY_HOURS: Final = 30 * 24
_HOURS: Final = {"h": 1, "d": 24, "w": 7 * 24}
_FREQUENCY: Final = re.compile("([0-9]{1,9})([hdw])")


MonitorMetadata = dict[
    Annotated[str, Field(min_length=1, max_length=16)], Annotated[str, Field(max_length=512)]
]


def _checked_frequency(value: str | None) -> str | None:
    if value is None:
        return None
    found = _FREQUENCY.fullmatch(value)
    hours = int(found[1]) * _HOURS[found[2]] if found else 0
    if not 1 <= hours <= MAX_FREQUENCY_HOURS:
        raise ValueError(f"{value!r} is not a frequency from '1h' to '30d', like '6h', '1d', '2w'")
    return value


_ADVANCED: Final = {name: name for name in ("source_policy", "location")}
_OLDER_SETTINGS: Final = ("query", "output_schema", "include_backfill", "source_policy")
_CADENCES: Final = {"hourly": "1h", "daily": "1d", "weekly": "1w", "every_two_weeks": "2w"}


def _older_body(values: Any) -> Any:
    """A body of `/v1alpha/monitors`, which has the settings beside the rest, as one of today."""
    if not isinstance(values, dict):
        return values
    values = renamed(values, "cadence", "frequency", _CADENCES)
    older = {name: values.pop(name) for name in _OLDER_SETTINGS if name in values}
    if not older:
        return values
    if "settings" in values or values.get("type", "event_stream") != "event_stream":
        raise InvalidArgumentError(
            f"{next(iter(older))}= belongs into settings=, where that is given", field="settings"
        )
    return {**values, "type": "event_stream", "settings": older}


class EventStreamSettings(RequestModel):
    """What an `event_stream` monitor looks for."""

    query: str | None = Field(default=None, min_length=1)
    """What to watch for."""
    output_schema: JsonSchema | None = None
    """A JSON schema or pydantic class for its events."""
    include_backfill: bool | None = None
    """Whether what happened before counts."""
    source_policy: SourcePolicy | None = None
    """Which sources may be used, and how old they may be."""
    location: Country | None = None
    """ISO 3166 alpha-2 code of the country to search from."""

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("advanced_settings", 0) is None:
            # Null for both, which is how they are cleared.
            kept = {name: values[name] for name in values if name != "advanced_settings"}
            return dict.fromkeys(_ADVANCED) | kept
        return flattened(values, "advanced_settings", _ADVANCED)

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The settings as the wire has them; what was given as None is sent as null."""
        # What was left out stays as it is, None clears: so not `exclude_none`.
        flat = self.model_dump(mode="json", exclude_unset=True, exclude={"output_schema"})
        if self.source_policy is not None:
            flat["source_policy"] = self.source_policy.body(version)
        if self.output_schema is not None:
            flat["output_schema"] = wire_schema(self.output_schema)
        advanced: dict[str, Any] = {name: flat.pop(name) for name in _ADVANCED if name in flat}
        if advanced:
            cleared = all(value is None for value in advanced.values())
            flat["advanced_settings"] = None if cleared else _without_none(advanced)
        return flat


class SnapshotSettings(RequestModel):
    """What a `snapshot` monitor runs again."""

    task_run_id: str = Field(min_length=1)
    """A completed task run."""


_SETTINGS: Final[dict[str, type[RequestModel]]] = {
    "event_stream": EventStreamSettings,
    "snapshot": SnapshotSettings,
}


class CreateMonitorRequest(RequestModel):
    """A new monitor; it runs at once, then on schedule.

    Raises:
        InvalidArgumentError: A value that cannot be right.
    """

    type: Literal["event_stream", "snapshot"]
    """`event_stream` watches for news of a query, `snapshot` for changes of a task's output."""
    frequency: str
    """How often: `<n>h`, `<n>d` or `<n>w`, from `1h` to `30d`."""
    settings: EventStreamSettings | SnapshotSettings
    """What to watch: `EventStreamSettings`, or `SnapshotSettings` for a `snapshot`."""
    processor: str | None = Field(default=None, min_length=1)
    """`lite` or `base`; the API's default is `lite`."""
    webhook: Webhook | None = None
    """Where the API reports to."""
    metadata: MonitorMetadata | None = None
    """Labels, strings only."""
    memory_scope_key: MemoryScopeKey | None = None
    """Name of the memory that is read and added to (beta)."""

    _check_frequency = field_validator("frequency")(_checked_frequency)

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = _older_body(dict(values))
        kind, settings = values.get("type"), values.get("settings")
        if not isinstance(settings, dict) or not isinstance(kind, str) or kind not in _SETTINGS:
            return values
        # The type says which settings are meant, and so what is wrong with them.
        try:
            return {**values, "settings": _SETTINGS[kind].model_validate(settings)}
        except InvalidArgumentError as error:
            where = f"settings.{error.field}"
            raise type(error)(f"settings: {error}", field=where) from None

    @model_validator(mode="after")
    def _settings_fit(self) -> "CreateMonitorRequest":
        snapshot = isinstance(self.settings, SnapshotSettings)
        if snapshot is not (self.type == "snapshot"):
            raise ValueError(
                f"type={self.type!r} needs settings={_SETTINGS[self.type].__name__}(…)"
            )
        if isinstance(self.settings, EventStreamSettings) and self.settings.query is None:
            raise ValueError("settings.query is missing: say what to watch for")
        return self

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The body; the same in every generation of the wire."""
        flat = self.model_dump(mode="json", exclude_none=True, exclude={"settings"})
        return {**flat, "settings": _without_none(self.settings.body(version))}

    def skus(self, version: ApiVersion) -> dict[str, int]:
        """One execution, at once; the later ones happen while nobody watches."""
        return {f"monitor_{self.processor or 'lite'}": 1}


class UpdateMonitorRequest(RequestModel):
    """Changes to a monitor; only what is given is changed, None clears where the wire allows it.

    Raises:
        InvalidArgumentError: Nothing to change, or None where the wire takes no null.
    """

    type: Literal["event_stream"] | None = None
    """`event_stream`, as the wire has it beside `settings`; filled in where it is left out."""
    frequency: str | None = None
    """How often: `<n>h`, `<n>d` or `<n>w`, from `1h` to `30d`."""
    settings: EventStreamSettings | None = None
    """Other settings of an `event_stream` monitor; `source_policy=None` and `location=None`
    together clear its advanced settings.
    """
    processor: str | None = Field(default=None, min_length=1)
    """`lite` or `base`."""
    webhook: Webhook | None = None
    """None removes it."""
    metadata: MonitorMetadata | None = None
    """None removes it."""

    _check_frequency = field_validator("frequency")(_checked_frequency)

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        return _older_body(dict(values)) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _something_changes(self) -> "UpdateMonitorRequest":
        if self.model_fields_set <= {"type"}:
            raise ValueError("nothing to change: give at least one field")
        for name in self.model_fields_set & {"type", "frequency", "settings", "processor"}:
            if getattr(self, name) is None:
                raise ValueError(f"{name} cannot be cleared; leave it out to keep it")
        if self.settings is not None:
            _check_changes(self.settings)
        return self

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The body; the same in every generation of the wire."""
        flat = self.model_dump(mode="json", exclude_unset=True, exclude={"settings"})
        if self.settings is not None:
            # The wire has the kind of settings in the type beside them; only these can
            # change.
            flat["type"] = "event_stream"
            flat["settings"] = self.settings.body(version)
        return flat


def _check_changes(settings: EventStreamSettings) -> None:
    given = settings.model_fields_set
    if not given:
        raise ValueError("settings holds nothing to change: give at least one field")
    for name in sorted(given & {"query", "output_schema", "include_backfill"}):
        if getattr(settings, name) is None:
            raise ValueError(f"settings.{name} cannot be cleared; leave it out to keep it")
    advanced = {"source_policy", "location"}
    cleared = {name for name in given & advanced if getattr(settings, name) is None}
    # Both stand in one object of the wire, which can be null as a whole only.
    if cleared and cleared != advanced:
        raise ValueError(
            f"settings.{cleared.pop()} cannot be cleared alone: the API knows null for both of "
            "source_policy and location together only"
        )


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


class SnapshotOutput(ResponseModel):
    """What a snapshot monitor last saw."""

    latest_snapshot: TaskOutput | None = None


class Monitor(ApiResponse):
    """A monitor.

    Attributes:
        type: `event_stream` or `snapshot`.
        status: `active` or `cancelled`.
        settings: What it watches, as the wire has it.
        output: What a snapshot monitor last saw.
    """

    monitor_id: str
    type: str = ""
    status: str = ""
    frequency: str | None = None
    processor: str | None = None
    settings: dict[str, Any] | None = None
    output: SnapshotOutput | None = None
    webhook: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    created_at: str | None = None
    last_run_at: str | None = None


class _Page(ApiResponse):
    # Left out, it would make a listing end in the middle.
    essential_fields = frozenset({"next_cursor"})

    next_cursor: str | None = Field(default=None, coerce_numbers_to_str=True)
    """Where the next page begins; None on the last."""


class MonitorPage(_Page):
    """Monitors, newest first, and `next_cursor`, where the next page begins; None on the last."""

    main_lists = frozenset({"monitors"})

    monitors: Items[Monitor] = []


class MonitorEvent(ResponseModel):
    """Something a monitor saw or did; which fields are filled depends on `event_type`.

    Attributes:
        event_type: `event_stream`, `snapshot`, `completion` or `error`.
        event_id: Its id, the key to recognise it by.
        event_group_id: The run that found it (`monitor_group_id` in older documents).
        event_date: When it happened, possibly only `YYYY-MM`.
        output: What was found.
        changed_output: Snapshot: what changed.
        previous_output: Snapshot: what it was.
        timestamp: Completion and error: when.
        error_message: Error: what went wrong.
    """

    event_type: str = ""
    event_id: str | None = None
    event_group_id: str | None = Field(
        default=None, validation_alias=AliasChoices("event_group_id", "monitor_group_id")
    )
    event_date: str | None = None
    output: TaskOutput | None = None
    changed_output: TaskOutput | None = None
    previous_output: TaskOutput | None = None
    timestamp: str | None = None
    error_message: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_alpha(cls, values: Any) -> Any:
        """Read the alpha generation, whose output is a text with its sources beside it."""
        if not isinstance(values, dict) or "type" not in values or "event_type" in values:
            return values
        rest = dict(values)
        kind = rest.pop("type")
        known: dict[str, Any] = {"event_type": "event_stream" if kind == "event" else kind}
        if isinstance(moment := rest.pop("monitor_ts", None), str):
            known["timestamp"] = moment.removeprefix("completed_")
        if kind == "error":
            names = {"error": "error_message", "date": "timestamp", "id": "event_id"}
            known |= {names[name]: rest.pop(name) for name in rest.keys() & names.keys()}
        if isinstance(text := rest.get("output"), str):
            urls = rest.pop("source_urls", None)
            urls = urls if isinstance(urls, list) else []
            citations = [{"url": url} for url in urls if isinstance(url, str) and url.strip()]
            basis = [{"field": "output", "citations": citations}] if citations else []
            result = rest.pop("result", None)
            output = result if isinstance(result, dict) else {"type": "text", "content": text}
            known["output"] = {**output, "basis": basis}
        return rest | known


class MonitorEventPage(_Page):
    """Events of a monitor, newest first, and `next_cursor` as of a `MonitorPage`."""

    main_lists = frozenset({"events"})

    events: Items[MonitorEvent] = []

"""What monitors are asked, checked as strictly as the service documents it."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    StringConstraints,
    field_validator,
    model_validator,
)

from parallel_integrations.sandbox.operations.findall_bodies import Text
from parallel_integrations.sandbox.operations.findall_shared import refused
from parallel_integrations.sandbox.operations.operation import Call
from parallel_integrations.sandbox.operations.shared import Loose, SourcePolicy, Strict
from parallel_integrations.sandbox.operations.task_bodies import JsonForm, ScopeKey

HOURS = {"h": 1, "d": 24, "w": 7 * 24}
LONGEST_HOURS = 30 * 24


def _frequency(text: str) -> str:
    found = re.fullmatch(r"([0-9]{1,6})([hdw])", text)
    if not found or not 1 <= int(found[1]) * HOURS[found[2]] <= LONGEST_HOURS:
        raise ValueError("a frequency is a number and h, d or w, from 1h to 30d")
    return text


def _not_null(value: Any) -> Any:
    if value is None:
        raise ValueError("cannot be null; leave it out to keep it as it is")
    return value


Frequency = Annotated[str, AfterValidator(_frequency)]
Processor = Literal["lite", "base"]
MonitorType = Literal["event_stream", "snapshot"]
Metadata = dict[
    Annotated[str, StringConstraints(max_length=16)],
    Annotated[str, StringConstraints(max_length=512)],
]


class Webhook(Loose):
    """Where a monitor reports to."""

    url: Text
    event_types: list[
        Literal["monitor.event.detected", "monitor.execution.completed", "monitor.execution.failed"]
    ] = []


class AdvancedSettings(Loose):
    """``settings.advanced_settings``."""

    source_policy: SourcePolicy | None = None
    location: str | None = None


class EventStreamSettings(Loose):
    """Settings of an ``event_stream`` monitor."""

    query: Text
    output_schema: JsonForm | None = None
    include_backfill: bool | None = None
    advanced_settings: AdvancedSettings | None = None


class SnapshotSettings(Loose):
    """Settings of a ``snapshot`` monitor."""

    task_run_id: Text


class Typed(Loose):
    """What tells the two kinds of new monitors apart."""

    type: MonitorType


class CreateBody(Typed):
    """Body of a new monitor, without what belongs to its type."""

    frequency: Frequency
    processor: Processor = "lite"
    webhook: Webhook | None = None
    metadata: Metadata | None = None
    memory_scope_key: ScopeKey | None = None


class EventStreamBody(CreateBody):
    """Body of a new ``event_stream`` monitor."""

    settings: EventStreamSettings


class SnapshotBody(CreateBody):
    """Body of a new ``snapshot`` monitor."""

    settings: SnapshotSettings


class UpdateSettings(Strict):
    """What of an ``event_stream`` monitor's settings can be changed."""

    query: Annotated[Text | None, BeforeValidator(_not_null)] = None
    advanced_settings: AdvancedSettings | None = None


class UpdateBody(Loose):
    """Body of an update. What the request leaves out is not in `model_fields_set`."""

    type: MonitorType | None = None
    frequency: Frequency | None = None
    processor: Processor | None = None
    webhook: Webhook | None = None
    metadata: Metadata | None = None
    settings: UpdateSettings | None = None

    _kept = field_validator("type", "frequency", "processor", "settings", mode="before")(_not_null)

    @model_validator(mode="after")
    def _changes_something(self) -> "UpdateBody":
        if not self.model_fields_set - {"type"}:
            raise ValueError("at least one field besides type is required")
        if self.settings is not None and self.type != "event_stream":
            raise ValueError("settings can only be updated together with type event_stream")
        return self


def limit_of(call: Call, default: int, most: int) -> int:
    """Return the `limit` of a call.

    Raises:
        RequestError: 422 when it is no number from 1 to `most`.
    """
    text = call.request.query_params.get("limit") or str(default)
    limit = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    if not 1 <= limit <= most:
        raise refused("query", "limit", f"Input should be a whole number from 1 to {most}")
    return limit


def before_of(call: Call) -> int | None:
    """Return the number below which a call's page begins, None for the first page.

    Raises:
        RequestError: 422 when its `cursor` is none of the sandbox's.
    """
    cursor = call.request.query_params.get("cursor")
    if not cursor:
        return None
    found = re.fullmatch(r"before_sandbox_([0-9]{6,12})", cursor)
    if not found:
        raise refused("query", "cursor", "Invalid cursor")
    return int(found[1])


def page_of(call: Call, items: list[Any], limit: int, number: Callable[[Any], int]) -> Any:
    """Return one page of `items`, which are newest first, and the cursor of the next page.

    Numbers, not places, mark where a page ends: what is new meanwhile shifts nothing.
    """
    before = before_of(call)
    left = [item for item in items if before is None or number(item) < before]
    page = left[:limit]
    more = len(left) > limit
    return page, f"before_sandbox_{number(page[-1]):06}" if more else None


def choices(call: Call, name: str, allowed: tuple[str, ...]) -> set[str]:
    """Return the values of a query parameter, whether it is repeated or joined by commas.

    Raises:
        RequestError: 422 when one is not allowed.
    """
    given = {
        value.strip()
        for text in call.request.query_params.getlist(name)
        for value in text.split(",")
        if value.strip()
    }
    if given - set(allowed):
        raise refused("query", name, f"Input should be {' or '.join(allowed)}")
    return given

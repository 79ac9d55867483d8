"""What monitors answer: monitors, their events, and pages of either (API facts 11)."""

from typing import Any

from pydantic import AliasChoices, Field

from parallel_integrations.api.models import (
    AnswerModel,
    Items,
    Warning,  # noqa: A004 - the API's own word
)
from parallel_integrations.api.task_types import TaskOutput


class SnapshotOutput(AnswerModel):
    """What a snapshot monitor last saw.

    Attributes:
        latest_snapshot: The task's latest output.
    """

    latest_snapshot: TaskOutput | None = None


class Monitor(AnswerModel):
    """A monitor.

    Attributes:
        monitor_id: Its id.
        type: `event_stream` or `snapshot`.
        status: `active` or `cancelled`.
        frequency: How often it runs.
        processor: What runs it.
        settings: What it watches, as the wire has it.
        output: What a snapshot monitor last saw.
        webhook: Where the API reports to.
        metadata: Its labels.
        created_at: When it was created.
        last_run_at: When it last ran.
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


class MonitorPage(AnswerModel):
    """Monitors, newest first.

    Attributes:
        monitors: One page of them.
        next_cursor: Where the next page begins; None on the last.
    """

    monitors: Items[Monitor] = []
    next_cursor: str | None = None


class MonitorEvent(AnswerModel):
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


class MonitorEventPage(AnswerModel):
    """Events of a monitor, newest first.

    Attributes:
        events: One page of them.
        next_cursor: Where the next page begins; None on the last.
        warnings: What the API wants known.
    """

    events: Items[MonitorEvent] = []
    next_cursor: str | None = None
    warnings: Items[Warning] = []

"""Webhooks: the payloads that Parallel posts (docs/reference/facts.md, 13)."""

from typing import Any, Final

from pydantic import ValidationInfo, field_validator

from parallel_integrations.models.findall import FindallCandidate, FindallRun
from parallel_integrations.models.shared import ApiResponse, ResponseModel
from parallel_integrations.models.task import TaskRun


class MonitorNotice(ResponseModel):
    """What a monitor's webhook reports; the event itself is fetched with `monitor_events`.

    Attributes:
        event: `{event_group_id}`, or a completion or error.
    """

    monitor_id: str
    event: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class WebhookPayload(ApiResponse):
    """A webhook's message.

    Attributes:
        type: What happened, e.g. `task_run.status`.
        data: `TaskRun`, `FindallRun`, `FindallCandidate` or `MonitorNotice` by type; a dict for
            types this version does not know.
    """

    type: str
    timestamp: str | None = None
    data: TaskRun | FindallRun | FindallCandidate | MonitorNotice | dict[str, Any]

    @field_validator("data", mode="plain")
    @classmethod
    def _of_its_type(cls, value: Any, info: ValidationInfo) -> Any:
        """Read by the type's name: by their fields alone, the classes cannot be distinguished."""
        if isinstance(value, ResponseModel):
            return value
        if not isinstance(value, dict):
            raise ValueError("it is no object")
        for prefix, kind in _DATA:
            if info.data.get("type", "").startswith(prefix):
                return kind.model_validate(value)
        return value


_DATA: Final[tuple[tuple[str, type[ResponseModel]], ...]] = (
    ("task_run.", TaskRun),
    ("findall.candidate.", FindallCandidate),
    ("findall.run.", FindallRun),
    ("monitor.", MonitorNotice),
)

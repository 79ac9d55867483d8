"""Task groups: requests, responses and events (docs/reference/facts.md, 9)."""

from collections import Counter
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, Field, model_validator

from parallel_integrations.models._bodies import flattened
from parallel_integrations.models.fields import Items
from parallel_integrations.models.output_schema import OutputSchema
from parallel_integrations.models.policies import Metadata
from parallel_integrations.models.prices import task_sku
from parallel_integrations.models.shared import (
    ApiResponse,
    ApiVersion,
    RequestModel,
    ResponseModel,
    StreamEvent,
)
from parallel_integrations.models.task import (
    SPEC,
    TASK_EVENTS,
    CreateTaskRunRequest,
    TaskOutput,
    TaskRun,
    task_spec,
)

TaskInput: TypeAlias = str | dict[str, Any] | BaseModel

MAX_RUNS_PER_CALL: Final = 1000


class CreateTaskGroupRequest(RequestModel):
    """A new, empty group."""

    metadata: Metadata | None = None
    """Labels: keys of at most 16 characters, values of at most 512."""


class AddTaskGroupRunsRequest(RequestModel):
    """Tasks to add to a group.

    A body as documented is read too: `default_task_spec={…}`.

    Raises:
        InvalidArgumentError: No task, or more than 1000.
    """

    inputs: list[CreateTaskRunRequest] = Field(min_length=1, max_length=MAX_RUNS_PER_CALL)
    """1 to 1000 tasks; one with an output or input schema of its own keeps it."""
    output_schema: OutputSchema | None = None
    """For the tasks that have none."""
    input_schema: OutputSchema | None = None
    """For the tasks that have none."""

    @model_validator(mode="before")
    @classmethod
    def _documented_body(cls, values: Any) -> Any:
        return flattened(values, "default_task_spec", SPEC)

    def betas(self, version: ApiVersion) -> tuple[str, ...]:
        """Values for the features that the tasks use."""
        return tuple(dict.fromkeys(value for one in self.inputs for value in one.betas(version)))

    def body(self, version: ApiVersion) -> dict[str, Any]:
        """The body; the same in every generation of the wire."""
        body: dict[str, Any] = {"inputs": [one.body(version) for one in self.inputs]}
        if spec := task_spec(self.output_schema, self.input_schema):
            body["default_task_spec"] = spec
        return body

    def skus(self, version: ApiVersion) -> Counter[str]:
        """One run for each input."""
        return Counter(task_sku(one.processor) for one in self.inputs)


class TaskGroupStatus(ResponseModel):
    """How a group stands."""

    num_task_runs: int = 0
    task_run_status_counts: dict[str, int] | None = None
    is_active: bool = False
    status_message: str | None = None
    modified_at: str | None = None


STATUS_FIELDS: Final = frozenset({"status", "status.is_active", "status.num_task_runs"})


class TaskGroup(ApiResponse):
    """A group."""

    essential_fields = STATUS_FIELDS

    taskgroup_id: str
    status: TaskGroupStatus = TaskGroupStatus()
    metadata: dict[str, Any] | None = None
    created_at: str | None = None


class AddedTaskGroupRuns(ApiResponse):
    """What was added.

    Attributes:
        run_ids: Ids of the new runs; their order is not documented, use metadata to match them.
        status: How the group stands.
        run_cursor: Where the new runs begin in `task_group_runs`.
        event_cursor: Where they begin in `task_group_events`.
    """

    main_lists = frozenset({"run_ids"})

    run_ids: Items[str] = []
    status: TaskGroupStatus = TaskGroupStatus()
    run_cursor: str | None = None
    event_cursor: str | None = None


class TaskGroupStatusEvent(StreamEvent):
    """The group's status changed."""

    essential_fields = STATUS_FIELDS

    status: TaskGroupStatus


class TaskGroupResult(ResponseModel):
    """What became of one input of a group.

    Attributes:
        run: Its run; None where the group holds none for it.
        output: What was found; None where the run failed.
        parsed: The output as an instance of the class given as `output_schema`.
        validation_error: What did not fit the class; the output itself is kept.
    """

    run: TaskRun | None = None
    output: TaskOutput | None = None
    parsed: Any = Field(default=None, exclude=True)
    validation_error: str | None = Field(default=None, exclude=True)

    @property
    def error(self) -> str | None:
        """Why there is no output; None where there is one."""
        if self.output is not None:
            return None
        if self.run is None:
            return "the group holds no run for this input"
        if self.validation_error is not None:
            return (
                f"the output cannot be read ({self.validation_error}); "
                f"wait_task_run({self.run.run_id!r}) fetches it alone"
            )
        if not self.run.is_over:
            going_on = f"wait_task_run({self.run.run_id!r}) waits for it"
            return f"the run is {self.run.status}, though its group is done; {going_on}"
        reason = self.run.error.reason if self.run.error else ""
        return reason or f"the run is {self.run.status}"


GROUP_EVENTS: Final[dict[str, type[StreamEvent]]] = {
    **TASK_EVENTS,
    "task_group_status": TaskGroupStatusEvent,
}

"""Task groups: many tasks at once, results in the order of their inputs (API facts 9)."""

import logging
from collections import Counter
from typing import Any, Final

from pydantic import Field

from parallel_integrations.api.flow import Flow, Send, call
from parallel_integrations.api.models import ApiVersion, RequestModel
from parallel_integrations.api.output_schema import OutputSchema
from parallel_integrations.api.paths import carrying, create, segment
from parallel_integrations.api.policies import Metadata
from parallel_integrations.api.prices import task_sku
from parallel_integrations.api.retries import Repeat
from parallel_integrations.api.task_group_types import AddedTaskGroupRuns, TaskGroup
from parallel_integrations.api.task_requests import CreateTaskRunRequest, task_spec
from parallel_integrations.api.task_types import TaskRun

MOST_RUNS_PER_CALL: Final = 1000
ADD_TIMEOUT_SECONDS: Final = 120.0


log = logging.getLogger("parallel_integrations")


class CreateTaskGroupRequest(RequestModel):
    """A new, empty group.

    Attributes:
        metadata: Labels: keys of at most 16 characters, values of at most 512.
    """

    metadata: Metadata | None = None


class AddTaskGroupRunsRequest(RequestModel):
    """Tasks to add to a group.

    Attributes:
        inputs: 1 to 1000 tasks; one with an output or input schema of its own keeps it.
        output_schema: For the tasks that have none.
        input_schema: For the tasks that have none.

    Raises:
        pydantic.ValidationError: No task, or more than 1000.
    """

    inputs: list[CreateTaskRunRequest] = Field(min_length=1, max_length=MOST_RUNS_PER_CALL)
    output_schema: OutputSchema | None = None
    input_schema: OutputSchema | None = None

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


def create_task_group(request: CreateTaskGroupRequest | None = None) -> Flow[TaskGroup]:
    """Make an empty group; costs nothing until runs are added.

    Args:
        request: Its labels.

    Returns:
        A flow whose result is the `TaskGroup`.

    Example:
        ```python
        from parallel_integrations import CreateTaskGroupRequest, ParallelClient
        from parallel_integrations.api import create_task_group

        request = CreateTaskGroupRequest(metadata={"batch": "statements"})
        with ParallelClient() as client:
            print(client.run(create_task_group(request)).taskgroup_id)
        ```
    """
    request = request or CreateTaskGroupRequest()
    CreateTaskGroupRequest.expect(request)
    send = Send("POST", "/v1/tasks/groups", request, repeat=Repeat.CREATE)
    group = yield from create(send, TaskGroup, "taskgroup_id")
    log.info("created task group %s", group.taskgroup_id)
    return group


def retrieve_task_group(taskgroup_id: str) -> Flow[TaskGroup]:
    """Look up how a group stands.

    Args:
        taskgroup_id: Its id.

    Returns:
        A flow whose result is the `TaskGroup`.

    Example:
        ```python
        from parallel_integrations import ParallelClient
        from parallel_integrations.api import create_task_group, retrieve_task_group

        with ParallelClient() as client:
            group = client.run(create_task_group())
            print(client.run(retrieve_task_group(group.taskgroup_id)).status.num_task_runs)
        ```
    """
    with carrying(taskgroup_id=taskgroup_id):
        return (yield from call(read_group(taskgroup_id), TaskGroup))


def add_task_group_runs(
    taskgroup_id: str, request: AddTaskGroupRunsRequest, *, refresh_status: bool = True
) -> Flow[AddedTaskGroupRuns]:
    """Add tasks to a group.

    Args:
        taskgroup_id: Its id.
        request: Up to 1000 tasks.
        refresh_status: False answers faster, with a status that may be old.

    Returns:
        A flow whose result is the `AddedTaskGroupRuns`.

    Example:
        ```python
        from parallel_integrations import (
            AddTaskGroupRunsRequest,
            CreateTaskRunRequest,
            ParallelClient,
        )
        from parallel_integrations.api import add_task_group_runs, create_task_group

        tasks = [CreateTaskRunRequest(input=name, processor="lite") for name in ("with", "del")]
        with ParallelClient() as client:
            group = client.run(create_task_group())
            request = AddTaskGroupRunsRequest(inputs=tasks, output_schema="What it does.")
            added = client.run(add_task_group_runs(group.taskgroup_id, request))
        print(len(added.run_ids))
        ```
    """
    AddTaskGroupRunsRequest.expect(request)
    with carrying(taskgroup_id=taskgroup_id):
        send = Send(
            "POST",
            f"{group_path(taskgroup_id)}/runs",
            request,
            params=() if refresh_status else (("refresh_status", "false"),),
            repeat=Repeat.CREATE,
            timeout_seconds=ADD_TIMEOUT_SECONDS,
        )
        return (yield from call(send, AddedTaskGroupRuns))


def retrieve_task_group_run(taskgroup_id: str, run_id: str) -> Flow[TaskRun]:
    """Look up how one run of a group stands.

    Args:
        taskgroup_id: The group's id.
        run_id: The run's id.

    Returns:
        A flow whose result is the `TaskRun`.

    Example:
        ```python
        from parallel_integrations import (
            AddTaskGroupRunsRequest,
            CreateTaskRunRequest,
            ParallelClient,
        )
        from parallel_integrations.api import (
            add_task_group_runs,
            create_task_group,
            retrieve_task_group_run,
        )

        tasks = [CreateTaskRunRequest(input=name, processor="lite") for name in ("with", "del")]
        with ParallelClient() as client:
            group = client.run(create_task_group())
            request = AddTaskGroupRunsRequest(inputs=tasks, output_schema="What it does.")
            added = client.run(add_task_group_runs(group.taskgroup_id, request))
            for run_id in added.run_ids:
                run = client.run(retrieve_task_group_run(group.taskgroup_id, run_id))
                print(run.status)
        ```
    """
    with carrying(taskgroup_id=taskgroup_id, run_id=run_id):
        path = f"{group_path(taskgroup_id)}/runs/{segment('run_id', run_id)}"
        return (yield from call(Send("GET", path, repeat=Repeat.READ), TaskRun))


def read_group(taskgroup_id: str) -> Send:
    """Read how a group stands."""
    return Send("GET", group_path(taskgroup_id), repeat=Repeat.READ)


def group_path(taskgroup_id: str) -> str:
    """Where a group is found."""
    return f"/v1/tasks/groups/{segment('taskgroup_id', taskgroup_id)}"

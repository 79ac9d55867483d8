"""Research in the background: started, and looked up later by its id alone."""

from collections.abc import Generator
from contextlib import suppress
from typing import Any, Final

from pydantic import BaseModel

from parallel_integrations._protocol.flow import Flow, More, Send, each
from parallel_integrations.api import create_task_run, retrieve_task_run, task_run_events
from parallel_integrations.api.tasks import result_of
from parallel_integrations.errors import ParallelError
from parallel_integrations.models.shared import StreamEvent
from parallel_integrations.models.task import (
    CreateTaskRunRequest,
    TaskRun,
    TaskRunProgressMessageEvent,
    TaskRunProgressStatsEvent,
    TaskRunResult,
    TaskRunStateEvent,
)

TEXT: Final = {"type": "text"}
"""Schema of a report to read: without one a processor from `pro` up chooses fields of its own."""
LOOK_SECONDS: Final = 2.0
"""How long progress is collected: what has happened so far comes at once, more in minutes."""


class ResearchProgress(BaseModel):
    """A run that is not over.

    Attributes:
        messages: What it has done so far, in words, oldest first.
        sources_read: How many sources it has read, where known.
    """

    run: TaskRun
    messages: list[str] = []
    sources_read: int | None = None

    def add(self, event: StreamEvent) -> None:
        """Note what an event says."""
        match event:
            case TaskRunStateEvent():
                self.run = event.run
            case TaskRunProgressMessageEvent(message=message) if message:
                self.messages.append(message)
            case TaskRunProgressStatsEvent(source_stats=stats) if stats.num_sources_read:
                self.sources_read = stats.num_sources_read


def start_research(request: CreateTaskRunRequest) -> Flow[TaskRun]:
    """Create a run whose progress can be looked up."""
    if request.enable_events is None:
        request = request.model_copy(update={"enable_events": True})
    return (yield from create_task_run(request))


def look_up_research(
    run_id: str,
) -> Generator[Send | More, Any, ResearchProgress | TaskRunResult]:
    """The result of a run that is over; how it stands and what it has done, of one that is not.

    Raises:
        TaskFailedError: The run failed or was cancelled; says why.
        NotFoundError: No such run.
    """
    found = ResearchProgress(run=(yield from retrieve_task_run(run_id)))
    if not found.run.is_over:
        # Progress is a courtesy: a run without events, or a stream that breaks, costs no status.
        with suppress(ParallelError):
            yield from each(task_run_events(run_id, deadline_seconds=LOOK_SECONDS), found.add)
    if not found.run.is_over:
        return found
    return (yield from result_of(run_id, found.run))

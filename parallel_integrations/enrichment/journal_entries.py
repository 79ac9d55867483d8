"""What the journal tells of tasks."""

from dataclasses import dataclass
from enum import Enum, IntEnum

from parallel_integrations.api.task_types import TaskOutput, TaskRunStateEvent


class State(Enum):
    """How a task stands."""

    UNSENT = "unsent"
    OUT = "out"
    """It may have been sent: its group knows."""
    ENDED = "ended"


class Ending(IntEnum):
    """Whether a task is over; the numbers stand in the journal."""

    OPEN = 0
    """Its run may still end: asked to retry, it is looked at again and never paid again."""
    OVER = 1
    """Its run is over for good: asking again is no second bill."""
    UNREAD = 2
    """Its answer could not be read, and may be paid for: each later run looks at it again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended.

    Attributes:
        run_id: Its run.
        output: What was found; None where it failed.
        text: The event that told it, as JSON.
        error: Why it failed.
        ending: Whether its run is over.
        taskgroup_id: The group that may keep an answer which could not be read.
    """

    run_id: str | None
    output: TaskOutput | None = None
    text: str | None = None
    error: str | None = None
    ending: Ending = Ending.OVER
    taskgroup_id: str | None = None

    @classmethod
    def of(cls, event: TaskRunStateEvent) -> "Outcome":
        """The outcome that an event with an output tells."""
        text = event.wire_text or event.model_dump_json()
        return cls(event.run.run_id, event.output, text)


@dataclass(frozen=True, slots=True)
class Known:
    """A task that the journal has.

    Attributes:
        task: The task.
        state: How it stands.
    """

    task: int
    state: State


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tasks that were sent in one call, into a group of their own.

    Attributes:
        number: Its number.
        taskgroup_id: The group.
        sent: Whether the API said that it has them.
        tasks: Those without an outcome, by their place in the call.
    """

    number: int
    taskgroup_id: str
    sent: bool
    tasks: dict[int, int]

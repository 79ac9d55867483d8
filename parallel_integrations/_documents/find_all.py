"""FindAll for agents: its settings and limits, its request, and the run from request to matches."""

from contextlib import suppress
from typing import Any

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from parallel_integrations._protocol.flow import Emit, Flow, Stream
from parallel_integrations._protocol.polling import within
from parallel_integrations.api import findall_events
from parallel_integrations.api.findall import (
    await_findall,
    start_findall,
    waiting_for_findall,
)
from parallel_integrations.errors import ParallelError
from parallel_integrations.models.findall import (
    MAX_PREVIEW_MATCHES,
    FindallResult,
    FindallRun,
    FindallStatusEvent,
    IngestFindallRequest,
    MatchLimit,
    check_preview,
)
from parallel_integrations.models.prices import findall_skus
from parallel_integrations.models.shared import ApiVersion, RequestModel, StreamEvent


class FindAllSettings(BaseModel):
    """Price and size of a FindAll run."""

    # The cheapest by default, because an agent decides to call it.
    generator: str = Field(default="preview", min_length=1)
    """How thoroughly to look: `preview` (0.10 USD, at most 10), `base` (0.25 and 0.03 a match),
    `core` (2 and 0.15) or `pro` (10 and 1).
    """
    match_limit: MatchLimit = MAX_PREVIEW_MATCHES
    """How many matches to stop at: 5 to 1000, 10 at most for `preview`."""

    @field_validator("match_limit")
    @classmethod
    def _preview_is_small(cls, value: int, info: ValidationInfo) -> int:
        # The API's own refusal would come only after an ingest that costs time.
        check_preview(info.data.get("generator"), value)
        return value


class FindAllRequest(FindAllSettings, RequestModel):
    """The arguments of one call of the FindAll tool."""

    objective: str = Field(
        min_length=1,
        description="Which entities to find and what each must fulfil, in natural language.",
    )

    def max_skus(self, version: ApiVersion) -> dict[str, int]:
        """The run, and as many matches as it may find."""
        return findall_skus(self.generator, self.match_limit)


def _start(request: FindAllRequest, deadline_seconds: float) -> Flow[FindallRun]:
    ingest = IngestFindallRequest(objective=request.objective)
    starting = start_findall(ingest, generator=request.generator, match_limit=request.match_limit)
    return within(starting, deadline_seconds)


def find_all(request: FindAllRequest, deadline_seconds: float) -> Flow[FindallResult]:
    """Start a run and wait for its matches."""
    run = yield from _start(request, deadline_seconds)
    return (yield from await_findall(run.findall_id, deadline_seconds, reached=True))


def stream_find_all(
    request: FindAllRequest, deadline_seconds: float
) -> Stream[StreamEvent | FindallResult]:
    """Start a run, give its events as they come, and its matches last."""
    run = yield from _start(request, deadline_seconds)
    # Broken progress costs no result: whether the run can be reached shows in the next step.
    with suppress(ParallelError), waiting_for_findall(run.findall_id):
        yield Emit(FindallStatusEvent(type="findall.status", data=run))
        yield from findall_events(run.findall_id, timeout=deadline_seconds)
    result: Any = yield from await_findall(run.findall_id, deadline_seconds, reached=True)
    yield Emit(result)

"""FindAll: entities of the web that match conditions, each with its evidence (API facts 10)."""

import logging
from math import inf
from typing import Final

from parallel_integrations.api.events import StreamEvent, follow
from parallel_integrations.api.findall_requests import CreateFindallRunRequest, IngestFindallRequest
from parallel_integrations.api.findall_types import (
    EVENTS,
    FindallResult,
    FindallRun,
    FindallSchema,
    FindallStatusEvent,
)
from parallel_integrations.api.flow import Flow, Send, Stream, call
from parallel_integrations.api.paths import carrying, create, segment
from parallel_integrations.api.polling import check_deadline
from parallel_integrations.api.retries import LAST_ANSWER_SECONDS, Repeat
from parallel_integrations.api.task_events import silence

BETAS: Final = ("findall-2025-09-15",)
INGEST_TIMEOUT_SECONDS: Final = 120.0

log = logging.getLogger("parallel_integrations")


def ingest_findall(request: IngestFindallRequest) -> Flow[FindallSchema]:
    """Turn a wish in words into a schema to edit and run.

    Args:
        request: The wish.

    Returns:
        A flow whose result is the `FindallSchema`; give it to
        `CreateFindallRunRequest.from_schema`.

    Example:
        ```python
        from parallel_integrations import IngestFindallRequest, ParallelClient
        from parallel_integrations.api import ingest_findall

        wish = IngestFindallRequest(objective="Python statements that bind names")
        with ParallelClient() as client:
            schema = client.run(ingest_findall(wish))
        print(schema.entity_type, [condition.name for condition in schema.match_conditions])
        ```
    """
    IngestFindallRequest.expect(request)
    send = Send(
        "POST",
        "/v1beta/findall/ingest",
        request,
        repeat=Repeat.ASK,
        timeout_seconds=INGEST_TIMEOUT_SECONDS,
        betas=BETAS,
    )
    return call(send, FindallSchema)


def create_findall_run(request: CreateFindallRunRequest) -> Flow[FindallRun]:
    """Start a FindAll run; it has a fixed price and one per match.

    Args:
        request: What to find.

    Returns:
        A flow whose result is the `FindallRun`.

    Example:
        ```python
        from parallel_integrations import CreateFindallRunRequest, ParallelClient
        from parallel_integrations.api import create_findall_run

        request = CreateFindallRunRequest(
            objective="Python statements that bind names",
            entity_type="statements",
            match_conditions=[{"name": "binds", "description": "It binds a name."}],
            generator="base",
        )
        with ParallelClient() as client:
            run = client.run(create_findall_run(request))
        print(run.findall_id)
        ```
    """
    CreateFindallRunRequest.expect(request)
    send = Send("POST", "/v1beta/findall/runs", request, repeat=Repeat.CREATE, betas=BETAS)
    run = yield from create(send, FindallRun, "findall_id")
    log.info("created FindAll run %s", run.findall_id)
    return run


def retrieve_findall_run(findall_id: str) -> Flow[FindallRun]:
    """Look up how a run stands.

    Args:
        findall_id: Its id.

    Returns:
        A flow whose result is the `FindallRun`.

    Example:
        ```python
        from parallel_integrations import CreateFindallRunRequest, ParallelClient
        from parallel_integrations.api import create_findall_run, retrieve_findall_run

        request = CreateFindallRunRequest(
            objective="Python statements that bind names",
            entity_type="statements",
            match_conditions=[{"name": "binds", "description": "It binds a name."}],
            generator="base",
        )
        with ParallelClient() as client:
            run = client.run(create_findall_run(request))
            print(client.run(retrieve_findall_run(run.findall_id)).status)
        ```
    """
    with carrying(findall_id=findall_id):
        return (yield from call(read_run(findall_id), FindallRun))


def findall_result(findall_id: str) -> Flow[FindallResult]:
    """Fetch what a run has found so far, at any time.

    Args:
        findall_id: Its id.

    Returns:
        A flow whose result is the `FindallResult`.

    Example:
        ```python
        from parallel_integrations import CreateFindallRunRequest, ParallelClient
        from parallel_integrations.api import create_findall_run, findall_result

        request = CreateFindallRunRequest(
            objective="Python statements that bind names",
            entity_type="statements",
            match_conditions=[{"name": "binds", "description": "It binds a name."}],
            generator="base",
        )
        with ParallelClient() as client:
            run = client.run(create_findall_run(request))
            so_far = client.run(findall_result(run.findall_id))
        print([match.name for match in so_far.matches])
        ```
    """
    with carrying(findall_id=findall_id):
        return (yield from call(read_run(findall_id, "/result"), FindallResult))


def findall_schema(findall_id: str) -> Flow[FindallSchema]:
    """Look up the schema a run works by, enrichments included.

    Args:
        findall_id: Its id.

    Returns:
        A flow whose result is the `FindallSchema`.

    Example:
        ```python
        from parallel_integrations import CreateFindallRunRequest, ParallelClient
        from parallel_integrations.api import create_findall_run, findall_schema

        request = CreateFindallRunRequest(
            objective="Python statements that bind names",
            entity_type="statements",
            match_conditions=[{"name": "binds", "description": "It binds a name."}],
            generator="base",
        )
        with ParallelClient() as client:
            run = client.run(create_findall_run(request))
            print(client.run(findall_schema(run.findall_id)).match_limit)
        ```
    """
    with carrying(findall_id=findall_id):
        return (yield from call(read_run(findall_id, "/schema"), FindallSchema))


def findall_events(
    findall_id: str, *, last_event_id: str | None = None, timeout: float | None = None
) -> Stream[StreamEvent]:
    """Follow a run until it ends.

    Args:
        findall_id: Its id.
        last_event_id: Begin after this event; `FindallResult.last_event_id` is one.
        timeout: Seconds after which the server ends the stream; without it, the stream is opened
            again until the run is over.

    Returns:
        A stream of `FindallStatusEvent`, `FindallSchemaEvent` and `FindallCandidateEvent`.

    Example:
        ```python
        from parallel_integrations import CreateFindallRunRequest, ParallelClient
        from parallel_integrations.api import create_findall_run, findall_events

        request = CreateFindallRunRequest(
            objective="Python statements that bind names",
            entity_type="statements",
            match_conditions=[{"name": "binds", "description": "It binds a name."}],
            generator="base",
        )
        with ParallelClient() as client:
            run = client.run(create_findall_run(request))
            for event in client.stream(findall_events(run.findall_id)):
                print(event.type)
        ```
    """
    deadline_seconds = inf if timeout is None else check_deadline(timeout, "timeout")
    active = [True]

    def is_new(event: StreamEvent) -> bool:
        if isinstance(event, FindallStatusEvent) and event.data.status is not None:
            active[0] = not event.data.is_over
        return True

    def is_over() -> Flow[bool]:
        return (yield from retrieve_findall_run(findall_id)).is_over

    send = Send(
        "GET",
        f"{run_path(findall_id)}/events",
        params=() if deadline_seconds == inf else (("timeout", f"{deadline_seconds:g}"),),
        repeat=Repeat.READ,
        timeout_seconds=silence(deadline_seconds),
        stream=True,
        betas=BETAS,
    )
    with carrying(findall_id=findall_id):
        yield from follow(
            send,
            EVENTS,
            last_event_id=last_event_id,
            is_new=is_new,
            may_end=lambda: deadline_seconds < inf or not active[0],
            is_over=is_over,
            deadline_seconds=deadline_seconds + LAST_ANSWER_SECONDS,  # the server ends it
        )


def read_run(findall_id: str, what: str = "") -> Send:
    """Read a run, or a part of it."""
    return Send("GET", run_path(findall_id) + what, repeat=Repeat.READ, betas=BETAS)


def run_path(findall_id: str) -> str:
    """Where a run is found."""
    return f"/v1beta/findall/runs/{segment('findall_id', findall_id)}"

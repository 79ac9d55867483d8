"""FindAll from a wish to its matches: start, wait, fetch (API facts 10)."""

from typing import Final

from pydantic import ValidationError

from parallel_integrations.api.errors import TaskFailedError, UnexpectedAnswerError
from parallel_integrations.api.findall import (
    create_findall_run,
    findall_result,
    ingest_findall,
    read_run,
)
from parallel_integrations.api.findall_changes import enrich_findall
from parallel_integrations.api.findall_requests import (
    CreateFindallRunRequest,
    EnrichFindallRequest,
    IngestFindallRequest,
)
from parallel_integrations.api.findall_types import FindallResult, FindallRun
from parallel_integrations.api.flow import Flow
from parallel_integrations.api.models import first_fault
from parallel_integrations.api.paths import carrying
from parallel_integrations.api.polling import check_deadline, poll, within
from parallel_integrations.api.tasks import DEADLINE_SECONDS

UNDERSTOOD: Final = (("objective",), ("entity_type",), ("match_conditions",))
"""What an ingested wish is made of."""


FAILED_REASONS: Final = frozenset({"error_occurred", "insufficient_funds"})


def start_findall(
    wish: IngestFindallRequest, *, generator: str, match_limit: int
) -> Flow[FindallRun]:
    """Ingest a wish and start it as it was understood, unedited.

    Args:
        wish: Which entities are wanted.
        generator: How thoroughly to look.
        match_limit: How many to find.

    Returns:
        A flow whose result is the `FindallRun`.
    """
    schema = yield from ingest_findall(wish)
    try:
        request = CreateFindallRunRequest.from_schema(
            schema, generator=generator, match_limit=match_limit
        )
    except ValidationError as error:
        if error.errors()[0]["loc"][:1] not in UNDERSTOOD:
            raise
        fault = first_fault(error)
    else:
        return (yield from create_findall_run(request))
    raise UnexpectedAnswerError(
        f"The wish was understood as something that cannot be looked for ({fault}); nothing was "
        "started. Say it in other words, or use create_findall_run with conditions of your own."
    )


def run_findall(
    request: CreateFindallRunRequest,
    *,
    enrich: EnrichFindallRequest | None = None,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Flow[FindallResult]:
    """Start a run, wait until it ends and fetch what it found.

    Args:
        request: What to find; `CreateFindallRunRequest.from_schema` makes one of an ingested wish.
        enrich: What to find out about the matches.
        deadline_seconds: How long to wait in all, 30 days at most.

    Returns:
        A flow whose result is the `FindallResult`.

    Raises:
        TaskFailedError: The run ended by an error or for lack of funds.
        TaskTimeoutError: The deadline passed; `findall_id` on it, as on every error after the
            create, goes on with `wait_findall_run`.

    Example:
        ```python
        from parallel_integrations import (
            CreateFindallRunRequest,
            IngestFindallRequest,
            ParallelClient,
        )
        from parallel_integrations.api import ingest_findall, run_findall

        wish = IngestFindallRequest(objective="Python statements that bind names")
        with ParallelClient() as client:
            schema = client.run(ingest_findall(wish))
            request = CreateFindallRunRequest.from_schema(
                schema, generator="preview", match_limit=5
            )
            for match in client.run(run_findall(request)).matches:
                print(match.name, match.url)
        ```
    """
    check_deadline(deadline_seconds)
    findall_id = yield from within(_begin(request, enrich), deadline_seconds)
    return (yield from await_findall(findall_id, deadline_seconds, reached=True))


def wait_findall_run(
    findall_id: str, *, deadline_seconds: float = DEADLINE_SECONDS
) -> Flow[FindallResult]:
    """Wait for any FindAll run, from its id alone.

    Args:
        findall_id: Its id.
        deadline_seconds: How long to wait in all, 30 days at most.

    Returns:
        A flow whose result is the `FindallResult`.

    Raises:
        TaskFailedError: The run ended by an error or for lack of funds.
        TaskTimeoutError: The deadline passed; the run goes on.

    Example:
        ```python
        from parallel_integrations import CreateFindallRunRequest, ParallelClient
        from parallel_integrations.api import create_findall_run, wait_findall_run

        request = CreateFindallRunRequest(
            objective="Python statements that bind names",
            entity_type="statements",
            match_conditions=[{"name": "binds", "description": "It binds a name."}],
            generator="base",
        )
        with ParallelClient() as client:
            run = client.run(create_findall_run(request))
            # Later, perhaps in another process, with the id alone:
            result = client.run(wait_findall_run(run.findall_id))
        print([match.name for match in result.matches])
        ```
    """
    check_deadline(deadline_seconds)
    return (yield from await_findall(findall_id, deadline_seconds, reached=False))


def _begin(request: CreateFindallRunRequest, enrich: EnrichFindallRequest | None) -> Flow[str]:
    """Create a run and say what to find out about its matches; gives its id."""
    run = yield from create_findall_run(request)
    if enrich is not None:
        yield from enrich_findall(run.findall_id, enrich)
    return run.findall_id


def await_findall(
    findall_id: str, deadline_seconds: float, *, reached: bool
) -> Flow[FindallResult]:
    """Wait for a run; `reached` says whether the server has answered in this operation before."""

    def late(run: FindallRun | None = None) -> str:
        return (
            f"FindAll run {findall_id} is not done after {deadline_seconds:g} s. It goes on: wait "
            f"for it with wait_findall_run({findall_id!r})."
        )

    def collect() -> Flow[FindallResult]:
        run = yield from poll(
            read_run(findall_id),
            FindallRun,
            lambda run: run.is_over,
            deadline_seconds=deadline_seconds,
            late=late,
            reached=reached,
        )
        reason = run.status.termination_reason if run.status else None
        if reason in FAILED_REASONS or (run.status and run.status.status == "failed"):
            raise TaskFailedError(
                f"FindAll run {findall_id} failed: {reason or 'no reason given'}. What it had "
                f"found is in findall_result({findall_id!r})."
            )
        return (yield from findall_result(findall_id))

    with carrying(findall_id=findall_id):
        return (yield from within(collect(), deadline_seconds, late=late))

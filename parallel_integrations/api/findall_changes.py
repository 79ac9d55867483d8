"""Changes to a FindAll run that is under way (API facts 10)."""

from typing import Final

from parallel_integrations.api.errors import ConflictError
from parallel_integrations.api.findall import BETAS, retrieve_findall_run, run_path
from parallel_integrations.api.findall_requests import EnrichFindallRequest, ExtendFindallRequest
from parallel_integrations.api.findall_types import FindallSchema
from parallel_integrations.api.flow import Flow, Send, call, order
from parallel_integrations.api.models import RequestModel
from parallel_integrations.api.paths import carrying
from parallel_integrations.api.retries import Repeat

CANCELLED_REASON: Final = "user_cancelled"


def enrich_findall(findall_id: str, request: EnrichFindallRequest) -> Flow[FindallSchema]:
    """Find something out about every match, now and to come; billed like a task per match.

    Args:
        findall_id: The run's id; not of a `preview`, a failed or a cancelled one.
        request: What to find out.

    Returns:
        A flow whose result is the schema with the enrichment.

    Example:
        ```python
        from parallel_integrations import (
            CreateFindallRunRequest,
            EnrichFindallRequest,
            ParallelClient,
        )
        from parallel_integrations.api import create_findall_run, enrich_findall

        request = CreateFindallRunRequest(
            objective="Python statements that bind names",
            entity_type="statements",
            match_conditions=[{"name": "binds", "description": "It binds a name."}],
            generator="base",
        )
        with ParallelClient() as client:
            run = client.run(create_findall_run(request))
            schema = {"type": "object", "properties": {"since": {"type": "string"}}}
            enrichment = EnrichFindallRequest(output_schema=schema, processor="lite")
            client.run(enrich_findall(run.findall_id, enrichment))
        ```
    """
    EnrichFindallRequest.expect(request)
    return _change(findall_id, "/enrich", request)


def extend_findall(findall_id: str, request: ExtendFindallRequest) -> Flow[FindallSchema]:
    """Ask a run for more matches; billed per match.

    Args:
        findall_id: The run's id; not of a `preview`.
        request: How many more.

    Returns:
        A flow whose result is the schema with the new limit.

    Example:
        ```python
        from parallel_integrations import (
            CreateFindallRunRequest,
            ExtendFindallRequest,
            ParallelClient,
        )
        from parallel_integrations.api import create_findall_run, extend_findall

        request = CreateFindallRunRequest(
            objective="Python statements that bind names",
            entity_type="statements",
            match_conditions=[{"name": "binds", "description": "It binds a name."}],
            generator="base",
        )
        with ParallelClient() as client:
            run = client.run(create_findall_run(request))
            more = ExtendFindallRequest(additional_match_limit=5)
            print(client.run(extend_findall(run.findall_id, more)).match_limit)
        ```
    """
    ExtendFindallRequest.expect(request)
    return _change(findall_id, "/extend", request)


def cancel_findall(findall_id: str) -> Flow[None]:
    """Stop a run for good; what it has found stays. Stopping it again changes nothing.

    Args:
        findall_id: The run's id; not of a `preview`.

    Returns:
        A flow without a result.

    Raises:
        ConflictError: It has ended by itself already.

    Example:
        ```python
        from parallel_integrations import CreateFindallRunRequest, ParallelClient
        from parallel_integrations.api import create_findall_run, cancel_findall

        request = CreateFindallRunRequest(
            objective="Python statements that bind names",
            entity_type="statements",
            match_conditions=[{"name": "binds", "description": "It binds a name."}],
            generator="base",
        )
        with ParallelClient() as client:
            run = client.run(create_findall_run(request))
            client.run(cancel_findall(run.findall_id))
        ```
    """
    send = Send("POST", f"{run_path(findall_id)}/cancel", repeat=Repeat.READ, betas=BETAS)
    with carrying(findall_id=findall_id):
        try:
            yield from order(send)
        except ConflictError as error:
            # A repeat after a lost answer meets the run that the first one stopped.
            status = (yield from retrieve_findall_run(findall_id)).status
            reason = status.termination_reason if status else None
            if reason != CANCELLED_REASON:
                raise error from None


def _change(findall_id: str, what: str, request: RequestModel) -> Flow[FindallSchema]:
    with carrying(findall_id=findall_id):
        send = Send("POST", run_path(findall_id) + what, request, repeat=Repeat.CREATE, betas=BETAS)
        return (yield from call(send, FindallSchema))

"""Entity search: a quick list, under both of its paths; billed as ``entity_search``.

The sandbox's web knows no companies and no people, so what it lists are pages, and says so.
"""

from typing import Any

from parallel_integrations.sandbox.answering.matching import evidence_of
from parallel_integrations.sandbox.operations.findall import (
    CandidatesBody,
    EntitySearchBody,
)
from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.state.ledger import ENTITY_SEARCH_USD, Entry
from parallel_integrations.sandbox.state.state import State
from parallel_integrations.sandbox.web.index import Hit

KINDS = {"people": "person", "companies": "company", "company": "company"}


async def entity_search(call: Call) -> Result:
    """Handle ``POST /v1beta/findall/entity-search``."""
    body = call.parse(EntitySearchBody)
    found = _entities(call.state, body.objective, body.entity_type, body.match_limit)
    set_id = call.state.ids.next("entity_set")
    return Result({"entity_set_id": set_id, "entities": found}, bill=_bill(body.entity_type))


async def candidates(call: Call) -> Result:
    """Handle ``POST /v1beta/findall/candidates``."""
    body = call.parse(CandidatesBody)
    found = _entities(call.state, body.objective, body.entity_type, body.match_limit)
    set_id = call.state.ids.next("candidate_set")
    return Result({"candidate_set_id": set_id, "candidates": found}, bill=_bill(body.entity_type))


def _entities(state: State, objective: str, kind: str, limit: int) -> list[dict[str, Any]]:
    hits = state.index.search([objective], limit=limit)
    return [_entity(hit, objective, KINDS[kind]) for hit in hits]


def _entity(hit: Hit, objective: str, kind: str) -> dict[str, Any]:
    page = hit.page
    said = evidence_of(page, [objective], {page.url: hit.passages}).best(1)
    quote = f" It says: “{said[0].text}”" if said else ""
    text = f"A page of the sandbox's web, not a {kind}.{quote}"
    return {"name": page.title, "url": page.url, "description": text}


def _bill(kind: str) -> Entry:
    return Entry("entity_search", ENTITY_SEARCH_USD, kind)


OPERATIONS = tuple(
    Operation("entity_search", "POST", path, handler, framework_errors=True)
    for path, handler in (
        ("/v1beta/findall/entity-search", entity_search),
        ("/v1beta/findall/candidates", candidates),
    )
)

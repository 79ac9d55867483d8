"""Entity search: a quick list, under both of its paths; billed as ``entity_search``.

The sandbox's web knows no companies and no people, so what it lists are pages, and says so.
"""

from typing import Any, Literal

from parallel_integrations.sandbox.answering.matching import evidence_of
from parallel_integrations.sandbox.operations.findall import MatchLimit
from parallel_integrations.sandbox.operations.operation import Call, Operation, Result
from parallel_integrations.sandbox.operations.shared import Loose, Text
from parallel_integrations.sandbox.state.ledger import Entry, entity_search_usd
from parallel_integrations.sandbox.web.index import Hit

KINDS = {"people": "person", "companies": "company", "company": "company"}


class EntitySearchBody(Loose):
    """Body of an entity search."""

    entity_type: Literal["people", "companies"]
    objective: Text
    match_limit: MatchLimit = 100


class CandidatesBody(Loose):
    """Body of an entity search on its older path."""

    entity_type: Literal["people", "company"]
    objective: Text
    match_limit: MatchLimit = 100


async def entity_search(call: Call) -> Result:
    """Handle ``POST /v1beta/findall/entity-search``."""
    return _listed(call, call.parse(EntitySearchBody), "entity_set", "entities")


async def candidates(call: Call) -> Result:
    """Handle ``POST /v1beta/findall/candidates``."""
    return _listed(call, call.parse(CandidatesBody), "candidate_set", "candidates")


def _listed(call: Call, body: EntitySearchBody | CandidatesBody, kind: str, name: str) -> Result:
    hits = call.state.index.search([body.objective], limit=body.match_limit)
    found = [_entity(hit, body.objective, KINDS[body.entity_type]) for hit in hits]
    bill = Entry("entity_search", entity_search_usd(body.match_limit), body.entity_type)
    return Result({f"{kind}_id": call.state.ids.next(kind), name: found}, bill=bill)


def _entity(hit: Hit, objective: str, kind: str) -> dict[str, Any]:
    page = hit.page
    said = evidence_of(page, [objective], {page.url: hit.passages}).best(1)
    quote = f" It says: “{said[0].text}”" if said else ""
    text = f"A page of the sandbox's web, not a {kind}.{quote}"
    return {"name": page.title, "url": page.url, "description": text}


OPERATIONS = tuple(
    Operation("entity_search", "POST", path, handler, framework_errors=True)
    for path, handler in (
        ("/v1beta/findall/entity-search", entity_search),
        ("/v1beta/findall/candidates", candidates),
    )
)

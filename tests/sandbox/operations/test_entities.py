from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox
from tests.sandbox.ids import numbered


@pytest.mark.parametrize(
    ("path", "kind", "set_id", "items"),
    [
        ("/v1beta/findall/entity-search", "companies", "entity_set_id", "entities"),
        ("/v1beta/findall/entity-search", "people", "entity_set_id", "entities"),
        ("/v1beta/findall/candidates", "company", "candidate_set_id", "candidates"),
        ("/v1beta/findall/candidates", "people", "candidate_set_id", "candidates"),
    ],
)
def test_entity_search(sandbox: Sandbox, path: str, kind: str, set_id: str, items: str) -> None:
    wanted = {"entity_type": kind, "objective": "with statement", "match_limit": 7}
    headers = {"x-api-key": sandbox.api_key}
    payload = httpx.post(sandbox.url + path, json=wanted, headers=headers, trust_env=False).json()

    assert payload[set_id] == numbered(set_id.removesuffix("_id"))
    assert len(payload[items]) == 7
    for item in payload[items]:
        assert item["description"].startswith("A page of the sandbox's web, not a ")
        assert sandbox.corpus.get(item["url"]) is not None
    assert sandbox.ledger.count("entity_search") == 1
    assert sandbox.ledger.usd == 0.005


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("entity-search", {"entity_type": "company", "objective": "a"}),
        ("entity-search", {"entity_type": "people", "objective": "a", "match_limit": 4}),
        ("entity-search", {"entity_type": "people"}),
        ("candidates", {"entity_type": "companies", "objective": "a"}),
        ("candidates", {"entity_type": "people", "objective": "a", "match_limit": 1001}),
    ],
)
def test_wrong_entity_searches(http: httpx.Client, path: str, wrong: dict[str, Any]) -> None:
    response = http.post(f"/v1beta/findall/{path}", json=wrong)

    assert response.status_code == 422

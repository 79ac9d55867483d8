"""What is mutated: every response and stream of the cassettes, and a whole one of each model."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import httpx

from parallel_integrations.models import WebhookPayload
from tests.models.test_responses_property import RESPONSES
from tests.support.cassettes import CASSETTES, CassetteFormat
from tests.support.contract import operation_of
from tests.support.operations import OPERATIONS

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
WEBHOOK = "webhook"
TWINS = {
    "chat_older_path": "chat",
    "entity_search_older_path": "entity_search",
    "extract_older_generation": "extract",
    "search_older_generation": "search",
    "task_run_events_older_path": "task_run_events",
}
"""Operations that are read by the models of another."""


@dataclass(frozen=True)
class Seed:
    """One response as it should be."""

    status: int
    content_type: str
    content: bytes

    @property
    def streams(self) -> bool:
        """Whether it is an event stream."""
        return self.content_type.startswith(EVENT_STREAM)


@cache
def seeds() -> Mapping[str, tuple[Seed, ...]]:
    """Responses by the name of their operation, twins with the one they are read as."""
    found: dict[str, dict[Seed, None]] = defaultdict(dict)
    for path in sorted(CASSETTES.glob("**/*.yaml")):
        for each in CassetteFormat().deserialize(path.read_text("utf-8"))["interactions"]:
            request, response = each["request"], each["response"]
            operation = operation_of(request["method"], httpx.URL(request["uri"]).path)
            assert operation is not None, request["uri"]
            [kind] = response["headers"].get("content-type", [JSON])
            seed = Seed(response["status"]["code"], kind, response["body"]["string"].encode())
            found[TWINS.get(operation.name, operation.name)][seed] = None
    for operation in OPERATIONS:
        if operation.response is not None:
            whole = json.dumps(RESPONSES[operation.response], separators=(",", ":")).encode()
            name = TWINS.get(operation.name, operation.name)
            found[name][Seed(200, JSON, whole)] = None
    delivery = json.dumps(RESPONSES[WebhookPayload]).encode()
    found[WEBHOOK][Seed(200, JSON, delivery)] = None
    return {name: tuple(each) for name, each in found.items()}

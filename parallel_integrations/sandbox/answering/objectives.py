"""Objectives, split by rules into an entity type and match conditions."""

import re
from typing import Any

from parallel_integrations.sandbox.web.words import terms, words

MAX_CONDITIONS = 3
NAME_WORDS = 4

_OPENING = re.compile(
    r"\s*(?:please\s+)?(?:find|list|show|get|give|search for|look for|collect)\b"
    r"(?:\s+(?:me|us|all|every|each|any|the|of))*\s+",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"\s*[,;]\s*(?:and\s+)?(?:(?:that|which|who|whose)\s+)?|\s+(?:that|which|who|whose|where)\s+",
    re.IGNORECASE,
)
_RELATION = re.compile(
    r"\s+(?=(?:with|without|for|about|from|in|on|by|of|to|having|using)\s)", re.IGNORECASE
)
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)


def ingested(objective: str) -> dict[str, Any]:
    """Return the FindAll schema for an objective, made by rules from its words alone.

    Example:
        ```python
        from parallel_integrations.sandbox.answering.objectives import ingested

        schema = ingested("Find all Python statements that bind names and open a scope")
        assert schema["entity_type"] == "statements"
        assert [condition["name"] for condition in schema["match_conditions"]] == [
            "python_statements_check",
            "bind_names_check",
            "open_scope_check",
        ]
        assert (
            schema["match_conditions"][1]["description"] == "The statements must fit: bind names."
        )
        ```
    """
    # "Find all" would otherwise become part of the entity type.
    text = _OPENING.sub("", " ".join(objective.split()), count=1).rstrip(".!? ")
    subject, *clauses = _CLAUSE.split(text) or [text]
    kind, *relations = _RELATION.split(subject, maxsplit=1)
    entity_type = (words(kind) or words(subject) or ["pages"])[-1]
    parts = relations + [part for clause in clauses for part in _AND.split(clause)]
    # What says no more than the kind itself is a condition only where nothing else was said.
    if set(terms([kind])) - {entity_type} or not parts:
        parts.insert(0, kind or subject)
    conditions: dict[str, str] = {}
    for part in filter(None, parts):
        conditions.setdefault(_name(part), f"The {entity_type} must fit: {part.strip()}.")
    if not conditions:
        conditions = {_name(""): f"The {entity_type} must fit: {objective}"}
    named = list(conditions.items())[:MAX_CONDITIONS]
    return {
        "objective": objective,
        "entity_type": entity_type,
        "match_conditions": [{"name": n, "description": d} for n, d in named],
        "enrichments": None,
        "generator": "core",
        "match_limit": None,
    }


def _name(part: str) -> str:
    distinctive = terms([part])[:NAME_WORDS] or ["stated"]
    return "_".join(word.replace(" ", "") for word in distinctive) + "_check"

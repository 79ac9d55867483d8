"""The sandbox's answers against the vendor's OpenAPI documents, when there are any at hand.

`PARALLEL_OPENAPI` names the current document, or several joined by the system's path separator.
"""

import json
import os
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

# Read here, because the tests clear the environment.
DOCUMENTS = [Path(p) for p in os.environ.get("PARALLEL_OPENAPI", "").split(os.pathsep) if p]
pytestmark = pytest.mark.skipif(not DOCUMENTS, reason="PARALLEL_OPENAPI names no document")

WITH = "https://docs.python.org/3/reference/compound_stmts.html#with"
MESSAGES = [{"role": "user", "content": "What does the with statement do?"}]
CASES: list[tuple[str, str, Any]] = [
    ("V1SearchResponse", "/v1/search", {"search_queries": ["with"]}),
    ("V1SearchResponse", "/v1/search", {"search_queries": ["zxqv"]}),
    ("SearchResponse", "/v1beta/search", {"objective": "with statement"}),
    ("V1ExtractResponse", "/v1/extract", {"urls": [WITH, "https://nowhere.example/"]}),
    ("ExtractResponse", "/v1beta/extract", {"urls": [WITH], "excerpts": False}),
    ("ErrorResponse", "/v1/search", {}),
    ("ErrorResponse", "/v1/extract", {}),
    ("ErrorResponse", "/v1/nowhere", {}),
    ("HTTPValidationError", "/v1beta/chat/completions", {}),
    ("ChatCompletion", "/v1beta/chat/completions", {"model": "base", "messages": MESSAGES}),
]


def components() -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for document in DOCUMENTS:
        schemas = {**json.loads(document.read_text())["components"]["schemas"], **schemas}
    return schemas


def check(name: str, body: Any) -> None:
    schemas = components()
    if name not in schemas:
        pytest.skip(f"no document describes {name}")
    if name == "ChatCompletion":
        # Documented in prose as always empty, although the schema demands a constant …
        assert body.pop("object") == ""
        # … and the schema of the choices is the stream's: it wants a delta, the wire has a message.
        assert "message" in body.pop("choices")[0]
        chat = schemas["ChatCompletion"]
        chat["required"] = [f for f in chat["required"] if f not in ("object", "choices")]
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    jsonschema.validate(body, schema)


@pytest.mark.parametrize(("name", "path", "body"), CASES)
def test_answers_follow_the_document(http: httpx.Client, name: str, path: str, body: Any) -> None:
    check(name, http.post(path, json=body).json())


def test_chunks_follow_the_document(http: httpx.Client) -> None:
    body = {"model": "lite", "messages": MESSAGES, "stream": True}
    *frames, _ = http.post("/v1beta/chat/completions", json=body).text.strip().split("\n\n")
    for frame in frames:
        check("ChatCompletionResponseChunk", json.loads(frame.removeprefix("data: ")))

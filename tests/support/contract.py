"""Whether what is sent and what comes back keeps the published contract.

`PARALLEL_OPENAPI` names the vendor's OpenAPI document, or several joined by the system's path
separator; what is said must keep to each that has the operation. Without it, responses are still
read with our models. The documents are not part of this repository.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError as SchemaError
from pydantic import BaseModel, ValidationError

from parallel_integrations._protocol.error_mapping import error_body
from parallel_integrations.models import ResponseModel
from parallel_integrations.models.shared import ApiResponse, first_fault
from tests.support.operations import EXCUSES, OPERATIONS, Excuse, Operation, Side

VARIABLE: Final = "PARALLEL_OPENAPI"
UNKNOWN: Final = "unknown"
ERROR_STATUS: Final = "error status"
EVENT_STREAM: Final = "text/event-stream"
KEY_ERROR: Final = {
    "type": "object",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
    "required": ["code", "message"],
    "additionalProperties": False,
}
SCHEMAS: Final = "#/components/schemas/"
MAX_ITEMS: Final = 40
"""In a longer stream or list, an item that is like one before is not checked again."""
_WORD: Final = re.compile("[A-Za-z_.-]{1,40}")
"""Text that may be one of an enum's values."""
OF_THE_OLDER_QUICKSTART: Final = {
    "SearchResponse": {"objective", "search_queries"},
    "SearchResult": {"rank", "metadata"},
}
"""Fields that no current response is expected to have."""
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_ID: Final = re.compile(rb"sandbox_[0-9a-f]{24}")
_INSTANT: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
"""Ids of the sandbox and instants: each response has others, and is as valid with them."""


@dataclass(frozen=True)
class Exchange:
    """A request and its response.

    Attributes:
        method: HTTP method.
        path: Path without gateway prefix and query.
        query: Query parameters in order.
        body: The request's body.
        status: HTTP status of the response.
        content_type: Its content type.
        response: Its body, as far as it was sent.
        whole: Whether that is all of it.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: bytes
    status: int
    content_type: str
    response: bytes
    whole: bool = True

    @property
    def accepted(self) -> bool:
        """Whether the API took the request."""
        return 200 <= self.status < 300


@dataclass(frozen=True)
class Violation:
    """Something that breaks the contract.

    Attributes:
        place: Method and path of the operation.
        side: Whether the request or the response breaks it.
        where: Where in the body; list indexes are `*`.
        rule: Which rule: a keyword of JSON schema, `unknown`, `model`, `status`,
            `error status`, `type`.
        message: In words.
    """

    place: str
    side: Side
    where: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.side} {self.where or 'body'}: {self.rule}: {self.message}"


class Document:
    """One OpenAPI document. Objects are closed: what it does not name is reported as unknown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        closed = _closed(self.content)
        self._schemas = closed.get("components", {}).get("schemas", {})
        self._dereference(closed)
        self._validators: dict[int, Draft202012Validator] = {}
        self.operations: dict[str, Any] = {
            f"{method.upper()} {path}": closed["paths"][path][method]
            for path, item in closed["paths"].items()
            for method in _METHODS
            if method in item
        }

    def faults(self, schema: Mapping[str, Any], value: Any) -> Iterator[SchemaError]:
        """What is wrong with a value, as deep as it can be named."""
        if id(schema) not in self._validators:  # which keeps it, so that its id is no other's
            self._validators[id(schema)] = Draft202012Validator(schema)
        for error in self._validators[id(schema)].iter_errors(value):
            yield from _innermost(error)

    def schema(self, reference: str) -> Any:
        """The schema that a reference names."""
        return self._schemas[reference.removeprefix(SCHEMAS)]

    def _dereference(self, node: Any) -> None:
        """Put the schemas themselves in the place of references: following each takes long."""
        for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
            if isinstance(inner, dict) and "$ref" in inner:
                node[key] = self.schema(inner["$ref"])
            elif isinstance(inner, dict | list):
                self._dereference(inner)

    def examples(self) -> Iterator[tuple[str, int, str, Any]]:
        """The documented responses: place, status, content type, body or event."""
        for path, item in self.content["paths"].items():
            for method in filter(item.__contains__, _METHODS):
                for status, response in item[method]["responses"].items():
                    for kind, media in response.get("content", {}).items():
                        many = [each["value"] for each in media.get("examples", {}).values()]
                        for one in [*many, *([media["example"]] if "example" in media else [])]:
                            yield f"{method.upper()} {path}", int(status), kind, one


class Contract:
    """Checks exchanges and counts them.

    Args:
        paths: The documents; none checks with our models alone.

    Attributes:
        requests: How many requests were checked, by operation.
        responses: How many responses were checked, by operation.
        excused: How often each excuse was made use of.
        complete: Whether every operation was called, which is the contract test's doing.
    """

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        self.documents = [_document(path) for path in paths]
        self.requests: Counter[str] = Counter()
        self.responses: Counter[str] = Counter()
        self.excused: Counter[Excuse] = Counter()
        self.complete = False
        self._verdicts = _verdicts(*self.documents)

    @classmethod
    def from_environment(cls) -> "Contract":
        """The contract of the documents that `PARALLEL_OPENAPI` names."""
        return cls(Path(each) for each in os.environ.get(VARIABLE, "").split(os.pathsep) if each)

    def counted(self) -> dict[str, Any]:
        """What was checked, as plain data, for `add` in another process."""
        return {
            "requests": dict(self.requests),
            "responses": dict(self.responses),
            "excused": [self.excused[excuse] for excuse in EXCUSES],
            "complete": self.complete,
        }

    def add(self, counted: Mapping[str, Any]) -> None:
        """Add what another process checked."""
        self.requests.update(counted["requests"])
        self.responses.update(counted["responses"])
        self.excused.update(dict(zip(EXCUSES, counted["excused"], strict=True)))
        self.complete = self.complete or counted["complete"]

    def check(self, exchange: Exchange) -> list[Violation]:
        """What breaks the contract without an excuse.

        The request is checked where the API took it: those that it refuses were sent on purpose.
        """
        return [*self.check_request(exchange), *self.check_response(exchange)]

    def check_response(self, exchange: Exchange) -> list[Violation]:
        """What in a response breaks the contract."""
        operation = operation_of(exchange.method, exchange.path)
        if exchange.path == MCP_PATH:
            return []
        if operation is None:
            what = f"{exchange.method} {exchange.path}"
            return [Violation(what, "request", "", UNKNOWN, "this operation is in no table")]
        self.responses[operation.name] += 1
        received = self._once("response", operation, exchange)
        return [each for each in received if not self._excuse(each)]

    def check_request(self, exchange: Exchange) -> list[Violation]:
        """What in an accepted request breaks the contract, whatever server it was sent to.

        A request to no operation at all is none of the contract's business.
        """
        operation = operation_of(exchange.method, exchange.path)
        if operation is None or not exchange.accepted:
            return []
        self.requests[operation.name] += 1
        sent = self._once("request", operation, exchange)
        return [each for each in sent if not self._excuse(each)]

    def _once(self, side: Side, operation: Operation, exchange: Exchange) -> list[Violation]:
        """The verdict, worked out once for what is said again and again, but for ids and times."""
        if side == "request":
            said: tuple[object, bytes] = (exchange.query, exchange.body)
        else:
            status = (exchange.status, exchange.content_type, exchange.whole)
            said = (status, _INSTANT.sub(b"\0", _ID.sub(b"\0", exchange.response)))
        key = (side, operation.name, said[0], sha256(said[1]).digest())
        if key not in self._verdicts:
            look = self._request if side == "request" else self._response
            self._verdicts[key] = list(dict.fromkeys(look(operation, exchange)))
        return self._verdicts[key]

    def _excuse(self, violation: Violation) -> bool:
        for excuse in EXCUSES:
            if (
                excuse.side == violation.side
                and re.fullmatch(excuse.rule, violation.rule)
                and any(fnmatchcase(violation.place, each) for each in excuse.places)
                and re.fullmatch(excuse.where, violation.where)
            ):
                self.excused[excuse] += 1
                return True
        return False

    def _described(self, operation: Operation) -> Iterator[tuple[Document, Any]]:
        """What each document says of an operation: they differ, and none is known to be right."""
        for document in self.documents:
            if operation.place in document.operations:
                yield document, document.operations[operation.place]

    def _request(self, operation: Operation, exchange: Exchange) -> Iterator[Violation]:
        for document, words in self._described(operation):
            yield from self._requested(document, words, operation, exchange)

    def _requested(
        self, document: Document, words: Any, operation: Operation, exchange: Exchange
    ) -> Iterator[Violation]:
        parameters = {each["name"]: each for each in words.get("parameters", ())}
        given = {name: [v for n, v in exchange.query if n == name] for name, _ in exchange.query}
        for name, values in given.items():
            if parameters.get(name, {}).get("in") != "query":
                yield _violation(operation, "request", f"?{name}", UNKNOWN, "no such parameter")
                continue
            schema = parameters[name]["schema"]
            for error in document.faults(schema, _from_query(values, schema)):
                yield _violation(operation, "request", f"?{name}", error.validator, error.message)
        for name, parameter in parameters.items():
            if parameter["in"] == "query" and parameter.get("required") and name not in given:
                yield _violation(operation, "request", f"?{name}", "required", "it is missing")
        body = words.get("requestBody")
        if body is None:
            if exchange.body:
                yield _violation(operation, "request", "", UNKNOWN, "no body is documented")
            return
        if not exchange.body:
            if body.get("required"):
                yield _violation(operation, "request", "", "required", "there is no body")
            return
        schema = body["content"]["application/json"]["schema"]
        yield from _faults(document, schema, json.loads(exchange.body), operation, "request")

    def _response(self, operation: Operation, exchange: Exchange) -> Iterator[Violation]:
        kind = exchange.content_type.partition(";")[0]
        if kind == EVENT_STREAM:
            values = _distinct(list(events(exchange.response)))
        elif not exchange.whole:
            return
        elif not exchange.response:
            values = []
        else:
            try:
                values = [json.loads(exchange.response)]
            except ValueError:
                yield _violation(operation, "response", "", "type", "it is no JSON")
                return
        for value in values:
            if fault := misread(operation, exchange.status, kind, value):
                yield _violation(operation, "response", "", "model", fault)
        for document, words in self._described(operation):
            yield from self._documented(document, words, operation, exchange, kind, values)

    def _documented(
        self,
        document: Document,
        words: Any,
        operation: Operation,
        exchange: Exchange,
        kind: str,
        values: Sequence[Any],
    ) -> Iterator[Violation]:
        responses = words["responses"]
        if (response := responses.get(str(exchange.status))) is None:
            message = f"{exchange.status} is not declared"
            rule = "status" if exchange.accepted else ERROR_STATUS
            yield _violation(operation, "response", "", rule, message)
            # What an undeclared error looks like is the same everywhere.
            native = document.schema(f"{SCHEMAS}ErrorResponse")
            response = {"content": {"application/json": {"schema": native}}}
        if exchange.status == 401:
            # Keys are checked by a gateway in front of the service, whatever the document declares.
            response = {"content": {"application/json": {"schema": KEY_ERROR}}}
        content = response.get("content", {})
        if not content and not values:
            return
        if kind not in content:
            message = f"{kind or 'nothing'} instead of {', '.join(content) or 'nothing'}"
            yield _violation(operation, "response", "", "type", message)
            return
        schema = content[kind].get("schema", {})
        for value in values:
            one = schema
            if mapping := schema.get("discriminator", {}).get("mapping"):
                # Straight to the event's own schema: its faults can be named then.
                event = value.get("type") if isinstance(value, dict) else None
                if event not in mapping:
                    yield _violation(
                        operation, "response", "type", "enum", f"{event!r} is no event"
                    )
                    continue
                one = document.schema(mapping[event])
            yield from _faults(document, one, value, operation, "response")


@cache
def _document(path: Path) -> Document:
    return Document(path)


@cache
def _verdicts(*documents: Document) -> dict[Any, list[Violation]]:
    """What was worked out by these documents, shared by all that check by them."""
    return {}


MCP_PATH: Final = "/mcp"
"""Another protocol; `tests/transport/test_search_mcp.py` holds it to the official SDK's server."""


def operation_of(method: str, path: str) -> Operation | None:
    """The operation that a request is meant for, also through a gateway."""
    path = without_gateway(path)
    for operation, pattern in _PATTERNS:
        if operation.method == method and pattern.fullmatch(path):
            return operation
    return None


def without_gateway(path: str) -> str:
    """A path without what stands before it on the way through a gateway."""
    return _GATEWAY.sub("", path)


_GATEWAY: Final = re.compile(r"^/v1/[^/]+/[^/]+/(?:parallel|compat)(?=/)")
# Fixed words are tried before parameters: `…/runs/{run_id}` would fit more than it means.
_PATTERNS: Final = tuple(
    (each, re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(each.path))))
    for each in sorted(OPERATIONS, key=lambda each: each.path.count("{"))
)


def events(stream: bytes) -> Iterator[Any]:
    """The data of every whole event of a stream, parsed; `[DONE]` is none."""
    *whole, _ = _BLANK_LINE.split(stream)
    for block in whole:
        # Not `splitlines`: it breaks lines at characters that JSON may hold as they are.
        lines = re.split(r"\r?\n", block.decode("utf-8"))
        data = "\n".join(line[5:].strip() for line in lines if line.startswith("data:"))
        if data and data != "[DONE]":
            yield json.loads(data)


def _distinct(values: list[Any]) -> list[Any]:
    """A long list without the items that are like one before; documents limit no list's length."""
    if len(values) <= MAX_ITEMS:
        return values
    kinds = {_kind(each): each for each in reversed(values)}
    return list(kinds.values())


def _kind(value: Any) -> object:
    """Equal for values of the same fields, types and words, which keep the contract alike."""
    if isinstance(value, dict):
        return frozenset((name, _kind(each)) for name, each in value.items())
    if isinstance(value, list):
        return frozenset(map(_kind, value)), min(len(value), 1)
    if isinstance(value, str):
        return value if _WORD.fullmatch(value) else str
    return type(value)


def _shortened(value: Any) -> Any:
    """A value whose long lists hold one item of each kind."""
    if isinstance(value, dict):
        return {name: _shortened(each) for name, each in value.items()}
    return [_shortened(each) for each in _distinct(value)] if isinstance(value, list) else value


def misread(operation: Operation, status: int, kind: str, value: Any) -> str | None:
    """Why our models cannot read a response (or one event of it); None if they can."""
    if not 200 <= status < 300:
        return None if error_body(value)[0] else f"no message is found in {value}"
    if kind != EVENT_STREAM and operation.response is None:
        return None
    try:
        read(operation, kind, value)
    except ValidationError as error:
        return first_fault(error)
    except LookupError as error:
        return str(error)
    return None


def read(operation: Operation, kind: str, value: Any) -> ResponseModel:
    """A response, or one event of it, as our model.

    Raises:
        LookupError: No model is for it.
        ValidationError: It does not fit the model.
    """
    model = operation.response
    if kind == EVENT_STREAM:
        name = str(value.get("type"))
        model = operation.events.get(name) or operation.events.get(name.rpartition(".")[0] + ".")
    if model is None:
        raise LookupError(f"no model reads this: {str(value)[:100]}")
    return model.model_validate_json(json.dumps(value))


def unknown_fields(value: Any, where: str = "") -> set[str]:
    """Fields of a response that our models do not name; list indexes are `*`."""
    found: set[str] = set()
    if isinstance(value, ResponseModel):
        found |= {f"{where}{name}" for name in value.model_extra or {}}
    for name, inner in _inner(value):
        found |= unknown_fields(inner, f"{where}{name}.")
    return found


def absent_fields(value: Any) -> set[str]:
    """Fields that our models name and that are nowhere in a response."""
    seen: dict[str, list[set[str]]] = {}
    _note_absent(value, "", seen)
    return {name for absent in seen.values() for name in set.intersection(*absent)}


def _note_absent(value: Any, where: str, seen: dict[str, list[set[str]]]) -> None:
    if isinstance(value, ResponseModel):
        kind = f"{where}{type(value).__name__}"
        fields = {n for n, info in type(value).model_fields.items() if not info.exclude}
        fields -= ApiResponse.model_fields.keys()  # what our reading adds, few responses have
        fields -= OF_THE_OLDER_QUICKSTART.get(type(value).__name__, set())
        seen.setdefault(kind, []).append({where + n for n in fields - value.model_fields_set})
    for name, inner in _inner(value):
        _note_absent(inner, f"{where}{name}.", seen)


def _inner(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, BaseModel):
        yield from ((name, getattr(value, name)) for name in value.model_fields_set)
    elif isinstance(value, list):
        yield from (("*", each) for each in value)


def _violation(
    operation: Operation, side: Side, where: str, rule: object, message: str
) -> Violation:
    return Violation(operation.place, side, where, str(rule), message)


def _faults(
    document: Document, schema: Any, value: Any, operation: Operation, side: Side
) -> Iterator[Violation]:
    for error in document.faults(schema, _shortened(value)):
        path = ["*" if isinstance(each, int) else each for each in error.absolute_path]
        if error.validator == "additionalProperties":
            closed: Any = error.schema
            for name in sorted(set(error.instance) - set(closed.get("properties", ()))):  # type: ignore[arg-type]
                where = ".".join([*path, name])
                yield _violation(operation, side, where, UNKNOWN, "the document has no such field")
            continue
        if error.validator == "required":
            path.append(error.message.partition("' is a required")[0].lstrip("'"))
        yield _violation(operation, side, ".".join(path), error.validator, error.message[:300])


def _innermost(error: SchemaError) -> Iterator[SchemaError]:
    """The faults behind a fault: of the alternatives, those of the one that was meant."""
    if not error.context:
        yield error
        return
    branches: dict[Any, list[SchemaError]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    for inner in min(branches.values(), key=_distance):
        yield from _innermost(inner)


def _distance(errors: Sequence[SchemaError]) -> tuple[int, int]:
    """How unlikely an alternative was meant: another type or another `type` field weigh most."""
    wrong = sum(
        (each.validator == "type" and not each.path)
        or (each.validator in ("const", "enum") and list(each.path)[-1:] == ["type"])
        for each in errors
    )
    return wrong, len(errors)


def _from_query(values: Sequence[str], schema: Mapping[str, Any]) -> Any:
    """Query parameters as the JSON values that their schema speaks of."""
    kinds = {each.get("type"): each for each in (schema, *schema.get("anyOf", ()))}
    if "array" in kinds:
        return [_from_query([each], kinds["array"].get("items", {})) for each in values]
    if len(values) > 1:
        return values
    text = values[0]
    if {"integer", "number", "boolean"} & kinds.keys():
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _closed(node: Any, *, schema: bool = True) -> Any:
    """A copy in which objects have no fields but those they name."""
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    copy = {
        # The keys below `properties` are names of fields, whatever they are.
        name: _closed(each, schema=not (schema and name == "properties"))
        for name, each in node.items()
        if name not in ("example", "examples") or not schema
    }
    if schema and isinstance(node.get("properties"), dict):
        copy.setdefault("additionalProperties", False)
    return copy

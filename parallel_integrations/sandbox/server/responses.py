"""Request parsing, error bodies in their two forms, and event frames."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.responses import Response

Model = TypeVar("Model", bound=BaseModel)

Problem = dict[str, Any]
"""One validation problem as frameworks spell it: ``type``, ``loc``, ``msg``, ``input``."""
BODY_IS_WRONG = "Request validation error."
"""The message of every 422 whose reasons are listed in ``detail.errors``."""
UNAUTHENTICATED = 16
"""The code of the gateway that checks keys in front of the service."""


class RequestError(Exception):
    """A request whose response is an error.

    Args:
        status: HTTP status.
        message: What is wrong. The service lists what its models of a body find in ``detail``
            below a generic message; what it finds out later it says in the message alone.
        problems: Where, for a body that breaks the rules.
    """

    def __init__(self, status: int, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.problems = list(problems)


def invalid(field: str, message: str) -> RequestError:
    """Return the 422 for one wrong field, named as ``messages`` or ``response_format.type``."""
    loc: list[str | int] = ["body", *field.split(".")]
    problem = {"type": "value_error", "loc": loc, "msg": message, "input": None}
    return RequestError(422, f"{field}: {message}", [problem])


def invalid_parameter(where: str, name: str, message: str) -> RequestError:
    """Return the 422 for something wrong outside the body: in the path, query or header."""
    problem = {"type": "value_error", "loc": [where, name], "msg": message, "input": None}
    return RequestError(422, f"{name}: {message}", [problem])


def frame(data: Mapping[str, Any], *, named: bool = False) -> bytes:
    """Return a server-sent event; `named` adds its type as a line of its own."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    name = f"event: {data['type']}\n" if named else ""
    return f"{name}data: {text}\n\n".encode()


def parse(model: type[Model], content: bytes) -> Model:
    """Return the request body as `model`.

    Types are taken at their word, as the published schema does: ``"10"`` is no number.

    Raises:
        RequestError: 422 with every problem found.
    """
    try:
        body = model.model_validate_json(content, strict=True)
        # pydantic reads NaN and 1e999 as numbers. JSON has neither: no response could repeat them.
        json.loads(content, parse_float=_finite, parse_constant=_finite)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        problems = [
            {
                "type": each["type"],
                "loc": ["body", *each["loc"]],
                "msg": each["msg"],
                "input": _as_json(each["input"]),
            }
            for each in found
        ]
        raise RequestError(422, BODY_IS_WRONG, problems) from error
    except ValueError as error:
        problem = {
            "type": "json_invalid",
            "loc": ["body"],
            "msg": f"Invalid JSON: {error}",
            "input": None,
        }
        raise RequestError(422, BODY_IS_WRONG, [problem]) from error
    return body


def _as_json(value: Any) -> Any:
    # Of a body that is no JSON pydantic shows the bytes; NaN and 1e999 it reads as numbers.
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return json.loads(to_json(value, inf_nan_mode="null", fallback=lambda _: None))


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is no JSON number")
    return number


def json_response(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return `body` as JSON, letters of every script as they are."""
    # Escaped letters would make a page of Japanese twice as long.
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(content, status, headers, media_type="application/json")


def native_error(
    status: int, message: str, ref_id: str, detail: Mapping[str, Any] | None = None
) -> Response:
    """Return an error in the API's own dialect."""
    error = {"ref_id": ref_id, "message": message, "detail": detail}
    return json_response({"type": "error", "error": error}, status)


def openai_error(error: RequestError) -> Response:
    """Return `error` as clients of OpenAI's read it."""
    first = error.problems[0] if error.problems else {"loc": [], "msg": error.message}
    where = ".".join(str(part) for part in first["loc"][1:]) or None
    body = {
        "message": f"{where}: {first['msg']}" if where else first["msg"],
        "type": "invalid_request_error",
        "param": where,
        "code": None,
    }
    return json_response({"error": body}, error.status)


def key_error(message: str) -> Response:
    """Return the 401 of the gateway in front of the service, which has a shape of its own."""
    return json_response({"code": UNAUTHENTICATED, "message": message}, 401)


def error_response(error: RequestError, ref_id: str, *, framework: bool = False) -> Response:
    """Return `error` in the dialect of its operation.

    Args:
        error: What went wrong.
        ref_id: The support reference of the API's own dialect.
        framework: Whether the operation responds to a validation error with ``{"detail": […]}``.
    """
    # Some operations are documented with the error body of a web framework instead.
    if framework and error.problems:
        listed = [{name: each[name] for name in ("loc", "msg", "type")} for each in error.problems]
        return json_response({"detail": listed}, error.status)
    if error.status == 401:
        return key_error(error.message)
    detail = {"errors": error.problems} if error.message == BODY_IS_WRONG else None
    return native_error(error.status, error.message, ref_id, detail)

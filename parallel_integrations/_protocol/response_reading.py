"""Reading a response's body as its typed model."""

from collections.abc import Iterable
from typing import Any, Final

import httpx
from pydantic import BaseModel

from parallel_integrations._protocol.error_mapping import reported_words, unexpected_response
from parallel_integrations._protocol.redaction import without_echo
from parallel_integrations.errors import UnexpectedAnswerError
from parallel_integrations.models.shared import (
    ApiResponse,
    ModelT,
    ResponseModel,
    first_fault,
)
from parallel_integrations.models.tolerant_reading import read_as, read_json, warn

BESIDE_CONTENT: Final = frozenset({"warnings", "usage"})
"""Fields that say nothing of what was requested."""
EMPTY: Final[tuple[object, ...]] = (None, "", [], {})


def read_response(response: httpx.Response, response_type: type[ModelT]) -> ModelT:
    """A response's body as `response_type`, item by item where it does not fit as a whole.

    Raises:
        UnexpectedAnswerError: Nothing of the body is what `response_type` describes; or it holds
            an error, or nothing, although the status is a success's.
    """
    content = without_echo(response.content, response)
    try:
        result = read_as(response_type, content)
    except ValueError as error:
        fault = first_fault(error)
    else:
        own = type(result).model_fields.keys() - BESIDE_CONTENT
        read = own & result.model_fields_set
        if own and not read:
            fault = "it holds nothing that was requested"
        elif read and _lost_all(result, read):
            fault = "nothing that it holds can be read"
        elif not (result.model_extra or {}).get("error"):
            return result
        elif _holds_content(result):  # which was paid for
            words = reported_words(result.model_extra, response)
            warn(result, [f"The response reports an error beside what it holds: {words}"])
            return result
        else:
            fault = "it holds nothing but an error"
    # Raised out here, the error does not drag pydantic's along, which shows the raw body.
    raise unread(response, fault)


def read_empty_response(response: httpx.Response) -> None:
    """Make sure that a response without a result is the API's: empty, or JSON that is no error.

    Raises:
        UnexpectedAnswerError: It is something else, such as a proxy's page.
    """
    if not response.content.strip():
        return
    try:
        body = read_json(response.content)
    except ValueError as error:
        fault = str(error)
    else:
        if not (isinstance(body, dict) and body.get("error")):
            return
        fault = "it holds an error"
    raise unread(response, fault)


def unread(response: httpx.Response, fault: str) -> UnexpectedAnswerError:
    """The error for a success that is none, with the error that its body reports, if any."""
    try:
        body: Any = read_json(response.content)
    except ValueError:
        body = None
    if words := reported_words(body, response):
        fault = f"{fault}; it reports an error: {words}"
    return unexpected_response(response, fault)


def _lost_all(result: ResponseModel, read: Iterable[str]) -> bool:
    """Whether something could not be read, and what could is empty."""
    return (
        isinstance(result, ApiResponse)
        and not result.is_readable
        and all(getattr(result, name) in EMPTY for name in read)
    )


def _holds_content(result: ResponseModel) -> bool:
    values = (value for name, value in result if name not in BESIDE_CONTENT)
    return any(isinstance(value, list | BaseModel) and value for value in values)

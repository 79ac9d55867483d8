"""Reading a response's body as its typed model."""

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json

from parallel_integrations._protocol.error_mapping import unexpected_response
from parallel_integrations._protocol.redaction import without_echo
from parallel_integrations.models.shared import T, first_fault


def read_response(response: httpx.Response, response_type: type[T]) -> T:
    """A response's body as `response_type`.

    Raises:
        UnexpectedAnswerError: The body is not what `response_type` describes.
    """
    content = without_echo(response.content, response)
    try:
        if isinstance(response_type, type) and issubclass(response_type, BaseModel):
            return response_type.model_validate_json(content)
        return TypeAdapter(response_type).validate_json(content)
    except ValidationError as error:
        fault = first_fault(error)
    # Raised out here, the error does not drag pydantic's along, which shows the raw body.
    raise unexpected_response(response, fault)


def read_empty_response(response: httpx.Response) -> None:
    """Make sure that a response without a result is the API's: empty, or any JSON.

    Raises:
        UnexpectedAnswerError: It is something else, such as a proxy's page.
    """
    if not response.content.strip():
        return
    try:
        from_json(response.content)
    except ValueError as error:
        fault = str(error)
    else:
        return
    raise unexpected_response(response, fault)

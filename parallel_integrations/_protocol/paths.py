"""Ids as path segments, and errors that carry them."""

import logging
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote

from parallel_integrations._protocol.error_mapping import unexpected_response
from parallel_integrations._protocol.flow import Flow, Send, exchange
from parallel_integrations._protocol.redaction import scrub_json
from parallel_integrations._protocol.response_reading import read_response
from parallel_integrations.errors import InvalidArgumentError, ParallelError, UnexpectedAnswerError
from parallel_integrations.models.shared import ModelT
from parallel_integrations.models.tolerant_reading import read_json

NO_IDS: Final = frozenset({"", ".", ".."})
MAX_ID_CHARACTERS: Final = 1000

log = logging.getLogger("parallel_integrations")


def is_id(value: object) -> bool:
    """Whether a value can be an id: printable ASCII without blanks inside."""
    if not isinstance(value, str) or (plain := value.strip()) in NO_IDS:
        return False
    return (
        plain.isascii()
        and plain.isprintable()
        and " " not in plain
        and len(plain) <= MAX_ID_CHARACTERS
    )


def segment(name: str, value: str) -> str:
    """An id, quoted as one segment of a path.

    Raises:
        ValueError: It is empty, `.` or `..`, which would address something else, or holds what no
            id of the API holds.
    """
    if not is_id(value):
        shown = reprlib.repr(value)
        raise InvalidArgumentError(
            f"{name}={shown} is not an id: copy it from the response to its create, at most "
            f"{MAX_ID_CHARACTERS} characters of printable ASCII without blanks"
        )
    return quote(value.strip(), safe="")


def text_parameter(name: str, value: str | None) -> str | None:
    """A cursor or filter as it is; None where it is left out.

    Raises:
        ValueError: It is no text.
    """
    if value is not None and not isinstance(value, str):
        raise InvalidArgumentError(f"{name}={value!r:.100} must be a text, or left out")
    return value or None


@contextmanager
def carrying(**ids: str) -> Iterator[None]:
    """Write ids (`run_id`, `taskgroup_id`, `findall_id`) onto every error that passes."""
    try:
        yield
    except ParallelError as error:
        for name, value in ids.items():
            if getattr(error, name) is None:
                setattr(error, name, value)
                error.add_note(f"{name}: {value}")
        raise


@contextmanager
def waiting(words: str, going_on: str, **ids: str) -> Iterator[None]:
    """Wait for what is paid for: as `carrying`, and an end from outside leaves its id in the log.

    Who cancels or interrupts a wait, such as an agent's timeout, is given no error to carry it.

    Args:
        words: What is waited for.
        going_on: The call that goes on waiting.
        **ids: As in `carrying`.
    """
    try:
        with carrying(**ids):
            yield
    except BaseException as end:
        if not isinstance(end, Exception):
            log.warning("%s goes on, though nobody waits for it now: %s", words, going_on)
        raise


def create(send: Send, response_type: type[ModelT], id_name: str, words: str) -> Flow[ModelT]:
    """Create something that is paid for; a response that cannot be read does not cost its id.

    Args:
        send: The request.
        response_type: Class of the response.
        id_name: The field that holds the id.
        words: What is created, for the log: where an error gets lost, the id is still there.
    """
    response = yield from exchange(send)
    try:
        created = read_response(response, response_type)
        if not is_id(getattr(created, id_name)):
            raise unexpected_response(response, f"{id_name} is none that can be sent again")
    except UnexpectedAnswerError as error:
        try:
            body = read_json(response.content)
        except ValueError:
            body = None
        found = scrub_json(body.get(id_name), response) if isinstance(body, dict) else None
        if is_id(found):
            setattr(error, id_name, found)
            error.add_note(f"{id_name}: {found}")
        raise
    log.info("created %s %s", words, getattr(created, id_name))
    return created

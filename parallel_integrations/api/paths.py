"""Ids as path segments, and errors that carry them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar
from urllib.parse import quote

from pydantic_core import from_json

from parallel_integrations.api.error_mapping import unexpected_answer
from parallel_integrations.api.errors import ParallelError, UnexpectedAnswerError
from parallel_integrations.api.flow import Flow, Send, exchange
from parallel_integrations.api.models import read_answer

Answer = TypeVar("Answer")
NO_IDS: Final = frozenset({"", ".", ".."})


def segment(name: str, value: str) -> str:
    """An id, quoted as one segment of a path.

    Raises:
        ValueError: It is empty, `.` or `..`, which would address something else.
    """
    if not isinstance(value, str) or value.strip() in NO_IDS:
        raise ValueError(f"{name}={value!r} is not an id")
    return quote(value.strip(), safe="")


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


def create(send: Send, answer: type[Answer], id_name: str) -> Flow[Answer]:
    """Create something that is paid for; an answer that cannot be read does not cost its id."""
    response = yield from exchange(send)
    try:
        created = read_answer(response, answer)
        if getattr(created, id_name).strip() in NO_IDS:
            raise unexpected_answer(response, f"{id_name} is none")
    except UnexpectedAnswerError as error:
        try:
            body = from_json(response.content)
        except ValueError:
            body = None
        found = body.get(id_name) if isinstance(body, dict) else None
        if isinstance(found, str) and found.strip() not in NO_IDS:
            setattr(error, id_name, found)
            error.add_note(f"{id_name}: {found}")
        raise
    return created

"""A server that responds as a file says, and what is lost when a response is read."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel

from tests.support.raw_server import RawServer, Talk


@contextmanager
def serving(
    responses: Mapping[str, bytes], *, status: str = "200 OK", size: int = 0
) -> Iterator[RawServer]:
    """A server that gives each path (a pattern, with the method before it) its body.

    Args:
        responses: Bodies by request; those that begin with `event:` are sent as event streams.
        status: Of every response.
        size: Bytes in each piece of a stream; 0 sends it in one.
    """

    def respond(talk: Talk, request: bytes) -> None:
        line = request.partition(b"\r\n")[0].decode().rpartition(" ")[0].partition("?")[0]
        body = next((body for known, body in responses.items() if fnmatchcase(line, known)), None)
        if body is None:
            talk.respond(b'{"error": {"message": "no such path"}}', status="404 Not Found")
        elif body.startswith(b"event:"):
            talk.begin_stream()
            for start in range(0, len(body), size or len(body)):
                talk.send_chunk(body[start : start + (size or len(body))])
            talk.end_stream()
        else:
            talk.respond(body, status=status)

    with RawServer(respond) as server:
        yield server


def unknown_fields(value: Any, path: str = "") -> set[str]:
    """The fields of a response that no model knows, by their path."""
    if isinstance(value, BaseModel):
        found = {f"{path}{name}" for name in value.model_extra or ()}
        for name in type(value).model_fields:
            found |= unknown_fields(getattr(value, name), f"{path}{name}.")
        return found
    if isinstance(value, list | tuple):
        return set().union(*(unknown_fields(each, path) for each in value))
    return set()


def lost_values(wire: Any, value: BaseModel) -> Counter[str]:
    """The values of a response that are not in what was read of it."""
    return Counter(_leaves(wire)) - Counter(_leaves(value.model_dump(mode="json")))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif value not in (None, ""):  # an empty confidence is read as none
        yield str(value)

"""Recorder of requests and connections."""

import threading
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers, QueryParams


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it came in, before anything was done about it.

    Attributes:
        method: ``POST`` and so on.
        path: The decoded path with any gateway prefix, without the query.
        raw_path: The path as it was sent.
        query: The query parameters; several of one name are kept.
        headers: The headers, under their names in any case. Not shown by `repr`, because
            they hold the key.
        body: The parsed JSON body; None when there is none or it is no JSON.
        content: The body's bytes.
        client: Address and port of the caller; the pair is the same for requests that shared a
            connection.
    """

    method: str
    path: str
    raw_path: str
    query: QueryParams
    headers: Headers = field(repr=False)
    body: Any
    content: bytes = field(repr=False)
    client: tuple[str, int]


class Recorder:
    """The requests and connections of one sandbox. Threads may share it.

    Attributes:
        accepted: How many TCP connections were accepted.
        open: How many of them are open.
    """

    def __init__(self) -> None:
        self.accepted = self.open = 0
        self._lock = threading.Lock()
        self._requests: list[RecordedRequest] = []

    @property
    def requests(self) -> list[RecordedRequest]:
        """A copy of the requests so far, oldest first."""
        with self._lock:
            # A copy, because the server's thread adds to the list while a test reads it.
            return list(self._requests)

    def add(self, request: RecordedRequest) -> None:
        """Record a request."""
        with self._lock:
            self._requests.append(request)

    def opened(self) -> None:
        """Record an accepted connection."""
        with self._lock:
            self.accepted += 1
            self.open += 1

    def closed(self) -> None:
        """Record the end of a connection."""
        with self._lock:
            self.open -= 1

    def clear(self) -> None:
        """Forget the requests, not the connections."""
        with self._lock:
            self._requests.clear()

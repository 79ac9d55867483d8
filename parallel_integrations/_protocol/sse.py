"""Server-sent events: decoding them from bytes, and opening a stream of them."""

import codecs
from collections.abc import Generator
from typing import Any, Final, NoReturn

import httpx

# The decoders are httpx-sse's heart but have no public name; the version range is narrow for it.
from httpx_sse import ServerSentEvent
from httpx_sse._decoders import SSEDecoder, SSELineDecoder

from parallel_integrations._protocol.error_mapping import unexpected_response
from parallel_integrations._protocol.flow import MORE, Emit, More, Send, exchange
from parallel_integrations._protocol.redaction import scrub_failure
from parallel_integrations._protocol.retry import conditions_of

EVENT_STREAM: Final = "text/event-stream"
JSON: Final = "application/json"
DONE: Final = "[DONE]"
EXPECTED: Final = "an event stream was expected"
PAGE_SECONDS: Final = 1.0
"""For the beginning of a page that came instead of a stream."""


class EventDecoder:
    """Turns the bytes of a stream, cut anywhere, into its events, dropping those without data."""

    def __init__(self) -> None:
        self._text: codecs.IncrementalDecoder | None = None
        self._lines = SSELineDecoder()
        self._events = SSEDecoder()
        self._id = ""
        self._between = True

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that `chunk` completes; `b""` is the end and completes the last one."""
        data = self._whole(chunk)
        return self._parsed(chunk) if data is None else [ServerSentEvent(None, data, self._id)]

    def feed_data(self, chunk: bytes) -> list[str]:
        """As `feed`, but the data of the events alone."""
        data = self._whole(chunk)
        return [event.data for event in self._parsed(chunk)] if data is None else [data]

    def _whole(self, chunk: bytes) -> str | None:
        """The data, where a chunk is what servers mostly send: an event of one line."""
        if self._text is None:  # only what comes first can be a byte order mark
            codec = "utf-8" if chunk.startswith(b"data") else "utf-8-sig"
            self._text = codecs.getincrementaldecoder(codec)("replace")
        # Decoding such a chunk at once saves a tenth of a stream's CPU: 4 of 40 µs a chunk, in the
        # row "stream, CPU per chunk (all at once)" of `make bench`. It is safe only between two
        # events, and where no other end of line stands in it.
        between, self._between = self._between, chunk.endswith(b"\n\n")
        if (
            between
            and self._between
            and chunk.startswith(b"data: ")
            and chunk.find(b"\n") == len(chunk) - 2 > len(b"data: ")
            and b"\r" not in chunk
        ):
            return chunk[6:-2].decode("utf-8", "replace")
        return None

    def _parsed(self, chunk: bytes) -> list[ServerSentEvent]:
        assert self._text is not None  # noqa: S101 - `_whole` comes first
        text = self._text.decode(chunk, final=not chunk)
        lines = self._lines.decode(text) if text else []
        if not chunk:
            lines = [*lines, *self._lines.flush(), ""]
        decode = self._events.decode
        found = [event for line in lines if (event := decode(line)) is not None]
        if found:
            self._id = found[-1].id
        return [event for event in found if event.data]


def content_type_of(response: httpx.Response) -> str:
    """The content type in lower case; a response that names none is taken for a stream."""
    return str(response.headers.get("content-type", EVENT_STREAM)).lower()


def open_stream(send: Send) -> Generator[Send | More | Emit[Any], Any, httpx.Response]:
    """Open a streamed response, repeating as the retry table allows.

    Raises:
        UnexpectedAnswerError: The response is no event stream.
    """
    response = yield from exchange(send)
    if not content_type_of(response).startswith(EVENT_STREAM):
        yield from refuse_page(response)
    return response


def refuse_page(response: httpx.Response) -> Generator[More, Any, NoReturn]:
    """Raise the error for a response that is no event stream, with the beginning of its body.

    Raises:
        UnexpectedAnswerError: Always.
    """
    body = b""
    elapsed = conditions_of(response).elapsed_seconds
    try:
        while len(body) < 1000 and (chunk := (yield MORE)):
            body += chunk
            if conditions_of(response).elapsed_seconds - elapsed > PAGE_SECONDS:
                break
    except httpx.HTTPError as failure:  # what has arrived is enough for the message
        scrub_failure(failure)
    raise unexpected_response(response, EXPECTED, body)

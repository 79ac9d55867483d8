"""Server-sent events from bytes, and the one loop that reads them off an open answer."""

import codecs
from collections.abc import Generator
from typing import Any, Final

import httpx

# The decoders are httpx-sse's heart but have no public name; the version range is narrow for it.
from httpx_sse import ServerSentEvent
from httpx_sse._decoders import SSEDecoder, SSELineDecoder

from parallel_integrations.api.errors import unexpected_answer
from parallel_integrations.api.flow import MORE, Emit, More, Send, exchange

EVENT_STREAM: Final = "text/event-stream"
DONE: Final = "[DONE]"


class EventDecoder:
    """Turns the bytes of a stream, cut anywhere, into its events, dropping those without data."""

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._lines = SSELineDecoder()
        self._events = SSEDecoder()

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that `chunk` completes; `b""` is the end and completes the last one."""
        text = self._text.decode(chunk, final=not chunk)
        lines = self._lines.decode(text) if text else []
        if not chunk:
            lines = [*lines, *self._lines.flush(), ""]
        decode = self._events.decode
        return [event for line in lines if (event := decode(line)) is not None and event.data]


def open_stream(send: Send) -> Generator[Send | More | Emit[Any], Any, httpx.Response]:
    """Open a streamed answer, repeating as the retry table allows.

    Raises:
        UnexpectedAnswerError: The answer is not an event stream.
    """
    response = yield from exchange(send)
    content_type = response.headers.get("content-type", EVENT_STREAM)
    if not content_type.lower().startswith(EVENT_STREAM):
        body = b""
        try:
            while len(body) < 1000 and (chunk := (yield MORE)):
                body += chunk
        except httpx.HTTPError:
            pass  # what has arrived is enough for the message
        raise unexpected_answer(response, "an event stream was asked for", body)
    return response

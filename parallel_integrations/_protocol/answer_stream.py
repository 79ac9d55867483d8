"""Streams that bring an answer once: paid for with the request, and never opened again."""

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, TypeVar

import httpx

from parallel_integrations._protocol.error_mapping import transport_error, unexpected_response
from parallel_integrations._protocol.flow import END, MORE, Emit, More, Send, exchange
from parallel_integrations._protocol.redaction import beginning, scrub, scrub_failure
from parallel_integrations._protocol.retry import conditions_of
from parallel_integrations._protocol.sse import (
    DONE,
    EVENT_STREAM,
    EXPECTED,
    JSON,
    EventDecoder,
    content_type_of,
    refuse_page,
)
from parallel_integrations.errors import StreamInterruptedError
from parallel_integrations.models.tolerant_reading import REPLACEMENT

Event = TypeVar("Event")


class HalfCharacters:
    """Joins characters that were cut in two between the pieces of a text.

    Attributes:
        held: The first half of one, whose second half may be in the next piece.
    """

    def __init__(self) -> None:
        self.held = ""

    def add(self, piece: str) -> str:
        """A piece with the half before it, and without one at its end."""
        text = self.held + piece
        if not text.isascii():
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        self.held = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return text.removesuffix(self.held)

    def rest(self) -> str:
        """What stands for a half whose other half never came; mostly nothing."""
        held, self.held = self.held, ""
        return held and REPLACEMENT


def answer_stream(
    send: Send,
    read: Callable[[str, httpx.Response, list[str]], Event],
    text_of: Callable[[Event], str],
    is_last: Callable[[Event], bool] | None = None,
    rest: Callable[[], str] = str,
    *,
    end_of: Callable[[Event], str | None],
) -> Generator[Send | More | Emit[Event], Any, None]:
    """Emit the events of an answer.

    Args:
        send: Opens the stream.
        read: An event of its data, given the texts so far.
        text_of: What an event adds to the answer's text.
        is_last: Whether nothing comes after an event; without it, `[DONE]` or the end of the stream
            is the end of the answer.
        rest: The data of one more event at the end, for what `read` held back; empty without any.
        end_of: Why the answer ended, where its last event says so; for an answer without text.

    Raises:
        StreamInterruptedError: The stream was cut (`partial` holds the text so far), or it brought
            no text.
        UnexpectedAnswerError: The response is no event stream, and no whole answer either.
    """
    response = yield from exchange(send)
    content_type = content_type_of(response)
    if content_type.startswith(JSON):
        yield Emit((yield from _in_one_piece(response, read, text_of)))
        return
    if not content_type.startswith(EVENT_STREAM):
        yield from refuse_page(response)
    last: Event | None = None
    decoder = EventDecoder()
    text: list[str] = []
    whole = False
    while not whole:
        try:
            received: bytes = yield MORE
        except httpx.HTTPError as failure:
            reason = f"The answer was cut short: {transport_error(failure)}"
            raise interrupted(reason, text, response) from failure
        for data in decoder.feed_data(received):
            if data == DONE:
                whole = is_last is None
            else:
                event = read(data, response, text)
                text.append(text_of(event))
                last = event
                yield Emit(event)
                whole = is_last is not None and is_last(event)
            if whole:
                break
        if not received:
            break
    if not whole and is_last is not None:
        raise interrupted("The stream ended before the answer did.", text, response)
    if data := rest():
        event = read(data, response, text)
        text.append(text_of(event))
        yield Emit(event)
    if whole:
        # What breaks now is no error; read to its end, the response gives its connection back.
        with suppress(httpx.HTTPError):
            yield END
    if not any(text) or "".join(text).isspace():
        end = None if last is None else end_of(last)
        reason = f" ({end})" if end else ""
        raise StreamInterruptedError(f"The stream ended without any text{reason}.")


def _in_one_piece(
    response: httpx.Response,
    read: Callable[[str, httpx.Response, list[str]], Event],
    text_of: Callable[[Event], str],
) -> Generator[More, Any, Event]:
    """The answer of a server that does not stream: it was paid for, too.

    Raises:
        UnexpectedAnswerError: The response is no answer.
    """
    body: list[bytes] = []
    conditions = conditions_of(response)
    end = conditions.elapsed_seconds + response.request.extensions["timeout"]["read"]
    try:
        while (received := (yield MORE)) and conditions.elapsed_seconds < end:
            body.append(received)
        event = read(b"".join(body).decode("utf-8", "replace"), response, [])
        if text_of(event).strip():
            return event
    except httpx.HTTPError as failure:  # what has arrived is shown
        scrub_failure(failure)
    except StreamInterruptedError:
        pass
    raise unexpected_response(response, EXPECTED, b"".join(body))


def interrupted(message: str, text: list[str], response: httpx.Response) -> StreamInterruptedError:
    """The error for a stream that ends too early; it carries the text so far."""
    return StreamInterruptedError(message, partial=scrub("".join(text), response))


def unread_piece(
    what: str, fault: str, data: str, text: list[str], response: httpx.Response
) -> StreamInterruptedError:
    """The error for a chunk or an event that cannot be read."""
    why, shown = scrub(fault, response), beginning(data, response)
    return interrupted(f"{what} cannot be read ({why}): {shown!r}", text, response)

"""Streams that bring an answer once: paid for with the request, and never opened again."""

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, TypeVar

import httpx

from parallel_integrations._protocol.error_mapping import transport_error
from parallel_integrations._protocol.flow import END, MORE, Emit, More, Send
from parallel_integrations._protocol.redaction import scrub
from parallel_integrations._protocol.sse import DONE, EventDecoder, open_stream
from parallel_integrations.errors import StreamInterruptedError

Event = TypeVar("Event")


def answer_stream(
    send: Send,
    read: Callable[[str, httpx.Response, list[str]], Event],
    text_of: Callable[[Event], str],
    is_last: Callable[[Event], bool] | None = None,
) -> Generator[Send | More | Emit[Event], Any, None]:
    """Emit the events of an answer.

    Args:
        send: Opens the stream.
        read: An event of its data, given the texts so far.
        text_of: What an event adds to the answer's text.
        is_last: Whether nothing comes after an event; without it, `[DONE]` or the end of the stream
            is the end of the answer.

    Raises:
        StreamInterruptedError: The stream was cut; `partial` holds the text so far.
    """
    response = yield from open_stream(send)
    decoder = EventDecoder()
    text: list[str] = []
    began = False
    while True:
        try:
            received: bytes = yield MORE
        except httpx.HTTPError as failure:
            raise StreamInterruptedError(
                f"The answer was cut short: {transport_error(failure)}",
                partial=scrub("".join(text), response),
            ) from failure
        for data in decoder.feed_data(received):
            whole = data == DONE
            if not whole:
                event = read(data, response, text)
                began = True
                text.append(text_of(event))
                yield Emit(event)
                whole = is_last is not None and is_last(event)
            elif is_last is not None:
                continue
            if whole:
                # The answer is whole, so what breaks now is no error; read to its end, the
                # response gives its connection back.
                with suppress(httpx.HTTPError):
                    yield END
                return
        if not received:
            break
    if is_last is not None:
        raise StreamInterruptedError(
            "The stream ended before the answer did.", partial=scrub("".join(text), response)
        )
    if not began:
        raise StreamInterruptedError("The stream ended without a single chunk.")

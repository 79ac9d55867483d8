"""Typed events off a server-sent stream, resumed where it breaks (API facts 8.1, 9, 10)."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from math import inf
from typing import Any, Final

import httpx
from httpx_sse import ServerSentEvent
from pydantic import ValidationError
from pydantic_core import from_json

from parallel_integrations._protocol.error_mapping import (
    error_body,
    transport_error,
)
from parallel_integrations._protocol.flow import MORE, Emit, Flow, More, Send
from parallel_integrations._protocol.polling import within
from parallel_integrations._protocol.redaction import (
    beginning,
    scrub,
    scrub_json,
    without_echo,
)
from parallel_integrations._protocol.retry import conditions_of
from parallel_integrations._protocol.sse import (
    DONE,
    EventDecoder,
    open_stream,
)
from parallel_integrations.errors import StreamInterruptedError
from parallel_integrations.models.shared import StreamEvent, first_fault

STREAM_TIMEOUT_SECONDS: Final = 120.0


def idle_timeout_seconds(deadline_seconds: float) -> float:
    """How long a stream that is followed until a deadline may be silent."""
    return min(STREAM_TIMEOUT_SECONDS, max(1.0, deadline_seconds))


RECONNECT_SECONDS: Final = 1.0
SHOWN_CHARACTERS: Final = 200
WIRE_TEXT: Final = "wire_text"
"""Field of an event class that keeps the JSON text which it was read from."""


class _UnreadableError(Exception):
    """An event is no JSON object, or not what its type promises."""


def follow(
    send: Send,
    kinds: Mapping[str, type[StreamEvent]],
    *,
    last_event_id: str | None = None,
    resumable: bool = True,
    is_last: Callable[[StreamEvent], bool] = lambda event: False,
    is_new: Callable[[StreamEvent], bool] = lambda event: True,
    may_end: Callable[[], bool] = lambda: True,
    is_over: Callable[[], Flow[bool]] | None = None,
    on_open: Callable[[], None] = lambda: None,
    on_unreadable: Callable[[str, str], None] | None = None,
    deadline_seconds: float = inf,
) -> Generator[Send | More | Emit[StreamEvent], Any, float]:
    """Emit a stream's events; open it again where it broke.

    Args:
        send: Opens the stream.
        kinds: Event type, or the beginning of one ending in a dot, to its class.
        last_event_id: Where to begin.
        resumable: Whether `last_event_id` is sent on opening again.
        is_last: Whether nothing is expected after an event.
        is_new: Whether an event is emitted; a stream that starts over repeats itself.
        may_end: Whether an end of the body, once it comes, is the end of the stream.
        is_over: Looks up whether the work is over; asked where a stream told nothing new.
        on_open: Called whenever the stream was opened.
        on_unreadable: Is given the text of an event that cannot be read, and why, instead of
            ending the stream.
        deadline_seconds: When to stop following, counted from the operation's start.

    Returns:
        Seconds since the operation's start.

    Raises:
        StreamInterruptedError: The stream reported an error, holds garbage, or broke more often
            in a row than `max_retries` without anything new.
    """
    following = _follow(
        send,
        kinds,
        last_event_id=last_event_id,
        resumable=resumable,
        is_last=is_last,
        is_new=is_new,
        may_end=may_end,
        is_over=is_over,
        on_open=on_open,
        on_unreadable=on_unreadable,
        deadline_seconds=deadline_seconds,
    )
    if deadline_seconds == inf:
        return (yield from following)
    return (yield from within(following, deadline_seconds))


def _follow(
    send: Send,
    kinds: Mapping[str, type[StreamEvent]],
    *,
    last_event_id: str | None,
    resumable: bool,
    is_last: Callable[[StreamEvent], bool],
    is_new: Callable[[StreamEvent], bool],
    may_end: Callable[[], bool],
    is_over: Callable[[], Flow[bool]] | None,
    on_open: Callable[[], None],
    on_unreadable: Callable[[str, str], None] | None,
    deadline_seconds: float,
) -> Generator[Send | More | Emit[StreamEvent], Any, float]:
    without_progress = 0
    over = False
    known: set[str] = set()  # told on an earlier connection
    while True:
        cursor = (("last_event_id", last_event_id),) if last_event_id and resumable else ()
        response = yield from open_stream(replace(send, params=(*send.params, *cursor)))
        on_open()
        decoder = EventDecoder()
        here: set[str] = set()
        broken: httpx.HTTPError | None = None
        truncated: str | None = None
        progressed = False
        while True:
            try:
                received: bytes = yield MORE
            except httpx.HTTPError as failure:
                broken = failure
                break
            for raw in decoder.feed(received):
                if raw.data == DONE:
                    continue
                try:
                    event = _read(raw, kinds, response)
                except _UnreadableError as fault:
                    truncated = str(fault)
                    if received and on_unreadable is not None:
                        on_unreadable(raw.data, truncated)
                        truncated = None
                        continue
                    if received:
                        raise _interrupted(truncated, response) from None
                    break  # the end cut it in two: it comes again
                if event.event_id:
                    last_event_id = event.event_id
                    if resumable and last_event_id in known:
                        continue  # the server has started over
                    here.add(last_event_id)
                if is_new(event):
                    progressed = True
                    yield Emit(event)
                if is_last(event):
                    return conditions_of(response).elapsed_seconds
            if not received or conditions_of(response).elapsed_seconds >= deadline_seconds:
                break
        known |= here
        ended = broken is None and truncated is None
        elapsed = conditions_of(response).elapsed_seconds
        if (ended and (may_end() or (over and not progressed))) or elapsed >= deadline_seconds:
            return elapsed
        max_retries = conditions_of(response).max_retries
        pause = RECONNECT_SECONDS
        if progressed:
            without_progress = 0
        elif is_over and not over and (ended or isinstance(broken, httpx.ReadTimeout)):
            over = yield from is_over()
            if over:
                pause = 0.0  # opened once more, for a last word said in between
            elif ended:
                without_progress += 1
        else:
            without_progress += 1
        if without_progress > max_retries:
            why = transport_error(broken) if broken else truncated or "it ended before the work did"
            reason = f"The event stream broke {without_progress} times without anything new: {why}"
            raise _interrupted(reason, response) from broken
        send = replace(send, delay_seconds=pause)


def _read(
    raw: ServerSentEvent, kinds: Mapping[str, type[StreamEvent]], response: httpx.Response
) -> StreamEvent:
    try:
        text = without_echo(raw.data.encode(), response)
        data = from_json(text)
        if not isinstance(data, dict):
            raise ValueError("not an object")
        kind = data.get("type") or raw.event
        if kind == "error" or (kind == "message" and "error" in data):
            raise _reported(data, response)
        data["type"] = kind
        cls = _class_of(kind, kinds)
        if WIRE_TEXT in cls.model_fields:
            data[WIRE_TEXT] = text.decode()
        return cls.model_validate(data)
    except ValidationError as error:
        why = first_fault(error)
    except ValueError as error:
        why = str(error)
    shown = beginning(raw.data, response, SHOWN_CHARACTERS)
    raise _UnreadableError(f"An event cannot be read ({scrub(why, response)}): {shown!r}")


def _class_of(kind: Any, kinds: Mapping[str, type[StreamEvent]]) -> type[StreamEvent]:
    if not isinstance(kind, str):
        return StreamEvent
    family = kind.rpartition(".")[0] + "."
    return kinds.get(kind) or kinds.get(family) or StreamEvent


def _reported(data: dict[str, Any], response: httpx.Response) -> StreamInterruptedError:
    message, _, ref_id = error_body(scrub_json(data, response))
    reference = f" (ref_id {ref_id})" if ref_id else ""
    text = f"The stream reported an error: {message or 'no message'}{reference}"
    return _interrupted(text, response)


def _interrupted(message: str, response: httpx.Response) -> StreamInterruptedError:
    error = StreamInterruptedError(message)
    error.elapsed_seconds = conditions_of(response).elapsed_seconds
    return error


def each(
    stream: Generator[Send | More | Emit[StreamEvent], Any, None],
    take: Callable[[StreamEvent], None],
) -> Generator[Send | More, Any, None]:
    """Run a stream inside a flow, handing its events to `take` instead of the caller."""
    try:
        step = next(stream)
        while True:
            if isinstance(step, Emit):
                take(step.event)
                step = next(stream)
                continue
            try:
                outcome = yield step
            except httpx.HTTPError as failure:
                step = stream.throw(failure)
            else:
                step = stream.send(outcome)
    except StopIteration:
        return
    finally:
        stream.close()

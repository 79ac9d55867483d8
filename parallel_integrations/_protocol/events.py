"""Typed events of a server-sent stream, which is opened again where it breaks.

What is known of the streams: docs/reference/facts.md, 8.1, 9 and 10.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Final, TypeVar

import httpx
from httpx_sse import ServerSentEvent
from pydantic_core import to_json

from parallel_integrations._counted import counted
from parallel_integrations._protocol.error_mapping import reported_error, transport_error
from parallel_integrations._protocol.flow import MORE, Emit, Flow, More, Send
from parallel_integrations._protocol.paths import text_parameter
from parallel_integrations._protocol.polling import check_deadline, within
from parallel_integrations._protocol.redaction import beginning, scrub, without_echo
from parallel_integrations._protocol.retry import LAST_RESPONSE_SECONDS, conditions_of
from parallel_integrations._protocol.sse import DONE, EventDecoder, open_stream
from parallel_integrations.errors import StreamInterruptedError
from parallel_integrations.models.shared import StreamEvent, first_fault
from parallel_integrations.models.tolerant_reading import read_items, read_json

Event = TypeVar("Event", bound=StreamEvent)

STREAM_TIMEOUT_SECONDS: Final = 120.0


RECONNECT_SECONDS: Final = 1.0
WIRE_TEXT: Final = "wire_text"
"""Field of an event class that keeps the JSON text which it was read from."""


def idle_timeout_seconds(deadline_seconds: float) -> float:
    """How long a stream that is followed until a deadline may bring nothing."""
    return min(STREAM_TIMEOUT_SECONDS, max(1.0, deadline_seconds))


class _UnreadableError(Exception):
    """An event is no JSON object, or not what its type promises."""


@dataclass
class _Connection:
    """What came of one connection.

    Attributes:
        progressed: Whether it brought an event that was new.
        is_done: Whether an event was the last one that is expected.
        truncated: Why the event at its end cannot be read; None where all could be.
        failure: What broke it; None where it ended in order.
    """

    progressed: bool = False
    is_done: bool = False
    truncated: str | None = None
    failure: httpx.HTTPError | None = None

    @property
    def ended(self) -> bool:
        """Whether it ended in order, between two events."""
        return self.failure is None and self.truncated is None


class EventFollower:
    """Emits a stream's events, and opens the stream again where it breaks.

    How a connection ends does not say how the work stands: a proxy may end one in order in the
    middle of the work, and one without events may be dead. A subclass overrides what it knows of
    the work.

    Args:
        send: Opens the stream.
        kinds: Event type, or the beginning of one ending in a dot, to its class.
        last_event_id: Begin after this event.
        deadline_seconds: When to stop, counted from the operation's start.
    """

    resumable = True
    """Whether the server goes on after `last_event_id`; one that cannot starts over."""

    def __init__(
        self,
        send: Send,
        kinds: Mapping[str, type[StreamEvent]],
        *,
        last_event_id: str | None = None,
        deadline_seconds: float = inf,
    ) -> None:
        self.send = send
        self.kinds = kinds
        self.last_event_id = text_parameter("last_event_id", last_event_id)
        self.deadline_seconds = deadline_seconds
        self._known: set[str] = set()  # ids of the events of earlier connections

    def opened(self) -> None:
        """The stream was opened, for the first time or again."""

    def is_new(self, event: StreamEvent) -> bool:
        """Whether to emit an event; a stream that starts over repeats itself."""
        return True

    def is_last(self, event: StreamEvent) -> bool:
        """Whether nothing is expected after an event."""
        return False

    def may_end(self) -> bool:
        """Whether an end in order is the end of the work."""
        return True

    def look_up(self) -> Flow[bool] | None:
        """Look up whether the work is over; None where that cannot be looked up."""
        return None

    def unreadable(self, text: str, fault: str) -> StreamEvent | None:
        """What to emit for an event that cannot be read; None ends the stream with an error."""
        return None

    def events(self) -> Generator[Send | More | Emit[StreamEvent], Any, float]:
        """Follow the stream to its end or the deadline.

        Returns:
            Seconds since the operation's start.

        Raises:
            StreamInterruptedError: The stream reported an error, holds what cannot be read, or
                broke more often in a row than `max_retries` without anything new.
        """
        following = self._follow()
        if self.deadline_seconds == inf:
            return (yield from following)
        return (yield from within(following, self.deadline_seconds))

    def _follow(self) -> Generator[Send | More | Emit[StreamEvent], Any, float]:
        send, without_progress, over = self.send, 0, False
        while True:
            params = send.params
            if self.last_event_id and self.resumable:
                params = (*params, ("last_event_id", self.last_event_id))
            response = yield from open_stream(replace(send, params=params))
            self.opened()
            found = yield from self._read(response)
            conditions = conditions_of(response)
            elapsed = conditions.elapsed_seconds
            # Where the work is known to be over, an end with nothing new before it is the end.
            at_end = found.ended and (self.may_end() or (over and not found.progressed))
            if found.is_done or at_end or elapsed >= self.deadline_seconds:
                return elapsed
            pause = RECONNECT_SECONDS
            # One look-up costs less than following for an hour what ended an hour ago. After a
            # break there is none: the stream itself, opened again, says as much.
            quiet = found.ended or isinstance(found.failure, httpx.ReadTimeout)
            look_up = self.look_up() if quiet and not over and not found.progressed else None
            if found.progressed:
                without_progress = 0
            elif look_up is not None:
                over = yield from look_up
                if over:
                    pause = 0.0  # once more, for a last event between the end and the look-up
                elif found.ended:  # a timeout does not count: work may take long
                    without_progress += 1
            else:
                without_progress += 1
            if without_progress > conditions.max_retries:
                why = found.truncated or "it ended before the work did"
                if found.failure is not None:
                    why = str(transport_error(found.failure))
                error = _interrupted(
                    f"The event stream broke {counted(without_progress, 'time')} without anything "
                    f"new: {why}",
                    response,
                )
                error.repeatable = True  # following costs nothing, however often
                raise error from found.failure
            send = replace(send, delay_seconds=pause)

    def _read(
        self, response: httpx.Response
    ) -> Generator[More | Emit[StreamEvent], Any, _Connection]:
        """Emit what one connection brings."""
        found, decoder, ids = _Connection(), EventDecoder(), set[str]()
        while True:
            try:
                received: bytes = yield MORE
            except httpx.HTTPError as failure:
                found.failure = failure
                break
            for raw in decoder.feed(received):
                if raw.data == DONE:
                    continue
                try:
                    event = _read_event(raw, self.kinds, response)
                except _UnreadableError as error:
                    fault = str(error)
                    if not received:
                        found.truncated = fault  # the end cut it in two: it comes again
                        break
                    instead = self.unreadable(scrub(raw.data, response), fault)
                    if instead is None:
                        raise _interrupted(fault, response) from None
                    yield Emit(instead)
                    continue
                if event.event_id:
                    self.last_event_id = event.event_id
                    # Only ids of earlier connections: a server that ignores the cursor repeats
                    # them all, while one id twice on one connection are two events.
                    if self.resumable and event.event_id in self._known:
                        continue
                    ids.add(event.event_id)
                if self.is_new(event):
                    found.progressed = True
                    yield Emit(event)
                if self.is_last(event):
                    found.is_done = True
                    return found
            if not received or conditions_of(response).elapsed_seconds >= self.deadline_seconds:
                break
        self._known |= ids
        return found


class TimedFollower(EventFollower):
    """Follows work until none of it is active, or for as long as the server is to send.

    Args:
        send: Opens the stream.
        kinds: Event type, or the beginning of one ending in a dot, to its class.
        last_event_id: Begin after this event.
        timeout: Seconds after which the server ends the stream; None until the work is over.
    """

    def __init__(
        self,
        send: Send,
        kinds: Mapping[str, type[StreamEvent]],
        last_event_id: str | None,
        timeout: float | None,
    ) -> None:
        seconds = inf if timeout is None else check_deadline(timeout, "timeout")
        super().__init__(
            replace(
                send,
                params=() if seconds == inf else (("timeout", f"{seconds:g}"),),
                timeout_seconds=idle_timeout_seconds(seconds),
            ),
            kinds,
            last_event_id=last_event_id,
            deadline_seconds=seconds + LAST_RESPONSE_SECONDS,  # the server ends it
        )
        self.is_active = True

    def may_end(self) -> bool:
        return self.deadline_seconds < inf or not self.is_active


def _read_event(
    raw: ServerSentEvent, kinds: Mapping[str, type[StreamEvent]], response: httpx.Response
) -> StreamEvent:
    try:
        text = without_echo(raw.data.encode(), response)
        data = read_json(text)
        if not isinstance(data, dict):
            raise ValueError("not an object")
        kind = data.get("type") or raw.event
        if kind == "error" or (kind == "message" and "error" in data):
            raise _reported(data, response)
        data["type"] = kind
        cls = class_of(kind, kinds, StreamEvent)
        event = read_items(cls, data)
        if WIRE_TEXT in cls.model_fields:
            # What had to be left out would make it unreadable again.
            setattr(event, WIRE_TEXT, (text if event.is_readable else to_json(data)).decode())
        return event
    except ValueError as error:
        why = first_fault(error)
    shown = beginning(raw.data, response)
    raise _UnreadableError(f"An event cannot be read ({scrub(why, response)}): {shown!r}")


def class_of(kind: Any, kinds: Mapping[str, type[Event]], otherwise: type[Event]) -> type[Event]:
    """The class of an event's type, of its family (`kinds` ending in a dot), or `otherwise`."""
    if not isinstance(kind, str):
        return otherwise
    family = kind.rpartition(".")[0] + "."
    return kinds.get(kind) or kinds.get(family) or otherwise


def _reported(data: dict[str, Any], response: httpx.Response) -> StreamInterruptedError:
    return _interrupted(f"The stream reported an error: {reported_error(data, response)}", response)


def _interrupted(message: str, response: httpx.Response) -> StreamInterruptedError:
    error = StreamInterruptedError(message)
    error.elapsed_seconds = conditions_of(response).elapsed_seconds
    return error

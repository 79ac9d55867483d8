"""Streams that end badly, event by event."""

import json
from collections.abc import Callable
from typing import Final

from tests.faults.fault_payloads import DRIP_SECONDS, SETTLE_SECONDS, WORDS, wait
from tests.faults.faulty_api import FaultyRequest, Payload
from tests.faults.responses import CannedResponse


def cut(after: int, ending: "Ending", *, replays: bool = False) -> Payload:
    """Send so many events of a stream, then end it in one of the bad ways.

    Args:
        after: How many events.
        ending: How it ends.
        replays: Whether a stream that is to be resumed starts over instead.
    """

    def payload(request: FaultyRequest) -> None:
        events = (request.whole if replays else request.response).events or ()
        request.talk.begin_stream()
        for event in events[:after]:
            request.talk.send_chunk(event)
        rest = events[after:]
        if not rest:
            request.talk.end_stream()
        else:
            ending(request, rest[0])

    return payload


Ending = Callable[[FaultyRequest, bytes], None]


def _end(request: FaultyRequest, _: bytes) -> None:
    request.talk.finish()


def _reset(request: FaultyRequest, _: bytes) -> None:
    wait(SETTLE_SECONDS)
    request.talk.reset()


def _halve(request: FaultyRequest, event: bytes) -> None:
    request.talk.send_chunk(event[: len(event) // 2])
    request.talk.finish()


def _halve_in_order(request: FaultyRequest, event: bytes) -> None:
    request.talk.send_chunk(event[: len(event) // 2])
    request.talk.end_stream()


def _end_in_order(request: FaultyRequest, _: bytes) -> None:
    request.talk.end_stream()


def _no_bytes(request: FaultyRequest, _: bytes) -> None:
    request.talk.wait_until_closed()


def _report_error(request: FaultyRequest, _: bytes) -> None:
    error = {"ref_id": "ref_1", "message": f"{WORDS}, and your key is {request.key}"}
    event = json.dumps({"type": "error", "error": error}).replace("/", "\\/")
    request.talk.send_chunk(f"event: error\ndata: {event}\n\n".encode())
    request.talk.end_stream()


def _garbage(request: FaultyRequest, event: bytes) -> None:
    request.talk.send_chunk(f"data: {{garbage \udcff {request.key}\n\n".encode("utf-8", "replace"))
    request.talk.send_chunk(event)
    request.talk.end_stream()


def _wrong_types(request: FaultyRequest, event: bytes) -> None:
    request.talk.send_chunk(f"data: [1, {json.dumps(request.key)}]\n\n".encode())
    request.talk.send_chunk(event)
    request.talk.end_stream()


ENDINGS: Final[dict[str, Ending]] = {
    "end": _end,
    "reset": _reset,
    "half an event": _halve,
    "half an event, in order": _halve_in_order,
    "no bytes": _no_bytes,
    "error event": _report_error,
    "garbage": _garbage,
    "wrong types": _wrong_types,
}
RESUMED: Final = frozenset({"end", "reset", "half an event", "half an event, in order", "no bytes"})
"""After these a stream of events is opened again; after the others it is not to be trusted."""

END_IN_ORDER: Final[Ending] = _end_in_order


def slowly(request: FaultyRequest) -> None:
    """Send a whole stream, each event in two pieces, with pauses shorter than the timeout."""
    request.talk.begin_stream()
    for event in request.response.events or ():
        for piece in (event[:5], event[5:]):
            request.talk.send_chunk(piece)
            wait(DRIP_SECONDS)
    request.talk.end_stream()


def events_of(response: CannedResponse) -> int:
    """How many events a healthy stream has."""
    return len(response.events or ())

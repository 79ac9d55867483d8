"""Streams that end badly, event by event."""

import json
from collections.abc import Callable
from typing import Final

from tests.faults.fault_payloads import DRIP_SECONDS, SETTLE_SECONDS, WORDS, wait
from tests.faults.responses import CannedResponse
from tests.faults.scripted_server import Payload, Scene, begin_stream, end_stream, send_chunk


def cut(after: int, ending: "Ending", *, replays: bool = False) -> Payload:
    """Send so many events of a stream, then end it in one of the bad ways.

    Args:
        after: How many events.
        ending: How it ends.
        replays: Whether a stream that is to be resumed starts over instead.
    """

    def play(scene: Scene) -> None:
        events = (scene.whole if replays else scene.answer).events or ()
        begin_stream(scene.talk)
        for event in events[:after]:
            send_chunk(scene.talk, event)
        rest = events[after:]
        if not rest:
            end_stream(scene.talk)
        else:
            ending(scene, rest[0])

    return play


Ending = Callable[[Scene, bytes], None]


def _end(scene: Scene, _: bytes) -> None:
    scene.talk.finish()


def _reset(scene: Scene, _: bytes) -> None:
    wait(SETTLE_SECONDS)
    scene.talk.reset()


def _halve(scene: Scene, event: bytes) -> None:
    send_chunk(scene.talk, event[: len(event) // 2])
    scene.talk.finish()


def _halve_in_order(scene: Scene, event: bytes) -> None:
    send_chunk(scene.talk, event[: len(event) // 2])
    end_stream(scene.talk)


def _end_in_order(scene: Scene, _: bytes) -> None:
    end_stream(scene.talk)


def _silence(scene: Scene, _: bytes) -> None:
    scene.wait_until_gone()


def _report_error(scene: Scene, _: bytes) -> None:
    error = {"ref_id": "ref_1", "message": f"{WORDS}, and your key is {scene.key}"}
    event = json.dumps({"type": "error", "error": error}).replace("/", "\\/")
    send_chunk(scene.talk, f"event: error\ndata: {event}\n\n".encode())
    end_stream(scene.talk)


def _garbage(scene: Scene, event: bytes) -> None:
    send_chunk(scene.talk, f"data: {{garbage \udcff {scene.key}\n\n".encode("utf-8", "replace"))
    send_chunk(scene.talk, event)
    end_stream(scene.talk)


def _wrong_types(scene: Scene, event: bytes) -> None:
    send_chunk(scene.talk, f"data: [1, {json.dumps(scene.key)}]\n\n".encode())
    send_chunk(scene.talk, event)
    end_stream(scene.talk)


ENDINGS: Final[dict[str, Ending]] = {
    "end": _end,
    "reset": _reset,
    "half an event": _halve,
    "half an event, in order": _halve_in_order,
    "silence": _silence,
    "error event": _report_error,
    "garbage": _garbage,
    "wrong types": _wrong_types,
}
RESUMED: Final = frozenset({"end", "reset", "half an event", "half an event, in order", "silence"})
"""After these a stream of events is opened again; after the others it is not to be trusted."""

END_IN_ORDER: Final[Ending] = _end_in_order


def slowly(scene: Scene) -> None:
    """Send a whole stream, each event in two pieces, with pauses shorter than the timeout."""
    begin_stream(scene.talk)
    for event in scene.answer.events or ():
        for piece in (event[:5], event[5:]):
            send_chunk(scene.talk, piece)
            wait(DRIP_SECONDS)
    end_stream(scene.talk)


def events_of(answer: CannedResponse) -> int:
    """How many events a healthy stream has."""
    return len(answer.events or ())

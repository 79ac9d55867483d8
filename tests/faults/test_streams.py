"""Streams cut at every event, in every way; reported errors; garbage; no bytes; slowness.

A streamed chat response is paid for and cannot be resumed: what is cut is an error that holds what
came. A stream of events is opened again where it broke, reports nothing twice, and an error that
it reports, or what cannot be read, ends it at once.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pytest

from parallel_integrations import ParallelError, StreamInterruptedError
from tests.faults.calls import BARE, Call, Step
from tests.faults.langchain_calls import LANGCHAIN
from tests.faults.llama_index_calls import LLAMA_INDEX
from tests.faults.report import REPORT
from tests.faults.responses import CHAT_TEXT, OBJECT_TEXT, healthy
from tests.faults.selection import ALL, begun_first
from tests.faults.table import Expected, Fault, Kind, Outcome, Sort
from tests.faults.trial import MAX_SHOWN, SHORT_TIMEOUT_SECONDS, Attempt, Came, Trial, trial
from tests.faults.truncations import END_IN_ORDER, ENDINGS, RESUMED, cut, events_of, slowly

CUT: Final = Outcome(StreamInterruptedError)
CALLS: Final = (*BARE, *LANGCHAIN, *LLAMA_INDEX)
REPLAYED: Final = ("task_run_events",)
"""Streams that start over when they are opened again."""
UNKNOWING: Final = ("task_group_runs",)
"""Streams whose end cannot be distinguished from their being ended in order midway."""


UNREADABLE: Final = frozenset({"garbage", "wrong types"})
LISTINGS: Final = frozenset({"run_task_group", "wait_task_group"})
"""Calls that list what was paid for: one entry that cannot be read does not cost the others."""


def streams(*sorts: Sort) -> list[tuple[Call, Step]]:
    """The calls that read a stream, and the step that does.

    An enrichment reads what was paid for until its deadline, whatever breaks: that is tested in
    `tests/enrichment/test_reading.py`.
    """
    return [
        (call, step)
        for call in CALLS
        for step in call.steps
        if step.sort in sorts and step.kind is not Kind.LOOK
    ]


def _length(call: Call, step: Step) -> int:
    if step.sort is Sort.CHAT:
        return len(OBJECT_TEXT if "structured" in call.name else CHAT_TEXT) + 1
    place = step.place.replace("[^/]+", "id_1")
    return events_of(healthy(place, b""))


def _expected(call: Call, step: Step, ending: str, *, once: bool, after: int) -> Expected:
    if step.kind is Kind.COURTESY:
        return Expected(None, None)
    if call.name in LISTINGS and ending in UNREADABLE:
        return Expected(None, None)
    if step.sort is Sort.CHAT or ending not in RESUMED:
        return Expected(StreamInterruptedError, 1)
    if once:
        return Expected(None, 2)
    if call.name in REPLAYED:
        return Expected(StreamInterruptedError, None)
    return Expected(StreamInterruptedError if after == 0 else None, None)


def _places(ending: str) -> list[tuple[Call, Step]]:
    places = streams(Sort.CHAT, Sort.EVENTS)
    if ending in UNREADABLE:  # it emits them as such: `tests/protocol/test_events.py`
        places = [(call, step) for call, step in places if call.name != "task_group_runs"]
    if ALL:
        return places
    if ending == "no bytes":  # it takes its time
        named = ("stream_chat", "findall_events")
        return [(call, step) for call, step in places if call.name in named]
    # The adapters read streams as the bare client does: a few of them, others for each ending.
    number = list(ENDINGS).index(ending)
    adapters = [(call, step) for call, step in places if call not in BARE]
    return [*(each for each in places if each[0] in BARE), *adapters[number % 6 :: 6]]


def _cells(ending: str) -> Iterator[Attempt]:
    for call, step in _places(ending):
        places = range(_length(call, step))[:: 3 if ending == "no bytes" and not ALL else 1]
        for after in places:
            for times in (None, 1):
                if times is None and step.kind is Kind.COURTESY and not ALL:
                    continue
                fault = Fault(
                    f"stream: {ending}",
                    cut(after, ENDINGS[ending]),
                    CUT,
                    shows_message=ending == "error event",
                    times_out=ending == "no bytes",
                )
                once = times is not None
                expected = _expected(call, step, ending, once=once, after=after)
                if once and expected.sent == 1 and not ALL:
                    continue  # the same as where every stream is cut
                name = f"{call.name} after {after}{' once' if once else ''}"
                wrong = partial(_wrong_partial, call, step, after)
                yield Attempt(name, call, step, fault, expected, times, wrong)


@pytest.mark.timeout(900 if ALL else 180)
@pytest.mark.parametrize(
    "ending", [pytest.param(each, marks=begun_first(each == "no bytes")) for each in ENDINGS]
)
def test_a_stream_cut_at_every_event(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    timeout = {"timeout": SHORT_TIMEOUT_SECONDS} if ending == "no bytes" else {}
    with trial(monkeypatch, **timeout) as one:
        _run_cells(one, list(_cells(ending)))
        wrong = one.wrong
    assert not wrong, f"{len(wrong)} wrong:\n" + "\n".join(wrong[:MAX_SHOWN])


def _run_cells(one: Trial, attempts: list[Attempt]) -> None:
    for attempt in attempts:
        if attempt.call.run is not None:
            before = len(one.wrong)
            came = one.try_out(attempt)
            REPORT.add(attempt.fault, attempt.step, came, one.sent, failed=len(one.wrong) > before)
    one.close()

    async def awaiting() -> None:
        for each in attempts:
            if each.call.arun is not None:
                before = len(one.wrong)
                attempt = replace(each, name=f"{each.name} awaited")
                came = await one.atry_out(attempt)
                failed = len(one.wrong) > before
                REPORT.add(attempt.fault, attempt.step, came, one.sent, failed=failed)
        await one.aclose()

    asyncio.run(awaiting())


def _wrong_partial(call: Call, step: Step, after: int, came: Came) -> list[str]:
    """What is wrong with the text that the error of a cut chat response holds."""
    if step.sort is not Sort.CHAT or not isinstance(came.error, StreamInterruptedError):
        return []
    texts = OBJECT_TEXT if "structured" in call.name else CHAT_TEXT
    if came.error.partial == "".join(texts[:after]):
        return []
    return [f"the error holds {came.error.partial!r}"]


@pytest.mark.parametrize("replays", [False, True], ids=["resumed", "replayed"])
def test_a_stream_ended_in_order_midway_is_opened_again(
    replays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As proxies do. Where work has an end, an orderly end is not taken for it."""
    with trial(monkeypatch) as one:
        for call, step in streams(Sort.EVENTS):
            if call.name in UNKNOWING or step.kind is Kind.COURTESY or call.run is None:
                continue
            for after in range(1, _length(call, step)):
                fault = Fault("end in order", cut(after, END_IN_ORDER, replays=replays), CUT)
                name = f"{call.name} after {after}"
                one.try_out(Attempt(f"{name} once", call, step, fault, Expected(None, 2), 1))
        one.close()
        assert not one.wrong, "\n".join(one.wrong)


def test_a_server_that_always_starts_over_is_reported_nothing_twice_and_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with trial(monkeypatch) as one:
        for call, step in streams(Sort.EVENTS):
            if step.kind is Kind.COURTESY or call.run is None:
                continue
            for after in range(1, _length(call, step)):
                fault = Fault("cut", cut(after, ENDINGS["end"], replays=True), CUT)
                expected = Expected(StreamInterruptedError, None)
                one.try_out(Attempt(f"{call.name} after {after}", call, step, fault, expected))
                if one.sent > 4:
                    one.wrong.append(f"{call.name} was opened {one.sent} times")
        one.close()
        assert not one.wrong, "\n".join(one.wrong)


def test_a_slow_stream_is_no_broken_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout bounds the pauses of a stream, not its length."""
    slow = Fault("stream: slow", slowly, Outcome(None), times_out=True)
    with trial(monkeypatch, timeout=SHORT_TIMEOUT_SECONDS) as one:
        places = streams(Sort.CHAT, Sort.EVENTS)
        _run_cells(
            one,
            [
                Attempt(f"{call.name} after 0", call, step, slow, Expected(None, 1))
                for call, step in (places if ALL else places[::6])
            ],
        )
        assert not one.wrong, "\n".join(one.wrong)


def test_errors_after_an_interruption_say_how_long_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What waits after a stream has failed must know how much of its deadline is left."""
    call = next(call for call in BARE if call.name == "task_run_events")
    (step,) = call.steps
    with trial(monkeypatch) as one:
        for ending in ("error event", "garbage", "end"):
            fault = Fault(ending, cut(1, ENDINGS[ending]), CUT)
            expected = Expected(StreamInterruptedError, None)
            came: Any = one.try_out(Attempt(ending, call, step, fault, expected))
            assert isinstance(came.error, ParallelError)
            assert 0 < came.error.elapsed_seconds <= came.seconds
        assert not one.wrong, "\n".join(one.wrong)


def test_the_matrix_knows_every_stream() -> None:
    assert {step.name or call.name for call, step in streams(Sort.EVENTS)} >= {
        "task_run_events",
        "task_group_runs",
        "task_group_events",
        "findall_events",
        "runs",
        "events",
    }

"""Cassettes are compared with literals, and so notice whatever a new recording may change.

Each field of the responses is dropped, renamed, emptied and retyped in turn. Something that replays
the cassette must then give another result than `tests/expected` says, or an error.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import pytest
from langchain_core.tools import ToolException
from vcr.errors import CannotOverwriteExistingCassetteException  # type: ignore[import-untyped]

from parallel_integrations import ParallelError, langchain, llama_index
from tests.support.cassettes import CASSETTES, Tape, loaded, parsed
from tests.support.operations import OPERATIONS, Operation
from tests.support.replays import REPLAYS, Replay
from tests.support.scenarios import SCENARIOS

EXPECTED: Final = Path(__file__).parent / "expected"
PACKAGE: Final = Path(__file__).parents[1] / "parallel_integrations"
EVERY_REPLAY = pytest.mark.parametrize("replay", REPLAYS, ids=lambda each: each.name)
NOTICED: Final = (
    ParallelError,
    ToolException,
    AssertionError,
    CannotOverwriteExistingCassetteException,
)
"""How a replay may fail: with our errors, or because it requested something else."""
NEVER_SENT: Final = {
    "task_run_events_older_path": "it gives the same events as the current path, which is used"
}
OFFLINE: Final = {
    *("resolve_citations", "citation_blocks", "evidence_of", "ParallelFactEvaluator"),
    *("ParallelBudgetMiddleware", "ParallelProgressEvent", "ParallelSearchEvent"),
    *("parse_webhook", "verify_webhook", "webhook_id"),
}
"""Names of the adapters' packages that call nothing."""

Container: TypeAlias = Any
Path_: TypeAlias = tuple[str | int, ...]
UNREAD: Final = {
    r".*\.event": "an event says its type in its data, too",
    r"task_run\..*\.json\.type": "an event says its type in its first line, too",
    r"run\.(run_id|findall_id)": "the id that was requested stands in for it",
    r"event\.data": "[DONE] says what the end of the stream says",
    r"(events\.\*|task_run\.state\.json)\.output\.type": "a text, where it is not said",
    r"\w+\.(closed|choice|is_error|topic|severity)\.type": "it shows in a decision's other fields",
}
"""Places where an edit is not noticed, and why nothing is lost by that."""


class Field(NamedTuple):
    """A field of a recorded response.

    Attributes:
        cassette: Where it was recorded.
        number: Of the exchange.
        path: In the response's body.
    """

    cassette: str
    number: int
    path: Path_


@cache
def interactions(cassette: str) -> Any:
    return parsed((CASSETTES / f"{cassette}.yaml").read_text("utf-8"))["interactions"]


@cache
def expected(replay: Replay) -> Any:
    return parsed((EXPECTED / f"{replay.name}.yaml").read_text("utf-8"))


def operation(request: Any) -> Operation:
    """What a recorded request calls, also through the gateway."""
    path = re.sub(r"^/v1/account/gateway/(parallel|compat)", "", request["path"].partition("?")[0])
    for each in OPERATIONS:
        pattern = re.sub(r"\{\w+\}", "[^/]+", each.path)
        if each.method == request["method"] and re.fullmatch(pattern, path):
            return each
    raise AssertionError(f"{request['method']} {path} is no operation of tests/support/operations")


def _paths(value: Any, before: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for step, inner in inside:
        if isinstance(value, dict) and inner:  # what is empty is as good as absent
            yield (*before, step), inner
        if isinstance(inner, dict | list):
            yield from _paths(inner, (*before, step))


def _fields() -> dict[str, dict[str, list[Field]]]:
    """By response and place, where a field is recorded that some replay may read."""
    found: dict[str, dict[str, list[Field]]] = {}
    for cassette in dict.fromkeys(replay.cassette for replay in REPLAYS):
        for number, each in enumerate(interactions(cassette)):
            if each["response"]["status"] >= 300:
                continue
            called = operation(each["request"])
            kind = called.name if called.response is None else called.response.__name__
            fields = found.setdefault(kind, {})
            seen = set()
            body = each["response"]["body"]
            kinds = [event.get("json", {}).get("type") for event in body.get("events", [])]
            for path, _ in _paths(body):
                if len(path) == 1 or path[-1] == "json":
                    continue  # the body as a whole
                place = ".".join("*" if isinstance(step, int) else step for step in path)
                if path[0] == "events":
                    place = f"{kinds[int(path[1])] or 'event'}{place.removeprefix('events.*')}"
                place = place.replace("json.", "", 1) if path[0] == "json" else place
                if place not in seen and not any(re.fullmatch(each, place) for each in UNREAD):
                    seen.add(place)
                    fields.setdefault(place, []).append(Field(cassette, number, path))
    return found


FIELDS: Final = _fields()


def _drop(holder: Container, name: str) -> None:
    del holder[name]


def _rename(holder: Container, name: str) -> None:
    holder[f"{name}_new"] = holder.pop(name)


def _empty(holder: Container, name: str) -> None:
    holder[name] = None


def _retype(holder: Container, name: str) -> None:
    holder[name] = "other" if isinstance(holder[name], dict) else {"other": 1}


EDITS: Final[dict[str, Callable[[Container, str], None]]] = {
    "dropped": _drop,
    "renamed": _rename,
    "null": _empty,
    "retyped": _retype,
}


@EVERY_REPLAY
async def test_what_comes_of_a_cassette_is_what_stands_in_the_expectation(replay: Replay) -> None:
    with loaded(replay.cassette) as tape:
        assert replay.picture(tape) == expected(replay)
    assert await replay.apicture() == expected(replay)


def test_every_expectation_is_of_a_replay() -> None:
    names = {str(path.relative_to(EXPECTED).with_suffix("")) for path in EXPECTED.rglob("*.yaml")}
    assert names == {replay.name for replay in REPLAYS}


@pytest.mark.parametrize("framework", [langchain, llama_index])
def test_every_adapter_replays_a_cassette(framework: Any) -> None:
    name = framework.__name__.rpartition(".")[2]
    stub = PACKAGE.joinpath(name, "__init__.pyi").read_text("utf-8")
    public = {each for each in re.findall(r"(\w+) as \1\b", stub) if each not in OFFLINE}
    adapters = {
        each for replay in REPLAYS for each in replay.adapters if each.startswith(f"{name}.")
    }
    replaying = {getattr(framework, each.removeprefix(f"{name}.")) for each in adapters}
    assert "ParallelMonitor" in public
    assert [each for each in public if getattr(framework, each) not in replaying] == []


def test_every_operation_has_a_cassette() -> None:
    recorded = {
        operation(each["request"]).name
        for scenario in SCENARIOS
        for each in interactions(scenario.name)
    }
    assert recorded == {each.name for each in OPERATIONS} - NEVER_SENT.keys()


def _is_noticed(tape: Tape, field: Field, edit: str) -> bool:
    def change(body: Any) -> None:
        for step in field.path[:-1]:
            body = body[step]
        EDITS[edit](body, str(field.path[-1]))

    for replay in sorted(REPLAYS, key=lambda each: bool(each.adapters)):  # the client sees most
        if replay.cassette == field.cassette:
            try:
                if replay.picture(tape, field.number, change) != expected(replay):
                    return True
            except NOTICED:
                return True
    return False


def _replayed_in(cassette: str) -> tuple[bool, int]:
    """Where an edit is noticed soonest: by the client, which sees most, after few requests."""
    by_client = any(each.cassette == cassette and not each.adapters for each in REPLAYS)
    return not by_client, len(interactions(cassette))


@pytest.mark.parametrize("name", FIELDS)
def test_every_edit_of_a_recorded_field_is_noticed(name: str) -> None:
    unnoticed = {(place, edit) for place in FIELDS[name] for edit in EDITS}
    fields = [(place, field) for place, found in FIELDS[name].items() for field in found]
    for cassette in sorted(dict.fromkeys(field.cassette for _, field in fields), key=_replayed_in):
        with loaded(cassette) as tape:
            for (place, field), edit in product(fields, EDITS):
                if field.cassette == cassette and (place, edit) in unnoticed:
                    unnoticed -= {(place, edit)} if _is_noticed(tape, field, edit) else set()
    assert not unnoticed

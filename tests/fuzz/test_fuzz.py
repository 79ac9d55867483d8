"""No response, however broken, comes out as anything but this package's own error, or takes long.

A few seconds of what `make fuzz` does for minutes. Each finding says its code path and case; again:
`python -m tests.fuzz <name> --first <case> --cases 1`.
"""

import random
import time

import httpx
import pytest

from parallel_integrations import ParallelClient, ParallelError, SearchRequest
from parallel_integrations.api import search
from tests.fuzz.code_paths import CODE_PATHS, FLOWS, STREAMS
from tests.fuzz.fuzzer import CodePath, Wire, fuzz, table
from tests.fuzz.mutations import CHANGES, mutated
from tests.fuzz.seeds import TWINS, seeds
from tests.support.operations import OPERATIONS

CASES = 60

# Pages that cannot be read are warned of.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("name", CODE_PATHS)
def test_no_response_does_harm(name: str) -> None:
    report = fuzz(CODE_PATHS[name], CASES)
    assert not report.findings, table([report])
    assert report.cases == CASES


def test_every_operation_and_every_stream_is_fuzzed() -> None:
    fuzzed = {*FLOWS, *(operation for operation, _ in STREAMS.values())}
    assert {TWINS.get(each.name, each.name) for each in OPERATIONS} == fuzzed
    assert fuzzed <= seeds().keys()


def test_what_would_do_harm_is_found() -> None:
    def foreign(client: ParallelClient) -> object:
        return client.run(search(SearchRequest(objective="with"))).results[99]

    def shown(client: ParallelClient) -> object:
        raise ParallelError("the key is fuzz-key")

    def slow(client: ParallelClient) -> None:
        sum(range(3_000_000))

    for play, cases, what in (
        (foreign, 60, "IndexError"),
        (shown, 1, "the key is in the message"),
        (slow, 1, "took "),
    ):
        report = fuzz(CodePath("search", play, "search"), cases, slowest_seconds=0.01)
        assert report.findings
        assert what in table([report])


def test_a_machine_that_is_busy_with_something_else_is_no_finding() -> None:
    path = CodePath("search", lambda client: time.sleep(0.02), "search")
    assert not fuzz(path, 1, slowest_seconds=0.01).findings


def test_a_case_is_the_same_every_time() -> None:
    def sent(case: int) -> list[bytes]:
        wire = Wire(CODE_PATHS["search"])
        wire.begin(case)
        wire.handle_request(httpx.Request("POST", "https://api.example/v1/search"))
        return wire.sent

    assert [sent(case) for case in range(20)] == [sent(case) for case in range(20)]
    assert len({sent(case)[0] for case in range(20)}) > 15


def test_every_change_changes_something() -> None:
    content = seeds()["search"][0].content
    for change, _ in CHANGES:
        dice = random.Random(1)
        changed = {change(dice, content, [content]) for _ in range(20)}
        assert len(changed - {content}) > 3, change.__name__
    dice = random.Random(1)
    assert len({mutated(dice, content, [content], stream=False) for _ in range(100)}) > 90

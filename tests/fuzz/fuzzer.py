"""Sends mutated responses down a code path and notes what that should not have done."""

import logging
import random
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from typing import Final

import httpx

from parallel_integrations import ParallelClient, ParallelError
from tests.fuzz.mutations import STATUSES, compressed, headers, mutated
from tests.fuzz.seeds import TWINS, WEBHOOK, Seed, seeds
from tests.support.cassettes import no_waiting
from tests.support.contract import operation_of

MAX_REQUESTS: Final = 12
SHOWN_BYTES: Final = 300
WEBHOOK_PATH: Final = "/webhook"
"""Where what the API delivers by itself can be fetched, for want of a server."""

Run = Callable[[ParallelClient], object]


class Enough(BaseException):
    """A case that would go on for ever, as polling does until a run is over."""


@dataclass(frozen=True)
class CodePath:
    """A code path through the package.

    Attributes:
        name: What the table calls it.
        run: Follows it; whatever it returns is looked at.
        operation: The operation whose responses are mutated; empty where all are.
    """

    name: str
    run: Run
    operation: str = ""


@dataclass
class Finding:
    """Something that should not have happened."""

    code_path: str
    case: int
    what: str
    responses: list[bytes]

    def __str__(self) -> str:
        shown = "\n".join(f"  {response[:SHOWN_BYTES]!r}" for response in self.responses)
        return f"{self.code_path}, case {self.case}: {self.what}\n{shown}"


@dataclass
class Report:
    """What came of one code path."""

    code_path: CodePath
    cases: int = 0
    read: int = 0
    refused: int = 0
    stopped: int = 0
    slowest: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    @property
    def row(self) -> str:
        """A line of the table."""
        return (
            f"{self.code_path.name:<34}{self.cases:>10}{self.read:>8}{self.refused:>9}{self.stopped:>9}"
            f"{self.slowest:>9.3f}{len(self.findings):>10}"
        )


HEADERS: Final = (
    f"{'code path':<34}{'responses':>10}{'read':>8}{'refused':>9}"
    f"{'endless':>9}{'slowest':>9}{'findings':>10}"
)


class Wire(httpx.BaseTransport):
    """Sends a mutated response to each request, cut into pieces."""

    def __init__(self, code_path: CodePath) -> None:
        self._code_path = code_path
        self._dice = random.Random()
        self._spares = True
        self.sent: list[bytes] = []

    def begin(self, case: int | None) -> None:
        """The same case is the same everywhere and every time; None mutates nothing."""
        self._dice.seed(zlib.crc32(self._code_path.name.encode()) * 1_000_003 + (case or 0))
        self._spares = case is None
        self.sent = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if len(self.sent) >= MAX_REQUESTS:
            raise Enough
        dice = self._dice
        name = _operation_name(request)
        stream = b"event-stream" in request.headers.get("accept", "").encode()
        seed = dice.choice(_of(name, stream=stream))
        content, status = seed.content, seed.status
        spared = self._spares or self._code_path.operation not in ("", name)
        spared = spared or (not self._code_path.operation and dice.random() < 0.4)
        fields = [(b"content-type", seed.content_type.encode())]
        encoding = None
        if not spared:
            others = [other.content for other in seeds()[name]]
            content = mutated(dice, content, others, stream=seed.streams)
            if dice.random() < 0.1:
                status = dice.choice(STATUSES)
            fields = headers(dice, seed.content_type)
            content, encoding = compressed(dice, content)
        if encoding is not None:
            fields.append((b"content-encoding", encoding))
        self.sent.append(content)
        broken = not spared and dice.random() < 0.03
        return httpx.Response(
            status, headers=fields, stream=_Pieces(_cut(dice, content), broken=broken)
        )


def _operation_name(request: httpx.Request) -> str:
    if request.url.path == WEBHOOK_PATH:
        return WEBHOOK
    operation = operation_of(request.method, request.url.raw_path.partition(b"?")[0].decode())
    assert operation is not None, request.url
    return TWINS.get(operation.name, operation.name)


def _of(name: str, *, stream: bool) -> list[Seed]:
    found = seeds()[name]
    return [seed for seed in found if seed.streams is stream] or list(found)


def _cut(dice: random.Random, content: bytes) -> list[bytes]:
    count = dice.choice((0, 0, 1, 5, 40))
    places = sorted(dice.randrange(len(content) + 1) for _ in range(count))
    return [content[a:b] for a, b in zip([0, *places], [*places, len(content)], strict=True)]


class _Pieces(httpx.SyncByteStream):
    def __init__(self, pieces: list[bytes], *, broken: bool) -> None:
        self._pieces = pieces
        self._broken = broken

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._broken:
            raise httpx.ReadError("connection reset by peer")


def fuzz(
    code_path: CodePath, cases: int, *, first: int = 0, slowest_seconds: float = inf
) -> Report:
    """Follow a code path so many times, each time with other responses.

    Args:
        code_path: Which one.
        cases: How many responses.
        first: Number of the first one.
        slowest_seconds: What takes more CPU is a finding; the test suite leaves time alone.
    """
    report = Report(code_path)
    wire = Wire(code_path)
    with no_waiting(), _quiet(), httpx.Client(transport=wire, trust_env=False) as http:
        client = ParallelClient(
            api_key="fuzz-key", base_url="https://api.example", max_retries=1, http_client=http
        )
        wire.begin(None)
        with suppress(Exception, Enough):  # builds what is built once; the cases find faults
            code_path.run(client)
        for case in range(first, first + cases):
            wire.begin(case)
            start = time.process_time()  # a busy machine is no finding, and nothing here waits
            try:
                what = _run(code_path, client, report)
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                frames = traceback.extract_tb(error.__traceback__)[-3:]
                where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
                what = f"{type(error).__name__}: {str(error)[:200]!r} in {where}"
            took = time.process_time() - start
            report.cases += 1
            report.slowest = max(report.slowest, took)
            if not what and took > slowest_seconds:
                what = f"took {took:.2f} s"
            if what:
                report.findings.append(Finding(code_path.name, case, what, wire.sent))
    return report


def _run(code_path: CodePath, client: ParallelClient, report: Report) -> str:
    try:
        outcome = code_path.run(client)
    except ParallelError as error:
        report.refused += 1
        return _faults_of(error)
    except Enough:
        report.stopped += 1
        return ""
    report.read += 1
    repr(outcome)
    return ""


def _faults_of(error: ParallelError) -> str:
    """What is wrong with an error, which is shown, logged, and sometimes written down as JSON."""
    text = str(error)
    text.encode()
    repr(error)
    if "fuzz-key" in text:
        return "the key is in the message"
    if not text.strip():
        return "an error without a word"
    if len(text) > 10_000:
        return f"a message of {len(text)} characters"
    return ""


@contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def table(reports: list[Report]) -> str:
    """What was done and found, a line for each code path, the findings by what they are."""
    lines = [HEADERS, *(report.row for report in reports)]
    findings = [finding for report in reports for finding in report.findings]
    kinds = Counter(
        (finding.code_path, finding.what.partition(" in ")[0][:100]) for finding in findings
    )
    lines += [
        f"\n{count} x {code_path}: {what}" for (code_path, what), count in kinds.most_common(40)
    ]
    shown: set[tuple[str, str]] = set()
    for finding in findings:
        kind = (finding.code_path, finding.what[:60])
        if kind not in shown:
            shown.add(kind)
            lines.append(f"\n{finding}")
    return "\n".join(lines)

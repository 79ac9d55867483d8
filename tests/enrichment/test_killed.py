"""Processes killed at any instant: nothing is lost, nothing is paid twice."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from parallel_integrations import JournalError, ParallelClient
from parallel_integrations.enrichment import EnrichedRow, enrich
from parallel_integrations.sandbox import Sandbox
from tests.enrichment.support import SETTINGS, enriched, rows, started

# `make kill-test` sets these.
ROWS = int(os.environ.get("KILL_TEST_ROWS", "60"))
KILLS = int(os.environ.get("KILL_TEST_KILLS", "4"))
SEED = int(os.environ.get("KILL_TEST_SEED", "7"))


def worker(sandbox: Sandbox, journal: Path, count: int, **order: Any) -> subprocess.Popen[str]:
    order = {
        "key": sandbox.api_key,
        "url": sandbox.url,
        "journal": str(journal),
        "rows": count,
        "rows_per_group": 10,
        **order,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.enrichment.worker", json.dumps(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, messages = process.communicate(timeout=170)
    return process.returncode, messages


def _begun(sandbox: Sandbox, journal: Path, out: Path) -> subprocess.Popen[str]:
    process = worker(sandbox, journal, ROWS, out=str(out))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_a_process_killed_at_random_instants_loses_and_repeats_nothing(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    instants = random.Random(SEED)
    journal, out = tmp_path / "run.db", tmp_path / "out.json"
    process = _begun(sandbox, tmp_path / "whole.db", out)
    began = time.monotonic()
    finish(process)
    seconds = time.monotonic() - began
    sandbox.reset()
    caught = 0
    for _ in range(KILLS):
        process = _begun(sandbox, journal, out)
        time.sleep(instants.uniform(0, 1.5 * seconds / KILLS))
        caught += process.poll() is None
        process.kill()
        finish(process)
    code, messages = finish(worker(sandbox, journal, ROWS, out=str(out)))
    assert code == 0, messages
    found = json.loads(out.read_text())
    assert [number for number, _, _ in found] == list(range(ROWS)), f"seed {SEED}"
    assert not [error for _, _, error in found if error]
    assert len({run_id for _, run_id, _ in found}) == ROWS
    assert started(sandbox) == ROWS, f"seed {SEED}"
    assert sandbox.ledger.count("task_run") == ROWS
    assert caught > KILLS / 2  # at work, and not done already
    assert sandbox.api_key not in journal.read_bytes().decode("latin-1")


class KilledError(BaseException):
    """The process ends here."""


class Killing(httpx.HTTPTransport):
    """Ends the process at one request: before it is sent, or once its response has arrived."""

    def __init__(self, at: int, *, arrived: bool) -> None:
        super().__init__()
        self.left = at
        self.arrived = arrived

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.left -= 1
        if self.left < 0 and not self.arrived:
            raise KilledError
        response = super().handle_request(request)
        if self.left < 0:
            response.read()
            response.close()
            raise KilledError
        return response


@pytest.mark.parametrize("arrived", [False, True])
def test_a_run_killed_at_each_request_loses_and_repeats_nothing(
    sandbox: Sandbox, tmp_path: Path, *, arrived: bool
) -> None:
    """Killed at the first request, gone on and killed at the second, and so on to the end."""
    journal, given = tmp_path / "run.db", rows(9)
    options: dict[str, Any] = {"rows_per_group": 3, "groups_in_flight": 2, "settle_seconds": 0.0}
    for at in range(100):
        sandbox.reset()
        journal.unlink(missing_ok=True)
        kills = 0
        for _ in range(100):
            with httpx.Client(transport=Killing(at, arrived=arrived)) as http:
                client = ParallelClient(
                    api_key=sandbox.api_key, base_url=sandbox.url, http_client=http
                )
                try:
                    found = enriched(client, given, journal=journal, **options)
                    break
                except KilledError:
                    kills += 1
                    if kills == 2:  # from here on to the end
                        at_last = ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url)
                        found = enriched(at_last, given, journal=journal, **options)
                        break
        assert [row.number for row in found] == list(range(9)), at
        assert not [row.error for row in found if row.error], at
        assert started(sandbox) == sandbox.ledger.count("task_run") == 9, at
        if not kills:
            assert at > 6
            return
    pytest.fail("it never came to its end")


class Late(httpx.HTTPTransport):
    """Gives up on runs that are added, though the server comes to them a while later."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.timers: list[threading.Timer] = []
        self.seconds = seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not (request.method == "POST" and request.url.path.endswith("/runs")):
            return super().handle_request(request)
        later = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.read()
        )
        self.timers.append(threading.Timer(self.seconds, self._send, [later]))
        self.timers[-1].start()
        raise httpx.ReadTimeout("no response", request=request)

    def _send(self, request: httpx.Request) -> None:
        with httpx.HTTPTransport() as transport:
            transport.handle_request(request).close()


@pytest.mark.parametrize("killed", [False, True])
def test_an_add_that_arrives_late_is_waited_for(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path, *, killed: bool
) -> None:
    journal, given = tmp_path / "run.db", rows(4)
    transport = Late(0.5)
    with httpx.Client(transport=transport) as http:
        late = ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url, http_client=http)
        if killed:
            stream = late.stream(enrich(given, SETTINGS, journal=journal))
            next(stream)
            next(stream)
            stream.close()
            assert started(sandbox) == 0
            found = enriched(client, given, journal=journal, settle_seconds=5.0)
        else:
            found = enriched(late, given, journal=journal, settle_seconds=5.0)
        for timer in transport.timers:
            timer.join()
    assert [row.error for row in found] == [None] * 4
    assert started(sandbox) == sandbox.ledger.count("task_run") == 4


def test_two_processes_cannot_share_a_journal(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    journal = tmp_path / "run.db"
    first = worker(sandbox, journal, 4, hold=True)
    assert first.stdout is not None
    assert [first.stdout.readline() for _ in range(2)] == ["ready\n", "held\n"]
    with pytest.raises(JournalError, match="in use by another run"):
        enriched(client, rows(4), journal=journal)
    first.kill()
    finish(first)
    assert [row.error for row in enriched(client, rows(4), journal=journal)] == [None] * 4
    assert started(sandbox) == 4


def test_one_of_many_simultaneous_runs_gets_the_journal(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    at_once, outcomes = threading.Barrier(8), []

    def begin() -> None:
        stream = client.stream(enrich(rows(2), SETTINGS, journal=tmp_path / "run.db"))
        at_once.wait()
        try:
            next(stream)
            outcomes.append("begun")
        except JournalError as error:
            outcomes.append(str(error))
        at_once.wait()
        stream.close()

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("begun") == 1
    assert sum("in use" in outcome for outcome in outcomes) == 7
    assert [each.name for each in tmp_path.iterdir()] == ["run.db"]
    assert len(enriched(client, rows(2), journal=tmp_path / "run.db")) == 2


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_unlock_the_journal(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path
) -> None:
    stream = client.stream(enrich(rows(4), SETTINGS, journal=tmp_path / "run.db"))
    next(stream)
    next(stream)
    child = os.fork()
    if not child:
        stream.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(JournalError, match="in use"):
        enriched(client, rows(4), journal=tmp_path / "run.db")
    assert len([each for each in stream if isinstance(each, EnrichedRow)]) == 4
    assert started(sandbox) == 4


def test_two_runs_of_a_process_cannot_share_a_journal(
    client: ParallelClient, tmp_path: Path
) -> None:
    stream = client.stream(enrich(rows(2), SETTINGS, journal=tmp_path / "run.db"))
    next(stream)
    with pytest.raises(JournalError, match="in use"):
        enriched(client, rows(2), journal=tmp_path / "run.db")
    assert len([each for each in stream if isinstance(each, EnrichedRow)]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("most_bytes", [4096, 130_000, 200_000])
def test_a_full_disk_stops_an_enrichment_before_it_pays(
    sandbox: Sandbox, client: ParallelClient, tmp_path: Path, most_bytes: int
) -> None:
    journal = tmp_path / "run.db"
    code, messages = finish(worker(sandbox, journal, 60, most_bytes=most_bytes))
    assert code == 1
    assert messages.startswith("JournalError")
    assert "Traceback" not in messages
    before = started(sandbox)
    # Too little for the journal itself, for all rows, for all outputs.
    assert (before == 0) == (most_bytes == 4096)
    assert (before == 60) == (most_bytes == 200_000)
    found = enriched(client, rows(60), journal=journal, rows_per_group=10, settle_seconds=0.2)
    assert [row.error for row in found] == [None] * 60
    assert started(sandbox) == sandbox.ledger.count("task_run") == 60

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr  # type: ignore[import-untyped]

from parallel_integrations.api import parse_webhook, verify_webhook
from parallel_integrations.sandbox import Sandbox
from parallel_integrations.sandbox.state.state import State, python_reference_index
from parallel_integrations.sandbox.state.webhooks import ATTEMPTS, Message, Webhooks
from tests.sandbox.ids import numbered

RUNS = "/v1/tasks/runs"
TIMEOUT_SECONDS = 30.0


@dataclass
class Receiver:
    """Takes webhooks and responds to them with `statuses` one after the other, then with 204."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)

    def wait(self, count: int) -> list[tuple[dict[str, str], bytes]]:
        until = time.monotonic() + TIMEOUT_SECONDS
        while len(self.taken) < count and time.monotonic() < until:
            time.sleep(0.002)
        assert len(self.taken) == count
        return self.taken


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    found.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.taken.append(({k.lower(): v for k, v in self.headers.items()}, body))
            found.hold.wait(TIMEOUT_SECONDS)
            self.send_response(found.statuses.pop(0) if found.statuses else 204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/hook?a=b c"
    yield found
    found.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


def hook(url: str, *event_types: str) -> dict[str, Any]:
    return {"url": url, "event_types": list(event_types or ["task_run.status"])}


def create(http: httpx.Client, webhook: Any, **more: Any) -> dict[str, Any]:
    body = {"input": "with statement", "processor": "lite", "webhook": webhook, **more}
    response = http.post(RUNS, json=body)
    assert response.status_code == 202, response.text
    run: dict[str, Any] = response.json()
    return run


@pytest.mark.parametrize("metadata", [{"row": "1"}, {"sandbox": "fail"}])
def test_the_end_of_a_run_is_reported_and_signed(
    http: httpx.Client, sandbox: Sandbox, receiver: Receiver, metadata: dict[str, str]
) -> None:
    run = create(http, hook(receiver.url), metadata=metadata)
    assert run.get("warnings") is None
    [(headers, body)] = receiver.wait(1)
    now = http.get(f"{RUNS}/{run['run_id']}").json()

    assert json.loads(body) == {
        "type": "task_run.status",
        "timestamp": "2026-05-02T10:00:00.050000Z",
        "data": now,
    }
    assert now["is_active"] is False
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == numbered("whevent")
    key = base64.b64decode(sandbox.webhook_secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.digest(key, signed, sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert verify_webhook(headers, body, sandbox.webhook_secret)
    assert not verify_webhook(headers, body + b" ", sandbox.webhook_secret)
    assert parse_webhook(body).type == "task_run.status"


def test_the_runs_of_a_group_are_reported_each(http: httpx.Client, receiver: Receiver) -> None:
    group = http.post("/v1/tasks/groups", json={}).json()["taskgroup_id"]
    one = {"input": "with", "processor": "lite", "webhook": hook(receiver.url)}
    added = http.post(f"/v1/tasks/groups/{group}/runs", json={"inputs": [one] * 20}).json()

    taken = receiver.wait(20)
    assert {json.loads(body)["data"]["run_id"] for _, body in taken} == set(added["run_ids"])
    assert len({headers["webhook-id"] for headers, _ in taken}) == 20


def test_what_is_not_taken_is_sent_again(
    http: httpx.Client, sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.statuses = [500, 302, 404]
    began = time.perf_counter()
    create(http, hook(receiver.url))
    taken = receiver.wait(4)

    assert time.perf_counter() - began > 0.05 + 0.05 + 0.1 + 0.2
    assert len({(headers["webhook-id"], body) for headers, body in taken}) == 1
    assert all(verify_webhook(*each, sandbox.webhook_secret) for each in taken)


def test_sending_ends_some_time(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parallel_integrations.sandbox.state.webhooks.FIRST_PAUSE_SECONDS", 0.001)
    receiver.statuses = [500] * 50
    webhooks = Webhooks()
    webhooks.send(Message("id", receiver.url, b"{}"))
    receiver.wait(ATTEMPTS)
    time.sleep(0.05)
    webhooks.stop()

    assert len(receiver.taken) == ATTEMPTS


def test_a_cassette_that_is_replayed_meanwhile_takes_no_delivery(
    http: httpx.Client, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.statuses = [500]
    receiver.hold.clear()
    create(http, hook(receiver.url))
    with vcr.use_cassette(tmp_path / "empty.yaml", record_mode="none"):
        receiver.hold.set()
        receiver.wait(2)


def test_nobody_there_is_no_error(http: httpx.Client) -> None:
    run = create(http, hook("http://127.0.0.1:9/"))

    assert http.get(f"{RUNS}/{run['run_id']}/result").status_code == 200


@pytest.mark.parametrize(
    ("webhook", "message"),
    [
        (hook("https://example.com/hook"), "only to http on this machine"),
        (hook("http://10.0.0.1/hook"), "only to http on this machine"),
        (hook("http://127.0.0.1.example.com/"), "only to http on this machine"),
        (hook("https://127.0.0.1/hook"), "only to http on this machine"),
        (hook("http://[::1/hook"), "only to http on this machine"),
        ({"url": "http://127.0.0.1:9/", "event_types": []}, "names no event"),
        ({"url": "http://127.0.0.1:9/"}, "names no event"),
    ],
)
def test_other_machines_get_nothing(http: httpx.Client, webhook: Any, message: str) -> None:
    run = create(http, webhook)

    [warning] = run.get("warnings")
    assert message in warning["message"]
    assert http.get(f"{RUNS}/{run['run_id']}/result").status_code == 200


def test_events_that_are_not_named_are_not_reported(receiver: Receiver) -> None:
    state = State(python_reference_index(clean=False))
    state.deliver(None, "findall.run.completed", {})
    state.deliver(hook(receiver.url), "findall.run.completed", {})
    state.deliver(hook(receiver.url, "findall.run.completed"), "findall.run.completed", {"a": 1})
    [(headers, body)] = receiver.wait(1)
    time.sleep(0.02)
    state.reset()

    assert headers["webhook-id"] == numbered("whevent")
    assert json.loads(body)["data"] == {"a": 1}
    assert len(receiver.taken) == 1


def test_a_reset_takes_back_what_was_not_sent(receiver: Receiver) -> None:
    secret = "whsec_" + base64.b64encode(b"a key").decode()
    with (
        Sandbox(task_seconds=1, webhook_secret=secret) as sandbox,
        httpx.Client(base_url=sandbox.url, headers={"x-api-key": sandbox.api_key}) as http,
    ):
        create(http, hook(receiver.url))
        sandbox.reset()
        create(http, hook(receiver.url))
        receiver.wait(1)
        time.sleep(0.1)
        assert len(receiver.taken) == 1


def test_stopping_does_not_wait_for_a_slow_receiver(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parallel_integrations.sandbox.state.webhooks.TIMEOUT_SECONDS", 600.0)
    before = set(threading.enumerate())
    receiver.hold.clear()
    secret = "whsec_" + base64.b64encode(b"another key").decode()
    with Sandbox(task_seconds=0, webhook_secret=secret) as sandbox:
        with httpx.Client(base_url=sandbox.url) as client:
            client.headers["x-api-key"] = sandbox.api_key
            create(client, hook(receiver.url))
        [(headers, body)] = receiver.wait(1)
        assert verify_webhook(headers, body, secret)
    receiver.hold.set()
    until = time.monotonic() + TIMEOUT_SECONDS
    while (new := set(threading.enumerate()) - before) and time.monotonic() < until:
        time.sleep(0.002)  # the receiver's own thread
    assert not new


def test_a_secret_must_be_one() -> None:
    with pytest.raises(ValueError, match="webhook_secret"):
        Sandbox(webhook_secret="whsec_?")

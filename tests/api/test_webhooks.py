"""Webhooks: only what was signed with the secret, lately, is Parallel's."""

import base64
import hmac
import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from parallel_integrations import (
    AuthenticationError,
    CreateFindallRunRequest,
    CreateMonitorRequest,
    CreateTaskRunRequest,
    EventStreamSettings,
    InvalidArgumentError,
    ParallelClient,
    TaskRun,
    UnexpectedAnswerError,
    Webhook,
)
from parallel_integrations.api import (
    create_findall_run,
    create_monitor,
    create_task_run,
    monitor_events,
    parse_webhook,
    verify_webhook,
    wait_task_run,
    webhook_id,
)
from parallel_integrations.models import FindallCandidate, FindallRun, MatchCondition, MonitorNotice
from parallel_integrations.sandbox import Sandbox

KEY = b"not a real key"
CODED = "whsec_" + base64.b64encode(KEY).decode()
PLAIN = "plain words, no base64!"
BODY = '{"type": "task_run.status", "data": {"run_id": "trun_1"}, "größe": "大"}'.encode()


def signature(key: bytes, signed: bytes) -> str:
    """One entry of the header."""
    return "v1," + base64.b64encode(hmac.digest(key, signed, sha256)).decode()


def headers(
    key: bytes = KEY, body: bytes = BODY, *, age: float = 0, message_id: str = "whevent_1"
) -> dict[str, str]:
    """The headers of a message signed with `key`."""
    sent = str(int(time.time() - age))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": sent,
        "webhook-signature": signature(key, f"{message_id}.{sent}.".encode() + body),
    }


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        (KEY, CODED),
        (CODED.encode(), CODED),
        (PLAIN.encode(), PLAIN.encode()),
        (KEY, CODED.removeprefix("whsec_")),
        (KEY, f" {CODED}\n"),
        (b"\xff\0 ", b"\xff\0 "),
    ],
    ids=["decoded", "as it is", "plain", "no prefix", "blanks around", "any bytes"],
)
def test_both_forms_of_a_key_are_accepted(key: bytes, secret: str | bytes) -> None:
    assert verify_webhook(headers(key), BODY, secret)
    assert not verify_webhook(headers(b"another"), BODY, secret)


def test_names_of_headers_come_in_any_case_and_as_bytes() -> None:
    given = headers()
    assert verify_webhook({name.title(): value for name, value in given.items()}, BODY, CODED)
    assert verify_webhook({name.upper(): value for name, value in given.items()}, BODY, CODED)
    raw = {name.encode(): value.encode() for name, value in given.items()}
    assert verify_webhook(raw, BODY, CODED)
    for pairs in (list(given.items()), list(raw.items()), tuple(raw.items())):
        assert verify_webhook(pairs, BODY, CODED)
        assert webhook_id(pairs) == given["webhook-id"]
    for headers_class in (Headers, httpx.Headers, EmailMessage):
        made = headers_class()
        if isinstance(made, Headers):
            made = Headers(raw=[(name.title(), value) for name, value in raw.items()])
        else:
            for name, value in given.items():
                made[name.title()] = value
        assert verify_webhook(made, BODY, CODED)
        assert webhook_id(made) == given["webhook-id"]
    assert webhook_id({}) is None
    assert webhook_id({"Webhook-Id": ""}) is None


def test_headers_come_as_gateways_and_wsgi_have_them() -> None:
    given = headers()
    lists = {name.title(): [value] for name, value in given.items()}
    meta = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in given.items()}
    assert verify_webhook(lists, BODY, CODED)
    assert verify_webhook({**meta, "wsgi.version": (1, 0)}, BODY, CODED)
    assert webhook_id(lists) == webhook_id(meta) == given["webhook-id"]
    assert parse_webhook(memoryview(BODY)).data.run_id == "trun_1"


@pytest.mark.parametrize("is_first", [True, False])
def test_a_header_that_comes_twice_is_read_twice(*, is_first: bool) -> None:
    given = headers()
    other = ("webhook-signature", signature(b"older", b"x"))
    pairs = [*given.items(), other] if is_first else [other, *given.items()]
    assert verify_webhook(pairs, BODY, CODED)
    assert verify_webhook([*pairs, ("Webhook-Id", given["webhook-id"])], BODY, CODED)
    assert not verify_webhook([*pairs, ("Webhook-Id", "whevent_2")], BODY, CODED)
    # As a proxy joins them.
    joined = ", ".join(value for name, value in pairs if name == "webhook-signature")
    assert verify_webhook({**given, "webhook-signature": joined}, BODY, CODED)


@pytest.mark.parametrize("none", [None, 7, "webhook-id: 1", b"x", [1], ["webhook-id"], [("a",)]])
def test_what_is_no_headers_is_an_error_of_the_caller(none: Any) -> None:
    with pytest.raises(TypeError, match="mapping of headers"):
        verify_webhook(none, BODY, CODED)
    with pytest.raises(TypeError, match="mapping of headers"):
        webhook_id(none)


def test_one_of_several_signatures_is_enough() -> None:
    """While a secret is replaced, messages are signed with both."""
    given = headers()
    valid = given["webhook-signature"]
    wrong = signature(b"older", b"x")
    for signatures in (f"{wrong} {valid}", f"{valid} {wrong}", f"v2,x  {valid}", f"{valid} ,"):
        assert verify_webhook({**given, "webhook-signature": signatures}, BODY, CODED)
    for signatures in (wrong, f"{wrong} {wrong}", "", " ", "v1", "v1,", ","):
        assert not verify_webhook({**given, "webhook-signature": signatures}, BODY, CODED)


def test_only_the_version_that_is_known_counts() -> None:
    given = headers()
    value = given["webhook-signature"].removeprefix("v1,")
    for entry in (value, f"v2,{value}", f"v1a,{value}", f"V1,{value}", f",{value}", f"v1;{value}"):
        assert not verify_webhook({**given, "webhook-signature": entry}, BODY, CODED)


@pytest.mark.parametrize(
    ("age", "valid"), [(0, True), (290, True), (-290, True), (310, False), (-310, False)]
)
def test_a_message_must_be_of_now(age: float, valid: bool) -> None:
    assert verify_webhook(headers(age=age), BODY, CODED) is valid


@pytest.mark.parametrize(
    "sent", ["", "soon", "nan", "inf", "-1", "0", "1e9", "9" * 400, "9" * 5000, "1.5", "\u0663"]
)
def test_nonsense_for_a_time_is_refused(sent: str) -> None:
    given = {
        "webhook-id": "i",
        "webhook-timestamp": sent,
        "webhook-signature": signature(KEY, f"i.{sent}.".encode() + BODY),
    }
    assert not verify_webhook(given, BODY, CODED)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize(
    "value", [None, "", "größe", chr(0xDC80), chr(0xD800), "x" * 100_000, "\0"]
)
def test_a_broken_header_is_refused(name: str, value: str | None) -> None:
    given: dict[str, Any] = headers()
    if value is None:
        del given[name]
    else:
        given[name] = value
    assert verify_webhook(given, BODY, CODED) is False


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", BODY + b" ", BODY[:-1], BODY.replace(b" ", b"")]
)
def test_the_bytes_are_what_is_signed(body: bytes) -> None:
    assert not verify_webhook(headers(), body, CODED)
    assert verify_webhook(headers(body=body), body, CODED)


@pytest.mark.parametrize("secret", ["", " ", "\n", "whsec_", " whsec_ "])
def test_no_secret_is_an_error_of_the_caller(secret: str) -> None:
    """An empty key would let anybody sign."""
    with pytest.raises(ValueError, match="secret is empty"):
        verify_webhook(headers(b""), BODY, secret)


@pytest.mark.parametrize(
    ("secret", "fault"),
    [
        ("whsec_not base64!", "what follows whsec_ is no base64"),
        (CODED[:-1], "what follows whsec_ is no base64"),
        (f"whsec_{CODED}", "what follows whsec_ is no base64"),
        ("whsec_====", "what follows whsec_ is no base64"),
        (f"{CODED}\n{CODED}", "what follows whsec_ is no base64"),
        (f'"{CODED}"', "neither whsec_… nor base64"),
        (CODED.upper(), "neither whsec_… nor base64"),
        (CODED.replace("whsec_", "whsk_"), "neither whsec_… nor base64"),
        ("${WEBHOOK_SECRET}", "neither whsec_… nor base64"),
        (PLAIN, "neither whsec_… nor base64"),
        ("geheim größer", "neither whsec_… nor base64"),
        (chr(0xD800), "neither whsec_… nor base64"),
    ],
)
def test_a_malformed_secret_is_an_error_of_the_caller(secret: str, fault: str) -> None:
    """Rather than every message being refused without a word."""
    with pytest.raises(ValueError, match=fault) as caught:
        verify_webhook(headers(), BODY, secret)
    assert secret not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("secret", [None, 7, [CODED], bytearray(KEY)])
def test_a_secret_of_another_type_is_an_error_of_the_caller(secret: Any) -> None:
    with pytest.raises(TypeError, match="secret must be the account's webhook secret as text"):
        verify_webhook(headers(), BODY, secret)


def test_no_key_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="secret is empty"):
        verify_webhook(headers(b""), BODY, b"")


HOSTILE = st.dictionaries(
    st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "WEBHOOK-ID", "x"]),
    st.text(st.characters()) | st.from_regex(r"v1,[A-Za-z0-9+/=]{0,60}", fullmatch=True),
)


@given(HOSTILE, st.binary())
def test_no_message_raises_and_none_is_believed(given_headers: dict[str, str], body: bytes) -> None:
    recent = {"webhook-timestamp": str(int(time.time()))}
    assert verify_webhook(given_headers, body, CODED) is False
    assert verify_webhook({**given_headers, **recent}, body, CODED) is False
    with_bytes = {name.encode(): b"\xff" + body for name in given_headers}
    assert verify_webhook(with_bytes, body, CODED) is False


@given(st.binary(), st.binary(min_size=1, max_size=80), st.integers(0, 10_000), st.integers(1, 255))
def test_what_was_signed_is_believed_until_one_bit_changes(
    body: bytes, key: bytes, place: int, change: int
) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    given_headers = headers(key, body)
    assert verify_webhook(given_headers, body, secret)
    changed = bytearray(body or b"x")
    changed[place % len(changed)] ^= change
    assert not verify_webhook(given_headers, bytes(changed), secret)
    assert not verify_webhook({**given_headers, "webhook-id": "other"}, body, secret)


# ------------------------------------------------------------------------------ payloads


def message(kind: Any, data: Any) -> bytes:
    return json.dumps({"type": kind, "timestamp": "2026-05-02T10:00:00Z", "data": data}).encode()


@pytest.mark.parametrize(
    ("kind", "data", "cls"),
    [
        ("task_run.status", {"run_id": "trun_1", "status": "completed"}, TaskRun),
        ("findall.run.completed", {"findall_id": "f1", "status": {"status": "x"}}, FindallRun),
        ("findall.candidate.matched", {"candidate_id": "c", "name": "n"}, FindallCandidate),
        ("monitor.event.detected", {"monitor_id": "m", "event": {"a": 1}}, MonitorNotice),
        ("monitor.execution.failed", {"monitor_id": "m"}, MonitorNotice),
        ("not.invented.yet", {"run_id": "trun_1", "name": "n", "url": "u"}, dict),
        ("task_run", {"run_id": "trun_1"}, dict),
    ],
)
def test_a_payload_has_the_type_that_its_name_promises(kind: str, data: Any, cls: type) -> None:
    payload = parse_webhook(message(kind, {**data, "more": [1]}))
    assert type(payload.data) is cls
    assert payload.timestamp == "2026-05-02T10:00:00Z"
    if isinstance(payload.data, dict):
        assert payload.data == {**data, "more": [1]}
    else:
        assert payload.data.model_extra == {"more": [1]}
        assert payload.data.model_dump(include=set(data), exclude_unset=True) == data


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"type": "x"}',
        message(5, {}),
        message("x", None),
        message("x", [1]),
        message("x", "y"),
        message("task_run.status", {}),
        message("task_run.status", {"run_id": 5}),
        message("monitor.event.detected", {}),
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_a_payload_is_our_error(body: bytes) -> None:
    with pytest.raises(UnexpectedAnswerError, match="no webhook message") as caught:
        parse_webhook(body)
    assert len(caught.value.body) <= 200
    assert caught.value.__cause__ is None


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["task_run.status", "findall.run.failed", "findall.candidate.x", "monitor.x", "y"]
)
FIELDS = st.sampled_from(["run_id", "findall_id", "monitor_id", "status", "name", "event", "z"])


@given(KINDS, st.dictionaries(FIELDS, JSON) | JSON, st.binary())
def test_no_body_raises_anything_else(kind: str, data: Any, noise: bytes) -> None:
    for body in (noise, message(kind, data)):
        try:
            parse_webhook(body)
        except UnexpectedAnswerError:
            continue


# ------------------------------------------------------------------------------ delivered


class Mailbox:
    """Receives what the sandbox posts; refuses the first message once."""

    def __init__(self) -> None:
        self.messages: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.refusals = 0
        mailbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                refused = mailbox.refusals > 0
                mailbox.refusals -= refused
                mailbox.messages.put((dict(self.headers.items()), body))
                self.send_response(503 if refused else 204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Stay quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def take(self) -> tuple[dict[str, str], bytes]:
        return self.messages.get(timeout=5)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A receiver of webhooks."""
    box = Mailbox()
    yield box
    box.close()


def test_a_task_s_end_is_delivered_and_believed(
    sandbox: Sandbox, client: ParallelClient, mailbox: Mailbox
) -> None:
    mailbox.refusals = 1
    request = CreateTaskRunRequest(
        input="What does with do?",
        processor="lite",
        metadata={"row": 7},
        webhook=Webhook(url=mailbox.url, event_types=["task_run.status"]),
    )
    run_id = client.run(create_task_run(request)).run_id
    first, again = mailbox.take(), mailbox.take()
    assert first[1] == again[1], "what was refused comes again"
    names = [{name.lower(): value for name, value in each[0].items()} for each in (first, again)]
    assert names[0]["webhook-id"] == names[1]["webhook-id"]
    for given_headers, body in (first, again):
        assert verify_webhook(given_headers, body, sandbox.webhook_secret)
        assert not verify_webhook(given_headers, body + b" ", sandbox.webhook_secret)
        assert not verify_webhook(given_headers, body, CODED)
    payload = parse_webhook(first[1])
    assert isinstance(payload.data, TaskRun)
    assert (payload.data.run_id, payload.data.status) == (run_id, "completed")
    assert payload.data.metadata == {"row": 7}
    assert client.run(wait_task_run(run_id)).output.content


def test_a_findall_run_s_end_is_delivered(
    sandbox: Sandbox, client: ParallelClient, mailbox: Mailbox
) -> None:
    request = CreateFindallRunRequest(
        objective="Python statements that bind names",
        entity_type="statements",
        match_conditions=[MatchCondition(name="binds", description="It binds a name.")],
        generator="base",
        match_limit=5,
        webhook=Webhook(
            url=mailbox.url, event_types=["findall.candidate.matched", "findall.run.completed"]
        ),
    )
    findall_id = client.run(create_findall_run(request)).findall_id
    kinds: set[type] = set()
    while FindallRun not in kinds:
        given_headers, body = mailbox.take()
        assert verify_webhook(given_headers, body, sandbox.webhook_secret)
        payload = parse_webhook(body)
        kinds.add(type(payload.data))
        if isinstance(payload.data, FindallRun):
            assert payload.data.findall_id == findall_id
    assert kinds <= {FindallRun, FindallCandidate}


def test_a_monitor_s_news_are_delivered(
    sandbox: Sandbox, client: ParallelClient, mailbox: Mailbox
) -> None:
    request = CreateMonitorRequest(
        type="event_stream",
        frequency="1d",
        settings=EventStreamSettings(query="zebra crossing"),
        webhook=Webhook(url=mailbox.url, event_types=["monitor.event.detected"]),
        metadata={"k": "v"},
    )
    monitor_id = client.run(create_monitor(request)).monitor_id
    sandbox.publish(url="https://news.example/z", title="Zebra", text="A new zebra crossing.")
    given_headers, body = mailbox.take()
    assert verify_webhook(given_headers, body, sandbox.webhook_secret)
    notice = parse_webhook(body).data
    assert isinstance(notice, MonitorNotice)
    assert (notice.monitor_id, notice.metadata) == (monitor_id, {"k": "v"})
    assert notice.event
    group_id = notice.event["event_group_id"]
    page = client.run(monitor_events(monitor_id, event_group_id=group_id))
    assert [event.event_type for event in page.events] == ["event_stream"]


# ------------------------------------------------------------------------------ the guide's example


def receiver(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, bytes], int]:
    """The function of the guide that receives messages."""
    monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
    monkeypatch.setenv("PARALLEL_BASE_URL", sandbox.url)
    guide = Path(__file__).parents[2] / "docs" / "guides" / "webhooks.md"
    [example] = [
        block.partition("```")[0]
        for block in guide.read_text(encoding="utf-8").split("```python\n")
        if "def receive(headers" in block
    ]
    names: dict[str, Any] = {}
    exec(example, names)
    receive: Callable[[Any, bytes], int] = names["receive"]
    return receive


@pytest.mark.parametrize("case", [str.lower, str.title, str.upper])
def test_the_guide_s_receiver_loses_no_message_and_works_once(
    sandbox: Sandbox,
    client: ParallelClient,
    mailbox: Mailbox,
    monkeypatch: pytest.MonkeyPatch,
    case: Callable[[str], str],
) -> None:
    receive = receiver(sandbox, monkeypatch)
    request = CreateTaskRunRequest(
        input="What does with do?",
        processor="lite",
        webhook=Webhook(url=mailbox.url, event_types=["task_run.status"]),
    )
    client.run(create_task_run(request))
    sent, body = mailbox.take()
    given_headers = {case(name): value for name, value in sent.items()}
    place = "/v1/tasks/runs/*/result"
    sandbox.faults.add(path=place, status=401)
    with pytest.raises(AuthenticationError):  # a web framework responds 500, so it comes again
        receive(given_headers, body)
    assert receive(given_headers, body) == 200
    fetched = len(sandbox.requests)
    assert receive(given_headers, body) == 200
    assert len(sandbox.requests) == fetched, "a repeat is no new work"
    assert receive(given_headers, body + b" ") == 401


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("task_run.stauts", "did you mean 'task_run.status'"),
        ("findall.run.complete", "did you mean 'findall.run.completed'"),
        ("monitor.events.detected", "did you mean 'monitor.event.detected'"),
        ("status", "'status' is no event type: task_run.status, findall"),
        ("", "is no event type"),
    ],
)
def test_a_misspelt_event_type_is_an_error(name: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(reason)):
        Webhook(url="https://a.example/hook", event_types=["task_run.status", name])


def test_a_new_event_type_passes() -> None:
    given = Webhook(url="https://a.example/hook", event_types=["search.index.refreshed"])
    assert given.event_types == ["search.index.refreshed"]

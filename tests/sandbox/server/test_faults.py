import json
import re
import threading
import time
from typing import Any

import httpx
import pytest

from parallel_integrations.sandbox import Faults, Sandbox

SEARCH = {"search_queries": ["with statement"]}
CHAT = {
    "model": "base",
    "stream": True,
    "messages": [{"role": "user", "content": "What does the with statement do?"}],
}


def search(http: httpx.Client) -> httpx.Response:
    return http.post("/v1/search", json=SEARCH)


def stream(http: httpx.Client) -> tuple[list[str], str | None]:
    """The events that arrived, and the name of the error that ended them."""
    lines: list[str] = []
    try:
        with http.stream("POST", "/chat/completions", json=CHAT) as response:
            lines += (line for line in response.iter_lines() if line)
    except httpx.TransportError as error:
        return lines, type(error).__name__
    return lines, None


@pytest.mark.parametrize(
    "status", [400, 401, 402, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504]
)
def test_an_error_status_is_sent_and_not_billed(
    http: httpx.Client, sandbox: Sandbox, status: int
) -> None:
    fault = sandbox.faults.add(path="/v1/search", times=2, status=status, retry_after=1.5)

    for _ in range(2):
        response = search(http)
        assert response.status_code == status
        assert response.headers["retry-after"] == "1.5"
        body = response.json()
        assert body["code"] == 16 if status == 401 else body["error"]["ref_id"]
    assert fault.fired == 2
    assert sandbox.ledger.count() == 0
    assert search(http).status_code == 200
    assert len(sandbox.requests) == 3


def test_a_redirect(http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(redirect="https://elsewhere.example/")
    response = search(http)

    assert response.status_code == 307
    assert response.headers["location"] == "https://elsewhere.example/"
    assert sandbox.ledger.count() == 0


@pytest.mark.parametrize(
    ("body", "text"),
    [("<html>", "<html>"), (b"{bad", "{bad"), ({"a": 1}, '{"a": 1}'), ([], "[]"), ("", "")],
)
def test_a_body_of_your_own_is_billed_like_the_response_it_replaces(
    http: httpx.Client, sandbox: Sandbox, body: Any, text: str
) -> None:
    sandbox.faults.add(body=body, content_type="text/x-odd", headers={"X-Extra": "1"})
    response = search(http)

    assert response.status_code == 200
    assert response.text == text
    assert response.headers["content-type"] == "text/x-odd"
    assert response.headers["x-extra"] == "1"
    assert sandbox.ledger.count("search") == 1
    assert http.get("/v1/search").status_code == 405, "the connection is still good"


def test_a_body_with_an_error_status(http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(status=502, body="<h1>Bad gateway</h1>", content_type="text/html")
    response = search(http)

    assert (response.status_code, response.text) == (502, "<h1>Bad gateway</h1>")
    assert sandbox.ledger.count() == 0


@pytest.mark.parametrize("status", [202, 204, 304])
def test_odd_statuses(http: httpx.Client, sandbox: Sandbox, status: int) -> None:
    sandbox.faults.add(status=status)
    response = search(http)

    assert response.status_code == status
    assert bool(response.content) is (status == 202)
    assert sandbox.ledger.count() == (status < 300)
    assert search(http).status_code == 200


@pytest.mark.parametrize("reset", ["before", "headers", "body"])
def test_resets(http: httpx.Client, sandbox: Sandbox, reset: Any) -> None:
    sandbox.faults.add(reset=reset)
    with pytest.raises(httpx.ReadError, match="reset"):
        search(http)

    assert sandbox.ledger.count() == (reset != "before")
    assert search(http).status_code == 200


@pytest.mark.parametrize("count", [0, 100, 10**9])
@pytest.mark.parametrize("cut", ["fin", "reset"])
def test_a_response_cut_after_some_bytes(
    http: httpx.Client, sandbox: Sandbox, cut: Any, count: int
) -> None:
    sandbox.faults.add(cut_after_bytes=count, cut=cut)
    kind = httpx.RemoteProtocolError if cut == "fin" else httpx.ReadError
    with pytest.raises(kind):
        search(http)

    assert sandbox.ledger.count("search") == 1


def test_a_response_that_is_no_stream_loses_half(http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(cut_after_events=1)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        search(http)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize(("cut", "error"), [("fin", "RemoteProtocolError"), ("reset", "ReadError")])
def test_a_stream_cut_after_some_events(
    http: httpx.Client, sandbox: Sandbox, cut: Any, error: str, count: int
) -> None:
    sandbox.faults.add(cut_after_events=count, cut=cut)
    lines, ended = stream(http)

    assert (len(lines), ended) == (count, error)
    assert sandbox.ledger.count("chat") == 1


@pytest.mark.parametrize("fault", [{"cut_after_bytes": 400}, {"reset": "body"}])
def test_a_stream_cut_within_an_event(
    http: httpx.Client, sandbox: Sandbox, fault: dict[str, Any]
) -> None:
    sandbox.faults.add(**fault)
    lines, ended = stream(http)

    assert ended
    assert len(lines) <= 2


def test_a_cut_beyond_the_end_still_ends_out_of_order(http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(cut_after_events=1000)
    lines, ended = stream(http)

    assert lines[-1] == "data: [DONE]"
    assert ended == "RemoteProtocolError"


def test_an_error_event_ends_a_stream_in_order(http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(error_event=True, cut_after_events=2, echo_key=True)
    lines, ended = stream(http)

    assert ended is None
    assert len(lines) == 3
    error = json.loads(lines[-1].removeprefix("data: "))["error"]
    assert sandbox.api_key in error["message"]


def test_an_error_event_may_be_the_first_or_before_a_reset(
    http: httpx.Client, sandbox: Sandbox
) -> None:
    sandbox.faults.add(error_event=True)
    assert len(stream(http)[0]) == 1
    sandbox.faults.add(error_event=True, cut_after_events=1, cut="reset")
    assert (len(stream(http)[0]), sandbox.faults.add(status=500).fired) == (2, 0)


def test_the_key_may_be_repeated(http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(status=401, echo_key=True, times=2)

    assert "secret-1" in http.post("/v1/search", headers={"x-api-key": "secret-1"}).text
    bearer = {"Authorization": "Bearer secret-2"}
    assert "secret-2" in httpx.post(sandbox.url + "/chat/completions", headers=bearer).text


def test_a_delayed_response_is_billed_even_when_nobody_waits(
    http: httpx.Client, sandbox: Sandbox
) -> None:
    sandbox.faults.add(delay=30)
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/search", json=SEARCH, timeout=0.05)

    assert sandbox.ledger.count("search") == 1


def test_delays(http: httpx.Client, sandbox: Sandbox) -> None:
    plain = search(http).json()["results"]
    sandbox.faults.add(delay=0.05, chunk_delay=0.005)
    began = time.perf_counter()
    response = search(http)

    assert time.perf_counter() - began > 0.05 + 7 * 0.005
    assert response.json()["results"] == plain
    sandbox.faults.add(chunk_delay=0.005)
    began = time.perf_counter()
    lines, ended = stream(http)
    assert time.perf_counter() - began > 0.005 * (len(lines) - 1)
    assert ended is None


def eventually(condition: Any) -> bool:
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def test_the_sandbox_notices_a_client_that_abandons_a_stream(own: Sandbox) -> None:
    own.faults.add(chunk_delay=10)
    client = httpx.Client(base_url=own.url, headers={"x-api-key": own.api_key})
    with client.stream("POST", "/chat/completions", json=CHAT) as response:
        lines = response.iter_lines()
        next(lines)
        assert own.open_connections == 1
    client.close()

    assert eventually(lambda: own.open_connections == 0)


def test_stopping_is_prompt_even_and_complete_even_with_open_streams() -> None:
    threads = threading.active_count()
    sandbox = Sandbox().start()
    sandbox.faults.add(times=None, chunk_delay=600)
    headers = {"x-api-key": sandbox.api_key}
    with (
        httpx.Client(base_url=sandbox.url, headers=headers) as client,
        client.stream("POST", "/chat/completions", json=CHAT) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        sandbox.stop()  # if it waited for the stream, the test would end by its timeout
        with pytest.raises(httpx.TransportError):
            list(lines)
    assert sandbox.open_connections == 0
    assert threading.active_count() == threads


def test_which_requests_a_fault_strikes(http: httpx.Client, sandbox: Sandbox) -> None:
    sandbox.faults.add(path="/v1beta/*", method="post", times=None, status=503)
    sandbox.faults.add(path="/v1/search", times=1, status=429)

    assert http.post("/v1beta/search", json=SEARCH).status_code == 503
    assert http.get("/v1beta/search").status_code == 405
    assert [search(http).status_code for _ in range(2)] == [429, 200]
    assert http.post("/v1/a/g/parallel/v1beta/search", json=SEARCH).status_code == 503
    sandbox.faults.clear()
    assert http.post("/v1beta/search", json=SEARCH).status_code == 200


def test_a_fault_can_be_taken_back(http: httpx.Client, sandbox: Sandbox) -> None:
    fault = sandbox.faults.add(times=None, status=500)
    assert len(sandbox.faults) == 1
    sandbox.faults.remove(fault)
    sandbox.faults.remove(fault)

    assert search(http).status_code == 200


def test_the_dice_fall_alike_in_every_run() -> None:
    def run(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add(times=None, status=500, probability=0.5)
        return [faults.take("GET", ["/"]) is not None for _ in range(50)]

    assert run(1) == run(1) != run(2)
    assert 10 < sum(run(1)) < 40


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("status", {}),
        ("status", {"status": 600}),
        ("status", {"status": 101}),
        ("times", {"status": 500, "times": 0}),
        ("probability", {"status": 500, "probability": 0}),
        ("probability", {"status": 500, "probability": 1.1}),
        ("delay", {"delay": -1}),
        ("chunk_delay", {"chunk_delay": -1}),
        ("cut_after_bytes", {"cut_after_bytes": -1}),
        ("reset", {"reset": "after"}),
        ("cut", {"cut_after_bytes": 1, "cut": "off"}),
        ("status", {"status": "500"}),
        ("status", {"status": 429.5}),
        ("times", {"status": 500, "times": 1.5}),
        ("cut_after_bytes", {"cut_after_bytes": 2.5}),
        ("delay", {"delay": float("nan")}),
        ("delay", {"delay": None, "status": 500}),
        ("body", {"body": {"a": object()}}),
        ("body", {"body": "\ud800"}),
        ("headers", {"headers": {"a b": "x"}}),
        ("headers", {"headers": {"a": "x\r\ny"}}),
        ("headers", {"headers": {"a": 5}}),
        ("redirect", {"redirect": "https://elsewhere.example/€"}),
        ("content_type", {"content_type": "text/html\n"}),
        ("times", {"status": 500, "times": "2"}),
        ("delay", {"delay": True}),
        ("probability", {"status": 500, "probability": "0.5"}),
        ("cut", {"status": 500, "cut": "reset"}),
        ("cut_after_events", {"cut_after_bytes": 1, "cut_after_events": 1}),
        ("cut_after_events", {"status": 500, "cut_after_events": 1}),
        ("cut_after_events", {"body": "x", "cut_after_events": 1}),
        ("reset", {"reset": "body", "cut_after_bytes": 1}),
        ("reset", {"reset": "before", "status": 500}),
        ("redirect", {"redirect": "/x", "status": 500}),
        ("retry_after", {"delay": 1, "retry_after": 1}),
        ("echo_key", {"delay": 1, "echo_key": True}),
        ("echo_key", {"status": 500, "body": "x", "echo_key": True}),
    ],
)
def test_contradictions_are_refused(name: str, arguments: dict[str, Any]) -> None:
    faults = Faults()
    with pytest.raises(ValueError, match=rf"^{name}: "):
        faults.add(**arguments)
    assert len(faults) == 0


@pytest.mark.parametrize(
    ("path", "method", "hint"),
    [
        ("/v1/serach", None, "did you mean '/v1/search'"),
        ("v1/search", None, "did you mean '/v1/search'"),
        ("/v1/search/", None, "no operation has"),
        ("/v1/SEARCH", None, "no operation has"),
        ("http://127.0.0.1:8765/v1/search", None, "no operation has"),
        ("/v1/tasks/runs/*/results", None, "did you mean"),
        ("/v1/tasks/runs/{run_id}/result", None, "'*' where an id stands"),
        ("*/serach", None, "no operation has"),
        ("", None, "no operation has"),
        ("/v1/search", "GET", "method: /v1/search takes POST, not GET"),
        (None, "POTS", "method: the sandbox takes"),
    ],
)
def test_a_fault_that_could_never_happen_is_refused(
    sandbox: Sandbox, path: str | None, method: str | None, hint: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)):
        sandbox.faults.add(path, method, status=500)
    assert len(sandbox.faults) == 0


@pytest.mark.parametrize(
    "path",
    [
        "/v1/search",
        "/v1/*",
        "*search",
        "/v1beta/findall/runs/findall_1/result",
        "/v1/tasks/runs/*/result",
        "/v1/tasks/runs/trun_*/result",
        "/v1/tasks/run?/*1/[re]*",
        "/v1/*/gw/parallel/v1/extract",
        "/v1/acct/gw/compat/chat/completions",
        "*",
    ],
)
def test_a_fault_that_can_happen_is_taken(sandbox: Sandbox, path: str) -> None:
    sandbox.faults.add(path, status=500)
    assert len(sandbox.faults) == 1

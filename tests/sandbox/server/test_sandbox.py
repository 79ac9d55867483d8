import concurrent.futures
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from parallel_integrations._install import install_command
from parallel_integrations.sandbox import Corpus, Page, Sandbox
from tests.sandbox.ids import numbered

SEARCH = {"search_queries": ["with statement"]}
CHAT = {"model": "speed", "messages": [{"role": "user", "content": "What is a lambda?"}]}


def post(url: str, body: Any = SEARCH, **headers: str) -> httpx.Response:
    return httpx.post(url, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def test_requests_are_recorded_as_they_came(sandbox: Sandbox) -> None:
    headers = {"X-Api-Key": sandbox.api_key, "Parallel-Beta": "b"}
    httpx.post(f"{sandbox.url}/v1/search?a=1&a=2", json=SEARCH, headers=headers)
    httpx.post(sandbox.url + "/odd%2Fpath", content=b"{bad", headers=headers)

    first, second = sandbox.requests
    assert (first.method, first.path) == ("POST", "/v1/search")
    assert first.query.getlist("a") == ["1", "2"]
    assert first.body == SEARCH
    assert first.headers["x-api-key"] == first.headers["X-API-Key"] == sandbox.api_key
    assert sandbox.api_key not in repr(first)
    assert (second.path, second.raw_path) == ("/odd/path", "/odd%2Fpath")
    assert (second.body, second.content) == (None, b"{bad")
    assert first.client[0] == "127.0.0.1"
    assert first.client != second.client


def test_a_client_that_goes_in_the_middle_of_a_stream_is_nothing_to_log(
    http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    task = {"input": "What is a lambda?", "processor": "pro"}
    for _ in range(3):
        run_id = http.post("/v1/tasks/runs", json=task).json()["run_id"]
        http.get(f"/v1/tasks/runs/{run_id}/result")  # all events are there at once
        with http.stream("GET", f"/v1/tasks/runs/{run_id}/events"):
            pass
        http.get("/v1/tasks/runs/none")
    assert not [each for each in caplog.records if each.name == "asyncio"]


def test_connections_are_counted(sandbox: Sandbox, http: httpx.Client) -> None:
    before = sandbox.connections
    for _ in range(3):
        http.post("/v1/search", json=SEARCH)

    assert sandbox.connections == before + 1
    assert len({request.client for request in sandbox.requests}) == 1
    post(sandbox.url + "/v1/search", x_api_key=sandbox.api_key)
    assert sandbox.connections == before + 2


@pytest.mark.parametrize(
    "path", ["/v1/search", "/v1/extract", "/v1beta/search", "/chat/completions"]
)
def test_a_key_is_demanded(sandbox: Sandbox, path: str) -> None:
    url = sandbox.url + path
    for response, message in (
        (post(url), "No API key provided (C.0)"),
        (post(url, x_api_key="wrong"), "Invalid API key (C.1)"),
    ):
        assert response.status_code == 401
        assert response.json() == {"code": 16, "message": message}
    assert post(url, authorization="Bearer no").status_code == 401
    assert sandbox.ledger.count() == 0


def test_bearer_is_for_chat_only(sandbox: Sandbox) -> None:
    bearer = f"Bearer {sandbox.api_key}"

    assert post(sandbox.url + "/chat/completions", CHAT, authorization=bearer).status_code == 200
    assert post(sandbox.url + "/v1/search", authorization=bearer).status_code == 401
    both = post(sandbox.url + "/chat/completions", CHAT, authorization=bearer, x_api_key="wrong")
    assert both.status_code == 401


def test_unknown_paths_and_methods(http: httpx.Client) -> None:
    missing, wrong = http.post("/v1/nowhere"), http.get("/v1/search")

    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert wrong.headers["allow"] == "POST"
    for response in (missing, wrong, http.post("/v1/search/")):
        assert response.json()["type"] == "error"


def test_gateway_prefixes(sandbox: Sandbox) -> None:
    native = sandbox.url + "/v1/account/gateway/parallel"
    compat = sandbox.url + "/v1/account/gateway/compat/chat/completions"
    bearer = f"Bearer {sandbox.api_key}"
    prefixed = {**CHAT, "model": "parallel/speed"}

    assert post(native + "/v1/search", x_api_key=sandbox.api_key).status_code == 200
    assert post(native + "/chat/completions", CHAT, x_api_key=sandbox.api_key).status_code == 200
    assert post(compat, prefixed, authorization=bearer).status_code == 200
    assert post(compat, CHAT, authorization=bearer).status_code == 400
    assert post(compat, prefixed, x_api_key=sandbox.api_key).status_code == 401
    assert (
        post(sandbox.url + "/chat/completions", prefixed, authorization=bearer).status_code == 422
    )
    other = sandbox.url + "/v1/account/gateway/compat/v1/search"
    assert post(other, x_api_key=sandbox.api_key).status_code == 404
    assert sandbox.requests[0].path == "/v1/account/gateway/parallel/v1/search"
    assert sandbox.ledger.count("search") == 1
    assert sandbox.ledger.count("chat") == 2


def test_an_authenticated_gateway() -> None:
    with Sandbox(gateway_token="token") as sandbox:
        url = sandbox.url + "/v1/account/gateway/parallel/v1/search"
        key = sandbox.api_key

        assert post(url, x_api_key=key).status_code == 401
        assert post(url, x_api_key=key, cf_aig_authorization="Bearer no").status_code == 401
        assert post(url, x_api_key=key, cf_aig_authorization="Bearer token").status_code == 200
        assert post(url, cf_aig_authorization="Bearer token").status_code == 401
        assert post(sandbox.url + "/v1/search", x_api_key=key).status_code == 200


def test_reset_forgets_all_but_the_pages(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.faults.add(status=500, times=None)
    http.post("/v1/search", json=SEARCH)
    sandbox.reset()

    assert sandbox.requests == []
    assert sandbox.ledger.entries == ()
    assert http.post("/v1/search", json=SEARCH).json()["search_id"] == numbered("search")
    assert sandbox.ledger.count() == sandbox.ledger.count("search") == 1


def test_starting_stopping_and_starting_again() -> None:
    sandbox = Sandbox()
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.url
    sandbox.start()
    with pytest.raises(RuntimeError, match="running already"):
        sandbox.start()
    first = sandbox.url
    assert first in repr(sandbox)
    sandbox.stop()
    sandbox.stop()
    assert "stopped" in repr(sandbox)
    with pytest.raises(httpx.ConnectError):
        post(first + "/v1/search")
    with sandbox:
        assert post(sandbox.url + "/v1/search", x_api_key=sandbox.api_key).status_code == 200


def test_a_port_may_be_chosen_but_not_taken_twice() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Sandbox(port=port) as sandbox:
        assert sandbox.url == f"http://127.0.0.1:{port}"
        with pytest.raises(OSError, match="in use"):
            Sandbox(port=port).start()


def test_own_pages_key_and_clock(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# Otters\n\nOtters sleep holding hands.")
    now = datetime(2030, 1, 1, tzinfo=UTC)
    with Sandbox(pages=tmp_path, api_key="mine", clock=lambda: now) as sandbox:
        payload = post(
            sandbox.url + "/chat/completions",
            {"model": "speed", "messages": [{"role": "user", "content": "How do otters sleep?"}]},
            x_api_key="mine",
        ).json()
    assert payload["created"] == int(now.timestamp())
    assert "“Otters sleep holding hands.” [1]" in payload["choices"][0]["message"]["content"]
    assert "https://sandbox.example/page.md" in payload["choices"][0]["message"]["content"]
    with pytest.raises(FileNotFoundError):
        Sandbox(pages=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"findall_seconds": "1"}, "findall_seconds='1' must be a number"),
        ({"task_seconds": float("nan")}, "task_seconds=nan must be a number"),
        ({"task_seconds": -1}, "task_seconds=-1 must be a number, 0 or more"),
        ({"service_times": None}, "service_times=None must be a number"),
        ({"port": "8765"}, "port='8765' must be a whole number from 0 to 65535"),
        ({"service_times": True}, "service_times=True must be a number"),
        ({"port": True}, "port=True must be a whole number"),
        ({"port": 99_999}, "port=99999 must be a whole number"),
        ({"api_key": 5}, "api_key must be a text"),
        ({"api_key": " "}, "api_key must be a text, and not blank"),
    ],
)
def test_what_no_sandbox_can_be_is_refused_by_name(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Sandbox(**wrong)


def test_one_page_is_called_one() -> None:
    pages = [Page(f"https://birds.example/{n}", "Kiwis", "A kiwi is a bird.") for n in range(2)]
    assert repr(Sandbox(pages)) == "<Sandbox stopped, 2 pages>"
    assert repr(Sandbox(pages[:1])) == "<Sandbox stopped, 1 page>"


def test_a_corpus_may_be_given() -> None:
    with Sandbox(Corpus([Page("https://a.example/", "A", "Only page.")])) as sandbox:
        assert len(sandbox.corpus) == 1


def test_many_at_once(sandbox: Sandbox, http: httpx.Client) -> None:
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(
            pool.map(lambda _: http.post("/v1/search", json=SEARCH).status_code, range(100))
        )
    assert statuses == [200] * 100
    assert sandbox.ledger.usd == 0.5


def test_without_its_libraries_the_import_says_what_to_install() -> None:
    code = (
        "import sys\n"
        "sys.modules['uvicorn'] = None\n"
        "try:\n    from parallel_integrations.sandbox import Sandbox\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert install_command("sandbox") in done.stdout

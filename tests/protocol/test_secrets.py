"""The key is nowhere but on the wire."""

import copy
import logging
import os
import pickle
import subprocess
import sys
import threading

import httpx
import pytest
from pydantic import SecretStr

from parallel_integrations import (
    CloudflareGateway,
    ParallelClient,
    errors,
)
from parallel_integrations.api import chat, search, stream_chat
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import CHAT, SEARCH


def test_a_key_is_not_shown(sandbox: Sandbox, client: ParallelClient) -> None:
    shown = [
        repr(client),
        str(client),
        repr(client.settings),
        str(client.settings),
        repr(vars(client)),
        repr(client.settings.without_secrets()),
    ]
    assert not [text for text in shown if sandbox.api_key in text]


def test_a_secret_string_is_taken_as_a_key(sandbox: Sandbox) -> None:
    with ParallelClient(api_key=SecretStr(sandbox.api_key), base_url=sandbox.url) as client:
        assert client.run(search(SEARCH)).results


async def test_logs_at_their_most_talkative_hold_no_key(
    sandbox: Sandbox, client: ParallelClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        client.run(search(SEARCH))
        await client.arun(chat(CHAT))
        list(client.stream(stream_chat(CHAT)))
        sandbox.faults.add(status=503, echo_key=True)
        client.run(search(SEARCH))
        sandbox.faults.add(status=403, echo_key=True)
        with pytest.raises(errors.ParallelError):
            client.run(search(SEARCH))
    assert caplog.records
    text = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert sandbox.api_key not in text


def test_a_pickle_holds_no_key(
    sandbox: Sandbox, client: ParallelClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.run(search(SEARCH))
    data = pickle.dumps(client)
    assert sandbox.api_key.encode() not in data
    loaded = pickle.loads(data)
    with pytest.raises(errors.MissingKeyError, match="never kept in a pickle"):
        loaded.run(search(SEARCH))
    monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
    with pickle.loads(data) as loaded:
        assert loaded.run(search(SEARCH)).results


def test_a_pickle_of_a_gateway_s_client_holds_neither_key_nor_token(sandbox: Sandbox) -> None:
    route = CloudflareGateway(
        account_id="a", gateway_id="g", token="t0ken", base=f"{sandbox.url}/v1"
    )
    client = ParallelClient(api_key="some-key", route=route, headers={"x-mine": "s3cret"})
    data = pickle.dumps(client)
    for secret in (b"some-key", b"t0ken", b"s3cret"):
        assert secret not in data
    assert pickle.loads(data).settings.base_url == client.settings.base_url


def test_a_pickle_keeps_everything_else() -> None:
    client = ParallelClient(
        api_key="some-key",
        base_url="https://a.example",
        timeout=7,
        max_retries=5,
        retry_timeouts=True,
        api_version="v1beta",
        chat_path="/c",
    )
    loaded = pickle.loads(pickle.dumps(client)).settings
    assert loaded.api_key is None
    for name in (
        "base_url",
        "timeout",
        "max_retries",
        "retry_timeouts",
        "api_version",
        "chat_path",
    ):
        assert getattr(loaded, name) == getattr(client.settings, name)


def test_a_client_with_a_transport_of_the_user_is_not_pickled() -> None:
    with httpx.Client() as own:
        client = ParallelClient(api_key="some-key", http_client=own)
        with pytest.raises(errors.ParallelError, match="http_client="):
            pickle.dumps(client)


def test_a_deep_copy_keeps_the_key_and_opens_its_own_connections(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    client.run(search(SEARCH))
    with copy.deepcopy(client) as other:
        assert other is not client
        assert other.run(search(SEARCH)).results
    assert client.run(search(SEARCH)).results
    mine, copied, again = (request.client for request in sandbox.requests)
    assert mine == again
    assert copied != mine


def test_a_pickled_client_works_in_another_process(
    sandbox: Sandbox, client: ParallelClient
) -> None:
    script = """if True:
        import pickle, sys
        from parallel_integrations import SearchRequest
        from parallel_integrations.api import search
        with pickle.load(sys.stdin.buffer) as client:
            response = client.run(search(SearchRequest(search_queries=["with statement"])))
        print(len(response.results))
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        input=pickle.dumps(client),
        capture_output=True,
        env={**os.environ, "PARALLEL_API_KEY": sandbox.api_key},
        timeout=170,
        check=False,
    )
    assert done.stderr == b""
    assert int(done.stdout) > 0
    assert len(sandbox.requests) == 1


if hasattr(os, "fork"):

    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_forked_child_opens_its_own_connections(
        sandbox: Sandbox, client: ParallelClient
    ) -> None:
        """On its parent's socket the responses of both would be mixed up."""
        client.run(search(SEARCH))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                client.run(search(SEARCH))
                client.run(search(SEARCH))
                client.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        client.run(search(SEARCH))
        before, child_1, child_2, after = (request.client for request in sandbox.requests)
        assert before == after
        assert child_1 == child_2 != before

    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_child_forked_while_another_thread_opens_a_pool_does_not_hang(
        sandbox: Sandbox,
    ) -> None:
        client = ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url)
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with client._pools._lock:
                held.set()
                done.wait(10)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(10)
        child = os.fork()
        if child == 0:
            threading.Timer(3, os._exit, [1]).start()
            client.run(search(SEARCH))
            os._exit(0)
        done.set()
        thread.join()
        assert os.waitpid(child, 0)[1] == 0

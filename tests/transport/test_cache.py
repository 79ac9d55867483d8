"""`ParallelClient(cache=…)`: a response that has been paid for is not paid for again."""

import asyncio
import concurrent.futures
import copy
import gc
import hmac
import json
import logging
import os
import pickle
import socket
import stat
import subprocess
import sys
import threading
import time
import zlib
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path
from typing import Any

import diskcache  # type: ignore[import-untyped]
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parallel_integrations import (
    ChatRequest,
    CloudflareGateway,
    DirectoryCache,
    ExtractRequest,
    FetchPolicy,
    ParallelClient,
    SearchRequest,
    errors,
)
from parallel_integrations.api import chat, create_task_run, extract, search, stream_chat
from parallel_integrations.langchain import (
    ParallelSearchRetriever,
    ParallelSearchTool,
    ParallelToolkit,
)
from parallel_integrations.llama_index import ParallelReader
from parallel_integrations.models import CreateTaskRunRequest, SearchResponse
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection
from tests.support.raw_server import RawServer, Talk

SEARCH = SearchRequest(search_queries=["with statement exceptions"], max_results=3)
PAGE = "https://docs.python.org/3/reference/compound_stmts.html"
MISSING = "https://no-such-site.example/page.html"


class Memory:
    """The least that `cache=` takes: what a user would write on top of a dict."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Any, float]] = {}
        self.expires: list[float] = []

    def get(self, key: str) -> Any:
        value, until = self.kept.get(key, (None, 0.0))
        return value if until > time.time() else None

    def set(self, key: str, value: bytes, expire: float) -> None:
        assert isinstance(value, bytes)
        self.expires.append(expire)
        self.kept[key] = value, time.time() + expire


@pytest.fixture
def open_client(sandbox: Sandbox) -> Callable[..., ParallelClient]:
    """A client of the sandbox with a cache."""

    def opening(cache: Any, **settings: Any) -> ParallelClient:
        return ParallelClient(**{**connection(sandbox), **settings}, cache=cache)

    return opening


Opening = Callable[..., ParallelClient]


class DiskCache(diskcache.Cache):  # type: ignore[misc]
    """Each thread has a connection of its own, which nobody else can close for it."""

    def get(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().get(*args, **kwargs)
        finally:
            self.close()

    def set(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().set(*args, **kwargs)
        finally:
            self.close()


def _stores() -> list[Any]:
    return [
        pytest.param(lambda path: path, id="path"),
        pytest.param(str, id="text"),
        pytest.param(lambda path: Memory(), id="object"),
        pytest.param(DiskCache, id="diskcache"),
    ]


@pytest.mark.parametrize("make", _stores())
async def test_an_equal_request_gets_a_response_without_another(
    make: Callable[[Path], Any], tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    store = make(tmp_path / "responses")
    with open_client(store) as client:
        first = client.run(search(SEARCH))
        assert client.run(search(SEARCH)) == first
        assert await client.arun(search(SEARCH)) == first
    async with open_client(store) as another:
        assert await another.arun(search(SEARCH)) == first
        assert another.run(search(SEARCH)) == first
    assert first.results
    assert len(sandbox.requests) == sandbox.ledger.count("search") == 1


def test_without_a_cache_every_call_is_a_request(sandbox: Sandbox, client: ParallelClient) -> None:
    for _ in range(3):
        client.run(search(SEARCH))
    assert len(sandbox.requests) == 3


def test_every_adapter_that_is_given_the_client_uses_its_cache(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    with open_client(tmp_path) as client:
        retriever = ParallelSearchRetriever(client=client, k=3)
        assert retriever.invoke("with statement") == retriever.invoke("with statement")
        before = len(sandbox.requests)
        tool = ParallelSearchTool(client=client)
        for _ in range(2):
            tool.invoke({"objective": "with statement", "search_queries": ["with"]})
        reader = ParallelReader(client=client)
        for _ in range(2):
            reader.load_data("the nonlocal statement")
    assert before == 1
    assert len(sandbox.requests) == 3


@pytest.mark.parametrize(
    "other",
    [
        SearchRequest(search_queries=["with statement"], max_results=3),
        SearchRequest(search_queries=["with statement exceptions"], max_results=4),
        SearchRequest(search_queries=["with statement exceptions"], max_results=3, mode="basic"),
        SearchRequest(
            objective="with statement exceptions",
            search_queries=["with statement exceptions"],
            max_results=3,
        ),
        SearchRequest(
            search_queries=["with statement exceptions"], max_results=3, client_model="any"
        ),
    ],
)
def test_another_request_does_not_get_that_response(
    other: SearchRequest, tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    with open_client(tmp_path) as client:
        client.run(search(SEARCH))
        client.run(search(other))
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"api_version": "v1beta"},
        {"api_version": "v1beta-processor"},
        {"headers": {"x-tenant": "another"}},
    ],
)
def test_another_code_path_is_another_request(
    settings: dict[str, Any], tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    with open_client(tmp_path) as client, open_client(tmp_path, **settings) as another:
        client.run(search(SEARCH))
        another.run(search(SEARCH))
        another.run(search(SEARCH))
    assert len(sandbox.requests) == 2


def _respond_by_key(talk: Talk, request: bytes) -> None:
    lines = [line.strip().lower() for line in request.split(b"\r\n")]
    secrets = [line for line in lines if line.startswith((b"x-api-key", b"cf-aig"))]
    talk.respond(b'{"results": [], "search_id": "%s"}' % b",".join(secrets)[-4:])


def test_nobody_is_given_what_another_key_has_paid_for(tmp_path: Path) -> None:
    with RawServer(_respond_by_key) as server:

        def ask(**settings: Any) -> str | None:
            with ParallelClient(cache=tmp_path, **settings) as client:
                return client.run(search(SEARCH)).search_id

        for _ in range(2):
            assert ask(api_key="the-key-of-one", base_url=server.url) == "-one"
            assert ask(api_key="the-key-of-two", base_url=server.url) == "-two"
        assert len(server.requests) == 2

        def gateway(token: str) -> CloudflareGateway:
            return CloudflareGateway("account", "gateway", token=token, base=server.url)

        for _ in range(2):
            assert ask(api_key="the-key-of-one", route=gateway("token-aaa"))
            assert ask(api_key="the-key-of-one", route=gateway("token-bbb"))
        assert len(server.requests) == 4


def _echo_key(talk: Talk, request: bytes) -> None:
    [key] = [line for line in request.split(b"\r\n") if line.lower().startswith(b"x-api-key")]
    talk.respond(b'{"results": [], "session_id": "%s"}' % key)


def test_no_key_is_in_the_directory(tmp_path: Path, sandbox: Sandbox, open_client: Opening) -> None:
    with open_client(tmp_path) as client:
        client.run(search(SEARCH))
        client.run(extract(ExtractRequest(urls=[PAGE])))
    with RawServer(_echo_key) as server:
        with ParallelClient(
            api_key=sandbox.api_key, base_url=server.url, cache=tmp_path
        ) as echoing:
            for _ in range(2):
                echoing.run(search(SEARCH))
        assert len(server.requests) == 2, "a response that holds the key must not be kept"
    files = list(tmp_path.rglob("*"))
    assert len(files) == 2
    for file in files:
        assert sandbox.api_key.encode() not in file.read_bytes() + str(file).encode()


def test_an_response_grows_old(tmp_path: Path, sandbox: Sandbox, open_client: Opening) -> None:
    with open_client(tmp_path, cache_ttl_seconds=1) as client:
        first = client.run(search(SEARCH))
        assert client.run(search(SEARCH)) == first
        time.sleep(1.05)
        assert client.run(search(SEARCH)).search_id != first.search_id
    assert len(sandbox.requests) == 2


def test_who_wants_it_fresher_than_it_was_kept_asks_again(
    sandbox: Sandbox, open_client: Opening
) -> None:
    store = Memory()
    with open_client(store) as long, open_client(store, cache_ttl_seconds=0.1) as short:
        long.run(search(SEARCH))
        time.sleep(0.15)
        short.run(search(SEARCH))
        assert len(sandbox.requests) == 2
        long.run(search(SEARCH))
    assert len(sandbox.requests) == 2


def test_pages_that_may_be_so_old_are_kept_no_longer(open_client: Opening) -> None:
    store = Memory()
    with open_client(store, cache_ttl_seconds=3600) as client:
        for policy in (None, FetchPolicy(max_age_seconds=600), FetchPolicy(max_age_seconds=7200)):
            client.run(search(SearchRequest(objective="with", fetch_policy=policy)))
    assert store.expires == [3600, 600, 3600]


def test_a_session_is_no_other_question(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    """Toolkits make a new one up for each agent: nothing would ever be found again."""
    with open_client(tmp_path) as client:
        one = client.run(search(SEARCH.model_copy(update={"session_id": "one"})))
        two = client.run(search(SEARCH.model_copy(update={"session_id": "two"})))
        page = ExtractRequest(urls=[PAGE])
        client.run(extract(page.model_copy(update={"session_id": "one"})))
        read = client.run(extract(page.model_copy(update={"session_id": "two"})))
    assert len(sandbox.requests) == 2
    assert (one.session_id, two.session_id, read.session_id) == ("one", "two", "two")
    assert one.results == two.results


def test_what_a_caller_changes_nobody_else_is_given(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    """A cached response is read once, and its result kept: each caller has one of its own."""
    with open_client(tmp_path) as client:
        first = client.run(search(SEARCH))
        read = client.run(extract(ExtractRequest(urls=[PAGE])))
        for _ in range(3):
            found = client.run(search(SEARCH))
            assert found == first
            assert found.model_dump_json() == first.model_dump_json()
            assert client.usage.counts == {"search": 1, "extract": 1}
            found.results[0].excerpts.append("changed")
            found.results[1].title = "changed"
            found.results.pop()
            assert found.model_extra is not None
            found.model_extra["changed"] = True
            page = client.run(extract(ExtractRequest(urls=[PAGE])))
            assert page == read
            page.results[0].excerpts = ["changed"]
            page.results[0].metadata = None
    assert len(sandbox.requests) == 2


def test_a_session_is_not_kept_with_what_was_read(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    with open_client(tmp_path) as client:
        first = client.run(search(SEARCH))
        for session in ("one", "two"):
            own = client.run(search(SEARCH.model_copy(update={"session_id": session})))
            assert own.session_id == session
            assert client.run(search(SEARCH)) == first
    assert len(sandbox.requests) == 1


def test_what_was_read_is_not_given_for_other_bytes(sandbox: Sandbox, open_client: Opening) -> None:
    store = Memory()
    with open_client(store) as client, open_client(store) as another:
        first = client.run(search(SEARCH))
        for _ in range(2):
            assert client.run(search(SEARCH)) == first
        [key] = store.kept
        del store.kept[key]
        newer = another.run(search(SEARCH))
        assert newer.search_id != first.search_id
        assert client.run(search(SEARCH)) == newer
        entry, until = store.kept[key]
        store.kept[key] = entry[:-1], until
        assert client.run(search(SEARCH)).search_id != newer.search_id
    assert len(sandbox.requests) == 3


def test_what_was_read_grows_old_too(sandbox: Sandbox, open_client: Opening) -> None:
    """Also where the cache goes on giving it."""
    store = Memory()
    with open_client(store, cache_ttl_seconds=0.2) as client:
        client.run(search(SEARCH))
        store.kept = {key: (entry, inf) for key, (entry, _) in store.kept.items()}
        client.run(search(SEARCH))
        time.sleep(0.25)
        count = len(sandbox.requests)
        client.run(search(SEARCH))
    assert len(sandbox.requests) == count + 1


def test_what_was_read_takes_up_a_bounded_space(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    def alive() -> int:
        gc.collect()
        return sum(isinstance(each, SearchResponse) for each in gc.get_objects())

    before = alive()
    with open_client(tmp_path) as client:
        for number in range(50):
            request = SearchRequest(objective=f"with {number}", max_results=1)
            for _ in range(2):
                client.run(search(request))
        assert 0 < alive() - before <= 40


def test_toolkits_find_what_another_has_requested(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    before = {"objective": "with", "search_queries": ["with"]}
    with open_client(tmp_path) as client:
        for _ in range(2):
            [tool] = [
                each
                for each in ParallelToolkit(client=client).get_tools()
                if each.name == "parallel_search"
            ]
            tool.invoke(before)
    assert len(sandbox.requests) == 1


def test_a_page_that_could_not_be_read_is_tried_again(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    whole, part = ExtractRequest(urls=[PAGE]), ExtractRequest(urls=[PAGE, MISSING])
    with open_client(tmp_path) as client:
        for _ in range(2):
            assert not client.run(extract(whole)).errors
            assert client.run(extract(part)).errors
    assert len(sandbox.requests) == 3


def test_a_failure_is_not_kept(tmp_path: Path, sandbox: Sandbox, open_client: Opening) -> None:
    with open_client(tmp_path, max_retries=0) as client:
        for fault, error in (
            ({"status": 500}, errors.ServerError),
            ({"body": "<html>"}, errors.UnexpectedAnswerError),
            ({"body": {"results": [{"url": 1}]}}, errors.UnexpectedAnswerError),
        ):
            sandbox.faults.add(**fault)
            with pytest.raises(error):
                client.run(search(SEARCH))
        assert client.run(search(SEARCH)).results
    assert len(sandbox.requests) == 4
    assert len(list(tmp_path.iterdir())) == 1


def test_only_search_and_extract_are_kept(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    turn = ChatRequest(messages=[{"role": "user", "content": "with"}])
    with open_client(tmp_path) as client:
        for _ in range(2):
            client.run(chat(turn))
            list(client.stream(stream_chat(turn)))
            client.run(create_task_run(CreateTaskRunRequest(input="with", processor="lite")))
    assert len(sandbox.requests) == 6
    assert not list(tmp_path.iterdir())


class Failing(Memory):
    """A cache that is down."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def get(self, key: str) -> Any:
        raise self.error

    def set(self, key: str, value: bytes, expire: float) -> None:
        raise self.error


@pytest.mark.parametrize("error", [OSError("down"), ValueError("?"), StopIteration(), KeyError(1)])
async def test_a_cache_that_fails_costs_no_response(
    error: Exception, sandbox: Sandbox, open_client: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    with open_client(Failing(error)) as client:
        for _ in range(2):
            assert client.run(search(SEARCH)).results
            assert (await client.arun(search(SEARCH))).results
    assert len(sandbox.requests) == 4
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2, "one for reading, one for writing, however often it fails"
    assert type(error).__name__ in warnings[0]


@pytest.mark.parametrize(
    "garbage", ["text", 7, b"", b"x", b"00000000{}", b"not ours", [], {"at": 1}, b"\xff" * 99]
)
def test_what_somebody_else_wrote_is_no_response(
    garbage: Any, sandbox: Sandbox, open_client: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    store = Memory()
    with open_client(store) as client:
        first = client.run(search(SEARCH))
        [key] = store.kept
        store.kept[key] = garbage, time.time() + 60
        again = client.run(search(SEARCH))
        assert again.search_id != first.search_id
        assert client.run(search(SEARCH)) == again, "it was not replaced"
    assert len(sandbox.requests) == 2
    assert "not written by this package" in caplog.text


def test_every_damage_to_a_file_is_found(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    with open_client(tmp_path) as client:
        client.run(search(SEARCH))
        [file] = tmp_path.iterdir()
        whole = file.read_bytes()
        step = max(1, len(whole) // 20)
        damaged = [whole[:cut] for cut in range(0, len(whole), step)]
        damaged += [
            whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, 200, 7)
        ]
        for count, content in enumerate(damaged, 2):
            times = file.stat()
            file.write_bytes(content)
            os.utime(file, (times.st_atime, times.st_mtime))
            assert client.run(search(SEARCH)).results
            assert len(sandbox.requests) == count


def test_a_directory_that_cannot_be_used_costs_no_response(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "responses"
    with open_client(path) as client:
        path.write_text("somebody was faster")
        for _ in range(2):
            assert client.run(search(SEARCH)).results
    assert len(sandbox.requests) == 2
    assert "cannot be written" in caplog.text


async def test_a_slow_cache_does_not_hold_the_event_loop_up(open_client: Opening) -> None:
    before, gone_on = threading.Event(), threading.Event()
    waited = []

    class Slow(Memory):
        def get(self, key: str) -> Any:
            before.set()
            waited.append(gone_on.wait(20))
            return super().get(key)

    with open_client(Slow()) as client:
        task = asyncio.create_task(client.arun(search(SEARCH)))
        assert await asyncio.to_thread(before.wait, 20)
        gone_on.set()  # by the loop, while the cache is being read
        assert (await task).results
        await client.aclose()
    assert waited == [True]


def test_nobody_else_can_read_the_files(tmp_path: Path, open_client: Opening) -> None:
    before = os.umask(0)
    try:
        with open_client(tmp_path / "a" / "b" / "responses") as client:
            client.run(search(SEARCH))
    finally:
        os.umask(before)
    [file] = (tmp_path / "a" / "b" / "responses").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    made = [file.parent, file.parent.parent, file.parent.parent.parent]
    assert [stat.S_IMODE(directory.stat().st_mode) for directory in made] == [0o700] * 3


# ------------------------------------------------------------------------------ what stands there


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(path.parent)  # an address has at most a hundred characters
        try:
            listener.bind(path.name)
        finally:
            os.chdir(here)


def _link(path: Path) -> None:
    """To a response that would be right."""
    kept = path.with_name("elsewhere")
    kept.write_bytes(path.read_bytes())
    os.utime(kept, (time.time(), time.time() + 60))
    path.unlink()
    path.symlink_to(kept)


def _endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)
    os.utime(path, (time.time(), time.time() + 60))


def _writable(path: Path) -> None:
    path.chmod(0o606)


def _of_the_group(path: Path) -> None:
    path.chmod(0o660)


def _foreign(path: Path) -> None:
    os.chown(path, 12345, -1)


AS_ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)
PLANTED = [_pipe, _socket, _link, _endless, _huge, _writable, _of_the_group]


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
@pytest.mark.parametrize(
    "plant",
    [*PLANTED, Path.mkdir, pytest.param(_foreign, marks=AS_ROOT)],
    ids=lambda plant: plant.__name__,
)
def test_a_file_that_somebody_put_there_is_not_read(
    plant: Callable[[Path], None],
    tmp_path: Path,
    sandbox: Sandbox,
    open_client: Opening,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with open_client(tmp_path) as client:
        first = client.run(search(SEARCH))
        [file] = tmp_path.iterdir()
        if plant in (_pipe, _socket, Path.mkdir):
            file.unlink()
        plant(file)
        second = asyncio.run(client.arun(search(SEARCH)))
        assert second.results == first.results
        assert second.search_id != first.search_id
        assert sum("cannot be read" in message for message in caplog.messages) == 1
        third = client.run(search(SEARCH))
        if plant is not Path.mkdir:  # which no file can take the place of
            assert third == second, "it was not replaced"
        assert third.results == first.results


def _open_to_all(path: Path) -> None:
    path.chmod(0o777)


def _open_to_the_group(path: Path) -> None:
    path.chmod(0o770)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX files")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_open_to_all, "chmod go-w"),
        (_open_to_the_group, "chmod go-w"),
        pytest.param(_foreign, "belongs to another user", marks=AS_ROOT),
    ],
)
def test_a_directory_that_others_may_write_to_is_not_used(
    change: Callable[[Path], None],
    said: str,
    tmp_path: Path,
    sandbox: Sandbox,
    open_client: Opening,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "responses"
    with open_client(path) as client:
        client.run(search(SEARCH))
        change(path)
        for _ in range(3):
            assert client.run(search(SEARCH)).results
    assert len(sandbox.requests) == 4
    assert len(list(path.iterdir())) == 1
    assert [said in message for message in caplog.messages] == [True, True], "read, written"
    with open_client(path / "new") as client:
        for _ in range(3):
            assert client.run(search(SEARCH)).results
    assert len(sandbox.requests) == 5, "a new directory inside it is one's own"


def test_an_response_of_another_question_is_none(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    """Each entry is sealed for its own request: who may write cannot exchange them."""
    other = SearchRequest(search_queries=["nonlocal"], max_results=3)
    with open_client(tmp_path) as client:
        right = client.run(search(SEARCH)).results
        [file] = tmp_path.iterdir()
        client.run(search(other))
        [another] = set(tmp_path.iterdir()) - {file}
        file.write_bytes(another.read_bytes())
        os.utime(file, (time.time(), time.time() + 60))
        assert client.run(search(SEARCH)).results == right
    assert len(sandbox.requests) == 3


DEEP = b"[" * 200_000
HEADERS: list[Any] = [
    {"at": time.time(), "status": 200, "type": "application/json"},
    {"at": float("nan"), "status": 200, "type": None},
    {"at": 10**400, "status": 200, "type": None},
    {"at": time.time(), "status": "200", "type": 7},
    {"at": time.time(), "status": 999, "type": "x\r\ny: z"},
    {},
    [],
    7,
]


def _forged(headers: Any, body: bytes, digest: str) -> bytes:
    """An entry as somebody would write it who knows the code and not the key."""
    record = (
        json.dumps(headers) if not isinstance(headers, bytes) else headers.decode()
    ).encode() + b"\n"
    record += body
    if digest == "crc":
        return b"%08x" % zlib.crc32(record) + record
    key = b"" if digest == "none" else bytes(32)
    return hmac.digest(key, record, "sha256") + record


def _damaged(whole: bytes, kind: str, place: int, change: int) -> bytes:
    """A genuine entry of which something has changed."""
    at = place % len(whole)
    return {
        "cut": whole[:at],
        "bit": whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :],
        "longer": whole + bytes([change]),
        "hole": whole[:at] + whole[at + change :],
        "twice": whole + whole,
    }[kind]


DAMAGE = st.tuples(
    st.sampled_from(["cut", "bit", "longer", "hole", "twice"]),
    st.integers(0, 100_000),
    st.integers(1, 255),
)
FORGED = st.builds(
    _forged,
    st.sampled_from([*HEADERS, DEEP]),
    st.sampled_from([b"", b"{}", DEEP, b'{"results": [], "search_id": "forged"}', b"\xff"]),
    st.sampled_from(["crc", "none", "zeros"]),
)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Sandbox]:
    """A sandbox for many examples."""
    with Sandbox() as sandbox:
        yield sandbox


@given(stands=st.binary() | FORGED | DAMAGE)
@settings(max_examples=100, deadline=None)
def test_whatever_bytes_stand_there_the_api_is_requested(
    lasting: Sandbox, stands: bytes | tuple[str, int, int]
) -> None:
    sandbox, store = lasting, Memory()
    with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url, cache=store) as client:
        right = client.run(search(SEARCH))
        [(key, (whole, until))] = store.kept.items()
        if isinstance(stands, tuple):
            stands = _damaged(whole, *stands)
        assert stands != whole
        store.kept[key] = stands, until
        before = len(sandbox.requests)
        found = client.run(search(SEARCH))
        assert len(sandbox.requests) == before + 1
        assert found.results == right.results
        assert found.search_id != right.search_id


class Bytes(bytes):
    """Bytes that misbehave."""

    def __bytes__(self) -> bytes:
        raise RecursionError

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)


async def _awaited() -> None:
    """What a cache gives that should have been awaited."""


def _odd_things() -> dict[str, Callable[[], Any]]:
    return {
        "text": lambda: "text",
        "a number": lambda: 7,
        "NaN": lambda: float("nan"),
        "false": lambda: False,
        "a response": lambda: httpx.Response(200, json={}),
        "a type": lambda: bytes,
        "a generator": lambda: (piece for piece in [b"x"]),
        "bytes of another kind": lambda: Bytes(b"x" * 100),
        "an array": lambda: array("d", [1.0] * 9),
        "memory in columns": lambda: memoryview(bytes(100)).cast("B", (10, 10)),
        "memory that is gone": _released,
        "a coroutine": _awaited,
        "a future": lambda: concurrent.futures.Future(),
    }


def _released() -> memoryview:
    view = memoryview(b"x")
    view.release()
    return view


@pytest.mark.parametrize("thing", _odd_things().values(), ids=_odd_things().keys())
async def test_whatever_a_cache_gives_the_api_is_requested(
    thing: Callable[[], Any],
    sandbox: Sandbox,
    open_client: Opening,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Odd(Memory):
        def get(self, key: str) -> Any:
            return thing()

        def set(self, key: str, value: bytes, expire: float) -> Any:
            return thing()

    with open_client(Odd()) as client:
        for _ in range(2):
            assert client.run(search(SEARCH)).results
            assert (await client.arun(search(SEARCH))).results
    assert len(sandbox.requests) == 4
    assert sum("cannot be read" in message for message in caplog.messages) == 1
    if thing is _awaited:
        assert any("its set must block" in message for message in caplog.messages)


def test_the_log_says_which_directory_was_created(
    tmp_path: Path, open_client: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="parallel_integrations")
    client = open_client(tmp_path / "responses")
    client.run(search(SEARCH))
    client.run(search(SEARCH))
    said = [record.message for record in caplog.records if "cache directory" in record.message]
    assert said == [f"created the cache directory {tmp_path / 'responses'}"]


def test_a_directory_grows_no_larger_than_it_may(tmp_path: Path) -> None:
    other = tmp_path / "notes.response"
    other.write_text("a user's own file")
    cache = DirectoryCache(tmp_path, max_bytes=100_000)
    for number in range(100):
        cache.set(f"{number:064x}", bytes(3000), expire=60 + number)
        used = sum(file.stat().st_size for file in tmp_path.iterdir() if file != other)
        assert used <= 100_000
    assert used > 80_000
    assert cache.get(f"{0:064x}") is None, "the oldest goes first"
    assert cache.get(f"{99:064x}") == bytes(3000)
    assert other.exists()
    cache.set("f" * 64, bytes(100_001), expire=60)
    assert cache.get("f" * 64) is None


def test_what_is_over_is_deleted_when_subpackage_is_made(tmp_path: Path) -> None:
    DirectoryCache(tmp_path).set("a" * 64, b"1", expire=0.01)
    abandoned = tmp_path / f".{'b' * 64}.abcdef01.part"
    abandoned.write_bytes(b"half")
    time.sleep(0.02)
    DirectoryCache(tmp_path).set("c" * 64, b"2", expire=60)
    assert {file.name[0] for file in tmp_path.iterdir()} == {"c", "."}, "a part may be in use"


def test_threads_and_processes_share_a_directory(tmp_path: Path) -> None:
    script = """if True:
        import sys
        from parallel_integrations import DirectoryCache
        cache = DirectoryCache(sys.argv[1], max_bytes=200_000)
        for number in range(300):
            key = f"{number % 20:064x}"
            value = cache.get(key)
            assert value is None or len(set(value)) == 1 and len(value) == 5000, "truncated"
            cache.set(key, bytes([number % 256]) * 5000, expire=60)
    """
    command = [sys.executable, "-c", script, str(tmp_path)]
    others = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    cache = DirectoryCache(tmp_path, max_bytes=200_000)

    def respond(number: int) -> None:
        key = f"{number % 20:064x}"
        value = cache.get(key)
        assert value is None or (len(set(value)) == 1 and len(value) == 5000)
        cache.set(key, bytes([number % 256]) * 5000, expire=60)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(respond, range(400)))
    for other in others:
        _, said = other.communicate(timeout=170)
        assert (other.returncode, said) == (0, b"")
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("cache", "reason"),
    [
        ("", "is no directory"),
        (7, "int has no get"),
        ({}, "dict has no set"),
        (True, "bool has no get"),
        ("~no-such-user-here/responses", "cannot be a directory"),
        ("a\0b", "cannot be a directory"),
        ("x" * 5000, "cannot be a directory"),
        (__file__, "is a file; name a directory"),
    ],
)
def test_what_is_no_cache_is_refused(cache: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        ParallelClient(cache=cache)
    assert "cache=" in str(caught.value)


def test_a_cache_that_must_be_awaited_is_refused() -> None:
    class Awaited(Memory):
        async def get(self, key: str) -> Any:
            return None

    with pytest.raises(ValueError, match="must block, not be awaited"):
        ParallelClient(cache=Awaited())


@pytest.mark.parametrize("ttl", [0, -1, float("inf"), float("nan"), True, "60", None])
def test_a_time_to_live_that_is_none_is_refused(tmp_path: Path, ttl: Any) -> None:
    with pytest.raises(ValueError, match="cache_ttl_seconds="):
        ParallelClient(cache=tmp_path, cache_ttl_seconds=ttl)


@pytest.mark.parametrize("key", ["", "short", "../../etc/passwd", "G" * 64, "a" * 64 + "/x"])
def test_a_key_never_leads_out_of_the_directory(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        DirectoryCache(tmp_path).set(key, b"x", expire=1)


@pytest.mark.parametrize("size", [0, -1, True, "7", float("nan"), float("inf"), None])
def test_a_directory_of_no_size_is_refused(tmp_path: Path, size: Any) -> None:
    with pytest.raises(ValueError, match=r"max_bytes=.* whole number, 1 or more"):
        DirectoryCache(tmp_path, max_bytes=size)


def test_a_pickle_takes_the_directory_along(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_client(DirectoryCache(tmp_path, max_bytes=77_000), cache_ttl_seconds=50) as client:
        client.run(search(SEARCH))
        data = pickle.dumps(client)
    assert sandbox.api_key.encode() not in data
    monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
    with pickle.loads(data) as loaded:
        assert loaded.run(search(SEARCH)).results
        assert loaded.usage.counts == {}
    assert len(sandbox.requests) == 1
    assert "max_bytes=77000" in repr(pickle.loads(data)._shared.cache)


def test_a_pickle_takes_along_what_can_be_pickled(open_client: Opening, tmp_path: Path) -> None:
    store = diskcache.Cache(tmp_path)
    loaded = pickle.loads(pickle.dumps(open_client(store)))
    assert isinstance(loaded, ParallelClient)
    for each in (store, loaded._shared.cache):
        each.close()
    with pytest.raises(errors.ParallelError, match="give it a directory's path"):
        pickle.dumps(open_client(Unpicklable()))


class Unpicklable(Memory):
    def __reduce__(self) -> Any:
        raise ZeroDivisionError


def test_a_deep_copy_has_the_same_cache(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    for cache in (tmp_path, Unpicklable()):
        with open_client(cache) as client, copy.deepcopy(client) as twin:
            client.run(search(SEARCH))
            twin.run(search(SEARCH))
            assert (client.usage.counts, twin.usage.counts) == ({"search": 1}, {})
    assert len(sandbox.requests) == 2


if hasattr(os, "fork"):

    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
    def test_a_forked_child_waits_for_nobody_of_its_parent(
        tmp_path: Path, sandbox: Sandbox, open_client: Opening
    ) -> None:
        client = open_client(tmp_path)
        asyncio.run(client.arun(search(SearchRequest(objective="starts the threads"))))
        sandbox.faults.add(delay=0.7)
        thread = threading.Thread(target=lambda: client.run(search(SEARCH)))
        thread.start()
        while len(sandbox.requests) < 2:
            time.sleep(0.01)
        child = os.fork()
        if child == 0:
            threading.Timer(30, os._exit, [1]).start()
            client.run(search(SEARCH))
            asyncio.run(client.arun(search(SEARCH)))
            os._exit(0 if client.usage.counts.get("search") == 2 else 3)
        assert os.waitpid(child, 0)[1] == 0
        thread.join()
        client.close()

"""`ParallelClient(cache=…)`: an answer that has been paid for is not paid for again."""

import asyncio
import copy
import logging
import os
import pickle
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import diskcache  # type: ignore[import-untyped]
import pytest

from parallel_integrations import (
    ChatRequest,
    CloudflareGateway,
    ExtractRequest,
    FetchPolicy,
    ParallelClient,
    ParallelError,
    SearchRequest,
    ServerError,
    UnexpectedAnswerError,
)
from parallel_integrations.api import chat, create_task_run, extract, search, stream_chat
from parallel_integrations.api.task_requests import CreateTaskRunRequest
from parallel_integrations.cache import DirectoryCache
from parallel_integrations.langchain import (
    ParallelSearchRetriever,
    ParallelSearchTool,
    ParallelToolkit,
)
from parallel_integrations.llama_index import ParallelReader
from parallel_integrations.sandbox import Sandbox
from tests.support.raw_server import RawServer, Talk

SEARCH = SearchRequest(search_queries=["with statement exceptions"], max_results=3)
PAGE = "https://docs.python.org/3/reference/compound_stmts.html"
MISSING = "https://docs.python.org/3/no-such-page.html"


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
        connection = {"api_key": sandbox.api_key, "base_url": sandbox.url}
        return ParallelClient(**{**connection, **settings}, cache=cache)

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
async def test_an_equal_request_is_answered_without_another(
    make: Callable[[Path], Any], tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    store = make(tmp_path / "answers")
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
def test_another_request_is_not_answered_by_it(
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
def test_another_road_is_another_request(
    settings: dict[str, Any], tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    with open_client(tmp_path) as client, open_client(tmp_path, **settings) as another:
        client.run(search(SEARCH))
        another.run(search(SEARCH))
        another.run(search(SEARCH))
    assert len(sandbox.requests) == 2


def _answer_by_key(talk: Talk, request: bytes) -> None:
    lines = [line.strip().lower() for line in request.split(b"\r\n")]
    secrets = [line for line in lines if line.startswith((b"x-api-key", b"cf-aig"))]
    talk.answer(b'{"results": [], "search_id": "%s"}' % b",".join(secrets)[-4:])


def test_nobody_is_given_what_another_key_has_paid_for(tmp_path: Path) -> None:
    with RawServer(_answer_by_key) as server:

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
    talk.answer(b'{"results": [], "session_id": "%s"}' % key)


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
        assert len(server.requests) == 2, "an answer that holds the key must not be kept"
    files = list(tmp_path.rglob("*"))
    assert len(files) == 2
    for file in files:
        assert sandbox.api_key.encode() not in file.read_bytes() + str(file).encode()


def test_an_answer_grows_old(tmp_path: Path, sandbox: Sandbox, open_client: Opening) -> None:
    with open_client(tmp_path, cache_ttl_seconds=0.2) as client:
        first = client.run(search(SEARCH))
        assert client.run(search(SEARCH)) == first
        time.sleep(0.25)
        assert client.run(search(SEARCH)).search_id != first.search_id
    assert len(sandbox.requests) == 2


def test_who_wants_it_fresher_than_it_was_kept_asks_anew(
    sandbox: Sandbox, open_client: Opening
) -> None:
    store = Memory()
    with open_client(store) as patient, open_client(store, cache_ttl_seconds=0.1) as impatient:
        patient.run(search(SEARCH))
        time.sleep(0.15)
        impatient.run(search(SEARCH))
        assert len(sandbox.requests) == 2
        patient.run(search(SEARCH))
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


def test_toolkits_find_what_another_has_asked(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening
) -> None:
    asked = {"objective": "with", "search_queries": ["with"]}
    with open_client(tmp_path) as client:
        for _ in range(2):
            [tool] = [
                each
                for each in ParallelToolkit(client=client).get_tools()
                if each.name == "parallel_search"
            ]
            tool.invoke(asked)
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
            ({"status": 500}, ServerError),
            ({"body": "<html>"}, UnexpectedAnswerError),
            ({"body": {"results": [{"url": 1}]}}, UnexpectedAnswerError),
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
async def test_a_cache_that_fails_costs_no_answer(
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
def test_what_somebody_else_wrote_is_no_answer(
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


def test_a_directory_that_cannot_be_used_costs_no_answer(
    tmp_path: Path, sandbox: Sandbox, open_client: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "answers"
    with open_client(path) as client:
        path.write_text("somebody was faster")
        for _ in range(2):
            assert client.run(search(SEARCH)).results
    assert len(sandbox.requests) == 2
    assert "cannot be written" in caplog.text


async def test_a_slow_cache_does_not_hold_the_event_loop_up(open_client: Opening) -> None:
    class Slow(Memory):
        def get(self, key: str) -> Any:
            time.sleep(0.3)
            return super().get(key)

    with open_client(Slow()) as client:
        task = asyncio.create_task(client.arun(search(SEARCH)))
        longest, last = 0.0, time.monotonic()
        while not task.done():
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert (await task).results
        await client.aclose()
    assert longest < 0.2


def test_nobody_else_can_read_the_files(tmp_path: Path, open_client: Opening) -> None:
    before = os.umask(0)
    try:
        with open_client(tmp_path / "a" / "answers") as client:
            client.run(search(SEARCH))
    finally:
        os.umask(before)
    [file] = (tmp_path / "a" / "answers").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_directory_grows_no_larger_than_it_may(tmp_path: Path) -> None:
    other = tmp_path / "notes.answer"
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


def test_what_is_over_is_deleted_when_room_is_made(tmp_path: Path) -> None:
    DirectoryCache(tmp_path).set("a" * 64, b"1", expire=0.01)
    abandoned = tmp_path / f".{'b' * 64}.abcdef01.part"
    abandoned.write_bytes(b"half")
    time.sleep(0.02)
    DirectoryCache(tmp_path).set("c" * 64, b"2", expire=60)
    assert {file.name[0] for file in tmp_path.iterdir()} == {"c", "."}, "a part may be in use"


def test_threads_and_processes_share_a_directory(tmp_path: Path) -> None:
    script = """if True:
        import sys
        from parallel_integrations.cache import DirectoryCache
        cache = DirectoryCache(sys.argv[1], max_bytes=200_000)
        for number in range(300):
            key = f"{number % 20:064x}"
            value = cache.get(key)
            assert value is None or len(set(value)) == 1 and len(value) == 5000, "torn"
            cache.set(key, bytes([number % 256]) * 5000, expire=60)
    """
    command = [sys.executable, "-c", script, str(tmp_path)]
    others = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    cache = DirectoryCache(tmp_path, max_bytes=200_000)

    def play(number: int) -> None:
        key = f"{number % 20:064x}"
        value = cache.get(key)
        assert value is None or (len(set(value)) == 1 and len(value) == 5000)
        cache.set(key, bytes([number % 256]) * 5000, expire=60)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(play, range(400)))
    for other in others:
        _, said = other.communicate(timeout=30)
        assert (other.returncode, said) == (0, b"")
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("cache", "reason"),
    [
        ("", "is no directory"),
        (7, "int has no get"),
        ({}, "dict has no set"),
        (True, "bool has no get"),
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


def test_a_directory_of_no_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_bytes=0"):
        DirectoryCache(tmp_path, max_bytes=0)


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
    with pytest.raises(ParallelError, match="give it a directory's path"):
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
            threading.Timer(5, os._exit, [1]).start()
            client.run(search(SEARCH))
            asyncio.run(client.arun(search(SEARCH)))
            os._exit(0 if client.usage.counts.get("search") == 2 else 3)
        assert os.waitpid(child, 0)[1] == 0
        thread.join()
        client.close()

"""The troubleshooting page quotes the package, and has a remedy for each sentence."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import parallel_integrations
from parallel_integrations import (
    CreateTaskRunRequest,
    ParallelClient,
    ParallelError,
    SearchRequest,
    TaskSettings,
)
from parallel_integrations.api import create_task_run, run_task, search, verify_webhook
from parallel_integrations.enrichment import enrich
from parallel_integrations.langchain import (
    ChatParallel,
    ParallelSearchRetriever,
    ParallelSearchTool,
)
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection

PAGE = (Path(__file__).parent.parent / "docs" / "troubleshooting.md").read_text()
SYMPTOMS = dict(re.findall(r"^### `([^`]+)`$(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def _search(sandbox: Sandbox, **settings: Any) -> object:
    given = {"api_key": sandbox.api_key, "base_url": sandbox.url, "max_retries": 0} | settings
    with ParallelClient(**given) as client:
        return client.run(search(SearchRequest(objective="What is a closure?")))


def _search_after(**fault: Any) -> Callable[[Sandbox, Path], object]:
    def provoke(sandbox: Sandbox, _: Path) -> object:
        sandbox.faults.add("/v1/search", **fault)
        return _search(sandbox, timeout=0.2 if "delay" in fault else 60)

    return provoke


def _no_sandbox(_: Sandbox, __: Path) -> object:
    with Sandbox() as gone:
        url = gone.url
    return ParallelClient(api_key="x", base_url=url, max_retries=0).run(
        search(SearchRequest(objective="x"))
    )


def _tools(sandbox: Sandbox, _: Path) -> object:
    given = connection(sandbox)
    return ChatParallel(**given).bind_tools([ParallelSearchTool(**given)]).invoke("x")


def _deadline(sandbox: Sandbox, _: Path) -> object:
    sandbox.faults.add("/v1/tasks/runs/*", times=None, status=503)
    request = CreateTaskRunRequest(input="x", processor="lite")
    with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        return client.run(run_task(request, deadline_seconds=0.5))


def _processor(sandbox: Sandbox, _: Path) -> object:
    request = CreateTaskRunRequest(input="x", processor="proo")
    with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        return client.run(create_task_run(request))


def _journal(second: list[str], processor: str) -> Callable[[Sandbox, Path], object]:
    def provoke(sandbox: Sandbox, folder: Path) -> object:
        done = object()
        with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            for rows, name in ((["with"], "lite"), (second, processor)):
                settings = TaskSettings(processor=name, output_schema="What it is.")
                done = list(client.stream(enrich(rows, settings, journal=folder / "run.db")))
        return done

    return provoke


PROVOKED: dict[str, Callable[[Sandbox, Path], object]] = {
    "No API key: set PARALLEL_API_KEY or pass api_key=": lambda sandbox, _: _search(
        sandbox, api_key=None
    ),
    "is no key but has quotes or a variable's name in it": lambda *_: ParallelClient(api_key="'k'"),
    "ends in the API's own path, which each operation adds": lambda *_: ParallelClient(
        base_url="https://api.parallel.ai/v1"
    ),
    "would send the key unencrypted: use https": lambda *_: ParallelClient(
        base_url="http://10.0.0.1"
    ),
    "has no argument 'top_k'; it is called k= here": lambda *_: ParallelSearchRetriever(top_k=3),
    "A client carries out what an operation returns": lambda *_: ParallelClient().run(
        "a question"  # type: ignore[arg-type]
    ),
    "Parallel's chat models call no tools": _tools,
    "ChatParallel is not in parallel_integrations": lambda *_: parallel_integrations.ChatParallel,
    "Does the sandbox run there, and on this port?": _no_sandbox,
    "No complete response to POST": _search_after(delay=1),
    "cannot be read: Expecting value": _search_after(status=200, body="<html>log in</html>"),
    "It goes on: wait for it with wait_task_run": _deadline,
    "401 from POST /v1/search": lambda sandbox, _: _search(sandbox, api_key="another"),
    "402 from POST /v1/search": _search_after(status=402),
    "processor='proo' is none of lite, base, core": _processor,
    "422 from POST /v1/search": _search_after(status=422),
    "429 from POST /v1/search": _search_after(status=429, retry_after=120),
    "500 from POST /v1/search": _search_after(status=500),
    "is of other work: processor differs": _journal(["with"], "base"),
    "is of another input: row 0 differs": _journal(["nonlocal"], "lite"),
    "secret is no webhook secret": lambda *_: verify_webhook({}, b"", "'whsec_abc'"),
}


@pytest.mark.parametrize("sentence", PROVOKED)
def test_the_page_quotes_what_is_raised(sentence: str, sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises((ParallelError, ImportError)) as caught:
        PROVOKED[sentence](sandbox, tmp_path)
    assert sentence in str(caught.value)


def test_every_sentence_of_the_page_is_provoked_and_has_a_remedy() -> None:
    assert list(SYMPTOMS) == list(PROVOKED)
    for sentence, text in SYMPTOMS.items():
        assert "**Cause.**" in text, sentence
        assert "**Remedy.**" in text, sentence

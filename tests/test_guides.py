"""Each page names an installation that its examples run in; the receiver works as pasted."""

import ast
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
import uvicorn

from parallel_integrations import (
    CreateMonitorRequest,
    CreateTaskRunRequest,
    EventStreamSettings,
    ParallelClient,
    Webhook,
)
from parallel_integrations.api import create_monitor, run_task
from tests.support import outputs
from tests.support.guides import PAGES, requirements

INCLUDED: Final = {"httpx", "parallel_integrations", "pydantic", "typing_extensions"}
# What is installed for an import, or for a name that imports it when it is used.
INSTALLED_AS: Final = {
    "dask": "distributed",
    "InMemoryVectorStore": "numpy",
    "langchain_core": "[langchain]",
    "llama_index": "[llama-index]",
    "mcp": "langchain-mcp-adapters",  # which depends on it
    "ParallelBudgetMiddleware": "langchain",
    "parallel_integrations.langchain": "[langchain]",
    "parallel_integrations.llama_index": "[llama-index]",
    "parallel_integrations.sandbox": "[sandbox]",
    "pyspark": "pyspark[sql]",
    "ray": "ray[data]",
    "starlette": "[sandbox]",
}


def needed(place: str) -> set[str]:
    """The extras, in brackets, and packages that the examples of a page need."""
    found = set()
    for example in outputs.examples(place, PAGES[place]):
        for node in ast.walk(ast.parse(example.code)):
            match node:
                case ast.Import(names=names):
                    modules = [each.name for each in names]
                case ast.ImportFrom(module=str(module), names=names):
                    modules = [module, *(each.name for each in names if each.name in INSTALLED_AS)]
                case _:
                    continue
            for module in modules:
                root, _, rest = module.partition(".")
                inner = f"{root}.{rest.partition('.')[0]}"
                name = inner if inner in INSTALLED_AS else root
                if name not in INCLUDED | sys.stdlib_module_names:
                    found.add(INSTALLED_AS.get(name, name.replace("_", "-")))
    return found


def installed(place: str) -> set[str]:
    """The extras, in brackets, and packages that the install lines of a page name."""
    found = set()
    for each in requirements(place):
        extras = re.findall(r"[\w-]+", each.partition("[")[2])
        found |= {f"[{extra}]" for extra in extras} if each.startswith(".") else {each}
    if "[cli]" in found:
        found.add("[sandbox]")
    return found


@pytest.mark.parametrize("place", [place for place in PAGES if needed(place)])
def test_the_install_line_suffices_for_the_examples(place: str) -> None:
    assert not needed(place) - installed(place)


class Inbox(set[str]):
    """The receiver's set of handled deliveries; it says when there are as many as expected."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self.expected, self.complete = expected, threading.Event()

    def add(self, delivery: str) -> None:
        super().add(delivery)
        if len(self) == self.expected:
            self.complete.set()


@contextmanager
def served(app: Any) -> Iterator[str]:
    """An application on a port of this machine; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.mark.usefixtures("at_sandbox")
def test_the_starlette_receiver_works_as_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    place = "docs/guides/webhooks.md"
    [code] = [each.code for each in outputs.examples(place, PAGES[place]) if "Route(" in each.code]
    pasted: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(code, place, "exec", dont_inherit=True), pasted)
    pasted["done"] = Inbox(expected=2)
    with served(pasted["app"]) as address, ParallelClient() as client:
        webhook = {"url": f"{address}/parallel"}
        task = CreateTaskRunRequest(
            input="nonlocal",
            processor="lite",
            webhook=Webhook(**webhook, event_types=["task_run.status"]),
        )
        client.run(run_task(task))
        monitor = CreateMonitorRequest(
            type="event_stream",
            frequency="1d",
            settings=EventStreamSettings(query="the nonlocal statement", include_backfill=True),
            webhook=Webhook(**webhook, event_types=["monitor.event.detected"]),
        )
        client.run(create_monitor(monitor))
        assert pasted["done"].complete.wait(20)
    said = capsys.readouterr().out
    assert "task_run.status" in said
    assert "monitor.event.detected" in said
    assert "nonlocal" in said

"""Everything public says what it is and shows how it is used, in an example that runs.

`test_examples.py` runs the examples; here it is held that there is one.
"""

import ast
import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from parallel_integrations import api

PACKAGES = [
    "parallel_integrations",
    "parallel_integrations.api",
    "parallel_integrations.enrichment",
    "parallel_integrations.langchain",
    "parallel_integrations.llama_index",
    "parallel_integrations.sandbox",
]
ERROR = "ParallelError"
# What has no example of its own, and whose example stands in: a request is built in the example of
# the operation that takes it, an answer is named by the operation that returns it, a part by the
# whole it belongs to. Each entry is checked below.
SHOWN_BY = {
    "AddTaskGroupRunsRequest": "add_task_group_runs",
    "ChatMessage": "ChatRequest",
    "ChatResponse": "chat",
    "ClearMemoryRequest": "clear_memory",
    "CreateFindallRunRequest": "create_findall_run",
    "CreateTaskGroupRequest": "create_task_group",
    "EnrichFindallRequest": "enrich_findall",
    "EntitySearchRequest": "entity_search",
    "EventStreamSettings": "create_monitor",
    "EvictMemoryRequest": "evict_memory",
    "ExtendFindallRequest": "extend_findall",
    "ExtractResponse": "extract",
    "IngestFindallRequest": "ingest_findall",
    "RetrieveMemoryRequest": "retrieve_memory",
    "SearchResponse": "search",
    "SnapshotSettings": "CreateMonitorRequest",
    "TaskGroupResult": "run_task_group",
    "TaskRun": "create_task_run",
    "TaskRunResult": "run_task",
    "TaskSettings": "run_task_group",
    "UpdateMonitorRequest": "update_monitor",
    "EnrichedRow": "enrich",
    "EnrichmentProgress": "enrich",
    "Entry": "Ledger",
    "Fault": "Faults",
    "RecordedRequest": "Sandbox",
}


def public() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for name in importlib.import_module(package).__all__:
            if not name.startswith("__"):
                yield package, name


NAMES = sorted(set(public()))


def has_example(documented: object) -> bool:
    text = inspect.getdoc(documented) or ""
    if "```python" in text:
        return True
    return bool(doctest.DocTestParser().get_examples(text))


def own_docstring(documented: object) -> str:
    # Not inherited: a class without a docstring would show its base's.
    return inspect.cleandoc(documented.__doc__ or "")


@pytest.mark.parametrize(("package", "name"), NAMES, ids=lambda part: part)
def test_a_public_name_has_a_docstring_with_an_example(package: str, name: str) -> None:
    documented = getattr(importlib.import_module(package), name)
    text = own_docstring(documented)
    assert text, f"{name} has no docstring"
    assert text.split("\n")[0].rstrip().endswith((".", ":")), "the first line is a sentence"
    if isinstance(documented, type) and issubclass(documented, BaseException):
        return  # raised, never built by a user: ParallelError's example catches them
    if name in SHOWN_BY:
        assert not has_example(documented), f"{name} has its own example: take it off the list"
    else:
        assert "Example:" in text, f"{name} has no example"
        assert has_example(documented)


@pytest.mark.parametrize(("name", "by"), SHOWN_BY.items(), ids=lambda part: part)
def test_what_stands_in_really_shows_it(name: str, by: str) -> None:
    [other] = {
        getattr(importlib.import_module(package), by) for package, each in NAMES if each == by
    }
    assert has_example(other)
    shown = inspect.getdoc(other) or ""
    assert re.search(rf"\b{name}\b", shown), f"the docstring of {by} says nothing of {name}"


def test_the_errors_have_one_example_for_all() -> None:
    errors = importlib.import_module("parallel_integrations.errors")
    assert has_example(getattr(errors, ERROR))


@pytest.mark.parametrize("name", sorted(set(api.__all__)))
def test_an_operation_explains_its_arguments_and_its_result(name: str) -> None:
    operation = getattr(api, name)
    text = inspect.getdoc(operation) or ""
    assert re.search(r"^Returns:$", text, re.MULTILINE), "no Returns: section"
    arguments = text.partition("Args:")[2].partition("\nReturns:")[0]
    for parameter in inspect.signature(operation).parameters:
        assert re.search(rf"^ +{parameter}: ", arguments, re.MULTILINE), f"{parameter} is missing"


@pytest.mark.parametrize(
    "module", ["web.corpus", "server.faults", "state.ledger", "server.sandbox"]
)
def test_the_sandbox_examples_are_true(module: str) -> None:
    found = importlib.import_module(f"parallel_integrations.sandbox.{module}")
    failed, tried = doctest.testmod(found)
    assert tried
    assert not failed


def test_the_package_example_of_the_sandbox_is_true() -> None:
    import parallel_integrations.sandbox

    failed, tried = doctest.testmod(parallel_integrations.sandbox)
    assert tried
    assert not failed


def test_every_module_says_what_it_is() -> None:
    for path in (Path(__file__).parent.parent / "parallel_integrations").rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"

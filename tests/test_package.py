"""The public names: one list a package, held against what its modules define."""

import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import get_type_hints

import pytest

import parallel_integrations
from parallel_integrations import api, errors, models

SUBPACKAGES = ["", ".api", ".enrichment", ".langchain", ".llama_index", ".models", ".sandbox"]

# Of operations: adapters and the enrichment put them together in their own order.
PARTS = {
    "await_findall",
    "numbered_requests",
    "result_of",
    "result_of_run",
    "run_number",
    "run_within",
    "runs_to_add",
    "start_findall",
    "stream_chunks",
    "waiting_for_findall",
}


def members(package: str, kind: type) -> Iterator[tuple[str, object]]:
    """What a package's public modules define without an underscore, classes or functions."""
    found = importlib.import_module(f"parallel_integrations.{package}")
    for module in pkgutil.iter_modules(found.__path__):
        if module.name.startswith("_"):
            continue
        defined = vars(importlib.import_module(f"{found.__name__}.{module.name}"))
        for name, thing in defined.items():
            own = getattr(thing, "__module__", "") == f"{found.__name__}.{module.name}"
            if isinstance(thing, kind) and own and not name.startswith("_"):
                yield name, thing


@pytest.mark.parametrize("subpackage", SUBPACKAGES)
def test_a_package_has_the_names_that_it_lists(subpackage: str) -> None:
    module = importlib.import_module(f"parallel_integrations{subpackage}")
    assert len(module.__all__) == len(set(module.__all__))
    assert all(hasattr(module, name) for name in module.__all__)


def test_every_class_of_the_models_is_public() -> None:
    defined = {name for name, _ in members("models", type)}
    assert len(defined) > 70
    assert defined <= set(models.__all__)


def test_every_class_of_the_models_is_in_the_reference() -> None:
    pages = (Path(__file__).parent.parent / "docs" / "reference").glob("*.md")
    text = "\n".join(
        re.findall(r"members: .*|^::: .*", "".join(p.read_text() for p in pages), re.M)
    )
    assert not [name for name, _ in members("models", type) if not re.search(rf"\b{name}\b", text)]


def test_every_operation_is_public() -> None:
    defined = {name for name, _ in members("api", FunctionType)}
    assert len(defined) > 40
    assert defined - PARTS == set(api.__all__)


def test_what_an_operation_returns_and_takes_is_public() -> None:
    named = set()
    for name in api.__all__:
        for hint in get_type_hints(getattr(api, name)).values():
            named |= set(re.findall(r"parallel_integrations\.models\.\w+\.(\w+)", str(hint)))
    assert {"SearchRequest", "Monitor", "FindallResult", "MonitorEventPage"} <= named
    assert named <= set(models.__all__)


def test_every_error_is_public_and_has_one_base() -> None:
    defined = {
        name: thing
        for name, thing in vars(errors).items()
        if isinstance(thing, type) and thing.__module__ == errors.__name__
    }
    assert len(defined) == 22
    assert set(defined) <= set(parallel_integrations.__all__)
    for thing in defined.values():
        assert issubclass(thing, parallel_integrations.ParallelError)


def test_the_package_imports_no_framework_and_no_server() -> None:
    script = "import sys, parallel_integrations._documents.adapter; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=170
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "parallel_integrations" in loaded
    assert not loaded & {
        "langchain_core",
        "langchain",
        "llama_index",
        "starlette",
        "uvicorn",
        "sqlite3",
    }

"""Everything public says what it is, and every public module shows how it is used.

`test_examples.py` runs the examples; here it is held that there are some.
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

SOURCES = sorted((Path(__file__).parent.parent / "parallel_integrations").rglob("*.py"))
PACKAGES = [
    "parallel_integrations",
    "parallel_integrations.api",
    "parallel_integrations.enrichment",
    "parallel_integrations.langchain",
    "parallel_integrations.llama_index",
    "parallel_integrations.models",
    "parallel_integrations.sandbox",
]


def public() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for name in importlib.import_module(package).__all__:
            if not name.startswith("__"):
                yield package, name


NAMES = sorted(set(public()))
# What only holds values is shown where it is used: by the package, by `enrich`, by `Sandbox`.
VALUES = (
    "parallel_integrations.models.",
    "parallel_integrations.enrichment.results",
    "parallel_integrations.sandbox.server.recorder",
)


def has_example(documented: object) -> bool:
    return "```python" in (inspect.getdoc(documented) or "")


@pytest.mark.parametrize(("package", "name"), NAMES, ids=lambda part: part)
def test_a_public_name_has_a_docstring(package: str, name: str) -> None:
    documented = getattr(importlib.import_module(package), name)
    if not callable(documented):
        return
    # Not inherited: a class without a docstring would show its base's.
    text = inspect.cleandoc(documented.__doc__ or "")
    assert text, f"{name} has no docstring"
    assert text.split("\n")[0].rstrip().endswith((".", ":", "…")), "the first line is a sentence"


def test_a_public_module_has_an_example() -> None:
    defined: dict[str, list[object]] = {}
    for package, name in NAMES:
        documented = getattr(importlib.import_module(package), name)
        if callable(documented):
            defined.setdefault(documented.__module__, []).append(documented)
    assert len(defined) > 30
    assert has_example(importlib.import_module("parallel_integrations.models"))
    for module, members in defined.items():
        shown = any(map(has_example, [importlib.import_module(module), *members]))
        assert shown or module.startswith(VALUES), f"{module} has no example"


def test_the_documentation_shows_every_operation() -> None:
    root = Path(__file__).parent.parent
    texts = [path.read_text() for path in (root / "docs").rglob("*.md")]
    texts += [inspect.getdoc(getattr(api, name)) or "" for name in api.__all__]
    shown = "".join(re.findall(r"```python\n.*?```", "\n".join(texts), re.DOTALL))
    assert not [name for name in api.__all__ if not re.search(rf"\b{name}\(", shown)]


@pytest.mark.parametrize("name", sorted(set(api.__all__)))
def test_an_operation_explains_its_arguments_and_its_result(name: str) -> None:
    operation = getattr(api, name)
    text = inspect.getdoc(operation) or ""
    assert re.search(r"^Returns:$", text, re.MULTILINE), "no Returns: section"
    arguments = text.partition("Args:")[2].partition("\nReturns:")[0]
    for parameter in inspect.signature(operation).parameters:
        assert re.search(rf"^ +{parameter}: ", arguments, re.MULTILINE), f"{parameter} is missing"


def test_every_module_says_what_it_is() -> None:
    for path in SOURCES:
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_examples_are_in_one_form_which_the_site_renders() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or ""
                assert not doctest.DocTestParser().get_examples(text), f"{path}: {text}"

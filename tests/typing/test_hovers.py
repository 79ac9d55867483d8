"""Editors show a description for each argument of a constructor: the field's own docstring."""

import ast
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from parallel_integrations import langchain, llama_index, models
from parallel_integrations._documents.adapter import Adapter, ConnectionOptions
from parallel_integrations.llama_index import base, query_engines, readers, retrievers, tools
from parallel_integrations.models.shared import RequestModel

OF_THE_FRAMEWORK = {"name", "description", "args_schema", "is_remote"}
"""Fields of the frameworks' own classes, which say what a tool or a reader is."""
REQUESTS = [
    each
    for name in models.__all__
    if inspect.isclass(each := getattr(models, name)) and issubclass(each, RequestModel)
]


def constructed() -> list[type[BaseModel]]:
    named = [getattr(each, name) for each in (langchain, llama_index) for name in each.__all__]
    return [each for each in named if inspect.isclass(each) and issubclass(each, Adapter)]


def docstrings(cls: type[Any]) -> dict[str, str | None]:
    """Fields that a class declares, and the docstring that follows each."""
    fields = set(getattr(cls, "model_fields", cls.__annotations__))
    source = inspect.getsourcefile(cls) or ""
    for node in classes(source):
        if node.name == cls.__name__:
            return {
                each.target.id: inspect.cleandoc(str(after.value.value))
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                else None
                for each, after in zip(node.body, [*node.body[1:], None], strict=True)
                if isinstance(each, ast.AnnAssign)
                and isinstance(each.target, ast.Name)
                and each.target.id in fields - OF_THE_FRAMEWORK
            }
    raise AssertionError(f"{cls} is not in {source}")


@cache
def classes(source: str) -> list[ast.ClassDef]:
    tree = ast.parse(Path(source).read_text("utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def undescribed(cls: type[Any]) -> list[str]:
    """Fields that a class declares, and no docstring follows."""
    return [name for name, text in docstrings(cls).items() if text is None]


@pytest.mark.parametrize("cls", [*constructed(), *REQUESTS], ids=lambda cls: cls.__name__)
def test_every_argument_of_a_constructor_is_described(cls: type[BaseModel]) -> None:
    ours = [each for each in cls.__mro__ if each.__module__.startswith("parallel_integrations.")]
    ours = [each for each in ours if "[" not in each.__name__]  # their bases come anyway
    wrong = {each.__name__: undescribed(each) for each in ours if issubclass(each, BaseModel)}
    assert {name: fields for name, fields in wrong.items() if fields} == {}


@pytest.mark.parametrize(
    "options",
    [
        ConnectionOptions,
        base.PageOptions,
        base.SearchOptions,
        base.PageSearchOptions,
        readers.SearchCallOptions,
        readers.ExtractOptions,
        retrievers.EntityOptions,
        tools.ToolOptions,
        query_engines.ChatEngineOptions,
        query_engines.TaskEngineOptions,
        query_engines.QueryEngineOptions,
    ],
    ids=lambda options: options.__name__,
)
def test_so_is_every_setting_of_a_constructor_that_takes_many(options: type[Any]) -> None:
    assert undescribed(options) == []


@pytest.mark.parametrize("cls", constructed(), ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_help_and_reference_describe_every_argument_of_its_own(cls: type[BaseModel]) -> None:
    """They show the class's docstring, where an editor shows that of the field: the same words."""
    listed = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", inspect.getdoc(cls) or "", re.MULTILINE)
    shown = {name: text.split() for name, text in listed}
    own = {name: (text or "").split() for name, text in docstrings(cls).items()}
    own.pop("api_key", None)  # described for all classes at once
    assert {name: shown.get(name) for name in own} == own

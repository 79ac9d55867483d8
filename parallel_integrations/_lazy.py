"""Lazy imports: names of a package that are imported when they are first used.

Every import of a subpackage runs the packages above it, so what they import is paid for by all.
Measured: `from parallel_integrations import ParallelClient` takes 0.30 s of CPU as it is and 0.37 s
with every model, the sandbox's pytest plugin, which each test session of a user loads, 0.03 s
instead of 0.3 s.
"""

import ast
import pkgutil
import sys
from collections.abc import Callable, Collection
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from parallel_integrations._install import install_command

ROOT = "parallel_integrations"
PACKAGES = [
    f".{name}" for name in "api langchain llama_index models enrichment evaluation sandbox".split()
]


def names_of_stub(
    package: str, *, needs: str = "", extra: str = ""
) -> tuple[Callable[[str], Any], list[str]]:
    """The lazy names that a package's stub, `__init__.pyi`, imports.

    The stub is the one list of a package's public names: type checkers and editors read it as
    well.

    Args:
        package: The package's dotted name.
        needs: Top-level modules that the extra installs; none where no extra is needed.
        extra: Name of the extra.

    Returns:
        Its `__getattr__`, which imports each name from its module at first use, gives submodules
        too, and raises `ImportError` naming the extra where the framework is missing; its
        `__all__`.
    """
    stub = ast.parse(pkgutil.get_data(package, "__init__.pyi") or b"")
    names = {
        name.name: node.module or ""
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }

    def load(name: str) -> Any:
        if name not in names:
            if not name.startswith("_") and find_spec(f"{package}.{name}"):
                return import_module(f"{package}.{name}")
            if not name.startswith("_") and (place := _place_of(name)):
                # No AttributeError: an import statement would replace it by a message of its own.
                raise ImportError(f"{name} is not in {package}: from {place} import {name}")
            if near := _near(name, names):
                raise ImportError(f"{name} is not in {package}: did you mean {near}?")
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value = getattr(import_module(names[name]), name)
        except ModuleNotFoundError as error:
            missing = (error.name or "").split(".")[0]
            if missing in needs.split():
                raise ImportError(
                    f"{package}.{name} needs {missing}: {install_command(extra)}"
                ) from error
            raise
        setattr(module, name, value)
        return value

    module = sys.modules[package]
    module.__dir__ = lambda: sorted({*vars(module), *names})  # type: ignore[method-assign]
    return load, sorted(names)


def _near(name: str, names: Collection[str]) -> str | None:
    """The name that a class of the vendor's SDK has here, or that is spelt almost the same."""
    if not name[0].isupper():
        return None
    from difflib import get_close_matches

    same = "ParallelClient" if name in {"Parallel", "AsyncParallel"} else name
    return next(iter(get_close_matches(same, names, 1, 0.9)), None)


def _place_of(name: str) -> str | None:
    """The subpackage that a public name is imported from; None for what is no name of ours."""
    for part in ("", *PACKAGES):
        place = ROOT + part
        if name in import_module(place).__all__:
            return place
    return None

"""Bytecode of tests, written once where several processes would write it at the same time."""

import compileall
from contextlib import suppress
from importlib.util import module_from_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def compile_share(config: pytest.Config) -> None:
    """Compile this process's share of what all of them import after it.

    In a fresh clone each process would compile everything: none is far enough ahead of another.
    """
    worker = getattr(config, "workerinput", None)
    if worker is None:
        return
    files = sorted([*ROOT.glob("tests/**/*.py"), *ROOT.glob("parallel_integrations/**/*.py")])
    for path in files[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        # pytest's hook, which rewrites assertions, compiles what it executes.
        hook = config.pluginmanager.rewrite_hook
        if spec := hook.find_spec(name, [str(path.parent)]):
            module = module_from_spec(spec)
            module.__dict__["__builtins__"] = {}  # without `__import__`, nothing of it is run
            with suppress(ImportError):
                hook.exec_module(module)
        else:
            compileall.compile_file(path, quiet=1)

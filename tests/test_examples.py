"""Every example in the README, the documentation and the docstrings runs, against the sandbox."""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from parallel_integrations.sandbox import Sandbox

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def _documents() -> Iterator[tuple[str, str]]:
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        yield str(path.relative_to(ROOT)), path.read_text()


def _docstrings() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "parallel_integrations").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = getattr(node, "name", "")
                yield f"{path.relative_to(ROOT)}:{name}", ast.get_docstring(node) or ""


def _examples() -> Iterator[tuple[str, str]]:
    for place, text in [*_documents(), *_docstrings()]:
        for number, match in enumerate(BLOCK.finditer(text)):
            yield f"{place}#{number}", textwrap.dedent(match[2])


EXAMPLES = dict(_examples())


# LlamaIndex's agents use what pydantic calls deprecated, and its synchronous calls leave their
# event loop to the collector; neither is ours.
THEIRS = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(at, marks=THEIRS if "llama_index" in at + code else ())
        for at, code in EXAMPLES.items()
    ],
)
def test_example(place: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
    monkeypatch.setenv("PARALLEL_BASE_URL", sandbox.url)
    if "ParallelDecisions" in EXAMPLES[place]:
        pytest.importorskip("langchain_core.decisions", reason="langchain-core 1.8 has them")
    code = compile(EXAMPLES[place], place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert not code.co_flags & 0x80, "an example that awaits must say asyncio.run"
    exec(code, {"__name__": "__main__"})


def test_there_are_examples() -> None:
    assert any(place.startswith("README.md") for place in EXAMPLES)
    assert any(place.startswith("parallel_integrations") for place in EXAMPLES)

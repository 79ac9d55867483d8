"""Every example of README, documentation and docstrings runs, and prints what its page shows."""

import ast
from collections.abc import Iterator

import pytest

from parallel_integrations.sandbox import Sandbox
from tests.support import outputs


def _docstrings() -> Iterator[tuple[str, str]]:
    for path in sorted((outputs.ROOT / "parallel_integrations").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = getattr(node, "name", "")
                yield f"{path.relative_to(outputs.ROOT)}:{name}", ast.get_docstring(node) or ""


ON_PAGES = {
    example.place: example
    for page in outputs.pages()
    for example in outputs.examples(str(page.relative_to(outputs.ROOT)), page.read_text())
}
EXAMPLES = ON_PAGES | {
    example.place: example
    for place, text in _docstrings()
    for example in outputs.examples(place, f"{text}\n")
}


# LlamaIndex's agents use what pydantic calls deprecated, and its synchronous calls leave their
# event loop to the collector; neither is ours.
THEIRS = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(at, marks=THEIRS if "llama_index" in at + example.code else ())
        for at, example in EXAMPLES.items()
    ],
)
def test_example(place: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
    monkeypatch.setenv("PARALLEL_BASE_URL", sandbox.url)
    example = EXAMPLES[place]
    if "ParallelDecisions" in example.code:
        pytest.importorskip("langchain_core.decisions", reason="langchain-core 1.8 has them")
    printed = outputs.run(example)
    if example.shown is not None and example.is_comparable:
        assert outputs.agree(example.shown, printed), f"`make outputs` records this:\n{printed}"


def test_there_are_examples() -> None:
    assert any(place.startswith("README.md") for place in EXAMPLES)
    assert any(place.startswith("parallel_integrations") for place in EXAMPLES)

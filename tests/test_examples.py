"""Every example of README, documentation and docstrings runs, and prints what its page shows."""

import ast
from collections.abc import Iterator

import pytest

from parallel_integrations.sandbox import Sandbox
from tests.engines.support import WITH_ENGINE
from tests.support import outputs


def _docstrings() -> Iterator[tuple[str, str]]:
    for path in sorted((outputs.ROOT / "parallel_integrations").rglob("*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "```python" in text else ():
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


# LlamaIndex's agents use what pydantic calls deprecated, which is not ours.
THEIRS = [pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def marks(example: outputs.Example) -> list[pytest.MarkDecorator]:
    """When an example runs, and which warnings are not ours."""
    if example.engine:
        return WITH_ENGINE
    return THEIRS if "llama_index" in example.place + example.code else []


@pytest.mark.parametrize(
    "place",
    [pytest.param(at, marks=marks(example)) for at, example in EXAMPLES.items()],
)
@pytest.mark.usefixtures("at_sandbox")
def test_example(place: str, sandbox: Sandbox) -> None:
    example = EXAMPLES[place]
    if "ParallelDecisions" in example.code:
        pytest.importorskip("langchain_core.decisions", reason="langchain-core 1.8 has them")
    printed = outputs.run(example)
    if place in ON_PAGES:
        assert bool(example.shown) == bool(printed.strip()), "`make outputs` records what it prints"
    if example.shown is not None and example.is_comparable:
        for _ in range(9):  # a busy machine may be late to see a run begin
            if outputs.agree(example.shown, printed):
                break
            sandbox.reset()
            printed = outputs.run(example)
        assert outputs.agree(example.shown, printed), f"`make outputs` records this:\n{printed}"


def test_there_are_examples() -> None:
    assert any(place.startswith("README.md") for place in EXAMPLES)
    assert any(place.startswith("parallel_integrations") for place in EXAMPLES)


@pytest.mark.parametrize(
    ("shown", "printed", "agree"),
    [
        ("one\ntwo\n", "one\ntwo\n", True),
        ("one\ntwo\n", "one\nthree\n", False),
        ("one\n", "one\ntwo\n", False),
        ("one\n…\nfour\n", "one\ntwo\nthree\nfour\n", True),
        ("one\n…\nfour\n", "one\ntwo\nthree\n", False),
        ("a long li…\n", "a long line\n", True),
        ("a long li…\n", "a short line\n", False),
        ("http://127.0.0.1:1 trun_sandbox_01\n", "http://127.0.0.1:22 trun_sandbox_0f\n", True),
        ("1.5 seconds\n", "12 seconds\n", True),
        ("[a] (b)*\n", "[a] (b)*  \n", True),
    ],
)
def test_outputs_are_compared_but_for_what_varies(shown: str, printed: str, agree: bool) -> None:
    assert outputs.agree(shown, printed) is agree


def test_an_output_is_recorded_once(sandbox: Sandbox) -> None:
    code = "```python\nfor number in range(20):\n    print('line', number)\n```\n"
    once = outputs.recorded("page.md", f"# Page\n\n{code}\nAnd so on.\n", sandbox)
    shown = "".join(f"line {number}\n" for number in range(11)) + "…\nline 19\n"
    assert once == f"# Page\n\n{code}\n```text\n{shown}```\n\nAnd so on.\n"
    assert outputs.recorded("page.md", once, sandbox) == once
    renewed = outputs.recorded("page.md", once.replace("line 3", "line 33"), sandbox)
    assert renewed == once
    assert outputs.recorded("page.md", "```python\nx = 1\n```\n", sandbox).count("```") == 2

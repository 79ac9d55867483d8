"""What the examples of README and documentation print: found, run, compared and recorded.

`make outputs` writes into the pages what their examples print now, where that differs from what
they show; tests/test_examples.py holds the two together.
"""

import ast
import contextlib
import hashlib
import importlib.util
import io
import os
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data import topics
from typing import Final

from parallel_integrations.sandbox import Sandbox

ROOT: Final = Path(__file__).parents[2]
BLOCK: Final = re.compile(
    r"^(?P<indent> *)```python\n(?P<code>.*?)^(?P=indent)```\n"
    r"(?:\n(?P=indent)```text\n(?P<shown>.*?)^(?P=indent)```\n)?",
    re.MULTILINE | re.DOTALL,
)
ENGINE: Final = re.compile(r"^(?:import|from) (ray|pyspark)\b", re.MULTILINE)
CUT: Final = "…"
"""As a line: any lines. At the end of one: any rest of it."""
MAX_LINES: Final = 14
FIRST_LINES: Final = 11
MAX_COLUMNS: Final = 100
MANUAL: Final = "6061bdb5"
"""Begins the SHA-256 of Python's manual as the recorded outputs quote it."""
VARYING: Final = (
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"sandbox_[0-9a-f]+"), "sandbox_ID"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"\d+(\.\d+)? ?(ms|s|seconds)\b"), "DURATION"),
)


@dataclass(frozen=True, slots=True)
class Example:
    """One Python block, and what the block after it says that it prints (None: nothing)."""

    place: str
    code: str
    shown: str | None = None

    @property
    def engine(self) -> str:
        """What it imports of Ray and Spark, which `make engines` installs; empty where nothing."""
        found = ENGINE.search(self.code)
        return found[1] if found else ""

    @property
    def is_comparable(self) -> bool:
        """Whether it quotes the same pages here as where it was recorded."""
        return "built_in_pages" in self.code or manual() == MANUAL


def manual() -> str:
    """Which manual this Python holds: the sandbox's web, and another one in each release."""
    text = repr(sorted(topics.topics.items()))
    return hashlib.sha256(text.encode()).hexdigest()[: len(MANUAL)]


def pages() -> list[Path]:
    """README and documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def examples(place: str, text: str) -> Iterator[Example]:
    """The examples of a page or a docstring, numbered from 0."""
    for number, match in enumerate(BLOCK.finditer(text)):
        shown = match["shown"]
        yield Example(
            f"{place}#{number}",
            textwrap.dedent(match["code"]),
            None if shown is None else textwrap.dedent(shown),
        )


def run(example: Example) -> str:
    """Run an example as a script; what it printed.

    Raises:
        AssertionError: It awaits outside of a function.
    """
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(example.code, example.place, "exec", flags=flags, dont_inherit=True)
    assert not code.co_flags & 0x80, "an example that awaits must say asyncio.run"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {"__name__": "__main__"})
    return printed.getvalue()


def agree(shown: str, printed: str) -> bool:
    """Whether a run printed what is shown, but for addresses, ids, times and what is cut."""
    pattern = ""
    for line in _lines(shown):
        if line == CUT:
            pattern += r"(?:.*\n)*"
        else:
            rest = ".*" if line.endswith(CUT) else ""
            pattern += re.escape(line.removesuffix(CUT)) + rest + r"\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(printed))) is not None


def _lines(text: str) -> list[str]:
    for varying, word in VARYING:
        text = varying.sub(word, text)
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def shortened(printed: str) -> str:
    """What a page shows of an output: few lines that fit, with marks where it is cut."""
    lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
    if len(lines) > MAX_LINES:
        lines = [*lines[:FIRST_LINES], CUT, lines[-1]]
    return "".join(
        (line if len(line) <= MAX_COLUMNS else line[: MAX_COLUMNS - 1].rstrip() + CUT) + "\n"
        for line in lines
    )


def recorded(place: str, text: str, sandbox: Sandbox) -> str:
    """A page whose examples show what they print now."""

    def renewed(match: re.Match[str]) -> str:
        [example] = examples(place, match[0])
        if example.engine and importlib.util.find_spec(example.engine) is None:
            return match[0]
        sandbox.reset()
        printed = run(example)
        if printed and example.shown is not None and agree(example.shown, printed):
            return match[0]
        code = f"{match['indent']}```python\n{match['code']}{match['indent']}```\n"
        if not printed.strip():
            return code
        output = f"```text\n{shortened(printed)}```\n"
        return f"{code}\n{textwrap.indent(output, match['indent'])}"

    return BLOCK.sub(renewed, text)


def main() -> None:
    """Record what every page's examples print."""
    if manual() != MANUAL:
        print(f"This Python's manual is {manual()}; the other outputs quote {MANUAL}.")
    warnings.simplefilter("ignore")
    with Sandbox() as sandbox:
        os.environ |= {"PARALLEL_API_KEY": sandbox.api_key, "PARALLEL_BASE_URL": sandbox.url}
        for page in pages():
            before = page.read_text()
            after = recorded(str(page.relative_to(ROOT)), before, sandbox)
            if after != before:
                page.write_text(after)
                print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()

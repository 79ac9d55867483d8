"""Text of pages and servers is printed without control sequences."""

import contextlib
import os
import pty
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations._cli.commands import app
from parallel_integrations._cli.terminal import printable
from parallel_integrations.sandbox import Sandbox

QUESTION: Final = "How does a kiwi find food?"
CONTROL_SEQUENCES: Final = {
    "window title": "\x1b]0;PWNED\x07",
    "clear screen": "\x1b[2J\x1b[H",
    "hyperlink": "\x1b]8;;https://evil.example\x1b\\bank\x1b]8;;\x1b\\",
    "colour by C1": "\x9b31m",
    "title by C1": "\x9d0;PWNED\x9c",
    "device report": "\x1bP$q\x1b\\\x05",
    "overwriting": "\x08\x08\x0d",
    "delete": "\x7f",
    "override": "\u202egnp.exe",
    "isolate": "\u2066a\u2069",
    "separators": "\u2028\u2029",
}
# What no program of ours sends: strings of the operating system, clearing, C1, bidi, BEL.
FORBIDDEN: Final = re.compile(
    "\x1b[\\]P\\\\X^_c]|\x1b\\[2?J|\x1b\\[H|[\x00-\x07\x0b\x0c\x0e-\x1a\x7f\x80-\x9f]"
    "|[\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
ALL: Final = "".join(CONTROL_SEQUENCES.values())


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox whose pages hold control sequences of terminals."""
    for number, (name, order) in enumerate(CONTROL_SEQUENCES.items()):
        shown = order.replace("\x0d", "").replace("\u2028", "").replace("\u2029", "")
        text = f"# Kiwi {name} {shown}\n\nA kiwi{order} finds food by smell. Kiwi food: {name}.\n"
        (tmp_path / f"kiwi{number}.md").write_text(text, newline="")
    with Sandbox(pages=tmp_path) as sandbox:
        yield sandbox


class Terminal:
    """A pseudo-terminal; every character that it was sent."""

    def __init__(self) -> None:
        self._parent, self.child = pty.openpty()
        self._sent = b""
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        # Linux raises an OSError once the other end is closed.
        with contextlib.suppress(OSError):
            while data := os.read(self._parent, 65536):
                self._sent += data

    def text(self) -> str:
        """Every character, once all that writes has closed its end."""
        self._reading.join(30)
        os.close(self._parent)
        return self._sent.decode()


Run: TypeAlias = Callable[..., tuple[int, str]]
"""Runs the command on a terminal: exit status and every character that was sent to that."""


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process, with a terminal as its standard output and error."""

    def run(*args: str, encoding: str = "utf-8", **environment: str) -> tuple[int, str]:
        terminal = Terminal()
        with (
            monkeypatch.context() as patch,
            os.fdopen(terminal.child, "w", encoding=encoding) as shown,
        ):
            for name, value in {"COLUMNS": "200", "TERM": "xterm-256color", **environment}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdout", shown)
            patch.setattr(sys, "stderr", shown)
            with pytest.raises(SystemExit) as ended:
                typer.main.get_command(app).main(args)
        assert isinstance(ended.value.code, int)
        return ended.value.code, terminal.text()

    return run


def live(sandbox: Sandbox) -> dict[str, str]:
    return {"PARALLEL_API_KEY": sandbox.api_key, "PARALLEL_BASE_URL": sandbox.url}


def test_the_demo_prints_pages_without_control_sequences(
    hostile: Sandbox, on_a_terminal: Run
) -> None:
    status, sent = on_a_terminal("demo", QUESTION, **live(hostile))
    assert status == 0, sent
    assert not FORBIDDEN.findall(sent)
    assert sent.count("Kiwi ") > 6
    assert re.search(r"\\x1b|\\x9b|\\x9d|\\x7f|\\x08|\\u202e|\\u2066|\\u2028", sent)


def test_the_demo_prints_control_sequences_escaped(tmp_path: Path, on_a_terminal: Run) -> None:
    (tmp_path / "kiwi.md").write_text(f"# Kiwi \x1b]0;T\x07\n\nKiwi food{ALL}. Kiwi.\n", newline="")
    with Sandbox(pages=tmp_path) as sandbox:
        status, sent = on_a_terminal("demo", "kiwi food", **live(sandbox))
    assert status == 0, sent
    assert not FORBIDDEN.findall(sent)
    assert r"Kiwi \x1b]0;T\x07" in sent
    assert r"Kiwi food\x1b]0;PWNED\x07\x1b[2J\x1b[H\x1b]8;;https://evil.example\x1b\bank" in sent


@pytest.mark.parametrize("command", ["demo", "doctor", "enrich"])
@pytest.mark.parametrize("kind", ["message", "page", "event"])
def test_an_error_is_printed_without_control_sequences(
    sandbox: Sandbox, tmp_path: Path, on_a_terminal: Run, command: str, kind: str
) -> None:
    message = f"you {ALL} may not"
    if kind == "message":
        sandbox.faults.add(times=None, status=403, body={"error": {"message": message}})
    elif kind == "page":
        sandbox.faults.add(times=None, status=403, body=message, content_type="text/html")
    else:
        sandbox.faults.add(times=None, body=f"data: {message}", content_type=f"text/{'x' * 5}")
    (tmp_path / "rows.jsonl").write_text('{"name": "with"}\n')
    args = {
        "demo": ["demo", QUESTION],
        "doctor": ["doctor"],
        "enrich": [
            "enrich",
            str(tmp_path / "rows.jsonl"),
            "--output-schema=What it does.",
            f"--journal={tmp_path / 'journal.db'}",
            f"--output={tmp_path / 'out.jsonl'}",
        ],
    }
    status, sent = on_a_terminal(*args[command], **live(sandbox))
    assert status == 1, sent
    assert not FORBIDDEN.findall(sent)
    assert "Traceback" not in sent
    assert r"\x1b]0;PWNED\x07" in sent


def test_file_names_are_printed_without_control_sequences(
    tmp_path: Path, on_a_terminal: Run
) -> None:
    for command in (
        ["sandbox", "--pages", f"{tmp_path}/\x1b]0;PWNED\x07"],
        [
            *("enrich", f"{tmp_path}/\x1b]0;PWNED\x07.csv", "--output-schema=x\x1b]0;PWNED\x07"),
            *(f"--journal={tmp_path}/j", f"--output={tmp_path}/o"),
        ],
    ):
        status, sent = on_a_terminal(*command, PARALLEL_API_KEY="some-key")
        assert status == 2
        assert not FORBIDDEN.findall(sent)


def test_characters_that_an_encoding_lacks_are_escaped(
    hostile: Sandbox, on_a_terminal: Run
) -> None:
    question = "Wo findet ein Kiwi sein Futter, höchstens?"
    status, sent = on_a_terminal("demo", question, encoding="ascii", **live(hostile))
    assert status == 0, sent
    assert r"h\xf6chstens" in sent
    assert not FORBIDDEN.findall(sent)


@given(st.text())
def test_printable_text_is_not_changed(text: str) -> None:
    shown = printable(text)
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", shown
    )
    shown.encode()
    if text.isprintable():
        assert shown == text


def test_text_in_other_scripts_is_not_changed() -> None:
    text = "a\tb\n\u05e9\u05dc\u05d5\u05dd \u200f, नमस्ते, 👩\u200d💻, “quoted”, e\u0301"
    assert printable(text) == text

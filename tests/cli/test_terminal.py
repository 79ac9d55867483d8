"""Text of pages and servers is printed without control sequences."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations._cli.terminal import printable
from parallel_integrations.sandbox import Sandbox

CLI: Final = "parallel_integrations._cli.commands"
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


def on_a_terminal(*args: str, **environment: str) -> tuple[int, str]:
    """Run the command on a pseudo-terminal; exit status and every character it was sent."""
    parent, child = pty.openpty()
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": ":".join(sys.path),
        "COLUMNS": "200",
        "TERM": "xterm-256color",
        **environment,
    }
    running = subprocess.Popen(
        [sys.executable, "-m", CLI, *args], stdin=child, stdout=child, stderr=child, env=variables
    )
    os.close(child)
    sent = b""
    try:
        while data := os.read(parent, 65536):
            sent += data
    except OSError:  # Linux raises it once the other end is closed
        pass
    finally:
        os.close(parent)
    return running.wait(30), sent.decode()


def live(sandbox: Sandbox) -> dict[str, str]:
    return {"PARALLEL_API_KEY": sandbox.api_key, "PARALLEL_BASE_URL": sandbox.url}


def test_the_demo_prints_pages_without_control_sequences(hostile: Sandbox) -> None:
    status, sent = on_a_terminal("demo", QUESTION, **live(hostile))
    assert status == 0, sent
    assert not FORBIDDEN.findall(sent)
    assert sent.count("Kiwi ") > 6
    assert re.search(r"\\x1b|\\x9b|\\x9d|\\x7f|\\x08|\\u202e|\\u2066|\\u2028", sent)


def test_the_demo_prints_control_sequences_escaped(tmp_path: Path) -> None:
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
    sandbox: Sandbox, tmp_path: Path, command: str, kind: str
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


def test_file_names_are_printed_without_control_sequences(tmp_path: Path) -> None:
    for command in (
        ["sandbox", "--pages", f"{tmp_path}/\x1b]0;PWNED\x07"],
        [
            *("enrich", f"{tmp_path}/\x1b]0;PWNED\x07.csv", "--output-schema=x\x1b]0;PWNED\x07"),
            *(f"--journal={tmp_path}/j", f"--output={tmp_path}/o"),
        ],
    ):
        status, sent = on_a_terminal(*command, PARALLEL_API_KEY="some-key")
        assert status == 1
        assert not FORBIDDEN.findall(sent)


def test_characters_that_an_encoding_lacks_are_escaped(hostile: Sandbox) -> None:
    environment = {**live(hostile), "PYTHONIOENCODING": "ascii"}
    status, sent = on_a_terminal(
        "demo", "Wo findet ein Kiwi sein Futter, höchstens?", **environment
    )
    assert status == 0, sent
    assert sent.isascii()


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

"""Records of delimited text, read as `csv` reads them when strict.

`csv` takes its longest field from one setting of the whole process, which is not ours to change.
"""

import re
from collections.abc import Iterator
from typing import Final, TextIO

MAX_FIELD_CHARACTERS: Final = 10_000_000
PLAIN: Final = {mark: re.compile(rf"[^{mark}\r\n]*") for mark in (",", "\t")}
QUOTED: Final = re.compile(r'(?:[^"]|"")*+')


class _RecordError(Exception):
    """A record cannot be read."""


def records(file: TextIO, name: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of its first line; an empty line is a record without fields.

    Args:
        file: Opened with `newline=""`, so that line breaks inside quotes stay as they are.
        name: Its name, for errors.
        delimiter: `,` or a tab.

    Raises:
        ValueError: A quote that is never closed, text after a closing quote, an endless field;
            says in which line the record begins.
    """
    number = 0
    for line in file:
        number += 1
        first = number
        try:
            if '"' not in line:
                text = line.rstrip("\r\n")
                fields = text.split(delimiter) if text else []
                if len(text) > MAX_FIELD_CHARACTERS:
                    _check_length(max(map(len, fields)))
            else:
                fields, lines = _quoted(line, file, delimiter)
                number += lines
        except _RecordError as fault:
            raise ValueError(f"{name}, line {first}: {fault}") from None
        yield first, fields


def _quoted(line: str, file: TextIO, delimiter: str) -> tuple[list[str], int]:
    """The fields of a record with quotes, and how many more lines it takes."""
    plain, fields, at, lines = PLAIN[delimiter], [], 0, 0
    while True:
        if line.startswith('"', at):
            line, at, field, more = _quoted_field(line, at + 1, file)
            lines += more
        else:
            end = plain.match(line, at).end()  # type: ignore[union-attr] # it matches nothing too
            field, at = line[at:end], end
        _check_length(len(field))
        fields.append(field)
        if not line.startswith(delimiter, at):
            break
        at += 1
    if line[at:].strip("\r\n"):
        raise _RecordError(f"{delimiter!r} expected after '\"'")
    return fields, lines


def _quoted_field(line: str, at: int, file: TextIO) -> tuple[str, int, str, int]:
    """A field from after its opening quote: the line it ends on, where, the field, more lines."""
    parts: list[str] = []
    length = lines = 0
    while True:
        end = QUOTED.match(line, at).end()  # type: ignore[union-attr] # it matches nothing too
        parts.append(line[at:end])
        length += end - at
        _check_length(length)
        if line.startswith('"', end):
            return line, end + 1, "".join(parts).replace('""', '"'), lines
        line, at = next(file, ""), 0
        if not line:
            raise _RecordError("a quote is opened and never closed")
        lines += 1


def _check_length(length: int) -> None:
    if length > MAX_FIELD_CHARACTERS:
        raise _RecordError(f"a field is longer than {MAX_FIELD_CHARACTERS:,} characters")

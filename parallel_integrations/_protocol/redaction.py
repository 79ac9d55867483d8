"""Secrets taken out of whatever may be shown: a server may repeat what it was sent.

A text is scrubbed before it is shortened. Should it come shortened already (a stream that was cut,
a server that shows a part of the key only), a part of a secret is found as well as the whole.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from html import unescape
from typing import Any, Final

import httpx
from pydantic_core import from_json

HIDDEN: Final = "[hidden]"
MIN_SECRET_CHARACTERS: Final = 4
MAX_SHOWN_OF_SECRET: Final = 7
"""So many characters in a row may stand in a text by chance; a longer part of a secret may not."""
MAX_SCRUBBED_CHARACTERS: Final = 50_000
"""Of a text of which the beginning is shown; a part of a secret at its end is hidden, too."""
SHOWN_CHARACTERS: Final = 200
"""Of a server's text in an error."""
MAX_NESTED_ESCAPES: Final = 4
"""JSON within JSON within a URL within JSON."""
MIN_ECHO_CHARACTERS: Final = 16
MAX_SEARCHED_BYTES: Final = 20_000
SECRET_HEADERS: Final = ("x-api-key", "authorization", "cf-aig-authorization")
_SECRET_NAMES: Final = frozenset(name.encode() for name in SECRET_HEADERS)

# One character as a URL, JSON or Python's repr, and HTML may write it. Each is also read alone: a
# backslash in HTML is one.
_ESCAPES: Final = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"%[0-9a-f]{2}",
        r"\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|\\.",
        r"&(?:#x?[0-9a-f]{1,6}|amp|lt|gt|quot|apos);",
    )
)
_ANY_ESCAPE: Final = re.compile(
    "|".join(escape.pattern for escape in _ESCAPES), re.IGNORECASE | re.DOTALL
)


def secrets_of(outcome: httpx.Response | httpx.HTTPError) -> list[str]:
    """The secrets that the request behind a response or a failure carried."""
    try:
        headers = outcome.request.headers
    except RuntimeError:  # httpx raises it where no request is attached
        return []
    # Not `headers.get`, which goes through all headers for each name, and decodes them before.
    values = (
        value.decode("latin-1").removeprefix("Bearer ")
        for name, value in headers.raw
        if name.lower() in _SECRET_NAMES
    )
    return [each for each in dict.fromkeys(values) if len(each) >= MIN_SECRET_CHARACTERS]


def hide(text: str, secrets: Sequence[str]) -> str:
    """`text` without any secret, nor a part of one that is longer than chance would have it."""
    if not secrets:
        return text
    readings = list(_readings(text))
    spans = (
        (places[start], places[stop])
        for read, places in readings
        for secret in secrets
        for start, stop in _found(read, secret)
    )
    kept, end = [], 0
    for start, stop in _merged(spans):
        kept += [text[end:start], HIDDEN]
        end = stop
    return "".join([*kept, text[end:]]) if kept else text


def scrub(text: str, outcome: httpx.Response | httpx.HTTPError) -> str:
    """`text` without any secret that the request carried, should the server echo it."""
    return hide(text, secrets_of(outcome))


def beginning(text: str, outcome: httpx.Response | httpx.HTTPError) -> str:
    """What an error shows of a server's text: its beginning, scrubbed before the rest is cut."""
    return scrub(text[:MAX_SCRUBBED_CHARACTERS], outcome)[:SHOWN_CHARACTERS]


def scrub_json(value: Any, outcome: httpx.Response | httpx.HTTPError) -> Any:
    """A decoded JSON value without any secret that the request carried."""
    secrets = secrets_of(outcome)
    # One pass over the whole text is cheaper than one for each value, and mostly all there is.
    written = json.dumps(value)
    hidden = hide(written, secrets)
    if hidden == written:
        return value
    try:
        return json.loads(hidden)
    except ValueError:  # a number was one, or one stood across what JSON is made of
        return _hide_in(value, secrets)


def without_echo(content: bytes, outcome: httpx.Response | httpx.HTTPError) -> bytes:
    """A response's JSON without the whole key, so that nothing made of it shows the key.

    Here only a whole and long one is looked for: a text that is not about an error is evidence, and
    a short key (`test`, `EMPTY`) may be one of its words. Nor is a large body looked through: no
    error shows more than its beginning, and of a search that would take a third of the call's time.
    """
    if len(content) > MAX_SEARCHED_BYTES or not any(
        len(secret) >= MIN_ECHO_CHARACTERS and secret.encode() in content
        for secret in secrets_of(outcome)
    ):
        return content
    try:
        return json.dumps(scrub_json(from_json(content), outcome)).encode()
    except ValueError:
        return content  # no JSON: the reader raises the error


def scrub_failure(failure: httpx.HTTPError) -> None:
    """Take secrets out of a failure: its words, those it came from, the request it holds.

    A server that does not speak HTTP is quoted there, and it may echo what it was sent. Of the
    request only method and address are left: its headers hold the key.
    """
    secrets = secrets_of(failure)
    error: BaseException | None = failure
    while error is not None:
        if any(isinstance(arg, str) and hide(arg, secrets) != arg for arg in error.args):
            error.args = tuple(
                hide(arg, secrets) if isinstance(arg, str) else arg for arg in error.args
            )
        error = error.__cause__ or error.__context__
    with suppress(RuntimeError):  # httpx raises it where no request is attached
        failure.request = httpx.Request(failure.request.method, failure.request.url)


def _hide_in(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        return hide(value, secrets)
    if isinstance(value, list):
        return [_hide_in(item, secrets) for item in value]
    if isinstance(value, dict):
        return {hide(name, secrets): _hide_in(item, secrets) for name, item in value.items()}
    written = json.dumps(value)  # a number may be a secret
    return value if hide(written, secrets) == written else HIDDEN


def _readings(text: str) -> Iterator[tuple[str, Sequence[int]]]:
    """A text as it is and with its escapes read, and where each character began in it."""
    yield text, range(len(text) + 1)
    escapes = [escape for escape in _ESCAPES if escape.search(text)]
    # What is an escape to one reader (`\\u0026amp;`) is plain text to another, so each kind is also
    # read alone, but not in a huge text, where that would take seconds.
    if len(escapes) > 1:
        escapes = [_ANY_ESCAPE, *escapes] if len(text) <= MAX_SCRUBBED_CHARACTERS else [_ANY_ESCAPE]
    for escape in escapes:
        read, places = text, list(range(len(text) + 1))
        for _ in range(MAX_NESTED_ESCAPES):
            if not escape.search(read):
                break
            read, began = _unescaped(read, escape)
            places = [places[at] for at in began]
            yield read, places
            escape = _ANY_ESCAPE  # what is within may be written in any


def _found(text: str, secret: str) -> Iterator[tuple[int, int]]:
    # Every part of a secret that is too long holds a piece of this size, wherever it was cut.
    size = min(len(secret), MAX_SHOWN_OF_SECRET + 1)
    for piece in {secret[at : at + size] for at in range(len(secret) - size + 1)}:
        at = text.find(piece)
        while at >= 0:
            yield at, at + size
            at = text.find(piece, at + 1)


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans in order, those that touch as one."""
    begin = end = -1
    for start, stop in sorted(spans):
        if start > end >= 0:
            yield begin, end
        begin, end = (start, stop) if start > end else (begin, max(end, stop))
    if end >= 0:
        yield begin, end


def _unescaped(text: str, reading: re.Pattern[str]) -> tuple[str, list[int]]:
    """A text with its escapes read, and where each of its characters began."""
    parts: list[str] = []
    places: list[int] = []
    end = 0
    for match in reading.finditer(text):
        parts += [text[end : match.start()], _character(match[0])]
        places += [*range(end, match.start()), match.start()]
        end = match.end()
    return "".join([*parts, text[end:]]), [*places, *range(end, len(text) + 1)]


def _character(escape: str) -> str:
    if escape[0] == "&":
        read = unescape(escape)
        return read if len(read) == 1 else "\0"
    digits = escape.lstrip("%\\uUxX")
    if len(escape) > 2 and digits:
        return chr(int(digits, 16))
    return escape[1]

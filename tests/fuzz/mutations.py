"""Changes to a response: to its bytes, to the JSON they mean, to its frames, to its headers."""

import gzip
import json
import random
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

Dice: TypeAlias = random.Random
Change: TypeAlias = Callable[[Dice, bytes, Sequence[bytes]], bytes]

DEEP: Final = 10_000
HUGE: Final = 10**400
TOKENS: Final = (
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"9" * 5000,
    b"0." + b"1" * 400,
    b"null",
    b"true",
    b'"\\ud800"',
    b'"\\udfff\\ud800"',
    b'"\\u0000"',
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\x1b[31m",
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b"\r",
    b"\n\n",
    b"\r\n\r\n",
    b"data: {}\n\n",
    b"data: [DONE]\n\n",
    b'data: {"error": {"message": 7}}\n\n',
    b"event: error\ndata: []\n\n",
    b"event: \ndata: null\n\n",
    b"id: \x00\nretry: 99999999999999999999\n",
    b":\n",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
)


BOMB: Final = gzip.compress(bytes(1_000_000), 9, mtime=0)


def _deep() -> Any:
    value: Any = 0
    for _ in range(300):  # what json.dumps can write; deeper ones come as bytes
        value = [value]
    return value


VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    HUGE,
    -HUGE,
    2**63,
    2**64,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "x" * 20_000,
    "\ud800",
    "\udc00\ud800 tail",
    "\x00",
    "\u2028",
    "😀" * 50,
    "2026-99-99T99:99:99Z",
    "not invented yet",
    "http://[::1",
    "https://user:pass@a.example:99999999/?#",
    "https://\ud800.example/",
    "javascript:alert(1)",
    [],
    {},
    [[]],
    [None],
    [0, "a", {}],
    {"a": 1},
    {"": None},
    {"text": 7},
    {"text": "t", "start_char": "x", "end_char": -HUGE},
    {"message": None, "ref_id": 7, "detail": {"x": []}},
    {"$ref": "#"},
    _deep(),
)


def flip(dice: Dice, content: bytes, others: Sequence[bytes]) -> bytes:
    """Some bits of it."""
    changed = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def cut(dice: Dice, content: bytes, others: Sequence[bytes]) -> bytes:
    """Its end, its beginning, or a part of its middle is missing."""
    a, b = sorted((_place(dice, content), _place(dice, content)))
    return dice.choice((content[:a], content[a:], content[:a] + content[b:]))


def repeat(dice: Dice, content: bytes, others: Sequence[bytes]) -> bytes:
    """A part of it, several times."""
    a, b = sorted((_place(dice, content), _place(dice, content)))
    times = dice.choice((1, 2, 50)) if b - a < 1000 else 1
    return content[:b] + content[a:b] * times + content[b:]


def splice(dice: Dice, content: bytes, others: Sequence[bytes]) -> bytes:
    """Its beginning and another response's end."""
    other = dice.choice(others)
    return content[: _place(dice, content)] + other[_place(dice, other) :]


def insert(dice: Dice, content: bytes, others: Sequence[bytes]) -> bytes:
    """Something that JSON, UTF-8 or an event stream has trouble with."""
    a = _place(dice, content)
    return content[:a] + dice.choice(TOKENS) + content[a:]


def noise(dice: Dice, content: bytes, others: Sequence[bytes]) -> bytes:
    """Something that never was a response."""
    return dice.randbytes(dice.choice((0, 1, 3, 100, 5000)))


def token_alone(dice: Dice, content: bytes, others: Sequence[bytes]) -> bytes:
    """JSON, perhaps, but of nothing that is known."""
    return dice.choice(TOKENS)


_NUMBER: Final = re.compile(rb"-?\d+(?:\.\d+)?")
_STRING: Final = re.compile(rb'"[^"\\]*"')
_FIELD: Final = re.compile(rb'("[a-z_]+"\s*:)')


def retype(dice: Dice, content: bytes, others: Sequence[bytes]) -> bytes:
    """Numbers or strings of it become something else, without a look at where they stand."""
    found = list(dice.choice((_NUMBER, _STRING)).finditer(content))
    for match in sorted(dice.sample(found, min(len(found), dice.choice((1, 3)))), key=_end):
        content = content[: match.start()] + dice.choice(TOKENS) + content[match.end() :]
    return content


def _end(match: re.Match[bytes]) -> int:
    return -match.end()


def double(dice: Dice, content: bytes, others: Sequence[bytes]) -> bytes:
    """A key stands there twice."""
    found = list(_FIELD.finditer(content))
    if not found:
        return content
    field = dice.choice(found)
    return (
        content[: field.start()] + field[1] + dice.choice(TOKENS) + b"," + content[field.start() :]
    )


def reencode(dice: Dice, content: bytes, others: Sequence[bytes]) -> bytes:
    """Another encoding than any header says."""
    text = content.decode("utf-8", "replace")
    encoding = dice.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "cp037", "utf-7"))
    return text.encode(encoding, "replace")


def rearrange(dice: Dice, content: bytes, others: Sequence[bytes]) -> bytes:
    """The JSON that it means, with some of its places changed."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return insert(dice, content, others)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        body = _changed(dice, body)
    return _written(dice, body)


def _changed(dice: Dice, body: Any) -> Any:
    holders = _holders(body)
    if not holders or dice.random() < 0.03:
        return dice.choice((*VALUES, [body], {"data": body}, {"error": body}))
    holder, key = dice.choice(holders)
    value = holder[key]
    what = dice.randrange(8)
    if what == 0:
        del holder[key]
    elif what == 1 and isinstance(holder, dict):
        holder["not_invented_yet"] = holder.pop(key)
    elif what == 2:
        other_holder, other_key = dice.choice(holders)
        holder[key], other_holder[other_key] = other_holder[other_key], value
        if _holds_itself(body):
            holder[key] = other_holder[other_key] = None
    elif what == 3:
        holder[key] = _swapped(value)
    else:
        holder[key] = dice.choice(VALUES)
    return body


def _swapped(value: Any) -> Any:
    """The same in another type."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list):
        return {str(number): each for number, each in enumerate(value)}
    if isinstance(value, str):
        return len(value)
    return str(value)


def _holders(body: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    left = [body] if isinstance(body, dict | list) else []
    while left:
        node = left.pop()
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            found.append((node, key))
            if isinstance(value, dict | list):
                left.append(value)
        if len(found) > 2000:
            break
    return found


def _holds_itself(body: Any) -> bool:
    try:
        json.dumps(body)
    except (ValueError, RecursionError):
        return True
    return False


def _written(dice: Dice, body: Any) -> bytes:
    escaped = dice.random() < 0.7  # else surrogates are invalid UTF-8
    try:
        return json.dumps(body, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return b"[]"


def reframe(dice: Dice, content: bytes, others: Sequence[bytes]) -> bytes:
    """Events of a stream lost, doubled, mixed up, or their JSON changed."""
    frames = content.split(b"\n\n")
    for _ in range(dice.choice((1, 2, 5))):
        at = dice.randrange(len(frames))
        what = dice.randrange(5)
        if what == 0:
            del frames[at]
            frames = frames or [b""]
        elif what == 1:
            frames.insert(at, dice.choice(frames))
        elif what == 2:
            dice.shuffle(frames)
        else:
            head, field, data = frames[at].partition(b"data: ")
            change = dice.choice((rearrange, rearrange, rearrange, insert, cut))
            frames[at] = head + field + change(dice, data, others)
    return b"\n\n".join(frames)


def _place(dice: Dice, content: bytes) -> int:
    return dice.randrange(len(content) + 1)


CHANGES: Final[tuple[tuple[Change, int], ...]] = (
    (rearrange, 20),
    (flip, 3),
    (cut, 2),
    (repeat, 2),
    (splice, 2),
    (insert, 2),
    (retype, 2),
    (double, 2),
    (reencode, 1),
    (noise, 1),
    (token_alone, 1),
)
STREAM_CHANGES: Final = ((reframe, 20), *CHANGES[1:])


def mutated(dice: Dice, content: bytes, others: Sequence[bytes], *, stream: bool) -> bytes:
    """A changed response."""
    changes = STREAM_CHANGES if stream else CHANGES
    names, weights = zip(*changes, strict=True)
    for change in dice.choices(names, weights, k=dice.choice((1, 1, 1, 2))):
        content = change(dice, content, others)
    return content


STATUSES: Final = (
    201, 204, 299, 301, 307, 400, 401, 402, 403, 404, 408, 409, 418, 422, 429, 500, 503, 599,
)  # fmt: skip
KINDS: Final = (
    "", "text/html", "text/event-stream", "application/json; charset=utf-16",
    "application/json; charset=nonsense", "text/plain; charset=rot13", "\xff\xfe", ";;;=",
    "text/event-stream; charset=utf-32", "application/json; charset=idna",
)  # fmt: skip
LATER: Final = (
    "0", "-5", "nan", "inf", "1e400", "0.0001", "", "9" * 400, "Wed, 21 Oct 2026 07:28:00 GMT",
    "Mon, 01 Jan 99999999999 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "\xff",
    "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 32 Foo 2026", "1" * 5000, "\u0661",
    "Mon, 01 Jan 2026 00:00:00 +99999999999999999999",
)  # fmt: skip


def headers(dice: Dice, content_type: str) -> list[tuple[bytes, bytes]]:
    """Headers, mostly true."""
    kind = dice.choice(KINDS) if dice.random() < 0.05 else content_type
    found = [(b"content-type", kind.encode("latin-1"))] if kind else []
    if dice.random() < 0.03:
        found.append((b"retry-after", dice.choice(LATER).encode("utf-8")))
    if dice.random() < 0.02:
        found.append((b"location", dice.randbytes(9).replace(b"\r", b"").replace(b"\n", b"")))
    return found


def compressed(dice: Dice, content: bytes) -> tuple[bytes, bytes | None]:
    """The body as it is sent, and the `Content-Encoding` that is claimed for it."""
    if dice.random() > 0.06:
        return content, None
    zipped = gzip.compress(content, 1, mtime=0)
    return dice.choice(
        (
            (zipped, b"gzip"),
            (zipped[: len(zipped) // 2], b"gzip"),
            (flip(dice, zipped, ()), b"gzip"),
            (content, b"gzip"),
            (content, b"deflate"),
            (zlib.compress(content), b"deflate"),
            (content, b"br"),
            (content, b"nonsense"),
            (BOMB, b"gzip"),
            (b"", b"gzip"),
        )
    )

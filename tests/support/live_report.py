"""The report of a live check: what an issue needs, and nothing of the account's.

It holds the shapes of responses, never their values; ids, the key and a private address are
replaced.
"""

import json
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from parallel_integrations import ParallelClient, __version__
from tests.support.contract import EVENT_STREAM, Exchange

PUBLIC_HOSTS: Final = ("api.parallel.ai", "eu.parallel.ai")
MAX_SHAPE_CHARS: Final = 4000
MIN_ID_CHARS: Final = 6
"""A shorter id may be a word of the text around it."""
NAMES_OF_KINDS: Final = frozenset({"type", "status", "event_type", "error_type", "object"})
_WORD: Final = re.compile(r"[a-z_.]{1,50}")
_KEY_LIKE: Final = re.compile(r"(?i)\b(bearer\s+|whsec_)\S+")


class Result(Protocol):
    """What became of one operation."""

    name: str
    seconds: float
    status: str
    faults: list[str]
    notes: list[str]
    shapes: list[str]

    @property
    def verdict(self) -> str:
        """In a word or two."""


def shape(value: Any, name: str = "") -> Any:
    """A JSON value with kinds in the place of its values; equal ones of a list are one.

    The API's own words for a kind or a status stay.
    """
    match value:
        case str() if name in NAMES_OF_KINDS and _WORD.fullmatch(value):
            return value
        case dict():
            return {key: shape(item, str(key)) for key, item in value.items()}
        case list():
            shapes = {json.dumps(each, sort_keys=True): each for each in map(shape, value)}
            return list(shapes.values())
        case None:
            return None
        case bool():
            return "true or false"
        case int() | float():
            return "number"
    return "text"


def shape_of(exchange: Exchange) -> str:
    """The shape of a response's body: of a stream, that of each kind of event."""
    bodies = values_of(exchange)
    if not bodies:
        return f"{len(exchange.response)} bytes of {exchange.content_type or 'no content type'}"
    lines = [json.dumps(each, ensure_ascii=False) for each in shape(bodies)]
    text = "\n".join(lines)
    return text if len(text) <= MAX_SHAPE_CHARS else f"{text[:MAX_SHAPE_CHARS]} …"


def values_of(exchange: Exchange) -> list[Any]:
    """The JSON values of a response: one, or one for each event."""
    texts = [exchange.response]
    if EVENT_STREAM in exchange.content_type:
        lines = exchange.response.splitlines()
        texts = [line.removeprefix(b"data:") for line in lines if line.startswith(b"data:")]
    found = []
    for text in texts:
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    return found


def ids_in(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every id in a JSON value, with the name that stands for it."""
    match value:
        case dict():
            for key, item in value.items():
                yield from ids_in(item, str(key))
        case list():
            for item in value:
                yield from ids_in(item, name)
        case str() if len(value) >= MIN_ID_CHARS and (
            name == "id" or name.endswith(("_id", "ids"))
        ):
            yield value, f"[{name}]"


def scrubbed(text: str, secrets: Mapping[str, str]) -> str:
    """A text without these, and without what looks like a key; the longest are taken out first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, secrets[secret])
    return _KEY_LIKE.sub("[key]", text)


def address(base_url: str) -> str:
    """The address, where everybody may know it."""
    known = urlsplit(base_url).hostname in PUBLIC_HOSTS
    return base_url if known else "another address (not shown)"


def markdown(
    rows: Sequence[Result],
    client: ParallelClient,
    *,
    max_usd: float,
    documents: str,
    secrets: Mapping[str, str],
) -> str:
    """The report, scrubbed."""
    lines = _report(rows, client, max_usd, documents)
    return scrubbed("\n".join([*lines, ""]), secrets)


def _report(
    rows: Sequence[Result], client: ParallelClient, max_usd: float, documents: str
) -> Iterator[str]:
    usage = client.usage
    verdicts = [row.verdict for row in rows]
    yield f"# Live check of parallel_integrations {__version__}"
    yield ""
    yield f"- Address: {address(client.settings.base_url)}"
    yield f"- Date: {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}"
    yield f"- Held against: our models, {documents}"
    broken, differs = verdicts.count("BROKEN"), verdicts.count("differs")
    yield f"- Calls: {len(rows)}, {broken} broken, {differs} differ"
    yield (
        f"- USD: {max_usd:.3f} at most, {usage.estimated_usd:.3f} by the requests, "
        f"{usage.usd:.3f} as the responses report"
    )
    yield f"- Reported units: {json.dumps(usage.reported, sort_keys=True)}"
    yield ""
    yield "| operation | seconds | status | verdict |"
    yield "|---|---|---|---|"
    for row in rows:
        yield f"| {row.name} | {row.seconds:.2f} | {row.status} | {row.verdict} |"
    for row in rows:
        if not row.faults and not row.notes:
            continue
        yield f"\n## {row.name}: {row.verdict}\n"
        yield from (f"- broken: {_line(fault)}" for fault in row.faults)
        yield from (f"- {_line(note)}" for note in row.notes)
        for each in row.shapes:
            yield f"\n```json\n{each}\n```"


def _line(text: str) -> str:
    return " ".join(text.split())

"""Schema values: texts and numbers of a page, and whether a JSON schema allows them."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema

from parallel_integrations.sandbox.answering.sentences import Quote

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w]|\.\d)")
_URL_NAMES = {"url", "uri", "link", "href", "source", "source_url", "website", "citation"}
_URL_NAMES |= {f"{name}s" for name in _URL_NAMES} | {"references"}
_TITLE_NAMES = {"title", "name", "headline", "topic", "subject", "page"}
_DATE_NAMES = {"date", "published", "published_at", "publish_date", "updated_at"}
_EMPTY_FORMATS = {
    "date": "1970-01-01",
    "date-time": "1970-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "uri": "https://sandbox.example/",
    "email": "nobody@sandbox.example",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
_FORMATS = {
    "date": r"\b\d{4}-\d{2}-\d{2}\b",
    "date-time": r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:Z|[+-]\d{2}:\d{2})",
    "time": r"\b\d{2}:\d{2}:\d{2}\b",
    "email": r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+\b",
    "uuid": r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
}


def numbers_in(text: str, *, whole: bool) -> Iterator[int | float]:
    """Yield the numbers of `text` in order; only the whole ones if `whole`.

    Example:
        ```python
        from parallel_integrations.sandbox.answering.schema_values import numbers_in

        assert list(numbers_in("New in version 3.11: 20 of 1.5", whole=True)) == [20]
        ```
    """
    for found in _NUMBER.findall(text):
        if "." not in found:
            yield int(found)
        elif not whole:
            yield float(found)


def fits(schema: Mapping[str, Any], number: float) -> bool:
    """Return whether `number` is within the schema's bounds and a multiple where it must be."""
    low, high, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    above, below = _exclusive(schema, "Minimum"), _exclusive(schema, "Maximum")
    return (
        (low is None or number >= low)
        and (high is None or number <= high)
        and (above is None or number > above)
        and (below is None or number < below)
        and (step is None or _is_multiple(number, step))
    )


def _exclusive(schema: Mapping[str, Any], end: str) -> Any:
    bound = schema.get(f"exclusive{end}")
    # Older schema dialects write an exclusive bound as a boolean beside the inclusive one.
    if isinstance(bound, bool):
        return schema.get(end.lower()) if bound else None
    return bound


def _is_multiple(number: float, step: float) -> bool:
    try:
        return math.isclose(number / step, round(number / step))
    except OverflowError:
        return False


def fitting_zero(schema: Mapping[str, Any]) -> int | float:
    """Return the allowed number nearest to zero that is easily found; 0 if there is none."""
    step = schema.get("multipleOf") or 1
    whole = schema.get("type") == "integer"
    edges = [schema.get(key) for key in ("minimum", "exclusiveMinimum")]
    edges += [schema.get(key) for key in ("maximum", "exclusiveMaximum")]
    candidates: list[int | float] = [0]
    for edge in edges:
        if isinstance(edge, int | float) and not isinstance(edge, bool):
            candidates.append(edge)
            # Bounds beyond what a float holds are numbers all the same.
            with suppress(OverflowError):
                up, down = math.ceil(edge / step) * step, math.floor(edge / step) * step
                candidates += [up, down, up + step, down - step]
                candidates += [] if whole else [edge + step / 2, edge - step / 2]
    good = [
        number
        for number in candidates
        if number not in (math.inf, -math.inf)
        and fits(schema, number)
        and (not whole or number == int(number))
    ]
    best = min(good, key=abs, default=0)
    return int(best) if whole else best


def texts_for(schema: Mapping[str, Any], name: str, quote: Quote) -> Iterator[str]:
    """Yield what could fill a string from one quote, best first."""
    form = schema.get("format")
    page = quote.page
    day = page.published.isoformat() if page.published else None
    if form in ("uri", "url", "iri") or (form is None and name.lower() in _URL_NAMES):
        yield page.url
    elif form in _FORMATS:
        yield from re.findall(_FORMATS[form], quote.text)
        # The day of publication is the one date that is known for certain, so it comes last.
        if day and form in ("date", "date-time"):
            yield day if form == "date" else f"{day}T00:00:00Z"
    else:
        if name.lower() in _TITLE_NAMES:
            yield page.title
        if name.lower() in _DATE_NAMES and day:
            yield day
        yield quote.text
        if "pattern" in schema:
            yield from quote.text.split()
            yield from _matches(schema["pattern"], page.text)


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> Callable[[str], bool]:
    """Return a test whether a text holds `pattern`; any text passes one that cannot be judged."""
    # Rust's engine takes linear time whatever the pattern is; Python's takes ages for "(a+)+$".
    # It knows no lookaround and no backreferences, which JSON schemas are advised to avoid.
    try:
        text_schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
        validator = SchemaValidator(text_schema)
    except PatternError:
        return lambda text: True
    return validator.isinstance_python


def _matches(pattern: str, text: str) -> Iterator[str]:
    """Yield the words that hold `pattern` in the first line that does, then the line."""
    holds = _matcher(pattern)
    line = next(filter(holds, text.splitlines()), None)
    if line is not None:
        yield from filter(holds, line.split())
        yield line.strip()


def fitted(schema: Mapping[str, Any], text: str, quote: Quote) -> str | None:
    """Return `text` cut or drawn out to the schema's length, or None if it cannot fit.

    What is added is what follows the quote on its page.
    """
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    if len(text) < least:
        text = " ".join(quote.page.text[quote.start :].split())[: max(least, len(text))]
    if most is not None and len(text) > int(most):
        # A whole word is worth more than the last few characters.
        cut = text[: int(most)].rpartition(" ")[0]
        text = cut if len(cut) >= max(least, 1) else text[: int(most)]
    if len(text) < least:
        return None
    if "pattern" in schema:
        return text if _matcher(schema["pattern"])(text) else None
    return text


def empty_text(schema: Mapping[str, Any]) -> str:
    """Return the least text the schema allows."""
    text = _EMPTY_FORMATS.get(str(schema.get("format")), "")
    return text.ljust(int(schema.get("minLength", 0)), ".")

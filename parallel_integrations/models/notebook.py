"""HTML of responses for notebooks: numbered sources, everything escaped."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic_core import to_json

from parallel_integrations.models.basis import Citation, FieldBasis
from parallel_integrations.models.page_facts import page_title, published_at
from parallel_integrations.models.pages import PageResult

MAX_EXCERPT_CHARACTERS: Final = 300
WRAPPED: Final = 'style="white-space:pre-wrap"'
QUIET: Final = 'style="opacity:.7"'


def pages_html(pages: Iterable[PageResult], failed: Iterable[object] = ()) -> str:
    """Pages as a numbered list: title, host, date, the beginning of what was found.

    Args:
        pages: Results of a search or extract.
        failed: What could not be read; shown as text.

    Returns:
        HTML of its own, with no script and nothing to load.
    """
    items = []
    for page in pages:
        about = [_host(page.url), published_at(page.publish_date) or "no date"]
        label = escape(" · ".join(each for each in about if each))
        items.append(f"<li>{_link(page)} <small {QUIET}>{label}</small>{_quote(page.text)}</li>")
    found = f"<ol>{''.join(items)}</ol>" if items else "<p>No pages.</p>"
    lost = "".join(f"<li>{escape(str(each))}</li>" for each in failed)
    return f"<div>{found}{f'<p>Could not be read:</p><ul>{lost}</ul>' if lost else ''}</div>"


def output_html(content: Any, basis: Iterable[FieldBasis]) -> str:
    """An answer, the basis of each of its fields, and its numbered sources.

    Args:
        content: The answer's text or JSON value.
        basis: Of its fields.

    Returns:
        HTML of its own, with no script and nothing to load.
    """
    fields = list(basis)
    sources: dict[str, Citation] = {}
    for citation in (each for field in fields for each in field.citations):
        # The passages shown are those of the first field that cites a page with any.
        if citation.url not in sources or not sources[citation.url].excerpts:
            sources[citation.url] = citation
    numbers = {url: number for number, url in enumerate(sources, 1)}
    parts = [_content(content)]
    if rows := [_row(field, numbers) for field in fields]:
        header = "".join(f"<th>{name}</th>" for name in ("field", "confidence", "sources", "why"))
        parts.append(f"<table><tr>{header}</tr>{''.join(rows)}</table>")
    if sources:
        items = (
            f"<li>{_link(each)} <small {QUIET}>{escape(_host(each.url))}</small>"
            f"{_quote(' … '.join(each.excerpts))}</li>"
            for each in sources.values()
        )
        parts.append(f"<p>Sources</p><ol>{''.join(items)}</ol>")
    return f"<div>{''.join(parts)}</div>"


def _content(content: Any) -> str:
    if not isinstance(content, Mapping):
        text = content if isinstance(content, str) else to_json(content, indent=2).decode()
        return f"<p {WRAPPED}>{escape(text)}</p>"
    rows = (
        f"<tr><th>{escape(str(name))}</th><td {WRAPPED}>{escape(_value(value))}</td></tr>"
        for name, value in content.items()
    )
    return f"<table>{''.join(rows)}</table>"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value, indent=2).decode()


def _row(field: FieldBasis, numbers: Mapping[str, int]) -> str:
    cited = dict.fromkeys(f"[{numbers[citation.url]}]" for citation in field.citations)
    cells = (field.field or "output", field.confidence or "unknown", " ".join(cited))
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr>{shown}<td {WRAPPED}>{escape(field.reasoning)}</td></tr>"


def _link(page: PageResult | Citation) -> str:
    title = escape(page_title(page))
    if not _host(page.url):
        return f"<b>{title}</b> {escape(page.url)}"
    href = escape(page.url, quote=True)
    return f'<a href="{href}" target="_blank" rel="noopener noreferrer"><b>{title}</b></a>'


def _host(url: str) -> str:
    """The host of a web address; empty for whatever else calls itself a URL (`javascript:` …)."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    return (parts.hostname or "") if parts.scheme in ("http", "https") else ""


def _quote(text: str) -> str:
    if not text.strip():
        return ""
    cut = text if len(text) <= MAX_EXCERPT_CHARACTERS else f"{text[:MAX_EXCERPT_CHARACTERS]} …"
    return f"<blockquote {WRAPPED}>{escape(cut)}</blockquote>"

"""HTML of responses for notebooks: cards and tables, numbered sources, everything escaped."""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel
from pydantic_core import to_json

from parallel_integrations._counted import counted
from parallel_integrations.models.basis import Citation, FieldBasis
from parallel_integrations.models.page_facts import page_title, published_at, url_parts
from parallel_integrations.models.pages import PageResult

if TYPE_CHECKING:
    from parallel_integrations.models.findall import FindallCandidate, FindallResult

MAX_EXCERPT_CHARACTERS: Final = 300
# Notebooks align the cells of a table to the right.
CELL: Final = 'style="text-align:left;vertical-align:top;white-space:pre-wrap"'
OWN_NUMBER: Final = re.compile(r"\[\d+\]")
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
    # A report may have numbers of its own, which mean other sources than these.
    mark = "S" if isinstance(content, str) and OWN_NUMBER.search(content) else ""
    marks = {url: f"[{mark}{number}]" for number, url in enumerate(sources, 1)}
    parts = [_content(content)]
    if rows := [_basis_cells(field, marks) for field in fields]:
        parts.append(_table(("field", "confidence", "sources", "why"), rows))
    if sources:
        items = (
            f"<p>{marks[each.url]} {_link(each)} "
            f"<small {QUIET}>{escape(_host(each.url))}</small></p>"
            f"{_quote(' … '.join(each.excerpts))}"
            for each in sources.values()
        )
        parts.append(f"<p>Sources</p>{''.join(items)}")
    return f"<div>{''.join(parts)}</div>"


def model_html(model: BaseModel) -> str:
    """What a response holds, as a table of its fields; lists of things become tables of their own.

    Args:
        model: The response.

    Returns:
        HTML of its own, with no script and nothing to load.
    """
    if isinstance(model, PageResult):
        return pages_html([model])
    return f"<div>{_fields(model)}</div>"


def findall_html(result: "FindallResult") -> str:
    """What a FindAll run found: how it stands, and a row for each candidate, matches first."""
    status = result.run.status
    words = f"{len(result.matches)} of {counted(len(result.candidates), 'candidate')} matched"
    if status is not None and status.status:
        words += f" · {status.status}"
    names = dict.fromkeys(name for one in result.candidates for name in one.output or ())
    header = ("name", "status", *names, "description")
    rows = [
        (
            _link(one),
            escape(one.match_status),
            *(_cell(one.value(name)) for name in names),
            escape(one.description or ""),
        )
        for one in sorted(result.candidates, key=lambda one: one.match_status != "matched")
    ]
    return f"<div><p>{escape(words)}</p>{_table(header, rows) if rows else ''}</div>"


def candidate_html(candidate: "FindallCandidate") -> str:
    """An entity: name, description, its values and what they rest on."""
    values = {name: candidate.value(name) for name in candidate.output or ()}
    about = f"{_link(candidate)} <small {QUIET}>{escape(candidate.match_status)}</small>"
    text = f"<p>{escape(candidate.description)}</p>" if candidate.description else ""
    return f"<div><p>{about}</p>{text}{output_html(values, candidate.basis)}</div>"


def _fields(model: BaseModel) -> str:
    return _table((), [(escape(name), _cell(value)) for name, value in _filled(model).items()])


def _filled(model: BaseModel) -> dict[str, Any]:
    """The fields that hold something, of those that are part of the response."""
    fields = type(model).model_fields.items()
    held = {name: getattr(model, name, None) for name, field in fields if not field.exclude}
    return {name: value for name, value in held.items() if value not in (None, "", [], {})}


def _cell(value: Any) -> str:
    if isinstance(value, BaseModel):
        basis = getattr(value, "basis", None)
        return _fields(value) if basis is None else _short_output(value, basis)
    if isinstance(value, list) and value and all(isinstance(each, BaseModel) for each in value):
        held = [_filled(each) for each in value]
        names = dict.fromkeys(name for each in held for name in each)
        return _table(names, [[_cell(each.get(name)) for name in names] for each in held])
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return escape("\n".join(value))
    if value is None:
        return ""
    if isinstance(value, Mapping) and value:
        given = [(str(name), each) for name, each in value.items() if each is not None]
        return _table((), [(escape(name), _cell(each)) for name, each in given])
    text = _value(value)
    return _anchor(text, escape(text)) if _host(text) else escape(text)


def _short_output(output: Any, basis: Iterable[FieldBasis]) -> str:
    """An output inside a table: the beginning of its content, and links to its sources."""
    cited = {citation.url: citation for field in basis for citation in field.citations}
    links = " · ".join(_link(citation) for citation in cited.values())
    content = getattr(output, "content", None)
    shown = _cell(content) if isinstance(content, Mapping) else _quote(_value(content))
    return f"{shown}<p>{links}</p>" if links else shown


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table whose first column names each row where there is no header; cells are HTML."""
    names = "".join(f"<th {CELL}>{escape(name)}</th>" for name in header)
    body = []
    for row in rows:
        first, *rest = row
        start = f"<td {CELL}>{first}</td>" if names else f"<th {CELL}>{first}</th>"
        cells = "".join(f"<td {CELL}>{each}</td>" for each in rest)
        body.append(f"<tr>{start}{cells}</tr>")
    first_row = f"<tr>{names}</tr>" if names else ""
    return f"<table>{first_row}{''.join(body)}</table>"


def _content(content: Any) -> str:
    if not isinstance(content, Mapping):
        text = content if isinstance(content, str) else to_json(content, indent=2).decode()
        return f"<p {WRAPPED}>{escape(text)}</p>"
    rows = [(escape(str(name)), escape(_value(value))) for name, value in content.items()]
    return _table((), rows) if rows else ""


def _value(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value, indent=2).decode()


def _basis_cells(field: FieldBasis, marks: Mapping[str, str]) -> list[str]:
    cited = dict.fromkeys(marks[citation.url] for citation in field.citations)
    cells = (field.field or "output", field.confidence or "unknown", " ".join(cited))
    return [escape(cell) for cell in (*cells, field.reasoning)]


def _link(page: "PageResult | Citation | FindallCandidate") -> str:
    title = page_title(page) if isinstance(page, PageResult | Citation) else page.name
    if not _host(page.url):
        return f"<b>{escape(title)}</b> {escape(page.url)}"
    return _anchor(page.url, f"<b>{escape(title)}</b>")


def _anchor(url: str, shown: str) -> str:
    href = escape(url, quote=True)
    return f'<a href="{href}" target="_blank" rel="noopener noreferrer">{shown}</a>'


def _host(url: str) -> str:
    """The host of a web address; empty for whatever else calls itself a URL (`javascript:` …)."""
    parts = url_parts(url.strip())
    return (parts.hostname or "") if parts and parts.scheme in ("http", "https") else ""


def _quote(text: str) -> str:
    if not text.strip():
        return ""
    cut = text if len(text) <= MAX_EXCERPT_CHARACTERS else f"{text[:MAX_EXCERPT_CHARACTERS]} …"
    return f"<blockquote {WRAPPED}>{escape(cut)}</blockquote>"

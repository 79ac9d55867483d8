"""Text, metadata, stable ids and citations of pages, the same in both frameworks."""

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha1
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote, urlunsplit
from uuid import NAMESPACE_URL

from pydantic import BaseModel
from pydantic_core import to_json

from parallel_integrations.models.basis import Citation, FieldBasis
from parallel_integrations.models.fields import Excerpt
from parallel_integrations.models.page_facts import (
    page_title,
    published_at,
    published_day,
    url_parts,
)
from parallel_integrations.models.pages import EXCERPT_SEPARATOR, PageResult
from parallel_integrations.models.shared import ApiResponse

if TYPE_CHECKING:  # a chat model does not need it
    from parallel_integrations.models.findall import Entity, FindallCandidate

Split: TypeAlias = Literal["page", "excerpt"]
"""One document per page, or one per excerpt."""

MAX_TITLE_CHARACTERS: Final = 300
_SOURCES: Final = "\n\nSources:"
_MORE_SOURCES: Final = "\n- and {} more"
_GAP: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PLAIN_ADDRESS: Final = re.compile(r"https?://[a-z0-9.-]+(?:/[!-~]*)?")
_NAMESPACE: Final = NAMESPACE_URL.bytes
_NORMAL_URL: Final = re.compile(r"https?://[a-z0-9.-]+(?:/[^#]*)?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class PageDocument(NamedTuple):
    """One document made of a page or of one of its excerpts."""

    name: str
    """What the id is derived from: the page's normalized url, with excerpts as documents followed
    by a line break and the excerpt's text.
    """
    text: str
    """The page's excerpts, or its full content where that was requested."""
    metadata: dict[str, Any]
    """`url`, `title`, `published_at` (ISO 8601 or None), `source` (= url), in this order, then what
    `DocumentSettings` adds.
    """

    @property
    def id(self) -> str:
        """A stable id: the same url (and excerpt) gives the same one."""
        return stable_id(self.name)


class DocumentSettings(BaseModel):
    """What becomes of a page."""

    split: Split = "page"
    """`"page"` for one document per page, whose id depends on the url alone; `"excerpt"` for one
    per excerpt, whose id depends on url and text, with `start_char` and `end_char` in its metadata
    where the API gives them.
    """
    published_day: bool = False
    """True adds the day of publication as a number, such as 20240501, for stores that compare only
    numbers; 0 where it is not known.
    """
    constant_keys: bool = False
    """True gives every document the same metadata keys with values of the same types, for stores
    that fix their columns by the first batch: `published_at` is empty and offsets are -1 where they
    are not known.
    """

    def documents_of(self, pages: Iterable[PageResult]) -> Iterator[PageDocument]:
        """Documents of pages, in their order.

        Pages without text give none. A page that comes twice, as two hits of a search may be
        (`…#a`, `…#b`), gives one, with the passages of both.
        """
        for url, hits in merged(pages).items():
            metadata = self.metadata_of(hits)
            if self.split == "page":
                if (text := _text(hits)) and not text.isspace():
                    yield PageDocument(url, text, metadata)
                continue
            passages: dict[str, Excerpt] = {}
            for page in hits:
                for excerpt in page.excerpts:
                    passages.setdefault(str(excerpt), excerpt)
            for text, excerpt in passages.items():
                if not text.isspace():
                    name = passage_name(url, text)
                    yield PageDocument(name, text, metadata | self._offsets(excerpt))

    def metadata_of(self, hits: Sequence[PageResult]) -> dict[str, Any]:
        """Flat JSON scalars in one fixed order; nothing that changes from search to search."""
        first = titled = hits[0]
        date = published_at(first.publish_date)
        for other in hits[1:]:  # what the first hit does not know, another may
            date = date or published_at(other.publish_date)
            if not (titled.title or "").strip() and (other.title or "").strip():
                titled = other
        metadata: dict[str, Any] = {
            "url": first.url,
            "title": page_title(titled),
            "published_at": "" if date is None and self.constant_keys else date,
            "source": first.url,
        }
        if self.published_day:
            metadata["published_day"] = published_day(date)
        return metadata

    def _offsets(self, excerpt: Excerpt) -> dict[str, int]:
        offsets = {"start_char": excerpt.start_char, "end_char": excerpt.end_char}
        if self.constant_keys:
            return {name: -1 if value is None else value for name, value in offsets.items()}
        return {name: value for name, value in offsets.items() if value is not None}


PAGES: Final = DocumentSettings()
"""One document per page, with the usual metadata."""


def page_documents(pages: Iterable[PageResult], split: Split = "page") -> Iterator[PageDocument]:
    """Documents of pages with the usual metadata: see `DocumentSettings.documents_of`."""
    return (PAGES if split == "page" else DocumentSettings(split=split)).documents_of(pages)


def passage_name(url: str, text: str) -> str:
    """What the id of a passage of a page is derived from."""
    return f"{url}\n{text}"


def merged(pages: Iterable[PageResult]) -> dict[str, list[PageResult]]:
    """The hits on each page, by its normalized url."""
    by_url: dict[str, list[PageResult]] = {}
    for page in pages:
        by_url.setdefault(normalized_url(page.url), []).append(page)
    return by_url


def _text(hits: Sequence[PageResult]) -> str:
    if len(hits) == 1:
        return hits[0].text
    return EXCERPT_SEPARATOR.join(dict.fromkeys(each for page in hits for each in page.passages))


def normalized_url(url: str) -> str:
    """A URL with scheme and host in lower case, without default port and fragment.

    A fragment that routes (`#/…`, `#!…`) stays: it makes a different page of an application that
    runs in the browser. Nothing else is changed.
    """
    # Almost every URL that a search returns is in this form already.
    if _NORMAL_URL.fullmatch(url):
        return url
    parts = url_parts(url)
    if parts is None or not parts.hostname:
        return url
    scheme = parts.scheme.lower()
    user, at, _ = parts.netloc.rpartition("@")
    host = parts.hostname.lower()
    host = f"[{host}]" if ":" in host else host
    try:
        port = parts.port
    except ValueError:
        return url
    if port is not None and port != _DEFAULT_PORTS.get(scheme):
        host = f"{host}:{port}"
    fragment = parts.fragment if parts.fragment.startswith(("/", "!")) else ""
    return urlunsplit((scheme, user + at + host, parts.path, parts.query, fragment))


def stable_id(name: str) -> str:
    """`uuid5` of a name such as a normalized url."""
    # uuid5's digits without its object: an id is made for each page of each search.
    text = sha1(_NAMESPACE + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


def cited(basis: Iterable[FieldBasis]) -> Iterator[tuple[FieldBasis, Citation]]:
    """Each citation with the field it stands for."""
    for field in basis:
        for citation in field.citations:
            yield field, citation


def dump_basis(basis: Iterable[FieldBasis]) -> list[dict[str, Any]]:
    """A basis as plain JSON, for the metadata of messages and responses."""
    return [field.model_dump(mode="json") for field in basis]


def read_basis(metadata: dict[str, Any]) -> list[FieldBasis]:
    """The basis that `dump_basis` put into metadata under `basis`; empty without one."""
    return [FieldBasis.model_validate(field) for field in metadata.get("basis", ())]


def as_text(pages: Iterable[PageResult], max_chars: int | None = None) -> str:
    """Pages as a language model reads them: numbered, with title, url, date and excerpts.

    One page is one block, whose content cannot pass for another: title, url and date are one line
    each, every line of the excerpts begins with `>`, and only web addresses are shown as such.
    With `max_chars`, each page gets an equal share. Empty where no page has text.
    """
    return numbered(list(PAGES.documents_of(pages)), max_chars)


def one_line(text: str) -> str:
    """A text on one line: each run of blanks, line breaks and control characters is one blank."""
    if text.isprintable() and "  " not in text:  # as almost every title
        return text.strip()
    return _GAP.sub(" ", text).strip()


def web_address(url: str) -> str:
    """An `http` or `https` address on one line; empty for any other text."""
    if _PLAIN_ADDRESS.fullmatch(url):  # as almost every URL that a search returns
        return url
    parts = url_parts(url.strip())
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    return _GAP.sub(lambda gap: quote(gap[0]), url.strip())


def quoted(text: str) -> str:
    """A text that cannot leave its block: each of its lines begins with `>`."""
    return "\n".join([f"> {line}" if line else ">" for line in text.splitlines()])


def notes_of(response: ApiResponse) -> list[str]:
    """The response's warnings, as lines of a tool's text."""
    return [one_line(f"Note: {each.message}") for each in response.warnings if each.message]


def numbered(found: Sequence[PageDocument], max_chars: int | None = None) -> str:
    """Documents as `as_text` shows pages."""
    # A page that needs less than its share leaves the rest to those after it.
    left = max_chars
    blocks = []
    for number, item in enumerate(found, 1):
        share = None if left is None else left // (len(found) - number + 1)
        block = _numbered(number, item, share)
        left = None if left is None else left - len(block) - len(EXCERPT_SEPARATOR)
        blocks.append(block)
    return EXCERPT_SEPARATOR.join(blocks)


def match_documents(matches: "Iterable[FindallCandidate]") -> list[PageDocument]:
    """Matched entities as documents: description, values, and the reasons for the match.

    The id depends on url and name, since one page may name several entities.
    """
    documents: list[PageDocument] = []
    for match in matches:
        lines = [match.description or match.name]
        lines += [f"{name}: {match.value(name)}" for name in match.output or ()]
        for field in match.basis:
            lines.append(f"{field.field}: {field.reasoning}")
            urls = (web_address(citation.url) for citation in field.citations)
            lines += [f"Source: {url}" for url in urls if url]
        documents += _entity(match.url, match.name, "\n".join(dict.fromkeys(lines)))
    return documents


def entity_documents(entities: "Iterable[Entity]") -> list[PageDocument]:
    """Listed entities as documents: the description, or the name alone.

    The id is that of a FindAll match on the same page; an entity that is listed twice is one.
    """
    documents = (
        document
        for each in entities
        for document in _entity(each.url, each.name, each.description or each.name)
    )
    return list({document.name: document for document in documents}.values())


def _entity(url: str, name: str, text: str) -> Iterator[PageDocument]:
    page = PageResult(url=url, title=name, excerpts=[Excerpt(text)])
    for document in PAGES.documents_of([page]):
        yield document._replace(name=passage_name(document.name, name))


def report_as_text(
    content: Any,
    basis: Iterable[FieldBasis],
    max_chars: int | None = None,
    *,
    says_none: bool = False,
) -> str:
    """A researched answer as a language model reads it, with its sources at the end.

    The sources have no numbers: the content may have references and numbers of its own.

    Args:
        content: Text or a JSON value.
        basis: Its citations become the sources.
        max_chars: Most characters in all. The sources get what the content leaves, a quarter at
            least; how many were left out is said.
        says_none: Whether a text without sources ends in "Sources: none"; a model could otherwise
            write such a section into the content.

    Returns:
        The text. Only what follows the last line `Sources:` comes from the basis; the content
        before it may hold anything.
    """
    body = content if isinstance(content, str) else to_json(content, indent=2).decode()
    titles = {
        url: _title(page_title(citation))
        for _, citation in cited(basis)
        if (url := web_address(citation.url))
    }
    sources = [f"- {title}: {url}" for url, title in titles.items()]
    if not sources:
        tail = "\n\nSources: none" if says_none else ""
    elif max_chars is None:
        tail = "\n".join([_SOURCES, *sources])
    else:
        tail = _sources(sources, max(max_chars - len(body), max_chars // 4))
    return (body if max_chars is None else truncated(body, max_chars - len(tail))) + tail


def _sources(sources: Sequence[str], max_chars: int) -> str:
    """The first sources that fit, whole lines each, and how many do not."""
    if len(whole := "\n".join([_SOURCES, *sources])) <= max_chars:
        return whole
    left = max_chars - len(_SOURCES) - len(_MORE_SOURCES.format(len(sources)))
    shown = []
    for source in sources:
        left -= len(source) + 1
        if left < 0:
            break
        shown.append(source)
    return "\n".join([_SOURCES, *shown]) + _MORE_SOURCES.format(len(sources) - len(shown))


def truncated(text: str, max_chars: int, total: int | None = None) -> str:
    """At most `max_chars` characters of a text, ending with how many (`total`) there were."""
    if len(text) <= max_chars:
        return text
    mark = f" […cut, {len(text) if total is None else total} characters in all]"
    if max_chars < len(mark):
        return text[: max(0, max_chars)]
    return text[: max_chars - len(mark)] + mark


def _numbered(number: int, item: PageDocument, max_chars: int | None) -> str:
    meta = item.metadata
    url = web_address(meta["url"]) or "none (not a web address)"
    heading = f"[{number}] {_title(meta['title'])}\nURL: {url}\n"
    if meta["published_at"]:
        heading += f"Published: {one_line(meta['published_at'])}\n"
    if max_chars is None:
        return heading + quoted(item.text)
    left = max(0, max_chars - len(heading))
    # A marked text is longer by all but its last line break: what stands beyond these characters
    # would be cut off.
    text = quoted(item.text[: left + 2])
    return heading + truncated(text, left, len(item.text))


def _title(title: str) -> str:
    line = one_line(title)
    return line if len(line) <= MAX_TITLE_CHARACTERS else f"{line[:MAX_TITLE_CHARACTERS]} …"

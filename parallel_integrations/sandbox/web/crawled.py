"""Pages as the service's crawler returns them: one text a page, with sections, gaps and noise.

The form is that of published responses (docs/reference/facts.md, 20): each passage stands below
the path of its section, what was left out between two passages is `` ... ``, and what a site
puts around its text (navigation, cookie notes) comes along where a passage touches it.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from parallel_integrations.sandbox.web.corpus import Page
from parallel_integrations.sandbox.web.domains import split_url
from parallel_integrations.sandbox.web.passages import Span, choose, cut_at

GAP = "\n ... \n"
"""Stands between two passages that do not follow each other."""
SHOWN_PATH = 2
"""Sections of a path that are shown; the others become one `...`."""
MAX_PASSAGES = 60
NOISE_CHARS = 600
"""Characters of navigation that an excerpt begins with at most."""
MIN_REST_CHARS = 200

_HEADING = re.compile(r"^(#{1,6})[ \t]+(\S.*)$", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n\s*\n")


def full_text(page: Page) -> str:
    """Return everything that is on a page, from its navigation to its foot."""
    return "\n\n".join(part for part in (page.before, page.text, page.after) if part)


@lru_cache(maxsize=2048)
def excerpt(page: Page, ranked: tuple[Span, ...], limit: int) -> str:
    r"""Return the best passages of a page as one text of at most `limit` characters.

    Args:
        page: The page.
        ranked: Its passages, best first, as offsets into its text.
        limit: Characters of the excerpt, titles of sections included.

    Example:
        ```python
        from parallel_integrations.sandbox import Page
        from parallel_integrations.sandbox.web.crawled import excerpt

        page = Page("https://a.example/", "A", "# A\n\nOne.\n\n## B\n\nTwo.")
        text = excerpt(page, ((0, 9), (11, 21)), 100)
        assert text.split("\n")[:3] == ["Section Title: A", "Content:", "One."]
        assert text.split("\n")[3:] == ["Section Title: A > B", "Content:", "Two."]
        ```
    """
    own = choose(page.text, ranked, limit, most=MAX_PASSAGES)
    if not own:
        return ""
    everything = full_text(page)
    begins = len(page.before) + 2 if page.before else 0  # behind a blank line
    spans = [(begins + start, begins + end) for start, end in own]
    if page.before and own[0][0] == 0:
        spans.insert(0, (0, cut_at(page.before, 0, NOISE_CHARS)))
    ends = begins + len(page.text)
    left = limit - sum(end - start for start, end in own)
    # What else is on the page fills what its best passages leave.
    if page.after and left > MIN_REST_CHARS:
        spans.append((ends + 2, cut_at(everything, ends + 2, ends + 2 + left)))
    parts: list[str] = []
    for number, (start, end) in enumerate(spans):
        if number:
            near = not everything[spans[number - 1][1] : start].strip()
            parts.append("\n" if near else GAP)
        parts.append("\n".join(_sections(everything, start, end)))
    text = "".join(parts)
    return text if len(text) <= limit else text[: cut_at(text, 0, limit)]


def missing(url: str) -> Page:
    """Return what a site shows at an address that it does not have, with status 200."""
    site = split_url(url).hostname
    text = (
        "# We couldn't find that\n\nThe page you were looking for couldn't be found on this site."
    )
    return Page(url, f"404 Page Not Found - {site}", text)


def _sections(text: str, start: int, end: int) -> Iterator[str]:
    """Yield a passage in pieces, each below the path of its section."""
    headings = _headings(text)
    inside = [place for place, *_ in headings if start < place < end]
    edges = [start, *inside, end]
    for first, last in pairwise(edges):
        body = _HEADING.sub("", text[first:last])
        body = _BLANK_LINES.sub("\n", body).strip("\n")
        path = _path(headings, first)
        if body.strip() and path:
            yield f"Section Title: {path}\nContent:\n{body}"
        elif body.strip():
            yield body


@lru_cache(maxsize=2048)
def _headings(text: str) -> Sequence[tuple[int, int, str]]:
    return [(each.start(), len(each[1]), each[2]) for each in _HEADING.finditer(text)]


def _path(headings: Sequence[tuple[int, int, str]], place: int) -> str:
    above: list[tuple[int, str]] = []
    for at, level, title in headings:
        if at > place:
            break
        above = [each for each in above if each[0] < level] + [(level, title)]
    titles = [title for _, title in above]
    if len(titles) > SHOWN_PATH:
        titles = [titles[0], "...", titles[-1]]
    return " > ".join(titles)

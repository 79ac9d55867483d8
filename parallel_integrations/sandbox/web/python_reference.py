"""The Python language reference inside every CPython (`pydoc_data.topics`), as web pages.

`help("with")` prints these topics. Each is a section of docs.python.org, so its address is the
document that holds the section, ``?topic=`` with the topic's label (several topics share one
document, and an address without its fragment must still differ) and the label as
fragment, which is where a browser ends up. The table of documents was written down by hand: a
topic of a newer Python that it does not know gets the index of the reference as its document. The
address people know, such as ``…/compound_stmts.html#with``, finds the page too.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pydoc_data.topics import topics
from zlib import crc32

from parallel_integrations.sandbox.web.corpus import Page

ROOT = "https://docs.python.org/3/"

DOCUMENTS = {
    "reference/simple_stmts": """assert assignment augassign break continue del global import
        nonlocal pass raise return yield""",
    "reference/compound_stmts": "async class compound else for function if try while with",
    "reference/expressions": """atom-identifiers atom-literals attribute-references await binary
        bitwise booleans calls comparisons conversions dict exprlists in lambda lists
        operator-summary power sets shifting slicings subscriptions unary""",
    "reference/lexical_analysis": """floating id-classes identifiers imaginary integers numbers
        strings""",
    "reference/datamodel": """attribute-access callable-types context-managers customization
        numeric-types objects sequence-types specialnames types""",
    "reference/executionmodel": "dynamic-features exceptions execmodel naming",
    "library/pdb": "debugger",
    "library/string": "formatstrings",
    "library/stdtypes": """bltin-code-objects bltin-ellipsis-object bltin-null-object
        bltin-type-objects specialattrs string-methods truth typesfunctions typesmapping
        typesmethods typesmodules typesseq typesseq-mutable""",
}
WHOLE_DOCUMENTS = {"compound", "debugger", "execmodel"}
"""Topics that are a whole document and so have its plain address."""
UNDATED = {"bltin-ellipsis-object", "conversions", "truth"}
"""Topics published without a date, because some pages of the real web have none either."""
RELEASED = {
    11: date(2022, 10, 24),
    12: date(2023, 10, 2),
    13: date(2024, 10, 7),
    14: date(2025, 10, 7),
}
"""The day each minor version of Python 3 came out."""

DATED_IN_TEN = 4
"""How many of ten pages have a date when they are crawled, as in published responses."""
MAX_REST_CHARS = 80_000
"""Characters of further sections below the one that a page is about."""
NAVIGATION = """\
[Skip to content](#main)
We use cookies to give you the best experience of this site. Accept all Reject all Cookie Settings
[](https://docs.python.org/3/ "Documentation")
[Python](https://www.python.org/) »
[What's new](https://docs.python.org/3/whatsnew/index.html "What's new")
[Tutorial](https://docs.python.org/3/tutorial/index.html "Tutorial")
[Library reference](https://docs.python.org/3/library/index.html "Library reference")
[Language reference](https://docs.python.org/3/reference/index.html "Language reference")
Theme Auto Light Dark
Table of contents"""
FOOT = """\
### This page
* [Report a bug](https://docs.python.org/3/bugs.html)
* [Show source](#)
Was this page helpful?
Yes No
© Copyright Python Software Foundation. [Privacy notice](#) | [Cookie Settings](#)"""

_DOCUMENT_OF = {label: name for name, labels in DOCUMENTS.items() for label in labels.split()}
_HEADING = re.compile(r"^(?P<text>\S.*)\n(?P<line>\*{3,}|={3,}|-{3,}|\^{3,}|~{3,})$", re.MULTILINE)
_TITLE_LINE = re.compile(r"^#{1,5} \S.*$", re.MULTILINE)
_LEVEL = {"*": "#", "=": "##", "-": "###", "^": "####", "~": "#####"}


def pages() -> Iterator[Page]:
    """Yield a page for every topic, in the order of their labels."""
    minor = sys.version_info.minor
    # New feature releases come out every October (PEP 602).
    released = RELEASED.get(minor, date(2011 + minor, 10, 1))
    seen: set[str] = set()
    # "else" is a copy of "if": walking backwards would keep the wrong one of the two.
    for label in sorted(topics, key=lambda name: (name == "else", name)):
        text = _HEADING.sub(_markdown_heading, topics[label].strip())
        # Some topics are copies of others, and two pages with one text would both be found.
        if text in seen:
            continue
        seen.add(text)
        document = ROOT + _DOCUMENT_OF.get(label, "reference/index") + ".html"
        section = f"{document}#{label}"
        whole = label in WHOLE_DOCUMENTS
        yield Page(
            url=document if whole else f"{document}?topic={label}#{label}",
            title=text.partition("\n")[0].lstrip("# "),
            text=text,
            published=None if label in UNDATED else released,
            language="en",
            aliases=(section,) if whole else (section, f"{document}?topic={label}"),
        )


def crawled() -> Iterator[Page]:
    """Yield the same pages as a crawler finds them.

    Below the section that a page is about stands more of the document it is taken from.
    """
    every = [replace(page, text=_TITLE_LINE.sub(r"\g<0> ¶", page.text)) for page in pages()]
    for number, page in enumerate(every):
        document, topic, _ = page.url.partition("?topic=")
        of_document = [each for each in every if each.url.startswith(document + "?")]
        place = of_document.index(page) if topic else 0
        others = of_document[place + 1 :] + of_document[:place] if topic else []
        rest = "\n\n".join(other.text for other in others)[:MAX_REST_CHARS]
        chance = crc32(page.title.encode())
        yield replace(
            page,
            published=page.published if 7 * number % 10 < DATED_IN_TEN else None,
            before=NAVIGATION if chance % 3 == 0 else "",
            after=f"{FOOT}\n\n{rest}".strip(),
        )


def _markdown_heading(match: re.Match[str]) -> str:
    return f"{_LEVEL[match['line'][0]]} {match['text']}"

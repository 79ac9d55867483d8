"""A page of the sandbox's web."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the sandbox's web.

    Attributes:
        url: Where the page is published.
        title: What it is called.
        text: The whole page as Markdown-like text. Excerpts are slices of exactly this string.
        published: The day it was published, None when unknown.
        language: Language tag such as ``en``, None when unknown.
        aliases: Other addresses that `Corpus.get` answers with this page.

    Example:
        ```python
        from parallel_integrations.sandbox import Corpus, Page, Sandbox

        page = Page(url="https://kiwi.example/", title="Kiwis", text="A kiwi is a flightless bird.")
        with Sandbox(Corpus([page])) as sandbox:
            print(sandbox.url)
        ```
    """

    url: str
    title: str
    text: str
    published: date | None = None
    language: str | None = None
    aliases: tuple[str, ...] = ()

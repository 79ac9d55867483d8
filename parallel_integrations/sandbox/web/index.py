"""Full-text index of a corpus: SQLite FTS5 with BM25, in memory."""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from weakref import finalize

from parallel_integrations.sandbox.web.corpus import Corpus, Page
from parallel_integrations.sandbox.web.passages import Span, passages
from parallel_integrations.sandbox.web.words import (
    STOP_WORDS,
    match_expression,
    spaced,
    terms,
    words,
)

TITLE_WEIGHT = 5.0
"""How much more a word in the title counts than one in the text."""
TITLE_BONUS = 4.0
"""Score added when the query holds the whole title; a part of it earns a part of this."""
PHRASE_BONUS = 4.0
"""Score added when the query holds the title word for word."""

OPENING_WEIGHT = 1.5
"""How much more a page's first passage counts, where it says what it is about."""

Scores = Sequence[tuple[int, float]]
"""Row and score of each page or passage that fits."""

_TABLES = """
CREATE VIRTUAL TABLE pages USING
    fts5(title, body, content='', tokenize='porter unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE passages USING
    fts5(body, content='', tokenize='porter unicode61 remove_diacritics 2');
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """A page that was found.

    Attributes:
        score: How well it fits; higher is better, comparable within one search only.
        passages: Its passages that fit, best first, as offsets into the page's text.
    """

    page: Page
    score: float
    passages: tuple[Span, ...]


class Index:
    """A searchable corpus. It never changes, and several threads may search it.

    Raises:
        RuntimeError: If this Python's SQLite was built without FTS5.

    Example:
        ```python
        from parallel_integrations.sandbox import Corpus
        from parallel_integrations.sandbox.web.index import Index

        index = Index(Corpus.python_reference())
        assert (
            index.search(["what does the with statement do"])[0].page.title
            == 'The "with" statement'
        )
        ```
    """

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self._lock = threading.Lock()
        # The lock below serves all threads; SQLite's own check would forbid every thread but one.
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        # An index is shared and dropped in places that cannot close it; an open database is a
        # warning.
        finalize(self, self._database.close)
        try:
            self._database.executescript(_TABLES)
        except sqlite3.OperationalError as error:
            raise RuntimeError("the sandbox needs an SQLite with FTS5") from error
        # Titles are compared for every search, pages come and go seldom.
        self._titles = [_title_words(page.title) for page in corpus]
        self._passages: list[tuple[int, Span]] = [
            (number, span) for number, page in enumerate(corpus) for span in passages(page.text)
        ]
        self._database.executemany(
            "INSERT INTO pages(rowid, title, body) VALUES (?, ?, ?)",
            ((n, spaced(page.title), spaced(page.text)) for n, page in enumerate(corpus)),
        )
        self._database.executemany(
            "INSERT INTO passages(rowid, body) VALUES (?, ?)",
            (
                (row, spaced(corpus.pages[number].text[start:end]))
                for row, (number, (start, end)) in enumerate(self._passages)
            ),
        )
        self._database.commit()
        # Thousands of task runs ask for the same words and differ in one that no page holds.
        self._holds = lru_cache(maxsize=4096)(self._look_for)
        self._scores = lru_cache(maxsize=256)(self._look_up)

    def search(
        self,
        texts: Sequence[str],
        *,
        limit: int = 10,
        accept: Callable[[Page], bool] = lambda _: True,
    ) -> list[Hit]:
        """Return the pages that hold any distinctive word of `texts`, best first.

        Args:
            texts: Questions and keyword queries; they are looked for together.
            limit: How many pages at most.
            accept: Which pages may be found.

        Returns:
            Nothing when no page fits.
        """
        looked_for = self._terms(texts)
        if not looked_for:
            return []
        expression = match_expression(looked_for)
        found, _ = self._scores(expression)
        queries = [words(text) for text in texts]
        # The number breaks ties, so that equal pages are always found in the same order.
        scored = sorted(
            (-score - self._title_bonus(number, queries), number)
            for number, score in found
            if accept(self.corpus.pages[number])
        )[:limit]
        ranked = self._ranked_passages(expression, {number for _, number in scored})
        return [
            Hit(self.corpus.pages[number], -score, tuple(ranked.get(number, ())))
            for score, number in scored
        ]

    def passages(self, texts: Sequence[str], page: Page) -> tuple[Span, ...]:
        """Return the passages of `page` that fit `texts`, best first; () when none does."""
        looked_for = self._terms(texts)
        if not looked_for:
            return ()
        number = self.corpus.pages.index(page)
        ranked = self._ranked_passages(match_expression(looked_for), {number})
        return tuple(ranked.get(number, ()))

    def _terms(self, texts: Sequence[str]) -> list[str]:
        """Return what to look for of `texts`, without the words that no page holds."""
        return [term for term in terms(texts) if self._holds(term)]

    def _look_for(self, term: str) -> bool:
        with self._lock:
            found = self._database.execute(
                "SELECT 1 FROM pages WHERE pages MATCH ? LIMIT 1", (match_expression([term]),)
            )
            return found.fetchone() is not None

    def _look_up(self, expression: str) -> tuple[Scores, Scores]:
        """Return the scores of the pages and of the passages that fit."""
        with self._lock:
            pages: Scores = self._database.execute(
                # BM25 is negative in FTS5: the best page has the lowest number.
                f"SELECT rowid, -bm25(pages, {TITLE_WEIGHT}, 1.0) FROM pages WHERE pages MATCH ?",  # noqa: S608
                (expression,),
            ).fetchall()
            found: Scores = self._database.execute(
                "SELECT rowid, -bm25(passages) FROM passages WHERE passages MATCH ?",
                (expression,),
            ).fetchall()
        return pages, found

    def _ranked_passages(self, expression: str, wanted: set[int]) -> dict[int, list[Span]]:
        _, rows = self._scores(expression)
        scored: dict[int, list[tuple[float, Span]]] = {}
        for row, score in rows:
            number, span = self._passages[row]
            if number in wanted:
                opens = row == 0 or self._passages[row - 1][0] != number
                # A page says at its beginning what it is about; later passages take that for
                # granted.
                weight = OPENING_WEIGHT if opens else 1.0
                scored.setdefault(number, []).append((-score * weight, span))
        return {number: [span for _, span in sorted(each)] for number, each in scored.items()}

    def _title_bonus(self, number: int, queries: list[list[str]]) -> float:
        title = self._titles[number]
        if not title:
            return 0.0
        best = 0.0
        distinctive = set(title)
        for query in queries:
            if distinctive.isdisjoint(query):
                continue
            held = len(distinctive & set(query)) / len(distinctive)
            phrase = _line(title) in _line(query)
            best = max(best, TITLE_BONUS * held**2 + PHRASE_BONUS * phrase)
        return best


def _line(found: Iterable[str]) -> str:
    return "\n".join(["", *found, ""])


def _title_words(title: str) -> list[str]:
    """Return a title's words without the articles that questions leave out."""
    found = words(title)
    distinctive = [word for word in found if word not in {"the", "a", "an", "of", "and", "or"}]
    # A title of stop words only would be "held" by half of all questions.
    return distinctive if any(word not in STOP_WORDS for word in distinctive) else []

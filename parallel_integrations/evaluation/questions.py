"""Questions with the facts that a right answer states, and their files."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pydantic import ConfigDict, Field, model_validator

from parallel_integrations.errors import ArgumentTypeError, InvalidArgumentError
from parallel_integrations.models._validation import CheckedModel
from parallel_integrations.models.shared import MAX_TEXT_CHARACTERS

Importance: TypeAlias = Literal["vital", "okay"]
"""Whether an answer without the fact is wrong, or merely poorer."""

Source: TypeAlias = str | PathLike[str] | Iterable[Mapping[str, Any]]
"""A file of questions, or rows that were read already."""

QUESTION_KEYS: Final = ("question", "problem")
"""Column of the question in rows of question and answer; SimpleQA and BrowseComp say `problem`."""


# With a limit, whatever it is, pydantic looks at a text, and refuses half a surrogate pair.
STRICT: Final = ConfigDict(
    extra="forbid", str_strip_whitespace=True, str_max_length=MAX_TEXT_CHARACTERS
)


class Fact(CheckedModel):
    """One atomic fact that a right answer states.

    Attributes:
        id: Unique within its question.
        fact: The fact as a sentence of its own.
        answers: Other ways to write its decisive part, such as `["412 metres", "412 m"]`. Where
            some are given, a text states the fact only if it has one of them.
        importance: `vital` (default) or `okay`.
        urls: Pages that are known to hold it; for people, no figure depends on it.
    """

    model_config = STRICT

    id: str = Field(min_length=1)
    fact: str = Field(min_length=1)
    answers: list[str] = Field(default_factory=list)
    importance: Importance = "vital"
    urls: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _answers_say_something(self) -> "Fact":
        if not all(any(c.isalnum() for c in answer) for answer in self.answers):
            raise ValueError("answers must each have a letter or a digit")
        return self


class Question(CheckedModel):
    """A question with its facts.

    Attributes:
        id: Unique within a file.
        question: As it is asked.
        answerable: False where a right answer says that it does not know.
        facts: What a right answer states; none where it is not answerable.
        objective: What a search is given instead of the question.
        search_queries: What a search is given instead of derived queries.
    """

    model_config = STRICT

    id: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answerable: bool = True
    facts: list[Fact] = Field(default_factory=list)
    objective: str | None = None
    search_queries: list[str] | None = None

    @model_validator(mode="after")
    def _facts_fit(self) -> "Question":
        if self.answerable and not self.facts:
            raise ValueError('facts must not be empty unless "answerable" is false')
        if not self.answerable and self.facts:
            raise ValueError('facts must be empty where "answerable" is false')
        ids = [fact.id for fact in self.facts]
        if len(set(ids)) < len(ids):
            raise ValueError("facts must have different ids")
        return self


def load_questions(source: Source) -> list[Question]:
    """Read questions from a file or from rows.

    A row is a question with its facts (see `Question`), or a question and its answer, as SimpleQA
    and BrowseComp have them (`problem` or `question`, `answer`): that is one fact.

    Args:
        source: A file of JSON lines (`.jsonl`, `.ndjson`) or `.csv`, or an iterable of rows.

    Returns:
        The questions, in order.

    Raises:
        InvalidArgumentError: A row that is no question, by file, line and field; two of one id; no
            question.
        OSError: The file cannot be read.

    Example:
        ```python
        from parallel_integrations.evaluation import load_questions

        rows = [{"problem": "Who wrote Emma?", "answer": "Jane Austen"}]
        (question,) = load_questions(rows)
        print(question.facts[0].answers)  # ['Jane Austen']
        ```
    """
    questions: dict[str, Question] = {}
    place = Path(source).name if isinstance(source, str | PathLike) else "questions"
    for place, row in _rows(source):
        question = question_of_row(place, row)
        if question.id in questions:
            raise InvalidArgumentError(
                f"{place}, id: {question.id!r} is the id of an earlier question"
            )
        questions[question.id] = question
    if not questions:
        raise InvalidArgumentError(f"{place}: there is no question")
    return list(questions.values())


def questions_of(given: Source | Sequence[Question]) -> list[Question]:
    """Questions from a file, from rows, or as they are.

    Raises:
        InvalidArgumentError: As `load_questions`.
    """
    if isinstance(given, str | PathLike):
        return load_questions(given)
    rows: list[Any] = list(given) if isinstance(given, Iterable) else load_questions(given)
    if not rows or not all(isinstance(each, Question) for each in rows):
        return load_questions(rows)
    if len({each.id for each in rows}) < len(rows):
        raise InvalidArgumentError("questions must have different ids")
    return rows


def _rows(source: Source) -> Iterator[tuple[str, Any]]:
    if not isinstance(source, str | PathLike):
        if not isinstance(source, Iterable):
            raise ArgumentTypeError(f"questions={source!r:.100} is neither a file nor rows")
        for number, row in enumerate(source, 1):
            yield f"row {number}", row
        return
    path = Path(source)
    try:
        # With a byte order mark or without: spreadsheets write one.
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"{path.name} is not UTF-8: {error}") from error
    except ValueError as error:  # half a surrogate pair, or U+0000
        raise InvalidArgumentError(f"questions={source!r:.100} is no path: {error}") from error
    if path.suffix.lower() == ".csv":
        # With their ends, which belong to a quoted cell of several lines.
        reader = csv.DictReader(text.splitlines(keepends=True), strict=True)
        try:
            named = [name for name in reader.fieldnames or () if name]
            if len(set(named)) < len(named):
                raise InvalidArgumentError(f"{path.name}, line 1: several columns have one name")
            for row in reader:
                place = f"{path.name}, line {reader.line_num}"
                if None in row:
                    raise InvalidArgumentError(
                        f"{place}: it has more fields than columns; quote what holds a comma"
                    )
                yield place, row
        except csv.Error as error:
            raise InvalidArgumentError(f"{path.name}, line {reader.line_num}: {error}") from error
        return
    # Not `splitlines`: texts in JSON may hold other line separators as they are.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path.name}, line {number}"
        try:
            yield place, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidArgumentError(f"{place}: no JSON: {error}") from error


def question_of_row(place: str, row: Any) -> Question:
    """A row as a question.

    Args:
        place: What the row is called in an error.
        row: As `load_questions` takes it.

    Raises:
        InvalidArgumentError: It is none.
    """
    if not isinstance(row, Mapping):
        raise InvalidArgumentError(f"{place}: {row!r:.100} is no object with a question and facts")
    # BrowseComp encrypts its rows: searched for as they are, they would cost money for nothing.
    if "canary" in row:
        raise InvalidArgumentError(
            f"{place}, canary: this row is encrypted; decrypt the set's file first"
        )
    given = dict(row)
    if "facts" not in row and "answerable" not in row:
        given = _one_fact(place, row)
    try:
        return Question.model_validate(given)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{place}: {error}", field=error.field) from None


def _one_fact(place: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of question and answer as a question with one fact."""
    question = next((row[key] for key in QUESTION_KEYS if row.get(key)), None)
    answer = row.get("answer")
    if not isinstance(question, str) or not question.strip():
        raise InvalidArgumentError(
            f"{place}, question: a row needs a question (or problem) and facts"
        )
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        answer = str(answer)
    if not isinstance(answer, str) or not answer.strip():
        raise InvalidArgumentError(
            f"{place}, answer: a question without facts needs an answer, as a text"
        )
    fact = {"id": "answer", "fact": f"{question.strip()} {answer.strip()}", "answers": [answer]}
    number = place.rsplit(" ", 1)[-1]
    return {"id": str(row.get("id") or number), "question": question, "facts": [fact]}


BUILT_IN: Final = Path(__file__).parent / "built_in"


def built_in_questions() -> list[Question]:
    """30 questions about a fictional town, whose answers no model can know.

    Their pages are in `built_in_pages()`, for the sandbox: `Sandbox(pages=built_in_pages())`. Among
    them are questions without an answer, sources that disagree, and a number close to the right
    one.
    """
    return load_questions(BUILT_IN / "questions.jsonl")


def built_in_pages() -> Path:
    """The folder of pages that hold the answers to `built_in_questions()`."""
    return BUILT_IN / "pages"

"""Files and rows of questions."""

import json
from pathlib import Path
from typing import Any

import pytest

from parallel_integrations import InvalidArgumentError, ParallelError
from parallel_integrations.evaluation import (
    Answer,
    Fact,
    Passage,
    Question,
    built_in_pages,
    built_in_questions,
    load_questions,
)

FACT = {"id": "1", "fact": "The bridge is 412 metres long.", "answers": ["412 metres"]}
QUESTION = {"id": "bridge", "question": "How long is the bridge?", "facts": [FACT]}


def test_a_file_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text("\ufeff" + json.dumps(QUESTION) + "\n\n", encoding="utf-8")
    (question,) = load_questions(path)
    assert question.id == "bridge"
    assert question.answerable
    assert question.facts[0].answers == ["412 metres"]
    assert question.facts[0].importance == "vital"
    assert load_questions(str(path)) == [question]


def test_rows_of_question_and_answer_are_one_fact_each(tmp_path: Path) -> None:
    path = tmp_path / "simpleqa.csv"
    path.write_text('metadata,problem,answer\n{},"Who, if any?",Jane\n{},When?,1815\n')
    first, second = load_questions(path)
    assert (first.question, first.facts[0].answers) == ("Who, if any?", ["Jane"])
    assert (second.id, second.facts[0].fact) == ("3", "When? 1815")
    (third,) = load_questions([{"question": "How many?", "answer": 7}])
    assert third.facts[0].answers == ["7"]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("no object", "row 1: 'no object' is no object"),
        ({"question": "?", "facts": [FACT]}, "row 1: Question needs id=, which is missing"),
        ({**QUESTION, "facts": []}, "row 1: facts must not be empty unless"),
        ({**QUESTION, "answerable": False}, 'row 1: facts must be empty where "answerable"'),
        ({**QUESTION, "facts": [FACT, FACT]}, "row 1: facts must have different ids"),
        (
            {**QUESTION, "facts": [{**FACT, "importance": "high"}]},
            "row 1: facts.0.importance='high' must be",
        ),
        ({**QUESTION, "facts": [{**FACT, "answers": ["…"]}]}, "row 1: facts.0: answers must"),
        ({**QUESTION, "facts": [{**FACT, "weight": 3}]}, "row 1: facts.0 has no argument 'weight'"),
        ({**QUESTION, "question": "\ud800"}, "row 1: question='\\ud800' must be a text"),
        ({**QUESTION, "facts": [{**FACT, "answers": ["\ud800a"]}]}, "row 1: facts.0.answers.0="),
        ({"question": "Who?"}, "row 1, answer: a question without facts needs an answer"),
        ({"answer": "Jane"}, "row 1, question: a row needs a question"),
        ({"problem": "x", "answer": "y", "canary": "z"}, "row 1, canary: this row is encrypted"),
    ],
)
def test_a_bad_row_is_named_with_its_field(row: Any, text: str) -> None:
    with pytest.raises(ValueError, match="row 1") as caught:
        load_questions([row])
    assert str(caught.value).startswith(text)
    assert "pydantic" not in str(caught.value)


def test_a_bad_line_is_named_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps(QUESTION) + "\n{'id': 1}\n")
    with pytest.raises(ValueError, match=r"questions\.jsonl, line 2: no JSON: "):
        load_questions(path)
    path.write_text(json.dumps(QUESTION) + "\n" + json.dumps(QUESTION))
    with pytest.raises(ValueError, match=r"questions\.jsonl, line 2, id: 'bridge' is the id of"):
        load_questions(path)
    path.write_text("\n")
    with pytest.raises(ValueError, match="there is no question"):
        load_questions(path)
    with pytest.raises(ValueError, match=r"^questions\.jsonl: "):
        load_questions(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is not UTF-8"):
        load_questions(path)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("question,answer\nWhere?,Paris, France\n", "line 2: it has more fields than columns"),
        ("question,answer,answer\nWhere?,Paris,Rome\n", "line 1: several columns have one name"),
    ],
)
def test_a_table_whose_cells_are_not_where_they_belong_is_refused(
    tmp_path: Path, table: str, text: str
) -> None:
    path = tmp_path / "questions.csv"
    path.write_text(table)
    with pytest.raises(InvalidArgumentError, match=rf"questions\.csv, {text}"):
        load_questions(path)
    path.write_text("question,answer,,\nWhere?,Paris,,\n")  # as spreadsheets leave them
    assert load_questions(path)[0].facts[0].answers == ["Paris"]


def test_every_fact_of_the_built_in_set_stands_on_the_page_that_it_names() -> None:
    questions = built_in_questions()
    assert len(questions) == 30
    assert sum(not each.answerable for each in questions) == 5
    for question in questions:
        for fact in question.facts:
            (url,) = fact.urls
            page = (built_in_pages() / f"{url.rpartition('/')[2]}.md").read_text()
            assert any(answer in page for answer in fact.answers), fact


def test_a_line_nested_too_deeply_is_named(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text("[" * 100_000)
    with pytest.raises(InvalidArgumentError, match=r"questions\.jsonl, line 1: no JSON"):
        load_questions(file)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: Fact(statement="x"), "Fact has no argument 'statement'"),
        (lambda: Fact("x"), "Fact takes its arguments by name"),
        (lambda: Question(id="1", question="x"), "facts must not be empty"),
        (lambda: Question(id=1, question="x", answerable=False), "id=1 must be a text"),
        (lambda: Answer(answer="x"), "Answer has no argument 'answer'"),
        (lambda: Passage(url="https://a.example"), "Passage needs text=, which is missing"),
    ],
)
def test_what_cannot_be_right_is_this_package_s_error(make: Any, fault: str) -> None:
    with pytest.raises(ParallelError) as caught:
        make()
    assert str(caught.value).startswith(fault)

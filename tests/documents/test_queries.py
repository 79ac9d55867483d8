"""Keyword queries from a question, without a model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations._documents.queries import derive_queries

# A question, and words that the queries together must hold.
QUESTIONS = [
    ("How does the with statement handle exceptions?", {"statement", "handle", "exceptions"}),
    ("What is the difference between a list and a tuple in Python?", {"list", "tuple", "Python"}),
    (
        "Which companies announced small modular reactor projects in Poland since 2023?",
        {"companies", "modular", "reactor", "Poland", "2023"},
    ),
    (
        "What did the European Central Bank decide about interest rates in June 2026?",
        {"European", "Central", "Bank", "interest", "rates", "June", "2026"},
    ),
    ("asyncio", {"asyncio"}),
    ("Who?", {"Who"}),
    ("Latest GPT-4.1 pricing vs Claude Opus pricing per million tokens", {"GPT-4.1", "Claude"}),
    ("Is C++ faster than C# for game development?", {"C++", "C#", "game", "development"}),
    ("What's O'Reilly's most recent book about Kubernetes operators?", {"Kubernetes", "operators"}),
    ("Wie wirkt sich die Inflation auf deutsche Mieten aus?", {"Inflation", "deutsche", "Mieten"}),
    ("Quelle est la hauteur de la tour Eiffel en hiver ?", {"hauteur", "tour", "Eiffel", "hiver"}),
    ("¿Cuál es la capital económica de Bolivia?", {"capital", "económica", "Bolivia"}),
    ("为什么北京的空气质量在冬天比较差？", {"北京", "空气质量", "冬天比较差"}),  # noqa: RUF001
    ("機械学習とは何ですか", {"機械学習"}),
    ("ما هي أسباب التضخم في مصر خلال العام الماضي؟", {"أسباب", "التضخم", "مصر"}),
    ("Какие причины инфляции в России в 2024 году?", {"причины", "инфляции", "России", "2024"}),
    ("¿¡!? … —", set()),
    ("https://docs.python.org/3/library/asyncio.html explain this page", {"page"}),
    ("the of and or but", set()),
    ("Please list the best espresso machines", {"espresso", "machines"}),
    ("What do I need to know about visas for Japan?", {"visas", "Japan"}),
    (
        "I am a founder of a small logistics startup and would like to understand which "
        "regulations for autonomous delivery robots on sidewalks exist in California, Texas and "
        "Germany, how they changed between 2022 and 2026, and what permits we would need. " * 12,
        {"logistics", "regulations", "California", "Texas", "Germany"},
    ),
]


@pytest.mark.parametrize(
    ("question", "needed"),
    QUESTIONS,
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_queries_say_what_the_question_is_about(question: str, needed: set[str]) -> None:
    queries = derive_queries(question)
    assert 1 <= len(queries) <= 3
    assert len({query.lower() for query in queries}) == len(queries)
    assert all(0 < len(query) <= 200 and len(query.split()) <= 6 for query in queries)
    assert needed <= {word for query in queries for word in query.split()} if needed else queries
    assert derive_queries(question) == queries


@pytest.mark.parametrize(
    "question",
    [question for question, needed in QUESTIONS if len(needed) >= 3 and "北京" not in needed],
    ids=lambda value: str(value)[:30],
)
def test_a_question_with_enough_words_gives_several_queries_of_the_advised_length(
    question: str,
) -> None:
    queries = derive_queries(question)
    assert 2 <= len(queries) <= 3
    assert all(3 <= len(query.split()) <= 6 for query in queries)


def test_question_words_are_no_keywords() -> None:
    words = {
        word.lower()
        for query in derive_queries("What is the capital of Peru?")
        for word in query.split()
    }
    assert not words & {"what", "is", "the"}


def test_a_very_long_word_is_truncated_in_a_query() -> None:
    assert derive_queries("x" * 900) == ["x" * 200]


@given(st.text(min_size=1).filter(str.strip))
def test_every_text_gives_valid_queries(question: str) -> None:
    queries = derive_queries(question)
    assert 1 <= len(queries) <= 3
    assert all(0 < len(query.strip()) <= 200 for query in queries)
    assert derive_queries(question) == queries

"""Keyword queries from a question, without a model."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations._documents.queries import derive_queries, shortened

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


@pytest.mark.parametrize(
    ("question", "queries"),
    [
        (
            "Find recent funding rounds of AI chip startups in Europe since 2024.",
            [
                "recent funding rounds AI chip startups",
                "recent funding rounds Europe since 2024",
                "AI chip startups Europe since 2024",
            ],
        ),
        (
            "Compare Snowflake, Databricks, BigQuery on price for teams in 2026, focusing on cost",
            [
                "Snowflake Databricks BigQuery price teams 2026",
                "Snowflake Databricks BigQuery cost",
                "Snowflake Databricks BigQuery price",
            ],
        ),
        (
            "What did the European Central Bank decide about interest rates in June 2026?",
            [
                "European Central Bank decide interest rates",
                "European Central Bank June 2026",
                "European Central Bank interest rates",
            ],
        ),
    ],
)
def test_queries_are_about_different_facets(question: str, queries: list[str]) -> None:
    assert derive_queries(question) == queries


@pytest.mark.parametrize(
    "guidance",
    [
        ", emphasizing official announcements",
        ", preferring peer-reviewed studies and official statements",
        ". Prefer official documentation. Return a table.",
        ". Focus on primary sources, press releases and filings.",
        ". Use only reputable outlets",
        ". Please summarize in 3 bullet points",
        ". Thank you!",
        "; avoid blogs, forums",
        " (citing official sources)",
        ". Bitte bevorzuge offizielle Quellen.",
    ],
)
def test_guidance_is_no_keyword(guidance: str) -> None:
    question = "How did rice prices in Japan change in 2026"
    assert derive_queries(question + guidance) == derive_queries(question)


def test_guidance_alone_is_still_searched_for() -> None:
    assert derive_queries("Prefer official documentation") == ["Prefer official documentation"]
    assert "announcements" in derive_queries("Emphasizing official announcements in press")[0]


@pytest.mark.parametrize(
    "question",
    [
        "छात्रों के लिए बैंक खाता कैसे खोलें?",
        "শিক্ষার্থীদের জন্য ব্যাংক অ্যাকাউন্ট কিভাবে খুলবেন?",
        "மாணவர்களுக்கு வங்கி கணக்கை எப்படி திறப்பது?",
        "วิธีเปิดบัญชีธนาคารสำหรับนักเรียนต้องใช้อะไรบ้าง",
        "ကျောင်းသားများအတွက် ဘဏ်အကောင့် ဘယ်လိုဖွင့်ရမလဲ",
        "كَيْفَ أَفْتَحُ حِسَابًا مَصْرِفِيًّا لِلطُّلَّابِ؟",
        "می‌خواهم حساب بانکی باز کنم",
        "ਵਿਦਿਆਰਥੀਆਂ ਲਈ ਬੈਂਕ ਖਾਤਾ",
        "ការបើកគណនីធនាគារសម្រាប់សិស្ស",
        "כיצד לִפְתֹּחַ חשבון בנק",
        "Làm thế nào để mở tài khoản ngân hàng?",
        unicodedata.normalize("NFD", "Öffne Konto für Schüler"),
    ],
    ids=(
        "Hindi Bengali Tamil Thai Burmese Arabic Persian Punjabi Khmer Hebrew Vietnamese German"
    ).split(),
)
def test_words_keep_their_marks(question: str) -> None:
    plain = unicodedata.normalize("NFC", question)
    words = plain.replace("?", " ").replace("؟", " ").split()
    for query in derive_queries(question):
        assert set(query.split()) <= set(words)
    assert derive_queries(question) == derive_queries(plain)


def test_question_words_with_vowel_marks_are_no_keywords() -> None:
    assert not any("كَيْفَ" in query for query in derive_queries("كَيْفَ أَفْتَحُ حِسَابًا مَصْرِفِيًّا؟"))


WORDS = st.text(min_size=1, max_size=12).map(lambda text: "".join(text.split())).filter(bool)


@given(st.lists(WORDS, min_size=1, max_size=40).map(" ".join) | st.text(min_size=1))
def test_no_word_is_cut_in_any_script(question: str) -> None:
    """What a query holds begins and ends where letters and their marks do."""
    if not question.strip():
        return
    plain = unicodedata.normalize("NFC", question.replace("\x00", "\ufffd"))
    for query in derive_queries(question):
        assert 0 < len(query) <= 200
        for word in query.split():
            places = [m.start() for m in re.finditer(re.escape(word), plain)]
            assert places or len(question) > 200
            assert not places or any(
                not unicodedata.category((plain + " ")[at + len(word)]).startswith("M")
                for at in places
            )


@given(st.text(), st.integers(min_value=1, max_value=60))
def test_a_text_is_shortened_between_words(text: str, most: int) -> None:
    short = shortened(text, most)
    assert len(short) <= most
    assert text.strip().startswith(short)
    if text.strip():
        assert short
    if len(text.strip()) <= most:
        assert short == text.strip()


def test_a_long_text_ends_with_a_whole_word() -> None:
    assert shortened("one two three", 9) == "one two"
    assert shortened("x" * 20, 9) == "x" * 9
    assert shortened("x " + "y" * 20, 9) == "x " + "y" * 7  # more of the text than of the word
    assert shortened("e\u0301" * 20, 9) == "e\u0301" * 4  # a letter keeps its mark

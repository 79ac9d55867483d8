"""Plain words: names, comments, messages and documentation use the terms of the field.

`REPLACED` holds words that this code base once used for things that have a name. They are
looked for as whole words, whatever their case; identifiers count as the words they are made of.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
FILES: Final = ("*.py", "*.md", "*.yml", "*.toml", "Makefile")
LEFT_OUT: Final = (
    "cassettes/*",  # recorded from the API
    "parallel_integrations/evaluation/built_in/*",  # pages about a fictional town
    "tests/test_words.py",
)
_STANDARD: Final = {
    "subpackage, package": "room rooms house houses",
    "entry point": "door doors",
    "code path, route": "road roads lane lanes",
    "scripted server": "stage stages",
    "call": "trip trips",
    "in-flight request, submitted batch": "flight flights",
    "shared result": "landing",
    "unconfirmed": "doubt doubts",
    "unmatched runs": "stranger strangers",
    "row queue": "intake",
    "sentences": "quoting",
    "schema filler": "filling",
    "input, request": "asked",
    "reported, report": "told tell tells telling",
    "read timeout": "patience",
    "idle timeout": "silence silences",
    "response": "answer answers answered answering",
    "headers": "head heads",
    "query, objective": "wish wishes",
    "basis, evidence": "grounds",
    "validation error": "misfit misfits",
    "truncated": "torn",
    "without progress": "fruitless",
    "failures": "mishap mishaps",
    "new, again": "anew",
    "callers": "whoever",
    "fault payloads, replays": "plays",
    "network guard": "wall walls",
    "wire recorder": "witness witnesses",
}
REPLACED: Final = {word: term for term, words in _STANDARD.items() for word in words.split()}
# In prose these are everyday English; as a part of a name they stood for something else.
NAMES_ONLY: Final = {
    "way": "code path, mode",
    "ways": "code paths, modes",
    "leaves": "schema values",
    "world": "state",
    "worlds": "states",
    "board": "join or lead",
    "cuts": "truncations",
}
PREFIXES: Final = re.compile(r"\b_?(MOST|LONGEST|FEWEST|LARGEST|SHORTEST|DEEPEST|LEAST)_[A-Z]")

# (files, word, what the line must match, reason): where the word means what everybody means by it.
_MODEL: Final = "what a model or a task says to a question is its answer"
_QUESTION: Final = "a question of an evaluation is asked"
_OF_MODELS: Final = """
    README.md docs/concepts/evidence.md docs/evaluation/* docs/guides/answers.md
    docs/guides/notebooks.md docs/index.md docs/langchain/* docs/llama_index/*
    docs/reference/evaluation.md docs/start/* parallel_integrations/*chat*
    parallel_integrations/_cli/demo.py parallel_integrations/_cli/search.py
    parallel_integrations/_documents/answers.py
    parallel_integrations/_documents/citation_markers.py
    parallel_integrations/_documents/stop.py
    parallel_integrations/_protocol/answer_stream.py parallel_integrations/evaluation/*
    parallel_integrations/langchain/* parallel_integrations/llama_index/*
    parallel_integrations/models/basis.py parallel_integrations/models/notebook.py
    parallel_integrations/sandbox/answering/* tests/*/test_responses.py
    tests/cli/test_commands.py tests/documents/test_citation_markers.py tests/evaluation/*
    tests/langchain/* tests/llama_index/* tests/real/*
""".split()
"""Files about models and tasks, in which an answer is what they say."""
_OF_DECISIONS: Final = (
    "docs/reference/decisions.md",
    "parallel_integrations/*decision*",
    "tests/*decision*",
)
ALLOWED: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("*", "answer", r"\bUnexpectedAnswerError\b", "a public name"),
    ("*", "flight", r"(?i)in[-_ ]?flight", "in-flight request: the term itself"),
    ("*", "head", r"method, target|partition\(b|head = |head\.|head \+", "the bytes before a body"),
    ("cassettes/*", "answer", "", "a cassette's name"),
    ("docs/moving/*", "answer", "include_answer", "a parameter of another package"),
    ("*/models/_hints.py", "answer", "include_answer", "a parameter of another package"),
    (
        "docs/*",
        "answer",
        r"(?i)model|question|research|task|chat|basis|sources|responses|`speed`|answers|answering/",
        _MODEL,
    ),
    ("docs/guides/testing.md", "answer", "(?i)how good", _MODEL),
    ("docs/speed.md", "answer", r"chat", _MODEL),
    ("mkdocs.yml", "answer", "Structured answers|Which API answers", _MODEL),
    ("mkdocs.yml", "answer", "Structured answers|evaluation/answers", _MODEL),
    ("Makefile", "answer", "answer a question", _MODEL),
    ("Makefile", "asked", "", _MODEL),
    ("tests/*", "answer", r"plain_answer|streamed_answer|ANSWER_SCHEMA|Answer in one", _MODEL),
    ("tests/*", "answer", r'"An answer\."|f"answer \{|raw answer', _MODEL),
    ("tests/documents/test_tool_texts.py", "answer", "test_an_answer_cannot_name", _MODEL),
    ("tests/*", "leaves", r"\bmax_leaves=", "a parameter of Hypothesis"),
    ("parallel_integrations/_cli/commands.py", "answer", "Answer a question", _MODEL),
    ("parallel_integrations/_documents/evidence.py", "answer", "researched answer", _MODEL),
    ("parallel_integrations/_documents/query_writer.py", "answer", "Answer with JSON", _MODEL),
    ("parallel_integrations/_documents/tool_texts.py", "answer", "Returns an answer", _MODEL),
    (
        "parallel_integrations/_documents/stop_words.py",
        "answer",
        "return respond answer",
        "a word of questions",
    ),
    (
        "parallel_integrations/_documents/stop_words.py",
        "tell",
        "please tell explain",
        "a word of questions",
    ),
    (
        "parallel_integrations/_transport/*",
        "answer",
        r'"\.answer"|b"parallel-answer3"',
        "part of the format on disk: another name would lose what caches hold",
    ),
    ("parallel_integrations/evaluation/*", "asked", "", _QUESTION),
    ("parallel_integrations/evaluation/report.py", "head", r"</?head>", "the HTML element"),
    ("parallel_integrations/evaluation/grading.py", "tell", "answer.say.tell", "what answers say"),
    ("tests/evaluation/*", "asked", "", _QUESTION),
    ("parallel_integrations/*respon*", "answer", r"(?i)answer_stream|\banswer", _MODEL),
    ("parallel_integrations/models/__init__.pyi", "answer", "decision", "the API's own word"),
    ("tests/*", "answer", r'"answers"', "the API's own word"),
    ("parallel_integrations/_cli/commands.py", "answer", "Search and answer|answered", _MODEL),
    ("parallel_integrations/sandbox/*", "answer", r"answering", "how the sandbox finds an answer"),
    (
        "parallel_integrations/sandbox/operations/tasks.py",
        "answer",
        r'"answer"',
        "a field of the schema that a run without one gets",
    ),
    ("parallel_integrations/sandbox/web/folder.py", "head", r'<head>|"head"', "the HTML element"),
    ("parallel_integrations/sandbox/web/words.py", "tell", "^tell explain", "a word of questions"),
    ("tests/sandbox/*", "answer", "answering", "the folder of that name"),
    ("tests/sandbox/*", "answer", r'"answer"|Answer the query', _MODEL),
    ("tests/sandbox/web/test_corpus.py", "head", "</?head>", "the HTML element"),
    *((files, "answer", "", _MODEL) for files in _OF_MODELS),
    *((files, "answer", "", "the API's own word") for files in _OF_DECISIONS),
)


def words_of(line: str) -> list[str]:
    """The words of a line in lower case; `MAX_TTL`, `maxTtl` and `MaxTTL` are two each."""
    line = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", line)
    line = re.sub(r"([A-Z])([A-Z][a-z])", r"\1 \2", line)
    return [word.lower() for word in re.findall(r"[A-Za-z]+", line)]


def names_of(line: str) -> str:
    """The identifiers of a line that are made of several words."""
    return " ".join(re.findall(r"\w*[a-z]_[a-z]\w*|\w*[a-z][A-Z]\w*|[A-Z]\w*_\w+", line))


def found_in(path: str, line: str) -> Iterator[str]:
    """What is on a line of a file (or in its path) and must not be."""
    words = dict.fromkeys(words_of(line))
    names = set() if NAMES_ONLY.keys().isdisjoint(words) else set(words_of(names_of(line)))
    for word in words:
        term = REPLACED.get(word) or (NAMES_ONLY.get(word) if word in names else None)
        if term is not None and not _is_allowed(path, word, line):
            yield f"{word}: say {term}"
    if prefix := PREFIXES.search(line):
        yield f"{prefix[1]}_: say MAX_ or MIN_"


def _is_allowed(path: str, word: str, line: str) -> bool:
    return any(
        fnmatchcase(path, files) and word.startswith(stem) and re.search(pattern, line)
        for files, stem, pattern, _ in ALLOWED
    )


def files() -> Iterator[Path]:
    """Every file that the rule is for."""
    tops = (ROOT / name for name in ("parallel_integrations", "tests", "docs", "benchmarks"))
    for path in (*ROOT.iterdir(), *(path for top in tops for path in top.rglob("*"))):
        name = str(path.relative_to(ROOT))
        is_ours = path.is_file() and any(fnmatchcase(path.name, each) for each in FILES)
        if is_ours and not any(fnmatchcase(name, each) for each in LEFT_OUT):
            yield path


def test_no_word_that_a_term_has_replaced_is_used() -> None:
    wrong = []
    for path in sorted(files()):
        name = str(path.relative_to(ROOT))
        lines = ["", *path.read_text("utf-8").splitlines()]
        lines[0] = name  # the file's own name counts, too
        for number, line in enumerate(lines):
            wrong += [f"{name}:{number}: {each}: {line.strip()}" for each in found_in(name, line)]
    assert not wrong, f"{len(wrong)} words:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("# Whoever asks waits.", "whoever"),
        ("def take_lane(self) -> None:", "lane"),
        ("class HTTPLanes:", "lanes"),
        ("MOST_SECONDS: Final = 3", "MOST_"),
        ("code_way = 1", "way"),
        ('"""The answer of the server."""', "answer"),
        ("in the same way, at least most of it", ""),
        ("in-flight requests, `in_flight`, InFlightRequest, UnexpectedAnswerError", ""),
    ],
)
def test_a_word_is_found_wherever_it_is_part_of_a_name(line: str, word: str) -> None:
    assert [each.partition(":")[0] for each in found_in("tests/test_any.py", line)] == [
        each for each in [word] if each
    ]

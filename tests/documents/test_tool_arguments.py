"""What models write as arguments: taken where the meaning is plain, refused in words otherwise."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations import SearchRequest
from parallel_integrations._documents.agent_tools import (
    EXTRACT,
    FIND_ALL,
    GET_RESEARCH,
    SEARCH,
    START_RESEARCH,
    TASK,
    AgentTool,
)
from parallel_integrations.errors import ArgumentTypeError, InvalidArgumentError
from parallel_integrations.models.pages import MAX_QUERIES, MAX_QUERY_CHARACTERS

TOOLS = (SEARCH, EXTRACT, TASK, FIND_ALL, START_RESEARCH, GET_RESEARCH)
NAMES = ["objective", "search_queries", "urls", "input", "run_id", "query", "url", "max_results"]
GOOD = "What is a decorator?"
PAGE, OTHER = "https://example.com/a", "https://example.org/b?c=d,e"
LONG = "word " * 60

QUERIES: list[tuple[Any, list[str] | None]] = [
    # a list that is written as a text, or nested
    ('["a b", "c"]', ["a b", "c"]),
    (" ['a', 'b']\n", ["a", "b"]),
    (['["a", "b"]'], ["a", "b"]),
    ([["a"], {"query": "b"}, 2024], ["a", "b", "2024"]),
    ("a\n\nb", ["a", "b"]),
    ("python (3.12) [PEP 695]", ["python (3.12) [PEP 695]"]),
    ("[PEP 695] generics", ["[PEP 695] generics"]),
    ("1. a b\n2. c", ["a b", "c"]),
    ("- a\n* b\n• c", ["a", "b", "c"]),
    ("- a", ["- a"]),
    ("1. a\nb", ["1. a", "b"]),
    ('```json\n["a", "b"]\n```', ["a", "b"]),
    ('```\n["a"]```', ["a"]),
    (r'"[\"a\", \"b\"]"', ["a", "b"]),
    ('"a b", "c"', ["a b", "c"]),
    ("'a', 'b'", ["a", "b"]),
    ('"a b" c', ['"a b" c']),
    ('["a", "b"', ["a", "b"]),
    ('["a", "b cut', ["a"]),
    ("[a, b", ["[a, b"]),
    # what is left out
    ("", None),
    ("null", None),
    (" None", None),
    (["None", "null"], ["None", "null"]),
    ([], None),
    (None, None),
    (["", " ", None, "\x1f"], None),
    # blank, too many, too long
    (["", "a", "\x1f"], ["a"]),
    ([*"abcdefg"], [*"abcde"]),
    (["a", "b", "a"], ["a", "b"]),
    ([LONG], [LONG[:199]]),
    (["x" * 300, "b"], ["x" * 200, "b"]),
    # halves of characters
    (["\ude00 b"], ["\ufffd b"]),
    (["\ud83d\ude00", "a\0b"], ["\U0001f600", "a b"]),
]


@pytest.mark.parametrize("name", ["search_queries", "queries"])
@pytest.mark.parametrize(("written", "meant"), QUERIES)
def test_queries_beside_a_good_objective(name: str, written: Any, meant: list[str] | None) -> None:
    read = SEARCH.arguments.read({"objective": GOOD, name: written})
    assert read == {"objective": GOOD} | ({} if meant is None else {"search_queries": meant})


UNDERSTOOD: list[tuple[AgentTool, Any, dict[str, Any]]] = [
    (SEARCH, {"objective": " ", "search_queries": ["a"]}, {"search_queries": ["a"]}),
    (EXTRACT, {"urls": f'["{PAGE}", "{OTHER}"]'}, {"urls": [PAGE, OTHER]}),
    (EXTRACT, {"urls": f"{PAGE}, {OTHER}"}, {"urls": [PAGE, OTHER]}),
    (EXTRACT, {"urls": f"{PAGE}\n{OTHER}"}, {"urls": [PAGE, OTHER]}),
    (EXTRACT, {"urls": OTHER}, {"urls": [OTHER]}),
    (EXTRACT, {"urls": [PAGE], "objective": ""}, {"urls": [PAGE]}),
    (EXTRACT, {"urls": [PAGE], "objective": []}, {"urls": [PAGE]}),
    (EXTRACT, {"urls": [PAGE], "objective": "null"}, {"urls": [PAGE]}),
    (SEARCH, {"objective": "None", "search_queries": ["a"]}, {"search_queries": ["a"]}),
    # an address in a sentence, a link, quotes or brackets
    (EXTRACT, {"urls": f"- {PAGE}\n- {OTHER}"}, {"urls": [PAGE, OTHER]}),
    (EXTRACT, {"urls": f"{PAGE} and {OTHER}"}, {"urls": [PAGE, OTHER]}),
    (EXTRACT, {"urls": f"Please read {PAGE}"}, {"urls": [PAGE]}),
    (EXTRACT, {"urls": [f"[A page]({PAGE})", f"<{OTHER}>"]}, {"urls": [PAGE, OTHER]}),
    (EXTRACT, {"urls": [f'"{PAGE}"', f"`{OTHER}`"]}, {"urls": [PAGE, OTHER]}),
    (EXTRACT, {"urls": [f"{PAGE}(b)"]}, {"urls": [f"{PAGE}(b)"]}),
    # all in one
    (SEARCH, {"kwargs": {"objective": GOOD}}, {"objective": GOOD}),
    (SEARCH, {"args": [], "kwargs": {"query": GOOD}}, {"objective": GOOD}),
    (SEARCH, {"properties": {"objective": GOOD}}, {"objective": GOOD}),
    (SEARCH, {"objective": {"query": GOOD}}, {"objective": GOOD}),
    (
        SEARCH,
        {"objective": f'{{"objective": "{GOOD}", "search_queries": ["a"]}}'},
        {"objective": GOOD, "search_queries": ["a"]},
    ),
    (SEARCH, {"input": f'{{"objective": "{GOOD}"}}'}, {"objective": GOOD}),
    (SEARCH, {"objective": '{"a": 1} in Python'}, {"objective": '{"a": 1} in Python'}),
    (SEARCH, {"objective": '{"a": 1}'}, {"objective": '{"a": 1}'}),
    (EXTRACT, {"input": f'{{"urls": ["{PAGE}"]}}'}, {"urls": [PAGE]}),
    (TASK, {"kwargs": {"input": GOOD}}, {"input": GOOD}),
    (TASK, {"input": {"query": GOOD}}, {"input": {"query": GOOD}}),
    # other names
    (SEARCH, {"query": GOOD}, {"objective": GOOD}),
    (SEARCH, {"objective": "", "query": GOOD}, {"objective": GOOD}),
    (SEARCH, {"objective": GOOD, "query": "a"}, {"objective": GOOD, "search_queries": ["a"]}),
    (SEARCH, {"query": ["a", "b"]}, {"search_queries": ["a", "b"]}),
    (SEARCH, {"objective": [GOOD]}, {"objective": GOOD}),
    (EXTRACT, {"url": PAGE, "query": GOOD}, {"urls": [PAGE], "objective": GOOD}),
    (TASK, {"query": GOOD}, {"input": GOOD}),
    (FIND_ALL, {"query": GOOD}, {"objective": GOOD}),
    (START_RESEARCH, {"objective": GOOD}, {"input": GOOD}),
    (GET_RESEARCH, {"id": "trun_1"}, {"run_id": "trun_1"}),
    # a text instead of arguments
    (SEARCH, GOOD, {"objective": GOOD}),
    (SEARCH, '{"objective": "What is a decorator?"}', {"objective": GOOD}),
    (SEARCH, '{"objective": What}', {"objective": '{"objective": What}'}),
    (TASK, '{"statement": "with"}', {"input": '{"statement": "with"}'}),
    # what code may give
    (TASK, {"input": {"statement": "with"}}, {"input": {"statement": "with"}}),
    # halves of characters
    (SEARCH, {"objective": "a \ud83d"}, {"objective": "a \ufffd"}),
    (TASK, {"input": "a\0b \ud83d"}, {"input": "a b \ufffd"}),
    (TASK, {"input": {"k\ud83d": ["\ud83d"]}}, {"input": {"k\ufffd": ["\ufffd"]}}),
]


@pytest.mark.parametrize(("tool", "written", "meant"), UNDERSTOOD)
def test_what_is_plain_is_understood(tool: AgentTool, written: Any, meant: dict[str, Any]) -> None:
    assert tool.arguments.read(written) == meant


REFUSED: list[tuple[AgentTool, Any, str]] = [
    (SEARCH, {"objective": GOOD, "max_results": 40}, "there is no argument 'max_results'"),
    (SEARCH, {"objective": GOOD, "mode": "advanced"}, "arguments there are: objective, search_q"),
    (SEARCH, {"objective": GOOD, "query": "a", "search_queries": ["b"]}, "argument 'query'"),
    (SEARCH, {"search_queries": ["x" * 201]}, "at most 200"),
    (SEARCH, {"search_queries": [*"abcdef"]}, "at most 5"),
    (SEARCH, {"objective": GOOD, "search_queries": True}, "search_queries=True must be a list"),
    (SEARCH, {"objective": "x" * 5001}, "at most 5000"),
    (EXTRACT, {"urls": [PAGE, "python.org"]}, "'python.org' is not a web address"),
    (EXTRACT, {"urls": []}, "this tool needs urls=, which is missing"),
    (EXTRACT, {"urls": [PAGE], "full_content": True}, "there is no argument 'full_content'"),
    (TASK, {"input": "null"}, "this tool needs input=, which is missing"),
    (EXTRACT, {"urls": ["see [the page](/a)"]}, "is not a web address"),
    (TASK, {"input": 5}, "input=5 must be a text"),
    (TASK, {"input": GOOD, "processor": "ultra8x"}, "there is no argument 'processor'"),
    (FIND_ALL, {"objective": GOOD, "generator": "pro"}, "The arguments there are: objective"),
    (GET_RESEARCH, {}, "this tool needs run_id=, which is missing"),
    (GET_RESEARCH, {"run_id": "../x y"}, "is not an id"),
    (SEARCH, {"objective": GOOD, "\ud83d": 1}, "there is no argument '\ufffd'"),
]


@pytest.mark.parametrize(("tool", "written", "said"), REFUSED)
def test_everything_else_is_refused_in_words(tool: AgentTool, written: Any, said: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        tool.arguments.read(written)
    assert str(caught.value).startswith("Nothing was sent. Correct the arguments: ")
    assert said in str(caught.value)
    assert isinstance(caught.value, ArgumentTypeError) is ("there are" in str(caught.value))
    assert caught.value.field
    str(caught.value).encode()  # it goes into a message


def test_an_input_that_contains_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(InvalidArgumentError, match="nested too deeply"):
        TASK.arguments.read({"input": endless})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.text(st.characters(categories=["Cs", "Cc", "L"])),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(json_values, st.sampled_from(["search_queries", "queries", "query"]))
def test_queries_of_any_shape_beside_a_good_objective(value: Any, name: str) -> None:
    """They are refused, or what is sent can be sent."""
    try:
        read = SEARCH.arguments.read({"objective": GOOD, name: value})
    except InvalidArgumentError as error:
        str(error).encode()
        return
    queries = read.get("search_queries", ["derived"])
    assert read["objective"] == GOOD
    assert 1 <= len(queries) <= MAX_QUERIES
    assert all(0 < len(query) <= MAX_QUERY_CHARACTERS for query in queries)
    SearchRequest(**read).model_dump_json().encode()


@given(
    st.sampled_from(TOOLS),
    st.dictionaries(st.sampled_from(NAMES) | st.text(), json_values, max_size=4),
)
def test_arguments_of_any_shape(tool: AgentTool, written: dict[str, Any]) -> None:
    """What is read names no setting and can be sent; everything else is refused in words."""
    try:
        read = tool.arguments.read(written)
    except InvalidArgumentError as error:
        str(error).encode()
        return
    assert read.keys() <= tool.arguments.model_fields.keys()
    json.dumps(read, ensure_ascii=False).encode()


@given(st.sampled_from(TOOLS), st.text(st.characters()))
def test_a_text_of_any_kind_instead_of_arguments(tool: AgentTool, written: str) -> None:
    try:
        json.dumps(tool.arguments.read(written), ensure_ascii=False).encode()
    except InvalidArgumentError as error:
        str(error).encode()


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_schema_of_arguments_is_plain(tool: AgentTool) -> None:
    schema = tool.arguments.model_json_schema()
    assert all(field["type"] for field in schema["properties"].values())
    assert all(field["description"] for field in schema["properties"].values())
    assert "default" not in str(schema)
    assert len(tool.description) < 1024

"""The tools by themselves: what they are called with, what code gets and what a model reads."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from llama_index.core.schema import Document
from llama_index.core.tools import FunctionTool, ToolMetadata
from llama_index.core.tools.tool_spec.base import BaseToolSpec
from mcp.server.fastmcp import FastMCP
from pydantic import BaseModel

from parallel_integrations import (
    ParallelClient,
    ParallelError,
    SourcePolicy,
    TaskFailedError,
    may_repeat,
)
from parallel_integrations._documents import research
from parallel_integrations._protocol import polling
from parallel_integrations.api import wait_task_run
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.llama_index import ParallelToolSpec
from parallel_integrations.sandbox import Sandbox
from tests.support.requests import QUESTION

PAGE = "https://docs.python.org/3/reference/compound_stmts.html"
MISSING = "https://no-such-site.example/no_such_page.html"
NAMES = ["parallel_search", "parallel_extract", "parallel_task", "parallel_find_all"]
FURTHER = ["parallel_deep_research", "parallel_start_research", "parallel_get_research"]
FURTHER += ["parallel_entity_search", "parallel_memory"]
INPUTS: dict[str, dict[str, Any]] = {
    "parallel_search": {"objective": QUESTION, "search_queries": ["with statement"]},
    "parallel_extract": {"urls": [PAGE], "objective": QUESTION},
    "parallel_task": {"input": QUESTION},
    "parallel_find_all": {"objective": "Python statements that bind names"},
}
MAX_CHARACTERS = 1024  # what `to_openai_tool` admits


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's work is done long before the client's first look of one second."""
    monkeypatch.setattr(polling, "FIRST_POLL_SECONDS", 0.02)


def make(sandbox: Sandbox, **settings: Any) -> ParallelToolSpec:
    settings = {"max_results": 3, "processor": "lite", "match_limit": 5, **settings}
    return ParallelToolSpec(api_key=sandbox.api_key, base_url=sandbox.url, **settings)


def tool(sandbox: Sandbox, name: str, **settings: Any) -> FunctionTool:
    (only,) = make(sandbox, **settings).to_tool_list([name])
    return only


def test_the_schemas_that_a_model_sees() -> None:
    assert BaseToolSpec in ParallelToolSpec.__mro__
    spec = ParallelToolSpec()
    tools = [*spec.to_tool_list(), *spec.to_tool_list(FURTHER)]
    assert [each.metadata.name for each in tools] == [*NAMES, *FURTHER]
    seen = {
        "parallel_search": ({"objective", "search_queries"}, ["objective", "search_queries"]),
        "parallel_extract": ({"urls", "objective"}, ["urls"]),
        "parallel_task": ({"input"}, ["input"]),
        "parallel_find_all": ({"objective"}, ["objective"]),
        "parallel_deep_research": ({"input"}, ["input"]),
        "parallel_start_research": ({"input"}, ["input"]),
        "parallel_get_research": ({"run_id"}, ["run_id"]),
        "parallel_entity_search": ({"objective", "entity_type"}, ["objective", "entity_type"]),
        "parallel_memory": ({"query"}, None),
    }
    for each in tools:
        function = each.metadata.to_openai_tool()["function"]
        parameters = each.metadata.get_parameters_dict()
        assert function["parameters"] == parameters
        required = parameters.get("required")
        assert (set(parameters["properties"]), required) == seen[function["name"]]
        assert len(function["description"]) < MAX_CHARACTERS
        assert len(json.dumps(parameters)) < MAX_CHARACTERS
        assert all(field["description"] for field in parameters["properties"].values())
        assert all(field["type"] for field in parameters["properties"].values())


@pytest.mark.parametrize("name", NAMES)
async def test_two_code_paths_to_one_output(sandbox: Sandbox, name: str) -> None:
    one = tool(sandbox, name)
    called = await asyncio.to_thread(one.call, **INPUTS[name])
    half = len(sandbox.requests)
    awaited = await one.acall(**INPUTS[name])
    documents = called.raw_output
    assert isinstance(documents, list)
    assert documents
    assert all(type(each) is Document for each in documents)
    # A run has an id of its own.
    plain = [each.text for each in documents if "run_id" not in each.metadata]
    assert [each.text for each in awaited.raw_output if "run_id" not in each.metadata] == plain
    assert called.content == awaited.content
    assert "docs.python.org" in called.content
    assert "[1]" in called.content
    assert not called.is_error
    assert json.loads(called.model_dump_json())["raw_output"]
    creates = [request.path for request in sandbox.requests if request.method == "POST"]
    assert creates[: len(creates) // 2] == creates[len(creates) // 2 :]
    assert half < len(sandbox.requests)


def test_fixed_settings_are_sent_and_no_model_changes_them(sandbox: Sandbox) -> None:
    policy = SourcePolicy(include_domains=["docs.python.org"])
    spec = make(sandbox, mode="turbo", session_id="s", source_policy=policy, full_content=True)
    search, extract, task, _ = spec.to_tool_list()
    search(**INPUTS["parallel_search"])
    extract(**INPUTS["parallel_extract"])
    task(**INPUTS["parallel_task"])
    found, read, tool_input, *_ = (request.body for request in sandbox.requests)
    assert found["mode"] == "turbo"
    make(sandbox).to_tool_list()[0](objective=QUESTION)
    assert sandbox.requests[-1].body["mode"] == "fast"
    assert found["advanced_settings"]["max_results"] == 3
    assert found["session_id"] == read["session_id"] == "s"
    assert read["advanced_settings"] == {"full_content": True}
    assert tool_input["processor"] == "lite"
    assert tool_input["source_policy"] == {"include_domains": ["docs.python.org"]}
    assert tool_input["task_spec"] == {"output_schema": {"type": "text"}}


def test_the_text_of_a_search_that_a_model_reads(sandbox: Sandbox) -> None:
    output = tool(sandbox, "parallel_search")(objective=QUESTION)
    for number, document in enumerate(output.raw_output, 1):
        heading = f"[{number}] {document.metadata['title']}\nURL: {document.metadata['url']}\n"
        assert heading in output.content
    assert "Published: 2" in output.content
    short = tool(sandbox, "parallel_search", max_output_chars=900)(objective=QUESTION)
    assert len(short.content) <= 900
    assert "cut" in short.content
    assert len(short.raw_output) == 3
    body = {"search_id": "s", "results": [], "warnings": [{"type": "warning", "message": "Odd."}]}
    sandbox.faults.add(path="/v1/search", body=body)
    nothing = tool(sandbox, "parallel_search")(objective=QUESTION)
    assert nothing.content.startswith("No pages were found.")
    assert nothing.content.endswith("Note: Odd.")
    assert nothing.raw_output == []


async def test_pages_that_cannot_be_read_are_named(sandbox: Sandbox) -> None:
    extract = tool(sandbox, "parallel_extract")
    output = extract(urls=[PAGE, MISSING])
    assert len(output.raw_output) == 1
    assert f"Could not be read: {MISSING}" in output.content
    with pytest.raises(ParallelError, match="no_such_page"):
        await extract.acall(urls=[MISSING])


def test_the_documents_of_a_task(sandbox: Sandbox) -> None:
    answer, *cited = tool(sandbox, "parallel_task")(input=QUESTION).raw_output
    assert answer.id_ == answer.metadata["run_id"]
    assert set(answer.metadata) == {"run_id", "interaction_id"}
    assert cited
    assert all(each.metadata["url"].startswith("https://docs.python.org") for each in cited)
    assert {each.metadata["field"] for each in cited} == {"output"}
    assert cited[0].metadata["confidence"]
    schema = {"type": "object", "properties": {"purpose": {"type": "string"}}}
    output = tool(sandbox, "parallel_task", output_schema=schema)(input=QUESTION)
    assert set(json.loads(output.raw_output[0].text)) == {"purpose"}
    assert output.raw_output[1].metadata["field"] == "purpose"


def test_the_documents_of_a_find_all(sandbox: Sandbox) -> None:
    output = tool(sandbox, "parallel_find_all")(**INPUTS["parallel_find_all"])
    assert all(each.metadata["url"] for each in output.raw_output)
    assert sandbox.ledger.usd == pytest.approx(0.10)
    create = next(each for each in sandbox.requests if each.path.endswith("/findall/runs"))
    assert create.body["generator"] == "preview"
    assert create.body["match_limit"] == 5


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("parallel_search", {}, "nothing to search for"),
    ("parallel_search", {"objective": ""}, "objective"),
    ("parallel_search", {"search_queries": ["y" * 201]}, "search_queries.0"),
    ("parallel_extract", {"urls": ["python.org"]}, "'python.org' is not a web address"),
    ("parallel_extract", {"urls": []}, "urls"),
    ("parallel_find_all", {"objective": ""}, "objective"),
    ("parallel_search", {"objective": "x", "max_results": 40}, "are: objective, search_queries$"),
    ("parallel_search", {"objective": "x", "session_id": "s"}, "there is no argument 'session_id'"),
    ("parallel_search", {"objective": "x", "ctx": "s"}, "there is no argument 'ctx'"),
    ("parallel_extract", {"urls": [PAGE], "full_content": True}, "are: urls, objective$"),
    (
        "parallel_task",
        {"input": QUESTION, "processor": "ultra8x"},
        "there is no argument 'processor'",
    ),
    (
        "parallel_find_all",
        {"objective": "x", "generator": "pro"},
        "there is no argument 'generator'",
    ),
    ("parallel_start_research", {"input": "x", "webhook": {}, "processor": "pro"}, "are: input$"),
    ("parallel_get_research", {"run_id": "../x y"}, "is not an id"),
    ("parallel_get_research", {"run_id": "trun_1", "output_schema": "x"}, "are: run_id$"),
]


@pytest.mark.parametrize(("name", "tool_input", "reported"), WRONG)
async def test_wrong_arguments_are_explained_and_not_sent(
    sandbox: Sandbox, name: str, tool_input: dict[str, Any], reported: str
) -> None:
    one = tool(sandbox, name)
    for code_path in (asyncio.to_thread(one.call, **tool_input), one.acall(**tool_input)):
        with pytest.raises(ValueError, match=reported) as caught:
            await code_path
        assert str(caught.value).startswith("Nothing was sent. Correct the arguments: ")
        assert "https://errors.pydantic.dev" not in str(caught.value)
        assert isinstance(caught.value, InvalidArgumentError)
        assert not may_repeat(caught.value)
    assert not sandbox.requests


async def test_what_models_write_is_understood(sandbox: Sandbox) -> None:
    search = tool(sandbox, "parallel_search")
    search(objective=QUESTION, search_queries='["a", "b"]')
    await search.acall(query=QUESTION, search_queries="")
    search(QUESTION)
    await tool(sandbox, "parallel_extract").acall(url=PAGE, objective="")
    first, second, third, fourth = (request.body for request in sandbox.requests)
    assert first["search_queries"] == ["a", "b"]
    assert second["objective"] == third["objective"] == QUESTION
    assert fourth["urls"] == [PAGE]
    assert "objective" not in fourth


async def test_research_in_the_background(sandbox: Sandbox) -> None:
    tools = make(sandbox, research="background").to_tool_list()
    by_name = {each.metadata.name: each for each in tools}
    assert list(by_name) == [*NAMES[:2], *FURTHER[1:3], NAMES[3]]
    start, look = by_name["parallel_start_research"], by_name["parallel_get_research"]
    started = start(input=QUESTION)
    [about] = started.raw_output
    assert set(about.metadata) == {"run_id", "status"}
    assert f"run_id={about.metadata['run_id']}" in started.content
    assert len(sandbox.requests) == 1
    with ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.run(wait_task_run(about.id_))
    for found in (look(run_id=about.id_), await look.acall(run_id=about.id_)):
        answer, *cited = found.raw_output
        assert answer.metadata["run_id"] == about.id_
        assert all(each.metadata["url"].startswith("https://docs.python.org") for each in cited)
        assert "\n\nSources:\n- " in found.content
    assert sandbox.ledger.count("task_run") == 1


async def test_a_look_at_research_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(research, "LOOK_SECONDS", 0.1)
    with Sandbox(task_seconds=60) as slow:
        [about] = (await tool(slow, "parallel_start_research").acall(QUESTION)).raw_output
        found = await tool(slow, "parallel_get_research").acall(about.id_)
    assert found.content == f"Research {about.id_} is queued. Look again later."
    assert found.raw_output[0].metadata == {"run_id": about.id_, "status": "queued"}


async def test_one_session_outside_of_an_agent(sandbox: Sandbox) -> None:
    search, extract, *_ = make(sandbox).to_tool_list()
    found = search(objective=QUESTION).raw_output
    await extract.acall(urls=[PAGE])
    make(sandbox).to_tool_list()[0](objective=QUESTION)
    one, two, other = (request.body["session_id"] for request in sandbox.requests)
    assert one == two == found.session_id
    assert other not in (None, one)


def test_a_failed_task_says_why(sandbox: Sandbox) -> None:
    with pytest.raises(TaskFailedError) as caught:
        tool(sandbox, "parallel_task")(input="statement " * 2600)
    assert caught.value.run_id


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"max_result": 3}, "max_results"),
        ({"max_results": 0}, "max_results"),
        ({"generator": "preview", "match_limit": 11}, "match_limit"),
        ({"max_output_chars": 10}, "max_output_chars"),
        ({"deadline_seconds": 0}, "deadline_seconds"),
    ],
)
def test_wrong_settings_of_a_tool_spec_are_refused(wrong: dict[str, Any], named: str) -> None:
    secret = "not-a-real-key-0123456789"
    with pytest.raises((InvalidArgumentError, TypeError), match=named) as caught:
        ParallelToolSpec(**{"api_key": secret, **wrong})
    assert secret not in str(caught.value)


class OneText(BaseModel):
    """A schema of one's own."""

    query: str


def test_subclasses_add_functions_and_rename_tools() -> None:
    class Own(ParallelToolSpec):
        spec_functions = [*ParallelToolSpec.spec_functions, "today"]

        def today(self, zone: str = "UTC") -> str:
            """Give the date."""
            return f"2026-05-02 {zone}"

        def parallel_search(self, objective: str) -> list[Document]:  # type: ignore[override]
            return [Document(text=f"own {objective}")]

        async def aparallel_search(self, objective: str) -> list[Document]:  # type: ignore[override]
            return self.parallel_search(objective)

    search, *_, today = Own().to_tool_list()
    assert search(objective="x").content == "own x"
    assert str(today()) == "2026-05-02 UTC"
    assert "Give the date." in today.metadata.description
    about = ToolMetadata("Look it up.", "look_up")
    (renamed,) = ParallelToolSpec().to_tool_list(
        [("parallel_search", "aparallel_search")], {"parallel_search": about}
    )
    assert renamed.metadata.name == "look_up"
    (own,) = ParallelToolSpec().to_tool_list(["parallel_search"])
    assert renamed.metadata.fn_schema is own.metadata.fn_schema
    instead = ToolMetadata("Look it up.", fn_schema=OneText, return_direct=True)
    (described, *_) = ParallelToolSpec().to_tool_list(None, {"aparallel_search": instead})
    assert described.metadata == replace(instead, name="parallel_search")
    assert about == ToolMetadata("Look it up.", "look_up")
    own.metadata.name, own.metadata.description = "web", "Mine."
    (other,) = ParallelToolSpec().to_tool_list(["parallel_search"])
    assert other.metadata.name == "parallel_search"
    assert other.metadata.description != "Mine."


async def test_methods_that_are_handed_over_as_they_are(sandbox: Sandbox) -> None:
    spec = make(sandbox, max_results=2)
    server = FastMCP("web")
    for function in (spec.parallel_search, spec.aparallel_extract):
        server.add_tool(function)
    search, extract = await server.list_tools()
    assert list(search.inputSchema["properties"]) == ["objective", "search_queries"]
    assert list(extract.inputSchema["properties"]) == ["urls", "objective"]
    found = await server.call_tool("parallel_search", {"objective": QUESTION})
    assert "docs.python.org" in str(found)
    tool = FunctionTool.from_defaults(spec.parallel_search)
    assert "other" not in tool.metadata.description.partition("\n")[0]
    assert len(tool(query=QUESTION).raw_output) == 2

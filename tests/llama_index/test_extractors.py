"""The extractor, alone and in an ingestion pipeline."""

import asyncio
import json
import logging
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.extractors import BaseExtractor
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import BaseNode, Document, ImageNode, MetadataMode, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import SimpleVectorStore
from pydantic import BaseModel

from parallel_integrations import (
    AuthenticationError,
    JournalError,
    McpServer,
    ServerError,
    TaskFailedError,
    TaskTimeoutError,
)
from parallel_integrations._protocol import polling
from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.llama_index import ParallelExtractor, ParallelReader
from parallel_integrations.sandbox import Sandbox
from tests.support.connected import connection


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's work is done long before the client's first look of one second."""
    monkeypatch.setattr(polling, "FIRST_POLL_SECONDS", 0.02)


class Statement(BaseModel):
    """A statement of the language."""

    purpose: str
    examples: list[str]


PURPOSE = {"type": "object", "properties": {"purpose": {"type": "string"}}}


def make(sandbox: Sandbox, **settings: Any) -> ParallelExtractor:
    settings = {"output_schema": Statement, "processor": "lite", **settings}
    return ParallelExtractor(api_key=sandbox.api_key, base_url=sandbox.url, **settings)


def nodes() -> list[BaseNode]:
    return [TextNode(text=f"The {name} statement") for name in ("with", "nonlocal", "assert")]


def seen(made: Sequence[BaseNode]) -> list[Any]:
    return [
        (n.metadata, n.excluded_embed_metadata_keys, n.excluded_llm_metadata_keys) for n in made
    ]


async def test_two_code_paths_to_the_same_metadata(sandbox: Sandbox) -> None:
    extractor = make(sandbox)
    called = await asyncio.to_thread(extractor, nodes())
    awaited = await extractor.acall(nodes())
    assert seen(called) == seen(awaited)
    assert extractor.extract(nodes()) == await extractor.aextract(nodes())
    creates = [each.path for each in sandbox.requests if each.method == "POST"]
    assert len(creates) == 8  # a group and its runs, whatever their number


def test_the_metadata_that_an_extractor_adds(sandbox: Sandbox) -> None:
    node = make(sandbox)(nodes())[0]
    assert list(node.metadata) == [
        field + end
        for field in ("purpose", "examples")
        for end in ("", "_sources", "_confidence", "_reasoning")
    ]
    assert "with" in node.metadata["purpose"]
    assert isinstance(json.loads(node.metadata["examples"]), list)
    assert node.metadata["purpose_sources"].startswith("https://docs.python.org")
    assert node.metadata["purpose_confidence"] in ("low", "medium", "high")
    assert all(isinstance(value, str) for value in node.metadata.values())
    embedded, read = (node.get_content(mode) for mode in (MetadataMode.EMBED, MetadataMode.LLM))
    assert "purpose: " in embedded
    assert "purpose: " in read
    assert "purpose_sources" in read
    assert "purpose_sources" not in embedded
    for hidden in ("_confidence", "_reasoning"):
        assert hidden not in embedded + read


def test_a_text_output_goes_under_the_answer_key(sandbox: Sandbox) -> None:
    settings: dict[str, Any] = {"output_schema": "What it does.", "answer_key": "purpose"}
    node = make(sandbox, **settings)(nodes())[0]
    assert node.metadata["purpose"]
    assert node.metadata["purpose_sources"]


def test_an_extractor_sends_equal_metadata_once(sandbox: Sandbox) -> None:
    extractor = make(sandbox, output_schema=PURPOSE, input_keys=["name", "kind"])
    chunks: list[BaseNode] = [
        TextNode(text=f"Chunk {number}", metadata={"name": name, "page": number})
        for number, name in enumerate(["with", "with", "nonlocal"])
    ]
    chunks.append(TextNode(text="Nothing known"))
    made = extractor(chunks)
    (added,) = (each for each in sandbox.requests if each.path.endswith("/runs") and each.body)
    assert [each["input"] for each in added.body["inputs"]] == [
        {"name": "with"},
        {"name": "nonlocal"},
    ]
    assert made[0].metadata["purpose"] == made[1].metadata["purpose"]
    assert made[2].metadata["purpose"]
    assert made[3].metadata == {}
    assert sandbox.ledger.count("task_run") == 2


def test_nodes_without_input_cost_nothing(sandbox: Sandbox) -> None:
    blank: list[BaseNode] = [TextNode(text=" "), ImageNode(image_url="https://example.com/a.png")]
    assert make(sandbox)(blank)[0].metadata == {}
    assert make(sandbox)([]) == []
    assert not sandbox.requests


def test_an_extractor_truncates_long_text(sandbox: Sandbox) -> None:
    make(sandbox, max_input_chars=20)([TextNode(text="statement " * 9000)])
    (added,) = (each for each in sandbox.requests if each.path.endswith("/runs") and each.body)
    assert added.body["inputs"][0]["input"] == "statement statement "


def test_an_extractor_changes_nodes_in_place_or_copies(sandbox: Sandbox) -> None:
    given = nodes()
    assert make(sandbox)(given)[0] is given[0]
    given = nodes()
    made = make(sandbox, in_place=False)(given)
    assert given[0].metadata == {}
    assert made[0].metadata
    assert made[0].node_id == given[0].node_id


# A task's metadata says which input it belongs to; an input object can make the sandbox fail.
FAILING = {"sandbox": "fail"}


async def test_a_failed_task_costs_no_other_node(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "parallel_integrations")
    extractor = make(sandbox, input_keys=["name", "sandbox"])
    given = [
        TextNode(text="a", metadata={"name": "with"}),
        TextNode(text="b", metadata={"name": "nonlocal", **FAILING}),
    ]
    one, two = await extractor.aextract(given)
    assert one["purpose"]
    assert two == {}
    assert "trun_" in caplog.text


async def test_an_extractor_whose_tasks_all_fail_is_an_error(sandbox: Sandbox) -> None:
    given = [TextNode(text="b", metadata={"name": "nonlocal", **FAILING})]
    extractor = make(sandbox, input_keys=["name", "sandbox"])
    with pytest.raises(TaskFailedError, match="No task of 1 succeeded"):
        extractor.extract(given)
    with pytest.raises(TaskFailedError, match="No task of 1 succeeded"):
        await extractor.acall(given)
    forgiving = make(sandbox, input_keys=["name", "sandbox"], raise_on_error=False)
    assert forgiving.extract(given) == [{}]


async def test_extractor_errors_pass_unchanged(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add(path="/v1/tasks/groups", times=3, status=401)
    extractor = make(sandbox)
    with pytest.raises(AuthenticationError):
        extractor(nodes())
    with pytest.raises(AuthenticationError):
        await extractor.acall(nodes())
    forgiving = make(sandbox, raise_on_error=False)
    assert await forgiving.aextract(nodes()) == [{}, {}, {}]
    assert "401" in caplog.text


def test_an_extractor_does_not_start_a_run_twice(sandbox: Sandbox) -> None:
    sandbox.faults.add(path="*/runs", method="POST", times=None, status=500)
    with pytest.raises(ServerError) as caught:
        make(sandbox, max_retries=1)(nodes())
    assert caught.value.taskgroup_id
    assert [each.method for each in sandbox.requests].count("POST") == 2
    sandbox.faults.clear()
    sandbox.faults.add(path="*", method="GET", times=None, status=503)
    with pytest.raises(TaskTimeoutError) as late:
        make(sandbox, deadline_seconds=0.001)(nodes())
    assert late.value.taskgroup_id


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"output_schema": None}, "output_schema"),
        ({"input_keys": []}, "input_keys"),
        ({"max_input_chars": 0}, "max_input_chars"),
        ({"processr": "lite"}, "processor"),
    ],
)
def test_wrong_settings_of_an_extractor_are_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises((InvalidArgumentError, TypeError), match=named):
        ParallelExtractor(**{"output_schema": "x", **wrong})


def test_an_extractor_is_serialized_and_loaded() -> None:
    server = McpServer(name="docs", url="https://example.com/mcp", headers={"a": "secret-token"})
    extractor = ParallelExtractor(output_schema=Statement, mcp_servers=[server])
    assert BaseExtractor in ParallelExtractor.__mro__
    written = extractor.to_dict()
    assert "secret-token" not in str(written)
    assert written["class_name"] == "ParallelExtractor"
    schema = written["output_schema"]["json_schema"]
    assert schema["required"] == ["purpose", "examples"]
    assert ParallelExtractor.from_dict(dict(written)).to_dict() == written


async def test_an_extractor_in_a_pipeline_sends_each_page_once(sandbox: Sandbox) -> None:
    settings = connection(sandbox)
    documents: list[Document] = ParallelReader(**settings, max_results=2).load_data("with")
    pipeline = IngestionPipeline(
        transformations=[
            SentenceSplitter(),
            make(sandbox, output_schema=PURPOSE, input_keys=["title"]),
        ],
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
        vector_store=None,
    )
    pipeline.vector_store = Kept()
    made = pipeline.run(documents=documents)
    assert all(node.metadata["purpose"] for node in made)
    assert sandbox.ledger.count("task_run") == 2
    assert not await pipeline.arun(documents=documents)
    assert sandbox.ledger.count("task_run") == 2


class Kept(SimpleVectorStore):
    """A vector store that needs no embeddings."""

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        return [node.node_id for node in nodes]


def test_with_a_journal_nothing_is_paid_twice(sandbox: Sandbox, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"journal": tmp_path / "run.db"}
    first = make(sandbox, **settings).extract(nodes())
    assert make(sandbox, **settings).extract(nodes()) == first
    assert sandbox.ledger.count("task_run") == 3
    with pytest.raises(JournalError, match="row 0 differs"):
        make(sandbox, **settings).extract([TextNode(text="Something else")])
    assert sandbox.ledger.count("task_run") == 3
    extractor = make(sandbox, **settings)
    assert ParallelExtractor.from_dict(extractor.to_dict()).journal == str(tmp_path / "run.db")


async def test_results_before_an_error_are_kept(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    given = [TextNode(text=f"Statement {number}") for number in range(201)]
    # The first group goes through, the second is refused.
    sandbox.faults.add(path="/v1/tasks/groups", method="POST", times=1, delay=0.01)
    sandbox.faults.add(path="/v1/tasks/groups", method="POST", times=1, status=402)
    extractor = make(sandbox, output_schema=PURPOSE, raise_on_error=False)
    found = await extractor.aextract(given)
    assert [bool(each) for each in found] == [True] * 200 + [False]
    assert "402" in caplog.text


def answered(sandbox: Sandbox, content: Any, basis: list[str], **settings: Any) -> BaseNode:
    """A node that was given an answer of this content, with one citation for each field."""
    output = {
        "type": "text" if isinstance(content, str) else "json",
        "content": content,
        "basis": [
            {"field": field, "citations": [{"url": f"https://example.com/{number}"}]}
            for number, field in enumerate(basis)
        ],
    }
    run = {
        "run_id": "trun_1",
        "status": "completed",
        "is_active": False,
        "metadata": {"parallel_index": 0},
    }
    event = {"type": "task_run.state", "event_id": "1", "run": run, "output": output}
    stream = f"event: task_run.state\ndata: {json.dumps(event)}\n\n"
    sandbox.faults.add(path="*/runs", method="GET", body=stream, content_type="text/event-stream")
    return make(sandbox, **settings)([TextNode(text="The with statement")])[0]


@pytest.mark.parametrize(
    ("content", "basis", "sources"),
    [
        ("A text.", ["content"], {"answer": "0"}),
        ("A text.", ["output", "output.part", "anything"], {"answer": "012"}),
        ({"purpose": "p"}, ["purpose[0].a", "purpose", "purposes"], {"purpose": "01"}),
        ({"a.b": "p", "a": "q"}, ["a.b", "a"], {"a.b": "0", "a": "01"}),
        ({"purpose": "p", "examples": "e"}, ["output"], {"purpose": "0", "examples": "0"}),
        ({"purpose": "p", "examples": "e"}, ["examples"], {"examples": "0"}),
        (["p", "q"], ["output[0]", "output[1]"], {"answer": "01"}),
    ],
)
def test_no_source_is_lost_whatever_its_field_is_called(
    sandbox: Sandbox, content: Any, basis: list[str], sources: dict[str, str]
) -> None:
    found = answered(sandbox, content, basis, output_schema="What it does.").metadata
    urls = {
        name: "\n".join(f"https://example.com/{number}" for number in numbers)
        for name, numbers in sources.items()
    }
    assert {k: v for k, v in found.items() if k.endswith("_sources")} == {
        f"{name}_sources": text for name, text in urls.items()
    }


def test_a_field_that_ends_like_an_added_one_is_embedded(sandbox: Sandbox) -> None:
    content = {"funding_sources": "Members.", "purpose": "p"}
    node = answered(sandbox, content, [*content], output_schema="What it is.")
    assert node.excluded_embed_metadata_keys == ["funding_sources_sources", "purpose_sources"]


async def test_the_documents_of_a_reader_are_researched(sandbox: Sandbox) -> None:
    reader = ParallelReader(max_results=2, api_key=sandbox.api_key, base_url=sandbox.url)
    documents = reader.load_data("How does the with statement handle exceptions?")
    assert len(documents) == 2
    for made in (
        make(sandbox)(deepcopy(documents)),
        await make(sandbox).aprocess_nodes(deepcopy(documents)),
        IngestionPipeline(transformations=[make(sandbox)]).run(documents=deepcopy(documents)),
    ):
        assert all(node.metadata["purpose"] and node.metadata["purpose_sources"] for node in made)
        assert [node.text for node in made] == [each.text for each in documents]  # type: ignore[attr-defined]
    assert sandbox.ledger.count("task_run") == 6
    assert make(sandbox)([ImageNode(image_url="https://example.com/a.png")])[0].metadata == {}


def test_nodes_without_a_value_are_not_paid_for_and_half_a_character_costs_none(
    sandbox: Sandbox,
) -> None:
    keyed = ParallelExtractor(
        output_schema="Purpose.", input_keys=["name", "city"], **connection(sandbox)
    )
    values: list[dict[str, Any]] = [{"name": None}, {"name": "", "city": None}, {"name": "with"}]
    nodes = keyed([TextNode(text="x", metadata=value) for value in values])
    assert ["answer" in node.metadata for node in nodes] == [False, False, True]
    assert sandbox.ledger.count("task_run") == 1
    whole = ParallelExtractor(output_schema="Purpose.", **connection(sandbox))
    nodes = whole([TextNode(text="with \ud83d"), TextNode(text="import")])
    assert all(node.metadata["answer"] for node in nodes)

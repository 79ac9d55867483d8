"""Published responses through the core and every adapter that they concern.

What each file holds was written by hand in `expected.py`. A field that no model knows, and a value
that is not in what was read, fail the test by name.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.schema import MetadataMode, TextNode

from parallel_integrations import ParallelClient, ParallelError, SearchRequest
from parallel_integrations._protocol import polling
from parallel_integrations.api import (
    extract,
    findall_events,
    findall_result,
    monitor_events,
    search,
    task_run_events,
    wait_task_run,
)
from parallel_integrations.langchain import (
    ParallelDeepResearch,
    ParallelExtractLoader,
    ParallelExtractTool,
    ParallelSearchRetriever,
    ParallelSearchTool,
    ParallelTaskRunTool,
)
from parallel_integrations.llama_index import (
    ParallelExtractor,
    ParallelExtractReader,
    ParallelQueryEngine,
    ParallelReader,
    ParallelRetriever,
    ParallelToolSpec,
    citation_blocks,
)
from parallel_integrations.models import (
    ExtractRequest,
    FindallCandidateEvent,
    FindallSchemaEvent,
    FindallStatusEvent,
    TaskRunProgressStatsEvent,
    TaskRunStateEvent,
)
from tests.real.expected import (
    EXPECTED,
    Document,
    Events,
    Extract,
    Failure,
    Findall,
    Monitor,
    Search,
    Task,
)
from tests.real.files import REAL, path_of, printed_by_the_service, read
from tests.real.serving import lost_values, serving, unknown_fields

KEY = "key-for-tests"
QUESTION = "What do the pages say?"
NO_FOLDER = "PARALLEL_REAL names no folder with the published responses"


def of_kind(kind: type) -> Any:
    """Every file of a kind; those that are not at hand are skipped."""
    return pytest.mark.parametrize(
        ("name", "expected"),
        [
            pytest.param(
                name,
                expected,
                id=name,
                marks=pytest.mark.skipif(path_of(name) is None, reason=NO_FOLDER),
            )
            for name, expected in EXPECTED.items()
            if isinstance(expected, kind)
        ],
    )


def body(name: str) -> bytes:
    path = path_of(name)
    assert path is not None
    return path.read_bytes()


def settings(url: str) -> dict[str, Any]:
    return {"api_key": KEY, "base_url": url, "max_retries": 0}


async def both(client: ParallelClient, operation: Any) -> Any:
    """The result of an operation, which is the same blocking and awaiting."""
    blocking, awaiting = client.run(operation()), await client.arun(operation())
    assert blocking == awaiting
    return blocking


async def whole(client: ParallelClient, operation: Any, wire: dict[str, Any]) -> Any:
    """The result of an operation, of which nothing on the wire is unknown or lost."""
    response = await both(client, operation)
    assert unknown_fields(response) == set()
    assert lost_values(wire, response) == Counter()
    return response


@pytest.mark.skipif(REAL is None, reason=NO_FOLDER)
def test_every_published_response_is_expected_to_say_something() -> None:
    assert set(printed_by_the_service()) - EXPECTED.keys() == set()


# -------------------------------------------------------------------------------------- pages


def documents_of(pages: list[tuple[str, str, str | None]]) -> list[dict[str, Any]]:
    return [
        {"url": url, "title": title, "published_at": date, "source": url}
        for url, title, date in pages
    ]


def ends(metadata: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [metadata[0], metadata[-1]]


def known(metadata: dict[str, Any]) -> dict[str, Any]:
    """As LlamaIndex has it: what is unknown is left out."""
    return {name: value for name, value in metadata.items() if value is not None}


@of_kind(Search)
async def test_a_search(name: str, expected: Search) -> None:
    wire = read(name)
    first_and_last = documents_of([expected.first, expected.last])
    with serving({"POST /v1*/search": body(name)}) as server:
        client = ParallelClient(**settings(server.url), api_version=expected.version)
        response = await whole(client, lambda: search(SearchRequest(objective=QUESTION)), wire)
        assert response.search_id == wire["search_id"]
        assert response.session_id == wire.get("session_id")
        assert {each.name: each.count for each in response.usage} == expected.usage
        assert len(response.results) == expected.pages
        assert sum(len(text) for page in response.results for text in page.excerpts) == (
            expected.characters
        )

        retriever = ParallelSearchRetriever(k=20, client=client)
        found = retriever.invoke(QUESTION)
        assert found == await retriever.ainvoke(QUESTION)
        metadata = [document.metadata for document in found]
        assert ends(metadata) == first_and_last
        assert sum(each["published_at"] is not None for each in metadata) == expected.dated
        assert sum(len(document.page_content) for document in found) == expected.characters

        tool = ParallelSearchTool(client=client, max_output_chars=200_000)
        text = tool.invoke({"objective": QUESTION, "search_queries": ["a b"]})
        assert text == await tool.ainvoke({"objective": QUESTION, "search_queries": ["a b"]})
        assert text.count("\nURL: ") == expected.pages
        for url, title, date in (expected.first, expected.last):
            heading = f"] {title}\nURL: {url}\n"
            assert (f"{heading}Published: {date}\n" if date else f"{heading}> ") in text
        small = ParallelSearchTool(client=client, max_output_chars=5000)
        assert len(small.invoke({"objective": QUESTION, "search_queries": ["a b"]})) <= 5000

        reader, nodes = ParallelReader(client=client), ParallelRetriever(client=client)
        read_documents = reader.load_data(QUESTION)
        assert read_documents == await reader.aload_data(QUESTION)
        retrieved = [each.node for each in nodes.retrieve(QUESTION)]
        assert [each.node for each in await nodes.aretrieve(QUESTION)] == retrieved
        for made in (read_documents, retrieved):
            assert ends([each.metadata for each in made]) == [*map(known, first_and_last)]
            assert len({each.node_id for each in made}) == expected.pages
        spec = ParallelToolSpec(client=client, max_output_chars=200_000)
        [search_tool] = spec.to_tool_list(["parallel_search"])
        assert search_tool(objective=QUESTION, search_queries=["a b"]).content == text
        await client.aclose()


@of_kind(Extract)
async def test_an_extract(name: str, expected: Extract) -> None:
    wire = read(name)
    pages = [(url, title, date) for url, title, date, _, _ in expected.pages]
    urls = [url for url, *_ in expected.pages]
    urls += [url for url, _ in expected.failed if url.startswith("http")]
    with serving({"POST /v1*/extract": body(name)}) as server:
        client = ParallelClient(**settings(server.url), api_version=expected.version)
        response = await whole(client, lambda: extract(ExtractRequest(urls=urls)), wire)
        assert response.extract_id == wire["extract_id"]
        assert {each.name: each.count for each in response.usage} == expected.usage
        assert [
            (
                page.url,
                page.title,
                page.publish_date,
                sum(map(len, page.excerpts)),
                len(page.full_content or ""),
            )
            for page in response.results
        ] == list(expected.pages)
        failed = [(error.url, error.error_type) for error in response.errors]
        assert failed[: len(expected.failed)] == list(expected.failed)
        warned = [each.message for each in response.warnings]
        assert all(map(str.startswith, warned, expected.warnings))

        unread: list[Any] = []
        loader = ParallelExtractLoader(urls=urls, client=client, on_error=unread.append)
        loaded = loader.load()
        assert [document.metadata for document in loaded] == documents_of(pages)
        assert loaded == await loader.aload()
        assert {error.url for error in unread} >= {url for url, _ in expected.failed}
        texts = [page.get("full_content") or page["excerpts"][0] for page in wire["results"]]
        assert [document.page_content for document in loaded] == texts

        reader = ParallelExtractReader(client=client, on_error=unread.append)
        made = reader.load_data(urls)
        assert made == await reader.aload_data(urls)
        assert [each.metadata for each in made] == [known(each) for each in documents_of(pages)]
        tool = ParallelExtractTool(client=client, max_output_chars=200_000)
        text = tool.invoke({"urls": urls})
        assert text == await tool.ainvoke({"urls": urls})
        [extract_tool] = ParallelToolSpec(client=client, max_output_chars=200_000).to_tool_list(
            ["parallel_extract"]
        )
        assert extract_tool(urls=urls).content == text
        assert text.count("\nURL: ") == len(pages)
        assert all(f"Could not be read: {url}" in text for url, _ in expected.failed)
        await client.aclose()


@of_kind(Failure)
async def test_an_error(name: str, expected: Failure) -> None:
    with serving({"* *": body(name)}, status=f"{expected.status} Error") as server:
        client = ParallelClient(**settings(server.url))
        with pytest.raises(expected.error) as blocking:
            client.run(search(SearchRequest(objective=QUESTION)))
        with pytest.raises(expected.error) as awaiting:
            await client.arun(search(SearchRequest(objective=QUESTION)))
        for error in (blocking.value, awaiting.value):
            assert (error.status, error.ref_id) == (expected.status, expected.ref_id)
            assert expected.message.rstrip(".") in error.message
            assert expected.message.rstrip(".") in str(error)
            detail = read(name).get("error", {}).get("detail")
            assert error.detail == detail
            assert KEY not in str(error)
        arguments = {"objective": QUESTION, "search_queries": ["a b"]}
        with pytest.raises(ParallelError):
            ParallelSearchRetriever(client=client).invoke(QUESTION)
        with pytest.raises(expected.error):
            await ParallelRetriever(client=client).aretrieve(QUESTION)
        call = {"type": "tool_call", "id": "1", "name": "parallel_search", "args": arguments}
        message = ParallelSearchTool(client=client).invoke(call)
        assert message.status == "error"
        assert expected.message.rstrip(".") in message.content
        assert all(reason in str(blocking.value.detail) for reason in expected.reasons)
        await client.aclose()


# -------------------------------------------------------------------------------------- tasks


def task_server(name: str, *, size: int = 0) -> Any:
    result = read(name)
    created = {**result["run"], "status": "queued", "is_active": True}
    event = {"type": "task_run.state", "event_id": "1", **result}
    stream = f"event: task_run.state\ndata: {json.dumps(event)}\n\n".encode()
    listed = {**event, "run": {**result["run"], "metadata": {"parallel_index": 0}}}
    group = {"taskgroup_id": "tgrp_1", "status": {"num_task_runs": 1, "is_active": False}}
    group["status"]["task_run_status_counts"] = {"completed": 1}
    return serving(
        {
            "GET /v1/tasks/runs/*/result": body(name),
            "GET /v1*/tasks/runs/*/events": stream,
            "POST /v1/tasks/runs": json.dumps(created).encode(),
            "GET /v1/tasks/runs/*": json.dumps(result["run"]).encode(),
            "POST /v1*/tasks/groups/*/runs": json.dumps(
                {"run_ids": ["trun_1"], "status": group["status"]}
            ).encode(),
            "GET /v1*/tasks/groups/*/runs": (
                f"event: task_run.state\ndata: {json.dumps(listed)}\n\n".encode()
            ),
            "POST /v1*/tasks/groups": json.dumps(group).encode(),
            "GET /v1*/tasks/groups/*": json.dumps(group).encode(),
        },
        size=size,
    )


@of_kind(Task)
async def test_a_result_of_a_task(
    name: str, expected: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "FIRST_POLL_SECONDS", 0.02)
    wire = read(name)
    with task_server(name) as server:
        client = ParallelClient(**settings(server.url))
        result = await both(client, lambda: wait_task_run(expected.run_id))
        assert unknown_fields(result) == expected.unknown
        assert lost_values(wire, result) == Counter()
        run, output = result.run, result.output
        assert (run.run_id, run.processor, run.status) == (
            expected.run_id,
            expected.processor,
            "completed",
        )
        assert len(run.warnings) == expected.warnings
        begins = output.content if isinstance(output.content, str) else next(iter(output.content))
        assert begins.startswith(expected.content)
        assert len(output.basis) == expected.fields
        confidences = Counter(field.confidence or "" for field in output.basis)
        assert confidences == expected.by_confidence
        cited = [(field, each) for field in output.basis for each in field.citations]
        assert len(cited) == expected.citations
        assert tuple(call.tool_name for call in output.mcp_tool_calls) == expected.tools
        if expected.first:
            field, citation = cited[0]
            excerpt = str(citation.excerpts[0]) if citation.excerpts else ""
            assert (field.field, citation.url, citation.title) == expected.first[:3]
            assert excerpt.startswith(expected.first[3])
            assert bool(excerpt) == bool(expected.first[3])

        research = ParallelDeepResearch(client=client)
        report = research.invoke({"run_id": expected.run_id})
        assert report == await research.ainvoke({"run_id": expected.run_id})
        assert report["content"] == wire["output"]["content"]
        assert report["run_id"] == expected.run_id
        assert len(report["citations"]) == expected.citations
        assert len(report["basis"]) == expected.fields
        urls = {citation["url"] for _, citation in of_wire(wire)}

        await check_texts(client, wire, urls)
        engine = ParallelQueryEngine(processor=expected.processor, client=client)
        response = engine.query(QUESTION)
        assert str(response) == str(await engine.aquery(QUESTION))
        assert len({node.node_id for node in response.source_nodes}) == expected.num_passages
        assert len(response.source_nodes) == len(citation_blocks(response)) == expected.num_passages
        assert {node.metadata["url"] for node in response.source_nodes} == urls
        if expected.first:
            node = response.source_nodes[0].node
            assert node.metadata["field"] == expected.first[0]
            assert node.get_content(MetadataMode.NONE).startswith(expected.first[3])

        extractor = ParallelExtractor(output_schema="What it does.", client=client)
        [found] = extractor.extract([TextNode(text="a")])
        assert [found] == await extractor.aextract([TextNode(text="a")])
        content = wire["output"]["content"]
        names = ["answer"] if isinstance(content, str) else list(content)
        sources = [found.get(f"{name}_sources", "").splitlines() for name in names]
        assert {url for each in sources for url in each} == urls
        await client.aclose()


def of_wire(wire: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for field in wire["output"]["basis"]:
        for citation in field["citations"]:
            yield field["field"], citation


async def check_texts(client: ParallelClient, wire: dict[str, Any], urls: set[str]) -> None:
    """What tools say of a result, whole and within limits."""
    content = wire["output"]["content"]
    for limit in (500, 10_000, 1_000_000):
        tool = ParallelTaskRunTool(client=client, max_output_chars=limit)
        text = tool.invoke({"input": QUESTION})
        assert text == await tool.ainvoke({"input": QUESTION})
        [other] = ParallelToolSpec(client=client, max_output_chars=limit).to_tool_list(
            ["parallel_task"]
        )
        assert other(input=QUESTION).content == text
        assert len(text) <= limit
        reported, _, sources = text.rpartition("\n\nSources:")
        whole = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        assert len(reported) >= min(len(whole), limit * 0.7)
        if limit > 500_000:
            listed = {line.rpartition(" ")[2] for line in sources.splitlines()} - {""}
            assert listed == (urls or {"none"})


@of_kind(Events)
@pytest.mark.parametrize("size", [0, 1, 7, 64])
async def test_a_stream_of_events(name: str, expected: Events, size: int) -> None:
    ended = {"run_id": expected.run_id, "status": "completed", "is_active": False}
    output = {"type": "text", "content": "Whole.", "basis": []}
    last = {"type": "task_run.state", "event_id": "2", "run": ended, "output": output}
    stream = body(name).rstrip(b"\n") + b"\n\n"
    stream += f"event: task_run.state\ndata: {json.dumps(last)}\n\n".encode()
    paths = {
        "GET /v1*/tasks/runs/*/events": stream,
        "GET /v1/tasks/runs/*/result": json.dumps({"run": ended, "output": output}).encode(),
        "GET /v1/tasks/runs/*": json.dumps(ended).encode(),
    }
    with serving(paths, size=size) as server:
        client = ParallelClient(**settings(server.url))
        operation = task_run_events(expected.run_id)
        events = list(client.stream(operation))
        awaited = [each async for each in client.astream(task_run_events(expected.run_id))]
        assert events == awaited
        seen = [
            (event.type, event.run.status)
            if isinstance(event, TaskRunStateEvent)
            else (event.type, getattr(event, "message", ""))
            for event in events
        ]
        assert tuple(seen) == (*expected.events, ("task_run.state", "completed"))
        assert unknown_fields(events) == set()
        [stats] = [each for each in events if isinstance(each, TaskRunProgressStatsEvent)]
        counted = (stats.source_stats.num_sources_considered, stats.source_stats.num_sources_read)
        assert counted == (expected.num_considered, expected.num_read)
        assert stats.progress_meter is None
        research = ParallelDeepResearch(client=client)
        steps = list(research.stream({"run_id": expected.run_id}))
        assert steps == [step async for step in research.astream({"run_id": expected.run_id})]
        assert steps[-1]["content"] == "Whole."
        messages = [step["message"] for step in steps if step.get("message")]
        assert messages == [text for kind, text in expected.events if "msg" in kind]
        await client.aclose()


# ------------------------------------------------------------------------ monitors, FindAll, rest


@of_kind(Monitor)
async def test_events_of_a_monitor(name: str, expected: Monitor) -> None:
    with serving({"GET /v1/monitors/*/events": body(name)}) as server:
        client = ParallelClient(**settings(server.url))
        page = await both(client, lambda: monitor_events("monitor_1", include_completions=True))
        assert Counter(event.event_type for event in page.events) == expected.types
        assert unknown_fields(page) == set()
        event = page.events[0]
        output = event.output or event.changed_output
        assert output is not None
        assert (event.event_date, event.event_group_id) == expected.first[:2]
        assert expected.first[2] in str(output.content)
        cited = [citation.url for field in output.basis for citation in field.citations]
        assert tuple(cited) == expected.urls
        texts = Counter(each["output"] for each in read(name)["events"] if "output" in each)
        kept = Counter(str(each.output.content) for each in page.events if each.output)
        assert kept == texts
        ended = [each for each in page.events if each.event_type in ("completion", "error")]
        assert all(each.timestamp and each.timestamp.startswith("2026-") for each in ended)
        assert all(each.error_message for each in ended if each.event_type == "error")
        await client.aclose()


@of_kind(Findall)
async def test_what_findall_found(name: str, expected: Findall) -> None:
    wire = read(name)
    ended = {"findall_id": "findall_1", "status": {"status": "completed", "is_active": False}}
    last = {"type": "findall.status", "event_id": "2", "data": ended}
    frames = [wire, last] if "type" in wire else [last]
    stream = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in frames)
    paths = {"GET /v1*/findall/runs/*/events": stream.encode()}
    paths["GET /v1*/findall/runs/*/result"] = body(name)
    with serving(paths, size=7) as server:
        client = ParallelClient(**settings(server.url))
        if "type" in wire:
            event, *_ = list(client.stream(findall_events("findall_1")))
            awaited = [each async for each in client.astream(findall_events("findall_1"))]
            assert awaited[0] == event
            assert isinstance(
                event, FindallCandidateEvent | FindallStatusEvent | FindallSchemaEvent
            )
            value: Any = event
            found = [event.data] if isinstance(event, FindallCandidateEvent) else []
            status = event.data.status if isinstance(event, FindallStatusEvent) else None
        else:
            value = await both(client, lambda: findall_result("findall_1"))
            found, status = value.candidates, value.run.status
        assert unknown_fields(value) == set()
        assert lost_values(wire, value) == Counter()
        assert [
            (each.name, each.url, {key: each.value(key) for key in each.output or ()})
            for each in found
        ] == list(expected.matches)
        if expected.metrics is not None:
            assert status is not None
            metrics = status.metrics
            assert (
                metrics.generated_candidates_count,
                metrics.matched_candidates_count,
            ) == expected.metrics
        await client.aclose()


@of_kind(Document)
def test_an_object_of_which_nothing_is_lost(name: str, expected: Document) -> None:
    wire = read(name)
    value = expected.model.model_validate(wire)
    assert unknown_fields(value) == set()
    assert lost_values(wire, value) == Counter()
    assert {key: getattr(value, key) for key in expected.values} == expected.values

"""Responses as a notebook shows them: numbered sources, and nothing a page said becomes markup."""

import re
from html.parser import HTMLParser

import pytest

from parallel_integrations import (
    ChatRequest,
    ChatResponse,
    CreateFindallRunRequest,
    CreateMonitorRequest,
    CreateTaskRunRequest,
    EventStreamSettings,
    ExtractRequest,
    ExtractResponse,
    FindallCandidate,
    IngestFindallRequest,
    ParallelClient,
    SearchRequest,
    SearchResponse,
    TaskRunResult,
)
from parallel_integrations.api import (
    cancel_monitor,
    chat,
    create_monitor,
    extract,
    ingest_findall,
    monitor_events,
    run_findall,
    run_task,
    search,
)
from parallel_integrations.models import Entity, TaskOutput

ATTACK = "<script>alert(1)</script>\"'&"


class Shown(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        self.names |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(response: object) -> Shown:
    return Shown(response._repr_html_())  # type: ignore[attr-defined]


def test_a_search_shows_numbered_pages(client: ParallelClient) -> None:
    response = client.run(search(SearchRequest(objective="What is a closure?", max_results=3)))
    seen = shown(response)
    assert seen.tags.count("ol") == 1
    assert seen.tags.count("li") == len(response.results) > 1
    assert seen.links == [page.url for page in response.results]
    for page in response.results:
        assert page.title is not None
        assert page.title in seen.text
        assert page.excerpts[0][:100] in seen.text


def test_a_page_shows_its_date() -> None:
    page = {"url": "https://a.example/x", "publish_date": "2026-02-03", "excerpts": ["Text."]}
    seen = shown(SearchResponse.model_validate({"results": [page]}))
    assert "a.example · 2026-02-03" in seen.text
    assert "a.example/x" in seen.text
    del page["publish_date"]
    assert "no date" in shown(SearchResponse.model_validate({"results": [page]})).text


def test_no_pages_are_said() -> None:
    assert shown(SearchResponse(results=[])).text == "No pages."


def test_an_extract_shows_what_could_not_be_read(client: ParallelClient) -> None:
    urls = [
        "https://docs.python.org/3/reference/compound_stmts.html",
        "https://no-such-site.example/no_such_page.html",
    ]
    response = client.run(extract(ExtractRequest(urls=urls)))
    seen = shown(response)
    assert "Could not be read:" in seen.text
    assert str(response.errors[0]) in seen.text
    assert seen.links == [urls[0]]


def test_a_researched_response_shows_confidence_reasoning_and_sources(
    client: ParallelClient,
) -> None:
    request = ChatRequest(
        messages=[{"role": "user", "content": "What is a closure?"}], model="lite"
    )
    response = client.run(chat(request))
    seen = shown(response)
    [field] = response.basis
    assert response.text in seen.text
    assert str(field.confidence) in seen.text
    assert field.reasoning in seen.text
    assert "[1]" in seen.text
    assert seen.links == list(dict.fromkeys(citation.url for citation in field.citations))


def test_a_response_without_a_basis_is_its_text(client: ParallelClient) -> None:
    request = ChatRequest(messages=[{"role": "user", "content": "What is a closure?"}])
    response = client.run(chat(request))
    assert shown(response).text == response.text


def test_a_task_shows_each_field(client: ParallelClient) -> None:
    schema = {
        "type": "object",
        "properties": {"purpose": {"type": "string"}, "uses": {"type": "integer"}},
    }
    request = CreateTaskRunRequest(input="nonlocal", processor="lite", output_schema=schema)
    result = client.run(run_task(request))
    seen = shown(result)
    for name, value in result.output.content.items():
        assert name in seen.text
        assert ("null" if value is None else str(value)) in seen.text


def test_a_source_that_several_fields_cite_is_one_number() -> None:
    cited = {"url": "https://a.example/", "title": "A", "excerpts": []}
    again = {**cited, "excerpts": ["The passage."]}
    basis = [{"field": "x", "citations": [cited]}, {"field": "y", "citations": [again]}]
    run = {"run": {"run_id": "r"}, "output": {"type": "json", "content": {}, "basis": basis}}
    seen = shown(TaskRunResult.model_validate(run))
    assert seen.text.count("[1]") == 3, "beside each field, and before the source"
    assert seen.links == ["https://a.example/"]
    assert "The passage." in seen.text


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " java\nscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "//no-scheme.example",
        "http://[broken",
    ],
)
def test_only_web_addresses_become_links(url: str) -> None:
    response = SearchResponse.model_validate({"results": [{"url": url, "excerpts": ["x"]}]})
    assert shown(response).links == []
    basis = [{"field": "output", "citations": [{"url": url}]}]
    assert shown(ChatResponse.model_validate({"basis": basis})).links == []


def test_nothing_that_came_becomes_markup() -> None:
    page = {
        "url": f"https://a.example/{ATTACK}",
        "title": ATTACK,
        "publish_date": ATTACK,
        "excerpts": [ATTACK],
    }
    field = {
        "field": ATTACK,
        "reasoning": ATTACK,
        "confidence": ATTACK,
        "citations": [{k: v for k, v in page.items() if k != "publish_date"}],
    }
    errors = [{"url": ATTACK, "error_type": ATTACK, "content": ATTACK}]
    content = {"type": "json", "content": {ATTACK: [ATTACK]}, "basis": [field]}
    responses = [
        SearchResponse.model_validate({"results": [page]}),
        ExtractResponse.model_validate({"results": [page], "errors": errors}),
        ChatResponse.model_validate(
            {"choices": [{"message": {"content": ATTACK}}], "basis": [field]}
        ),
        TaskRunResult.model_validate({"run": {"run_id": "r"}, "output": content}),
    ]
    for response in responses:
        seen = shown(response)
        assert "script" not in seen.tags
        assert ATTACK in seen.text
        assert seen.names <= {"href", "target", "rel", "style"}
        assert seen.links == [f"https://a.example/{ATTACK}"]


def test_long_passages_are_cut() -> None:
    page = {"url": "https://a.example/", "excerpts": ["x" * 5000]}
    assert len(SearchResponse.model_validate({"results": [page]})._repr_html_()) < 1000


def shown_cells_are_left_aligned(html: str) -> bool:
    return all("text-align:left" in cell for cell in re.findall(r"<t[hd][^>]*>", html))


def test_a_report_s_own_numbers_are_not_those_of_the_sources() -> None:
    content = "Sales grew [2], then fell [12]."
    cited = [{"url": f"https://a.example/{n}", "title": f"T{n}"} for n in (1, 2)]
    output = {
        "type": "text",
        "content": content,
        "basis": [{"field": "output", "citations": cited}],
    }
    for made in (
        TaskRunResult.model_validate({"run": {"run_id": "r"}, "output": output}),
        TaskOutput.model_validate(output),
    ):
        seen = shown(made)
        assert re.findall(r"\[\d+\]", seen.text) == ["[2]", "[12]"]
        assert "[S1] T1" in seen.text
        assert "[S2] T2" in seen.text


def test_findall_shows_its_schema_and_a_row_for_each_candidate(client: ParallelClient) -> None:
    ingested = client.run(ingest_findall(IngestFindallRequest(objective="Python statements")))
    seen = shown(ingested)
    assert ingested.match_conditions[0].description in seen.text
    assert ingested.entity_type in seen.text
    request = CreateFindallRunRequest.from_schema(ingested, generator="preview", match_limit=5)
    result = client.run(run_findall(request))
    seen = shown(result)
    number, found = len(result.matches), len(result.candidates)
    assert f"{number} of {found} candidates matched · completed" in seen.text
    assert seen.tags.count("tr") == found + 1
    assert seen.links[:number] == [one.url for one in result.matches]
    one = shown(result.matches[0])
    assert result.matches[0].name in one.text
    assert "Sources" in one.text
    for html in (ingested._repr_html_(), result._repr_html_()):
        assert shown_cells_are_left_aligned(html)
    result.candidates[1:] = []
    assert " of 1 candidate matched · completed" in shown(result).text


def test_a_monitor_and_its_events_are_tables(client: ParallelClient) -> None:
    request = CreateMonitorRequest(
        type="event_stream",
        frequency="1d",
        settings=EventStreamSettings(query="new syntax", include_backfill=True),
    )
    monitor = client.run(create_monitor(request))
    assert "new syntax" in shown(monitor).text
    events = client.run(monitor_events(monitor.monitor_id))
    html = events._repr_html_()
    assert shown_cells_are_left_aligned(html)
    seen = shown(events)
    assert events.events[0].output is not None
    assert seen.links[0] == events.events[0].output.basis[0].citations[0].url
    client.run(cancel_monitor(monitor.monitor_id))


def test_a_single_page_and_whatever_has_no_form_of_its_own(client: ParallelClient) -> None:
    response = client.run(search(SearchRequest(objective="What is a closure?", max_results=2)))
    [link] = shown(response.results[0]).links
    assert link == response.results[0].url
    made = FindallCandidate.model_validate({"name": ATTACK, "url": ATTACK, "description": ATTACK})
    seen = shown(made)
    assert "script" not in seen.tags
    assert seen.links == []
    entity = Entity.model_validate({"name": ATTACK, "url": "https://a.example", "odd": [ATTACK]})
    seen = shown(entity)
    assert seen.links == ["https://a.example"]
    assert "script" not in seen.tags
    assert ATTACK in seen.text

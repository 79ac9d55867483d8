"""Responses as a notebook shows them: numbered sources, and nothing a page said becomes markup."""

from html.parser import HTMLParser

import pytest

from parallel_integrations import (
    ChatRequest,
    ChatResponse,
    CreateTaskRunRequest,
    ExtractRequest,
    ExtractResponse,
    ParallelClient,
    SearchRequest,
    SearchResponse,
    TaskRunResult,
)
from parallel_integrations.api import chat, extract, run_task, search

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
    assert seen.text.count("[1]") == 2
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
        "",
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

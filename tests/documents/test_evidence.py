"""From pages to documents: ids that stay, metadata in one order, text."""

from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations import ParallelClient, SearchRequest
from parallel_integrations._documents.evidence import as_text, cited, normalized_url, page_documents
from parallel_integrations.api import search
from parallel_integrations.models import Citation, ExtractResult, FieldBasis, PageResult
from parallel_integrations.models.page_facts import page_title, published_at


def page(url: str = "https://a.example/b", **fields: object) -> PageResult:
    return PageResult.model_validate({"url": url, "excerpts": ["one", "two"], **fields})


def test_a_page_becomes_one_document() -> None:
    (document,) = page_documents([page(title=" T ", publish_date="2024-01-31")])
    assert document.id == str(uuid5(NAMESPACE_URL, "https://a.example/b"))
    assert document.text == "one\n\ntwo"
    assert list(document.metadata.items()) == [
        ("url", "https://a.example/b"),
        ("title", "T"),
        ("published_at", "2024-01-31"),
        ("source", "https://a.example/b"),
    ]


def test_a_page_becomes_one_document_per_excerpt() -> None:
    excerpts = [{"text": "one", "start_char": 0, "end_char": 3}, " \n", "three"]
    first, third = page_documents([page(excerpts=excerpts)], split="excerpt")
    assert first.id == str(uuid5(NAMESPACE_URL, "https://a.example/b#excerpt-0"))
    assert third.id == str(uuid5(NAMESPACE_URL, "https://a.example/b#excerpt-2"))
    assert (first.text, third.text) == ("one", "three")
    assert type(first.text) is str
    assert list(first.metadata)[-2:] == ["start_char", "end_char"]
    assert (first.metadata["start_char"], first.metadata["end_char"]) == (0, 3)
    assert list(third.metadata) == ["url", "title", "published_at", "source"]


def test_full_content_goes_before_excerpts() -> None:
    whole = {"url": "https://a.example", "excerpts": ["one"], "full_content": "everything"}
    (document,) = page_documents([ExtractResult.model_validate(whole)])
    assert document.text == "everything"
    (document,) = page_documents([ExtractResult.model_validate({**whole, "full_content": None})])
    assert document.text == "one"


@pytest.mark.parametrize("excerpts", [None, [], [""], [" ", "\n"]])
def test_a_page_without_text_is_no_document(excerpts: list[str] | None) -> None:
    assert not list(page_documents([page(excerpts=excerpts)]))
    assert not list(page_documents([page(excerpts=excerpts)], split="excerpt"))
    assert as_text([page(excerpts=excerpts)]) == ""


@pytest.mark.parametrize("split", ["page", "excerpt"])
def test_a_page_that_comes_twice_is_given_once(split: str) -> None:
    pages = [
        page("https://a.example/b"),
        page("HTTPS://A.EXAMPLE:443/b#part"),
        page("https://a.example/B"),
    ]
    documents = list(page_documents(pages, split=split))  # type: ignore[arg-type]
    assert list(dict.fromkeys(document.metadata["url"] for document in documents)) == [
        "https://a.example/b",
        "https://a.example/B",
    ]
    assert len({document.id for document in documents}) == len(documents)


@pytest.mark.parametrize(
    ("url", "normalized"),
    [
        ("https://a.example/b", "https://a.example/b"),
        ("HTTPS://A.Example/B", "https://a.example/B"),
        ("https://a.example:443/b", "https://a.example/b"),
        ("http://a.example:80/b", "http://a.example/b"),
        ("http://a.example:443/b", "http://a.example:443/b"),
        ("https://a.example/b#c", "https://a.example/b"),
        ("https://a.example/b#", "https://a.example/b"),
        ("HTTPS://A.example/b#/C", "https://a.example/b#/C"),
        ("https://a.example/#!c", "https://a.example/#!c"),
        ("https://a.example/b#c/d", "https://a.example/b"),
        ("https://a.example/b/", "https://a.example/b/"),
        ("https://a.example", "https://a.example"),
        ("https://a.example/b?x=2&a=%20&a=1", "https://a.example/b?x=2&a=%20&a=1"),
        ("https://a.example/%7Eb/../c//d", "https://a.example/%7Eb/../c//d"),
        ("https://User:Pass@A.example/b", "https://User:Pass@a.example/b"),
        ("https://[2001:DB8::1]:8443/b", "https://[2001:db8::1]:8443/b"),
        ("https://[::1", "https://[::1"),
        ("https://a.example:port/b", "https://a.example:port/b"),
        ("not a url", "not a url"),
        ("", ""),
    ],
)
def test_a_url_is_normalized(url: str, normalized: str) -> None:
    assert normalized_url(url) == normalized
    assert normalized_url(normalized) == normalized


@given(st.text() | st.from_regex(r"[a-zA-Z]{1,6}://[^/]{0,20}(/.{0,20})?", fullmatch=True))
def test_every_text_can_be_normalized_as_a_url(url: str) -> None:
    once = normalized_url(url)
    assert normalized_url(once) == once
    assert isinstance(page_title(PageResult(url=url)), str)
    list(
        page_documents(
            [PageResult.model_validate({"url": url, "excerpts": ["a"]})], split="excerpt"
        )
    )


@pytest.mark.parametrize(
    ("title", "url", "shown"),
    [
        ("T", "https://a.example/b", "T"),
        ("  T\n", "https://a.example/b", "T"),
        (None, "https://a.example/b/c/", "a.example/b/c"),
        ("", "https://a.example/", "a.example"),
        (" ", "https://user:pass@a.example/b?c=d", "a.example/b"),
        (None, "not a url", "not a url"),
        (None, "https://[::1", "https://[::1"),
    ],
)
def test_a_missing_title_is_made_of_host_and_path(title: str | None, url: str, shown: str) -> None:
    assert page_title(PageResult(url=url, title=title)) == shown


@pytest.mark.parametrize(
    ("wire", "iso"),
    [
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31T10:00:00Z", "2024-01-31T10:00:00Z"),
        ("2024-01-31T10:00:00.5+02:00", "2024-01-31T10:00:00.5+02:00"),
        (" 2024-01-31 ", "2024-01-31"),
        (None, None),
        ("", None),
        ("yesterday", None),
        ("2024", None),
        ("2024-13-01", None),
        ("31.01.2024", None),
        ("January 31, 2024", None),
        ("0000-00-00", None),
    ],
)
def test_a_date_is_iso_or_unknown(wire: str | None, iso: str | None) -> None:
    assert published_at(wire) == iso


def test_the_same_search_gives_the_same_documents(client: ParallelClient) -> None:
    """Unchanged pages are not indexed again, although each search has its own id."""
    request = SearchRequest(objective="How does the with statement handle exceptions?")
    one, other = client.run(search(request)), client.run(search(request))
    assert one.search_id != other.search_id
    assert list(page_documents(one.results)) == list(page_documents(other.results))
    assert len(list(page_documents(one.results))) == len(one.results)


def test_citations_come_with_their_field() -> None:
    citations = [Citation(url="https://a.example"), Citation(url="https://b.example")]
    basis = [FieldBasis(field="a", citations=citations), FieldBasis(field="b")]
    assert [(field.field, citation.url) for field, citation in cited(basis)] == [
        ("a", "https://a.example"),
        ("a", "https://b.example"),
    ]


def test_pages_as_a_model_reads_them() -> None:
    pages = [page(title="T", publish_date="2024-01-31"), page("https://c.example/", excerpts=["x"])]
    assert as_text(pages) == (
        "[1] T\nURL: https://a.example/b\nPublished: 2024-01-31\n> one\n>\n> two\n\n"
        "[2] c.example\nURL: https://c.example/\n> x"
    )

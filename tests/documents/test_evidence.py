"""From pages to documents: ids that stay, metadata in one order, text."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parallel_integrations import ParallelClient, SearchRequest
from parallel_integrations._documents.evidence import (
    DocumentSettings,
    as_text,
    cited,
    entity_documents,
    match_documents,
    normalized_url,
    page_documents,
)
from parallel_integrations._documents.monitors import event_documents
from parallel_integrations.api import search
from parallel_integrations.models import (
    Citation,
    Entity,
    ExtractResult,
    FieldBasis,
    FindallCandidate,
    MonitorEvent,
    PageResult,
)
from parallel_integrations.models.page_facts import page_title, published_at, published_day


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
    assert first.id == str(uuid5(NAMESPACE_URL, "https://a.example/b\none"))
    assert third.id == str(uuid5(NAMESPACE_URL, "https://a.example/b\nthree"))
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


def hits() -> list[PageResult]:
    return [
        page("https://a.example/b#one", title=" ", excerpts=["one", "both"]),
        page("https://a.example/B", excerpts=["other"]),
        page(
            "HTTPS://A.EXAMPLE:443/b#part",
            title="T",
            publish_date="2024-01-31",
            excerpts=["both", "two"],
        ),
    ]


def test_a_second_hit_on_a_page_keeps_its_passages() -> None:
    first, other = page_documents(hits())
    assert first.text == "one\n\nboth\n\ntwo"
    assert first.metadata == {
        "url": "https://a.example/b#one",
        "title": "T",
        "published_at": "2024-01-31",
        "source": "https://a.example/b#one",
    }
    assert other.metadata["url"] == "https://a.example/B"
    assert first.id != other.id
    assert [each.text for each in page_documents(hits(), split="excerpt")] == [
        "one",
        "both",
        "two",
        "other",
    ]
    assert as_text(hits()) == (
        "[1] T\nURL: https://a.example/b#one\nPublished: 2024-01-31\n> one\n>\n> both\n>\n> two\n\n"
        "[2] a.example/B\nURL: https://a.example/B\n> other"
    )


def test_a_page_read_twice_is_shown_once_and_what_differs_is_kept() -> None:
    whole = {"url": "https://a.example", "excerpts": ["e"], "full_content": "everything"}
    read = [ExtractResult.model_validate(whole | {"url": f"https://a.example#{n}"}) for n in "ab"]
    (document,) = page_documents(read)
    assert document.text == "everything"
    read[1] = read[1].model_copy(update={"full_content": "more"})
    (document,) = page_documents(read)
    assert document.text == "everything\n\nmore"


@pytest.mark.parametrize("fragments", [("#/a", "#/b"), ("#!a", "#!b"), ("", "#/a"), ("#/", "#/a")])
def test_a_fragment_that_routes_makes_another_page(fragments: tuple[str, str]) -> None:
    pages = [page(f"https://app.example/{each}", excerpts=[each or "home"]) for each in fragments]
    one, other = page_documents(pages)
    assert one.id != other.id
    assert [one.text, other.text] == [each or "home" for each in fragments]
    assert [each.id for each in page_documents(pages[::-1])] == [other.id, one.id]


def test_the_id_of_a_passage_is_that_of_its_page_and_text() -> None:
    """Passages that other questions find of the same page live in one store beside it."""
    (one, two) = page_documents([page(excerpts=["one", "two"])], split="excerpt")
    (two_again, three) = page_documents([page(excerpts=["two", "three"])], split="excerpt")
    assert two_again.id == two.id
    (elsewhere,) = page_documents([page("https://b.example/", excerpts=["one"])], split="excerpt")
    (whole,) = page_documents([page(excerpts=["one"])])
    assert len({one.id, two.id, three.id, elsewhere.id, whole.id}) == 5


def test_a_passage_that_a_page_holds_twice_is_given_once() -> None:
    excerpts = [{"text": "one", "start_char": 3}, "two", {"text": "one", "start_char": 90}]
    one, _two = page_documents([page(excerpts=excerpts)], split="excerpt")
    assert one.metadata["start_char"] == 3


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["https://a.example/", "https://a.example/#x", "https://a.example/#/x"]
            ),
            st.lists(st.text(max_size=5), max_size=3),
        ),
        max_size=5,
    ),
    st.sampled_from(["page", "excerpt"]),
)
def test_no_passage_is_lost_and_no_id_comes_twice(
    found: list[tuple[str, list[str]]], split: Any
) -> None:
    pages = [page(url, excerpts=excerpts) for url, excerpts in found]
    documents = list(page_documents(pages, split))
    assert len({document.id for document in documents}) == len(documents)
    for each in pages:
        url = normalized_url(each.url)
        texts = [d.text for d in documents if normalized_url(d.metadata["url"]) == url]
        for excerpt in each.excerpts:
            if not excerpt.isspace():
                assert any(str(excerpt) in text for text in texts)


def test_a_constant_set_of_keys_has_values_of_the_same_types() -> None:
    settings = DocumentSettings(split="excerpt", published_day=True, constant_keys=True)
    dated = {"text": "one", "start_char": 0, "end_char": 3}
    pages = [page(publish_date="2024-01-31T23:30:00-05:00", excerpts=[dated]), page("https://c.d")]
    found = [document.metadata for document in settings.documents_of(pages)]
    assert found[0] == {
        "url": "https://a.example/b",
        "title": "a.example/b",
        "published_at": "2024-01-31T23:30:00-05:00",
        "source": "https://a.example/b",
        "published_day": 20240131,
        "start_char": 0,
        "end_char": 3,
    }
    assert [found[1][name] for name in ("published_at", "published_day")] == ["", 0]
    assert (found[1]["start_char"], found[1]["end_char"]) == (-1, -1)
    assert len({tuple((name, type(each[name])) for name in each) for each in found}) == 1


@pytest.mark.parametrize(
    ("date", "day"),
    [
        ("2024-01-31", 20240131),
        ("2024-01-31T00:30:00+09:00", 20240131),
        ("20240131", 20240131),
        ("0900-12-01", 9001201),
        ("2024-02", 20240201),
        ("2024", 20240101),
        (None, 0),
    ],
)
def test_the_day_of_a_date_is_a_number(date: str | None, day: int) -> None:
    assert published_day(date) == day


def test_entities_of_one_page_are_documents_of_their_own() -> None:
    url = "https://list.example/"
    matches = [
        FindallCandidate(candidate_id=name, name=name, url=url, description=f"{name} is one")
        for name in ("A", "B")
    ]
    one, other = match_documents(matches)
    assert (one.text, other.text) == ("A is one", "B is one")
    (page_itself,) = page_documents([page(url, excerpts=["A is one"])])
    assert len({one.id, other.id, page_itself.id}) == 3
    assert one.id == str(uuid5(NAMESPACE_URL, f"{url}\nA"))


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


@given(
    st.text().filter(str.strip)
    | st.from_regex(r"[a-zA-Z]{1,6}://[^/]{0,20}(/.{0,20})?", fullmatch=True)
)
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
        ("2024", "2024"),
        ("2024-02", "2024-02"),
        ("2024-13", None),
        ("0024", None),
        ("2024-13-01", None),
        ("20240131", "2024-01-31"),
        ("2024/1/31", "2024-01-31"),
        ("2024.01.31", "2024-01-31"),
        ("2024/13/31", None),
        ("January 31, 2024", "2024-01-31"),
        ("Wednesday, Jan. 31st, 2024", "2024-01-31"),
        ("31 January 2024", "2024-01-31"),
        ("31-Jan-2024", "2024-01-31"),
        ("Wed, 31 Jan 2024 10:00:00 GMT", "2024-01-31T10:00:00+00:00"),
        ("31 Jan 2024 10:00:00 +0200", "2024-01-31T10:00:00+02:00"),
        ("Wed, 31 Jan 2024 10:99:00 GMT", None),
        ("February 31, 2024", None),
        ("Ju 31, 2024", None),
        ("Janvier 31, 2024", None),
        ("01/02/2024", None),
        ("31.01.2024", None),
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


def test_what_has_no_address_is_a_document_all_the_same() -> None:
    """An entity or a monitor's event may have none; only a page that was found must."""
    [entity] = entity_documents([Entity(name="Acme", description="Makes anvils.")])
    [match] = match_documents([FindallCandidate(name="Acme", description="Makes anvils.")])
    output = {"type": "text", "content": "It changed.", "basis": []}
    event = MonitorEvent.model_validate({"event_type": "event_stream", "output": output})
    [report] = event_documents("monitor_1", [event])
    assert [each.metadata["url"] for each in (entity, match, report)] == ["", "", ""]
    assert (entity.text, match.text) == ("Makes anvils.", "Makes anvils.")
    assert report.text.startswith("It changed.")

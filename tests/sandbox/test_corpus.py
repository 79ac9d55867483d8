from datetime import date
from pathlib import Path

import pytest

from parallel_integrations.sandbox import Corpus, Page


@pytest.fixture(scope="module")
def reference() -> Corpus:
    return Corpus.python_reference()


def test_the_language_reference_is_the_default_web(reference: Corpus) -> None:
    page = reference.get("https://docs.python.org/3/reference/compound_stmts.html?topic=with#with")

    assert page is not None
    assert page.title == 'The "with" statement'
    assert page.text.startswith('# The "with" statement\n\nThe "with" statement is used to wrap')
    assert page.published is not None
    assert page.published.month == 10
    assert page.language == "en"


def test_addresses_differ_even_without_their_fragments(reference: Corpus) -> None:
    assert len(reference) > 70
    assert len({page.url.partition("#")[0] for page in reference}) == len(reference)
    assert all(page.url.startswith("https://docs.python.org/3/") for page in reference)
    assert len({page.text for page in reference}) == len(reference)


def test_the_address_people_know_finds_the_page(reference: Corpus) -> None:
    known = reference.get("https://docs.python.org/3/reference/compound_stmts.html#with")
    loud = reference.get("HTTP://DOCS.python.org:80/3/reference/compound_stmts.html?topic=with")

    assert known is not None
    assert known is loud
    assert reference.get("https://docs.python.org/3/reference/compound_stmts.html") is not known
    assert reference.get("https://docs.python.org/3/nowhere.html") is None
    assert reference.get("http://[bad") is None


def test_some_pages_have_no_date(reference: Corpus) -> None:
    undated = [page for page in reference if page.published is None]

    assert 0 < len(undated) < 10


def test_its_order_never_changes(reference: Corpus) -> None:
    assert [page.url for page in reference] == [page.url for page in Corpus.python_reference()]


def test_a_folder_of_markdown_html_and_text(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden.md").write_text("# Hidden\n\nNot a page.")
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    (tmp_path / "empty.txt").write_text("  \n")
    (tmp_path / "a.md").write_text(
        '---\ntitle: "Front matter"\ndate: 2024-03-01T10:00:00Z\nurl: https://a.example/x\n'
        "lang: de\n---\n# Heading\n\nSome text.\n"
    )
    (tmp_path / "b.md").write_text("# Only a heading #\n\nSome text.")
    (tmp_path / "c.txt").write_text("No heading here, just text.")
    (tmp_path / "d.rst").write_text("Underlined\n==========\n\nText.")
    (tmp_path / "sub" / "e f.html").write_text(
        '<!doctype html><html lang="en"><head><title> The\n title </title>'
        '<meta property="article:published_time" content="2023-05-06T00:00:00Z">'
        "<style>p{color:red}</style></head><body><h1>Top</h1><script>var x=1</script>"
        "<p>One &amp; two<br>three.</p><ul><li>first</li><li>second</li></ul>"
        "<pre>keep\n  this</pre></body></html>"
    )

    a, b, c, d, e = Corpus.folder(tmp_path)

    assert a == Page(
        "https://a.example/x", "Front matter", "# Heading\n\nSome text.", date(2024, 3, 1), "de"
    )
    assert (b.url, b.title, b.published) == ("https://sandbox.example/b.md", "Only a heading", None)
    assert (c.title, d.title) == ("c", "Underlined")
    assert (e.url, e.title, e.language) == (
        "https://sandbox.example/sub/e%20f.html",
        "The title",
        "en",
    )
    assert e.published == date(2023, 5, 6)
    assert e.text == "# Top\n\nOne & two\nthree.\n\n- first\n- second\n\nkeep\n  this"


def test_html_that_was_never_closed_still_has_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<head><meta charset=utf-8><body><h2>Open</h2><p>Text<p>More")

    [page] = Corpus.folder(tmp_path)

    assert page.title == "Open"
    assert page.text == "## Open\n\nText\n\nMore"


def test_a_folder_that_is_missing_empty_or_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file.md"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Corpus.folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no page with text"):
        Corpus.folder(tmp_path)
    file.write_text("text")
    with pytest.raises(NotADirectoryError, match=r"file\.md"):
        Corpus.folder(file)


def test_two_pages_cannot_have_one_address() -> None:
    with pytest.raises(ValueError, match=r"https://a\.example/x"):
        Corpus([Page("https://a.example/x/", "A", "a"), Page("https://a.example/x", "B", "b")])
    with pytest.raises(ValueError, match="at least one page"):
        Corpus([])

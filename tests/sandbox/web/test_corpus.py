import json
import os
import socket
import tempfile
import urllib.request
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from parallel_integrations import ParallelClient, SearchRequest
from parallel_integrations.api import search
from parallel_integrations.sandbox import Corpus, Page, Sandbox


@pytest.fixture(scope="module")
def reference() -> Corpus:
    return Corpus.python_reference()


def test_the_language_reference_is_the_default_web(reference: Corpus) -> None:
    page = reference.get("https://docs.python.org/3/reference/compound_stmts.html?topic=with#with")

    assert page is not None
    assert page.title == 'The "with" statement'
    assert page.text.startswith('# The "with" statement ¶\n\nThe "with" statement is used to wrap')
    assert page.language == "en"
    clean = Corpus.python_reference(clean=True).get(page.url)
    assert clean is not None
    assert clean.text == page.text.replace(" ¶\n", "\n")
    assert clean.published is not None
    assert clean.published.month == 10


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


def test_most_pages_have_no_date_unless_they_are_clean(reference: Corpus) -> None:
    def undated(corpus: Corpus) -> float:
        return sum(page.published is None for page in corpus) / len(corpus)

    assert 0.5 < undated(reference) < 0.7
    assert 0 < undated(Corpus.python_reference(clean=True)) < 0.1


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


def test_links_that_lead_out_of_the_folder_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    (outside / "below").mkdir(parents=True)
    (folder / "sub").mkdir(parents=True)
    (outside / "secret.md").write_text("# Secret")
    (outside / "below" / "secret.txt").write_text("Secret")
    (folder / "page.md").write_text("# Page")
    (folder / "file.md").symlink_to(outside / "secret.md")
    (folder / "sub" / "relative.md").symlink_to("../../outside/secret.md")
    (folder / "through.md").symlink_to(folder / "file.md")
    (folder / "sub" / "folder").symlink_to(outside)
    (folder / "up").symlink_to("..")
    (folder / "self").symlink_to(folder)
    (folder / "inside.md").symlink_to("page.md")

    assert [page.url.rpartition("/")[2] for page in Corpus.folder(folder)] == [
        "inside.md",
        "page.md",
    ]
    for name in ("file.md", "sub/relative.md", "through.md", "sub/folder", "up"):
        assert f"the page {name!r} was left out" in caplog.text
    through_a_link = tmp_path / "link"
    through_a_link.symlink_to(folder)
    assert len(Corpus.folder(through_a_link)) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX files")
def test_what_is_no_regular_file_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.md").write_text("# Page")
    os.mkfifo(tmp_path / "fifo.md")
    (tmp_path / "device.txt").symlink_to("/dev/zero")
    (tmp_path / "loop.md").symlink_to("loop.md")
    (tmp_path / "nowhere.md").symlink_to("missing.md")
    (tmp_path / "folder.md").mkdir()
    # A socket's address may not be as long as this path.
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.html")

        [page] = Corpus.folder(tmp_path)

    assert page.title == "Page"
    for name in ("fifo.md", "device.txt", "loop.md", "nowhere.md", "socket.html"):
        assert f"the page {name!r} was left out" in caplog.text


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_what_may_not_be_read_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    # Not in tmp_path, whose parents only their owner may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "page.md").write_text("# Page")
        (folder / "private.md").write_text("# Private")
        (folder / "private.md").chmod(0)
        (folder / "closed").mkdir(mode=0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # nothing is closed to root
        try:
            [page] = Corpus.folder(folder)
        finally:
            os.seteuid(user)

    assert page.title == "Page"
    assert "the page 'private.md' was left out: [Errno 13]" in caplog.text
    assert "closed' was left out: [Errno 13]" in caplog.text


def test_names_that_are_no_text_and_names_with_escapes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_bytes(b"text \xff")
    (tmp_path / "\x1b[2J.md").symlink_to("nowhere")

    with Sandbox(tmp_path) as sandbox:
        [page] = sandbox.corpus

    assert (page.url, page.title) == ("https://sandbox.example/caf%E9.md", "caf\ufffd")
    assert page.text == "text \ufffd"
    assert "\x1b" not in caplog.text
    assert r"\x1b[2J.md" in caplog.text


N = 200_000
"""So long that anything quadratic would take minutes, past the time a test has."""
HOSTILE_FILES = {
    "spaces.md": "# a" + " " * N + "b",
    "spaces before.md": "# " + " " * N + "\n" + "# x",
    "marks.md": "# a" + " #" * N + "b",
    "field.md": "---\ntitle: a" + " " * N + "b\n---\ntext",
    "colons.md": "---\n" + ":" * N + "\n---\ntext",
    "word.md": "---\n" + "a" * N + "\n---\ntext",
    "never closed.md": "---\n" * (N // 4),
    "dashes.md": "---" + " " * N + "x",
    "underlined.md": "a\n" + "=" * N + "x",
    "empty lines.md": "a" + "\n \t" * N + "b",
    "one line.txt": "word " * N,
    "one word.txt": "x" * N,
    "points.txt": "." * N + "x" + '!"' * N,
    "line ends.txt": "word\n\x0b\r\u2028" * (N // 8) + "word",
    "pre.html": "<pre>a" + " " * N + "b\n c</pre>",
    "cells.html": "<td></td>" * (N // 9) + "x",
    "brackets.html": "text" + "<" * N,
    "comments.html": "text" + "<!--" * (N // 4),
    "attributes.html": "text" + "<a b='" * (N // 6),
    "declarations.html": "text" + "<!" * (N // 2),
    "references.html": "text" + "&#" * (N // 2),
    "skipped.html": "<body>text" + "<svg>" * (N // 10) + "</p>" * (N // 8),
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_very_many_characters_of_one_kind_are_a_page(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(HOSTILE_FILES[name])
    (tmp_path / "zzz.md").write_text("# Otters\n\nOtters sleep holding hands in the water.")

    with Sandbox(tmp_path) as sandbox:
        request = urllib.request.Request(
            f"{sandbox.url}/v1/search",
            json.dumps({"search_queries": ["otters word text a"]}).encode(),
            {"x-api-key": sandbox.api_key},
        )
        with urllib.request.urlopen(request) as response:
            results = json.load(response)["results"]

    assert "https://sandbox.example/zzz.md" in {result["url"] for result in results}


def test_what_comes_before_an_unfinished_tag_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<p>One &amp two.<p>A < B &lt; C &am")
    (tmp_path / "b.html").write_text("<p>Read this.<!-- never closed <p>not this")

    a, b = Corpus.folder(tmp_path)

    assert a.text == "One & two.\n\nA < B < C &am"
    assert b.text == "Read this."


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


A = "https://birds.example/a"


@pytest.mark.parametrize(
    "published",
    [
        {"published": date(2026, 5, 1)},
        {"published_at": datetime(2026, 5, 1, 12, tzinfo=UTC)},
        {"publish_date": "2026-05-01"},
        {"date": " 2026-05-01T12:00:00Z "},
    ],
)
def test_pages_may_be_a_list_of_pages_and_dicts(published: dict[str, Any]) -> None:
    owl = {"url": f" {A} ", "content": "Owls hunt at night.", "title": "Owls", **published}
    kiwi = Page("https://birds.example/kiwi", "Kiwis", "A kiwi is a flightless bird.")
    untitled = {"url": "https://birds.example/c", "text": "Emus run.", "title": None}
    for given in ([owl, kiwi, untitled], iter((owl, kiwi, untitled))):
        with Sandbox(given) as sandbox:
            found, second, third = sandbox.corpus
            assert found == Page(A, "Owls", "Owls hunt at night.", date(2026, 5, 1))
            assert second is kiwi
            assert (third.title, third.published) == ("https://birds.example/c", None)
            client = ParallelClient(api_key=sandbox.api_key, base_url=sandbox.url)
            [result] = client.run(search(SearchRequest(objective="night owls"))).results
            assert (result.url, result.publish_date) == (A, "2026-05-01")


PAGE = {"url": A, "content": "Owls hunt at night."}


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([], ValueError, "pages is empty: a sandbox needs at least one page"),
        (7, TypeError, r"pages=7 must be an iterable of pages, such as \[Page"),
        (PAGE, TypeError, "must be an iterable of pages"),
        (Page(A, "A", "text"), TypeError, "must be an iterable of pages"),
        (b"folder", TypeError, "must be an iterable of pages"),
        ([PAGE, A], TypeError, r"pages\[1\]='https.* is a str: give a Page, or a dict with url"),
        ([None], TypeError, r"pages\[0\]=None is a NoneType"),
        ([{"url": A}], ValueError, r"pages\[0\] has no content: a page needs url and content"),
        ([{"content": "x"}], ValueError, r"pages\[0\] has no url"),
        ([PAGE | {"content": " "}], ValueError, r"pages\[0\] has no content"),
        ([PAGE | {"content": None}], TypeError, r"pages\[0\]\['content'\]=None must be a text"),
        ([PAGE | {"title": 7}], TypeError, r"pages\[0\]\['title'\]=7 must be a text"),
        (
            [PAGE | {"title": "a\ud800"}],
            ValueError,
            r"\['title'\] holds half of a surrogate pair, ",
        ),
        ([PAGE | {"url": A + "\ud800"}], ValueError, r"\['url'\] holds half of a surrogate pair, "),
        ([PAGE | {"url": "owls"}], ValueError, r"\['url'\]='owls' must be an address, such as h"),
        ([PAGE | {"when": 1}], ValueError, r"\['when'\]: a page has no such field; .*published"),
        ([PAGE | {"text": "x"}], ValueError, r"\['text'\]: text is given twice; leave one out"),
        ([PAGE | {"published": "May"}], ValueError, "='May' must be a date in ISO 8601, such as 2"),
        ([PAGE | {"date": 2026}], TypeError, r"\['date'\]=2026 must be a date, a text such as 2"),
        ([PAGE | {"aliases": A}], TypeError, r"\['aliases'\]='https.* must be a list of addresses"),
        ([PAGE, PAGE], ValueError, f"two pages have the address {A}"),
    ],
)
def test_a_page_that_is_none_is_named(given: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Sandbox(given)

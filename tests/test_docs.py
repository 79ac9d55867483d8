"""The documentation builds without a warning, its links lead somewhere, and it loads nothing."""

import importlib
import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from parallel_integrations._cli import doctor
from parallel_integrations._cli.commands import app
from parallel_integrations.sandbox import Sandbox
from tests.support import drawings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
# Python is run by test_examples.py; anything else must be what nobody would want to run.
LANGUAGES = {"python", "console", "text"}
PACKAGES = ["", ".api", ".enrichment", ".evaluation", ".langchain", ".llama_index", ".sandbox"]
# One process builds the site, however many run the tests.
pytestmark = pytest.mark.xdist_group("docs")


class Links(HTMLParser):
    """What a built page refers to, loads, and can be referred to by."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.title, self.description = "", ""
        self.headings: list[int] = []
        self._in_title = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and "href" in given:
            self.loaded.append(given["href"])
        elif "src" in given:
            self.loaded.append(given["src"])
        elif re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        elif tag == "meta" and given.get("name") == "description":
            self.description = given["content"]
        self._in_title = tag == "title" and not self.title

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title, self._in_title = data, False


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    shutil.copytree(DOCS, folder / "docs")
    shutil.copytree(ROOT / "theme", folder / "theme")
    (folder / "parallel_integrations").symlink_to(ROOT / "parallel_integrations")
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--clean"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
        env={"PATH": os.environ["PATH"], "NO_COLOR": "1"},
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "warning" not in output.lower(), output
    return folder / "site"


@pytest.fixture(scope="module")
def site(built: Path) -> dict[str, Links]:
    """The built pages by their path, such as `langchain/rag/`."""
    return {
        posixpath.join(str(path.parent.relative_to(built)), "").removeprefix("./"): Links(
            path.read_text()
        )
        for path in built.rglob("index.html")
    }


@pytest.fixture(scope="module")
def files(built: Path) -> set[str]:
    """Everything that was built: pages, pictures, scripts, styles."""
    return {str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()}


def test_every_page_is_built(site: dict[str, Links]) -> None:
    for page in PAGES:
        folder, name = posixpath.split(page.removesuffix(".md"))
        path = folder if name == "index" else posixpath.join(folder, name)
        assert (f"{path}/" if path else "") in site, page


def test_every_page_has_a_title_and_a_description_of_its_own(site: dict[str, Links]) -> None:
    for of in ("title", "description"):
        found = Counter(getattr(page, of) for page in site.values())
        assert found.most_common(1)[0][1] == 1, found.most_common(1)
    for place, page in site.items():
        assert 20 < len(page.description) <= 160, place


def test_headings_leave_no_level_out(site: dict[str, Links]) -> None:
    for place, page in site.items():
        assert page.headings.count(1) == 1, place
        for above, heading in pairwise(page.headings):
            assert heading <= above + 1, place


def test_an_address_without_a_page_leads_on(built: Path, site: dict[str, Links]) -> None:
    article = (built / "404.html").read_text().partition("<article")[2].partition("</article")[0]
    links = [link.strip("/") for link in Links(article).links]
    assert len(links) > 3
    for link in links:
        assert not link or f"{link}/" in site


def test_what_is_copied_from_a_console_are_commands(built: Path) -> None:
    for page in PAGES:
        for block in re.findall(
            r"^ *```console\n(.*?)^ *```", (DOCS / page).read_text(), re.M | re.S
        ):
            assert block.lstrip().startswith("$ "), page  # else all of it is taken for output
    html = (built / "start" / "core" / "index.html").read_text()
    assert '<span class="gp">$ </span>' in html
    rule = (built / "assets" / "extra.css").read_text().partition("[data-md-copying] .gp")[2]
    assert rule.partition("{")[2].split()[:2] == ["display:", "none;"]


@pytest.mark.parametrize("path", drawings.DRAWINGS, ids=lambda path: path.stem)
def test_drawings_are_up_to_date_and_load_nothing(path: Path) -> None:
    svg = path.read_text()
    assert svg == drawings.DRAWINGS[path](), "`make picture` draws it"
    assert not re.search(r"@import|url\(|<script|href", svg)


def nav(entries: Any) -> list[str]:
    found = []
    for entry in entries:
        for target in entry.values():
            found += nav(target) if isinstance(target, list) else [target]
    return found


def test_every_page_is_in_the_navigation_once() -> None:
    listed = nav(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(listed) == PAGES


def test_links_lead_to_pages_and_anchors(site: dict[str, Links], files: set[str]) -> None:
    lost = []
    for place, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or parts.path.startswith("/"):
                continue
            target = posixpath.normpath(posixpath.join("/", place, unquote(parts.path)))[1:]
            if not parts.path:
                target = place
            elif parts.path.endswith(("/", ".", "..")) and target:
                target += "/"
            if target not in site:
                if target not in files:
                    lost.append(f"{place}: {link}")
            elif parts.fragment and unquote(parts.fragment) not in site[target].anchors:
                lost.append(f"{place}: {link} (no such anchor)")
    assert not lost


def test_links_to_other_hosts_are_well_formed(site: dict[str, Links]) -> None:
    for place, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.netloc or parts.scheme:
                assert parts.scheme == "https", f"{place}: {link}"
                assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), f"{place}: {link}"


def test_pages_load_nothing_from_other_hosts(site: dict[str, Links], files: set[str]) -> None:
    for place, page in site.items():
        for loaded in page.loaded:
            parts = urlsplit(loaded)
            assert not parts.netloc, f"{place} loads {loaded}"
            target = posixpath.normpath(posixpath.join("/", place, unquote(parts.path)))[1:]
            assert target in files or posixpath.join(target, "") in site or target == "."


@pytest.mark.parametrize("package", PACKAGES)
def test_the_reference_has_every_public_name(package: str, site: dict[str, Links]) -> None:
    anchors = set().union(*(p.anchors for at, p in site.items() if at.startswith("reference/")))
    module = importlib.import_module(f"parallel_integrations{package}")
    for name in module.__all__:
        thing = getattr(module, name)
        if isinstance(thing, str):
            continue
        assert f"{thing.__module__}.{thing.__qualname__}" in anchors, name


def test_the_command_line_page_has_every_command() -> None:
    page = (DOCS / "reference" / "cli.md").read_text()
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"| `{command.callback.__name__} " in page, command.callback.__name__


@pytest.mark.parametrize("page", PAGES)
def test_code_blocks_say_what_they_are(page: str) -> None:
    fences = re.findall(r"^ *```(.*)$", (DOCS / page).read_text(), re.MULTILINE)
    assert set(fences[::2]) <= LANGUAGES
    assert set(fences[1::2]) <= {""}


FACTS = (DOCS / "reference" / "facts.md").read_text()
DATE = re.compile(r"\b20\d\d\b")
PUBLISHED = re.compile(
    r"\]\(https://|OpenAPI document|published response|newer pages|parallel-web` \d"
)


def facts() -> dict[str, str]:
    """The sections of the page of facts, from their numbers on: `## 5 …` and `**3.1 …`."""
    found = re.split(r"^(?:## |\*\*)(?=\d|Differences)", FACTS, flags=re.MULTILINE)[1:]
    # A heading without facts of its own is no section.
    return {re.split(r"\.?\*\*|\n", each)[0]: each for each in found if len(each) > 60}


@pytest.mark.parametrize("section", facts())
def test_each_section_of_facts_names_sources_with_their_dates(section: str) -> None:
    _, _, sources = facts()[section].partition("\nSource: ")
    sources = re.sub(r"\s+", " ", sources.partition(".\n\n")[0])
    assert sources, section
    assert PUBLISHED.search(sources), sources
    assert all(DATE.search(source) for source in sources.split("; ")), sources


def test_there_are_facts() -> None:
    assert len(facts()) > 20


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_names_a_price_leads_to_its_source(page: str) -> None:
    prose = re.sub(r"^ *```.*?^ *```", "", (DOCS / page).read_text(), flags=re.M | re.S)
    if page != "reference/facts.md" and re.search(r"\d\.\d+ USD|USD \d", prose):
        assert "facts.md" in prose


def blocks(page: str) -> list[str]:
    found = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)
    return [block for block in found if "pytest" in block or "def test_" in block]


def test_the_tests_that_are_shown_pass(tmp_path: Path) -> None:
    tests, conftest = blocks("guides/testing.md")
    (tmp_path / "test_agent.py").write_text(tests)
    elsewhere = tmp_path / "kiwis"
    elsewhere.mkdir()
    (elsewhere / "conftest.py").write_text(conftest)
    (elsewhere / "test_web.py").write_text(
        "from parallel_integrations.langchain import ParallelSearchTool\n"
        "def test_the_web_is_another(parallel_sandbox):\n"
        "    assert 'Kiwis' in ParallelSearchTool().invoke('flightless bird')\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "parallel_integrations.sandbox.pytest_plugin", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # others' plugins take seconds to load
        },
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_the_going_live_page_shows_what_doctor_and_sandbox_say(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in doctor.FOREIGN_CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    page = (DOCS / "start" / "going_live.md").read_text()
    said = [_shape(str(finding)) for finding in doctor.examine(offline=True)]
    shown = re.findall(r"^(?:ok|warn|skip) .*$", page, re.MULTILINE)
    assert len(shown) > 5
    for line in shown:
        assert _shape(line) in said, line
    assert f"PARALLEL_API_KEY={sandbox.api_key}" in page


def _shape(line: str) -> str:
    return re.sub(r"\d+(\.\d+)+", "N", line)

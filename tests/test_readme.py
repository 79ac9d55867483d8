"""What the README shows is what there is."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from parallel_integrations import api
from tests.support import outputs, picture

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
TWO_SCREENS = 100
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="the pages are CPython's own, and change")
def test_the_picture_shows_what_the_demo_says() -> None:
    assert picture.words(picture.PATH.read_text()) == picture.words(picture.draw())


def test_the_picture_loads_nothing() -> None:
    svg = picture.PATH.read_text()
    assert not re.search(r"@import|@font-face|url\(\s*['\"]?https?:|<script|xlink:href", svg)
    assert picture.PATH.stat().st_size < 30_000


def test_it_fits_two_screens() -> None:
    assert len(README.splitlines()) <= TWO_SCREENS


def test_it_says_what_was_not_verified() -> None:
    assert "Nothing here has been run against the live API" in " ".join(README.split())


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_is_named_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    named = set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE))
    assert named <= targets


def test_make_help_names_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    done = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=170
    )
    for target in phony[1].split():
        assert re.search(rf"^ +make {target} +\S", done.stdout, re.MULTILINE), target


def test_the_table_names_what_there_is_and_all_of_it() -> None:
    table = [line.split("|")[1:-1] for line in README.splitlines() if line.startswith("| ")]
    columns = zip(*table[1:], strict=True)
    names = [set(re.findall(r"`(\w+)`", " ".join(column))) for column in columns]
    for subpackage, shown in zip(("langchain", "llama_index"), names[1:3], strict=True):
        classes = {
            name
            for name in importlib.import_module(f"parallel_integrations.{subpackage}").__all__
            if name.startswith(("Parallel", "ChatParallel"))
            and not name.endswith(("Event", "Web", "WebSearchTool"))  # an event, and other names
        }
        assert {name for name in shown if "Parallel" in name} == classes
    assert names[3] <= set(api.__all__)


def test_the_extras_it_names_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.search(r"pip install '\.\[(\S+)\]' +# or (.*)", README)
    assert named is not None
    listed = {*named[1].split(","), *named[2].split(", ")}
    assert listed == set(extras["optional-dependencies"])
    assert f"'parallel-integrations[{named[1]}] @ git+" in README


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_figures_are_those_of_the_speed_page(page: str) -> None:
    figures, measured = (
        set(re.findall(r"\d+\.\d+\N{MULTIPLICATION SIGN}", (ROOT / path).read_text()))
        for path in (page, "docs/speed.md")
    )
    assert figures
    assert figures <= measured


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_example_shows_what_it_prints(page: str) -> None:
    first = next(outputs.examples(page, (ROOT / page).read_text()))
    assert first.shown
    assert first.is_comparable  # on every Python: see tests/test_examples.py


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text()):
        if target.startswith("https://"):
            continue
        assert (ROOT / target.partition("#")[0]).exists(), target

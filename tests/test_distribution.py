"""Wheel and source distribution hold the package, and nothing but the package."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from parallel_integrations import __version__

ROOT = Path(__file__).parent.parent
NAME = f"parallel_integrations-{__version__}"

# One process builds, however many run the tests.
pytestmark = pytest.mark.xdist_group("distribution")


def run_python(folder: Path, *args: str, executable: str | Path = sys.executable) -> str:
    done = subprocess.run(
        [executable, *args], cwd=folder, capture_output=True, text=True, check=False, timeout=170
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def hatch(folder: Path, *args: str) -> None:
    run_python(folder, "-m", "hatchling", "build", *args)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sdist")
    hatch(ROOT, "--target", "sdist", "--directory", str(out))
    return out / f"{NAME}.tar.gz"


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as pip makes it of the source distribution, so that one misses nothing."""
    source = tmp_path_factory.mktemp("source")
    with tarfile.open(sdist) as archive:
        archive.extractall(source, filter="data")
    out = tmp_path_factory.mktemp("wheel")
    hatch(source / NAME, "--target", "wheel", "--directory", str(out))
    return out / f"{NAME}-py3-none-any.whl"


def modules() -> set[str]:
    package = ROOT / "parallel_integrations"
    return {
        str(path.relative_to(ROOT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    about = f"{NAME}.dist-info"
    assert "parallel_integrations/py.typed" in inside
    assert {name for name in inside if not name.startswith(about)} == modules()
    assert f"{about}/licenses/LICENSE" in inside


def test_the_source_distribution_holds_no_test_and_no_cassette(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    given = {name for name in inside if not name.startswith("parallel_integrations/")}
    assert given == {
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
    }
    assert modules() <= inside


def test_what_the_wheel_says_of_itself(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        about = message_from_string(archive.read(f"{NAME}.dist-info/METADATA").decode())
        entry_points = archive.read(f"{NAME}.dist-info/entry_points.txt").decode()
    assert about["Version"] == __version__
    assert about["License-Expression"] == "MIT"
    assert about["Requires-Python"] == ">=3.11"
    assert set(about.get_all("Provides-Extra", [])) == {
        "all",
        "cli",
        "langchain",
        "llama-index",
        "sandbox",
    }
    base = {each for each in about.get_all("Requires-Dist", []) if "extra ==" not in each}
    names = {each.split("<")[0].split(">")[0] for each in base}
    assert names == {"httpcore", "httpx", "httpx-sse", "pydantic"}
    assert "parallel-integrations = parallel_integrations._cli.commands:main" in entry_points
    assert "parallel_sandbox = parallel_integrations.sandbox.pytest_plugin" in entry_points


def test_the_version_is_written_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "version" not in project
    assert "version" in project["dynamic"]


def test_what_llamahub_reads() -> None:
    hub = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["llamahub"]
    assert hub["import_path"] == "parallel_integrations.llama_index"
    assert isinstance(hub["contains_example"], bool)


def test_the_wheel_installs_into_an_empty_environment_and_works(
    wheel: Path, tmp_path: Path
) -> None:
    home = tmp_path / "empty"
    venv.create(home, symlinks=True)
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = run_python(tmp_path, "-c", where, executable=python).strip()
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    offline = ["--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    subprocess.run([*pip, *offline], check=True, timeout=170, capture_output=True)
    script = (
        "import parallel_integrations as p, sys; from parallel_integrations.api import search; "
        "client = p.ParallelClient(api_key='k'); "
        "next(search(p.SearchRequest(objective='x'))); "
        "print(p.__version__, p.__file__)"
    )
    # What the wheel depends on comes from here: an index is not at hand. The package does not, and
    # the environment's own site-packages come first.
    libraries = sysconfig.get_path("purelib")
    script = f"import sys; sys.path.append({libraries!r}); {script}"
    output = run_python(tmp_path, "-c", script, executable=python)
    version, _, path = output.strip().partition(" ")
    assert version == __version__
    assert path.startswith(site)
    command = home / python.parent.name / "parallel-integrations"
    assert command.exists()

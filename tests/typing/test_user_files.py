"""What a user writes is understood by mypy and pyright, at their strictest and without plugins."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FILES = sorted(HERE.glob("*_user.py"))
# Beside the project's own cache, which other options would spoil.
CACHE = ROOT / ".mypy_cache" / "user"
# What else these import takes longer to read than they do, and gives none of their types.
MYPY = """
[mypy]
strict = true
follow_imports = skip
[mypy-parallel_integrations.*,langchain_core.*,pydantic.*,pydantic_core.*,annotated_types.*,httpx.*]
follow_imports = silent
"""

pytestmark = pytest.mark.slow


def test_mypy(tmp_path: Path) -> None:
    settings = tmp_path / "mypy.ini"
    settings.write_text(MYPY)
    options = ["--config-file", str(settings), "--cache-dir", str(CACHE)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *map(str, FILES)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright(tmp_path: Path) -> None:
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(
        json.dumps(
            {
                "include": [str(file) for file in FILES],
                "extraPaths": [str(ROOT)],
                "typeCheckingMode": "strict",
            }
        )
    )
    # basedpyright is pyright with node.js in a wheel, so that a package index is all it needs.
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable]
    done = subprocess.run(
        [*command, "--project", str(settings)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors" in done.stdout


def test_there_is_a_file_to_read() -> None:
    assert FILES

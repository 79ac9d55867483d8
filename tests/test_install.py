"""Install commands in remedies work where the package was installed from."""

import json
from pathlib import Path
from typing import Any

import pytest

from parallel_integrations._install import install_command


@pytest.mark.parametrize(
    ("recorded", "command"),
    [
        (
            {"url": "file:///home/me/my%20clone", "dir_info": {"editable": True}},
            "pip install '/home/me/my clone[cli]'",
        ),
        ({"url": "file:///C:/clone", "dir_info": {}}, "pip install 'C:/clone[cli]'"),
        (
            {
                "url": "https://git.example/me/it.git",
                "vcs_info": {"vcs": "git", "commit_id": "1", "requested_revision": "main"},
            },
            "pip install 'parallel-integrations[cli] @ git+https://git.example/me/it.git@main'",
        ),
        (
            {"url": "https://git.example/me/it.git", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            "pip install 'parallel-integrations[cli] @ git+https://git.example/me/it.git'",
        ),
        (
            {"url": "https://files.example/it.whl", "archive_info": {}},
            "pip install 'parallel-integrations[cli] @ https://files.example/it.whl'",
        ),
        (None, "pip install '.[cli]' in a clone of the repository"),
        ("no JSON", "pip install '.[cli]' in a clone of the repository"),
    ],
)
def test_the_command_names_where_the_package_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: Any, command: str
) -> None:
    info = tmp_path / "parallel_integrations-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: parallel-integrations\nVersion: 1\n"
    )
    if recorded is not None:
        text = recorded if isinstance(recorded, str) else json.dumps(recorded)
        (info / "direct_url.json").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert install_command("cli") == command

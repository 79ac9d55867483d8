from pathlib import Path

import pytest

from parallel_integrations._protocol import polling
from parallel_integrations.sandbox import Sandbox


@pytest.fixture(autouse=True)
def fast_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll at once: the sandbox has finished long before the usual first second."""
    monkeypatch.setattr(polling, "FIRST_POLL_SECONDS", 0.01)
    monkeypatch.setattr(polling, "MAX_POLL_SECONDS", 0.05)


@pytest.fixture
def terminal(at_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A wide one in an empty folder, where commands call the sandbox."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return at_sandbox

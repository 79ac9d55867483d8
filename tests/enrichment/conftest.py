import pytest

from parallel_integrations._protocol import polling


@pytest.fixture(autouse=True)
def fast_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll at once: the sandbox has finished long before the usual first second."""
    monkeypatch.setattr(polling, "FIRST_POLL_SECONDS", 0.01)
    monkeypatch.setattr(polling, "MAX_POLL_SECONDS", 0.05)

import pytest

from parallel_integrations._protocol import polling


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's work is done long before the client's first look of one second."""
    monkeypatch.setattr(polling, "FIRST_POLL_SECONDS", 0.01)
    monkeypatch.setattr(polling, "MAX_POLL_SECONDS", 0.05)

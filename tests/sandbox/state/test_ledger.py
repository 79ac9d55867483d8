"""Ledger: shows itself where a test fails, and refuses names under which nothing is billed."""

import httpx
import pytest

from parallel_integrations.sandbox import Sandbox
from parallel_integrations.sandbox.state.ledger import Entry


def test_it_shows_what_was_billed(http: httpx.Client, sandbox: Sandbox) -> None:
    assert repr(sandbox.ledger) == "Ledger(0 USD: nothing billed)"
    for mode in ("fast", "fast", "advanced"):
        http.post("/v1/search", json={"search_queries": ["with"], "mode": mode})
    shown = repr(sandbox.ledger)
    assert shown.startswith("Ledger(0.00")
    assert "2 search fast, 1 search advanced" in shown
    with pytest.raises(AssertionError) as caught:
        assert sandbox.ledger.count("search") == 1
    assert "2 search fast" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"), [("serach", "search"), ("task_runs", "task_run"), ("Chat", "chat")]
)
def test_a_count_of_what_is_never_billed_is_an_error(
    sandbox: Sandbox, name: str, meant: str
) -> None:
    with pytest.raises(ValueError, match=f"{name!r} is never billed; did you mean {meant!r}"):
        sandbox.ledger.count(name)
    with pytest.raises(ValueError, match="is never billed"):
        Entry(name, 0.0)
    assert sandbox.ledger.count(meant) == 0

"""Parallel's web API, offline: a real HTTP server on loopback that speaks Parallel's wire.

Use it to test an agent without a key, without the network and without a bill. It is a sandbox and
says so: its ids contain ``sandbox``, its web is the Python language reference that ships inside
CPython (or a folder of yours), its search is SQLite's full-text search and its chat only quotes.

Example:
    ```python
    import json
    import urllib.request

    from parallel_integrations.sandbox import Sandbox

    with Sandbox() as sandbox:
        request = urllib.request.Request(
            sandbox.url + "/v1/search",
            data=json.dumps({"search_queries": ["context manager protocol"]}).encode(),
            headers={"x-api-key": sandbox.api_key},
        )
        response = json.load(urllib.request.urlopen(request))
    assert response["search_id"] == "search_sandbox_000000000000000000000001"
    assert (sandbox.ledger.count("search"), sandbox.ledger.usd) == (1, 0.005)
    ```
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from parallel_integrations._install import install_command

if TYPE_CHECKING:
    from parallel_integrations.sandbox.server.faults import Fault, Faults
    from parallel_integrations.sandbox.server.recorder import RecordedRequest
    from parallel_integrations.sandbox.server.sandbox import Sandbox
    from parallel_integrations.sandbox.state.ledger import Entry, Ledger
    from parallel_integrations.sandbox.web.corpus import Corpus, Page

__all__ = ["Corpus", "Entry", "Fault", "Faults", "Ledger", "Page", "RecordedRequest", "Sandbox"]

_HOMES = {
    "Corpus": "web.corpus",
    "Entry": "state.ledger",
    "Fault": "server.faults",
    "Faults": "server.faults",
    "Ledger": "state.ledger",
    "Page": "web.corpus",
    "RecordedRequest": "server.recorder",
    "Sandbox": "server.sandbox",
}


def __getattr__(name: str) -> Any:
    # At first use only: pytest imports this package at every start, for its plugin.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("starlette", "uvicorn"):
            raise ImportError(
                f"the sandbox needs starlette and uvicorn: {install_command('sandbox')}"
            ) from error
        raise

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

from parallel_integrations._lazy import names_of_stub

__getattr__, __all__ = names_of_stub(__name__, needs="starlette uvicorn", extra="sandbox")

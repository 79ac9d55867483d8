"""`data_sources`: refused where the API would not take them, before anything is sent."""

from typing import Any

import pytest

from parallel_integrations import CreateTaskRunRequest, McpServer, TaskSettings
from parallel_integrations.langchain import ParallelTaskRunTool
from parallel_integrations.llama_index import ParallelQueryEngine

SERVER = McpServer(name="patents", url="https://a.example/mcp")
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "fast processor": ({"processor": "core-fast", "data_sources": {"free": ["x"]}}, "take 'core'"),
    "name of a server": (
        {"data_sources": {"pay_per_use": ["patents"]}, "mcp_servers": [SERVER]},
        "'patents', which is also the name",
    ),
    "no name": ({"data_sources": {"free": [" "]}}, "an empty name"),
}


@pytest.mark.parametrize(("fields", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CreateTaskRunRequest(input="x", **fields)
    with pytest.raises(ValueError, match=message):
        TaskSettings(**fields)
    with pytest.raises(ValueError, match=message):
        ParallelTaskRunTool(**fields)
    with pytest.raises(ValueError, match=message):
        ParallelQueryEngine(**{"processor": "core", **fields})


def test_taken() -> None:
    sources = {"free": ["a"], "pay_per_use": ["b"]}
    request = CreateTaskRunRequest(
        input="x", processor="core", data_sources=sources, mcp_servers=[SERVER]
    )
    assert request.body("v1")["advanced_settings"] == {"data_sources": sources}

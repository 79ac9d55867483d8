import subprocess
import sys

import pytest

import parallel_integrations
from parallel_integrations import api

PUBLIC = {
    "AddTaskGroupRunsRequest",
    "AuthenticationError",
    "ChatMessage",
    "ChatRequest",
    "ChatResponse",
    "ClearMemoryRequest",
    "CloudflareGateway",
    "ConflictError",
    "ConnectionFailedError",
    "CreateFindallRunRequest",
    "CreateMonitorRequest",
    "CreateTaskGroupRequest",
    "CreateTaskRunRequest",
    "EnrichFindallRequest",
    "EntitySearchRequest",
    "EventStreamSettings",
    "EvictMemoryRequest",
    "ExtendFindallRequest",
    "ExtractRequest",
    "ExtractResponse",
    "FetchPolicy",
    "IngestFindallRequest",
    "InvalidRequestError",
    "McpServer",
    "MissingKeyError",
    "NotFoundError",
    "ParallelClient",
    "ParallelError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeoutError",
    "RetrieveMemoryRequest",
    "SearchRequest",
    "SearchResponse",
    "ServerError",
    "SnapshotSettings",
    "SourcePolicy",
    "StatusError",
    "StreamInterruptedError",
    "TaskFailedError",
    "TaskGroupResult",
    "TaskRun",
    "TaskRunResult",
    "TaskSettings",
    "TaskTimeoutError",
    "UnexpectedAnswerError",
    "UpdateMonitorRequest",
    "Webhook",
    "__version__",
}


def test_the_door_has_exactly_these_names() -> None:
    assert set(parallel_integrations.__all__) == PUBLIC
    assert all(hasattr(parallel_integrations, name) for name in PUBLIC)


def test_names_are_in_order_and_given_once() -> None:
    assert list(parallel_integrations.__all__) == sorted(set(parallel_integrations.__all__))


@pytest.mark.parametrize("name", ["chat", "extract", "search", "stream_chat"])
def test_operations_are_found_in_the_api(name: str) -> None:
    assert callable(getattr(api, name))
    assert name in api.__all__


def test_every_error_has_one_base() -> None:
    errors = [name for name in PUBLIC if name.endswith("Error")]
    assert len(errors) == 17
    for name in errors:
        assert issubclass(getattr(parallel_integrations, name), parallel_integrations.ParallelError)


def test_the_door_imports_no_framework_and_no_server() -> None:
    script = "import sys, parallel_integrations, parallel_integrations.adapter; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "parallel_integrations" in loaded
    assert not loaded & {
        "langchain_core",
        "langchain",
        "llama_index",
        "starlette",
        "uvicorn",
        "sqlite3",
    }

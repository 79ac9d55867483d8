import importlib
import subprocess
import sys

import pytest

import parallel_integrations

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
    "DirectoryCache",
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
    "JournalError",
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
    "Usage",
    "Webhook",
    "__version__",
}

SUBPACKAGES = {
    "enrichment": """
        EnrichedRow EnrichmentProgress JournalError enrich
    """,
    "api": """
        add_task_group_runs all_monitor_events all_monitors cancel_findall cancel_monitor chat
        clear_memory create_findall_run create_monitor create_task_group create_task_run
        enrich_findall entity_search evict_memory extend_findall extract findall_events
        findall_result findall_schema ingest_findall list_monitors monitor_events parse_webhook
        resume_task retrieve_findall_run retrieve_memory retrieve_monitor retrieve_task_group
        retrieve_task_group_run retrieve_task_run retrieve_task_run_input run_findall run_task
        run_task_group search stream_chat stream_task task_group_events task_group_runs
        task_run_events trigger_monitor update_monitor verify_webhook wait_findall_run
        wait_task_group wait_task_run webhook_id
    """,
    "langchain": """
        ChatParallel ChatParallelWeb ParallelDeepResearch ParallelEnrichment ParallelExtractLoader
        ParallelExtractTool ParallelFindAllTool ParallelSearchRetriever ParallelSearchTool
        ParallelTaskRunTool ParallelToolkit ParallelWebSearchTool
    """,
    "llama_index": """
        ParallelExtractReader ParallelExtractor ParallelLLM ParallelProgressEvent
        ParallelQueryEngine ParallelReader ParallelRetriever ParallelToolSpec citation_blocks
        evidence_of
    """,
    "sandbox": """
        Corpus Entry Fault Faults Ledger Page RecordedRequest Sandbox
    """,
}


def test_the_package_has_exactly_these_names() -> None:
    assert set(parallel_integrations.__all__) == PUBLIC
    assert all(hasattr(parallel_integrations, name) for name in PUBLIC)


def test_names_are_in_order_and_given_once() -> None:
    assert list(parallel_integrations.__all__) == sorted(set(parallel_integrations.__all__))


@pytest.mark.parametrize("subpackage", SUBPACKAGES)
def test_a_subpackage_has_exactly_these_names(subpackage: str) -> None:
    module = importlib.import_module(f"parallel_integrations.{subpackage}")
    assert set(module.__all__) == set(SUBPACKAGES[subpackage].split())
    assert all(callable(getattr(module, name)) for name in module.__all__)
    assert list(module.__all__) == sorted(set(module.__all__))


def test_every_error_has_one_base() -> None:
    errors = [name for name in PUBLIC if name.endswith("Error")]
    assert len(errors) == 18
    for name in errors:
        assert issubclass(getattr(parallel_integrations, name), parallel_integrations.ParallelError)


def test_the_package_imports_no_framework_and_no_server() -> None:
    script = "import sys, parallel_integrations._documents.adapter; print(*sys.modules)"
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

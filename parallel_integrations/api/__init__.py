"""Operations of Parallel's APIs: each is a function that returns a flow for a client to run."""

from typing import TYPE_CHECKING

from parallel_integrations._lazy import by_module, lazy_names

if TYPE_CHECKING:
    from parallel_integrations.api.chats import chat, stream_chat
    from parallel_integrations.api.entities import entity_search
    from parallel_integrations.api.extracts import extract
    from parallel_integrations.api.findall import (
        cancel_findall,
        create_findall_run,
        enrich_findall,
        extend_findall,
        findall_events,
        findall_result,
        findall_schema,
        ingest_findall,
        retrieve_findall_run,
        run_findall,
        wait_findall_run,
    )
    from parallel_integrations.api.memory import clear_memory, evict_memory, retrieve_memory
    from parallel_integrations.api.monitors import (
        all_monitor_events,
        all_monitors,
        cancel_monitor,
        create_monitor,
        list_monitors,
        monitor_events,
        retrieve_monitor,
        trigger_monitor,
        update_monitor,
    )
    from parallel_integrations.api.searches import search
    from parallel_integrations.api.task_groups import (
        add_task_group_runs,
        create_task_group,
        retrieve_task_group,
        retrieve_task_group_run,
        run_task_group,
        task_group_events,
        task_group_runs,
        wait_task_group,
    )
    from parallel_integrations.api.tasks import (
        create_task_run,
        resume_task,
        retrieve_task_run,
        retrieve_task_run_input,
        run_task,
        stream_task,
        task_run_events,
        wait_task_run,
    )
    from parallel_integrations.api.webhooks import parse_webhook, verify_webhook, webhook_id

__all__ = [
    "add_task_group_runs",
    "all_monitor_events",
    "all_monitors",
    "cancel_findall",
    "cancel_monitor",
    "chat",
    "clear_memory",
    "create_findall_run",
    "create_monitor",
    "create_task_group",
    "create_task_run",
    "enrich_findall",
    "entity_search",
    "evict_memory",
    "extend_findall",
    "extract",
    "findall_events",
    "findall_result",
    "findall_schema",
    "ingest_findall",
    "list_monitors",
    "monitor_events",
    "parse_webhook",
    "resume_task",
    "retrieve_findall_run",
    "retrieve_memory",
    "retrieve_monitor",
    "retrieve_task_group",
    "retrieve_task_group_run",
    "retrieve_task_run",
    "retrieve_task_run_input",
    "run_findall",
    "run_task",
    "run_task_group",
    "search",
    "stream_chat",
    "stream_task",
    "task_group_events",
    "task_group_runs",
    "task_run_events",
    "trigger_monitor",
    "update_monitor",
    "verify_webhook",
    "wait_findall_run",
    "wait_task_group",
    "wait_task_run",
    "webhook_id",
]

__getattr__ = lazy_names(
    __name__,
    by_module(
        {
            "chats": "chat stream_chat",
            "entities": "entity_search",
            "extracts": "extract",
            "findall": """
                cancel_findall create_findall_run enrich_findall extend_findall findall_events
                findall_result findall_schema ingest_findall retrieve_findall_run run_findall
                wait_findall_run
            """,
            "memory": "clear_memory evict_memory retrieve_memory",
            "monitors": """
                all_monitor_events all_monitors cancel_monitor create_monitor list_monitors
                monitor_events retrieve_monitor trigger_monitor update_monitor
            """,
            "searches": "search",
            "task_groups": """
                add_task_group_runs create_task_group retrieve_task_group
                retrieve_task_group_run run_task_group task_group_events task_group_runs
                wait_task_group
            """,
            "tasks": """
                create_task_run resume_task retrieve_task_run retrieve_task_run_input run_task
                stream_task task_run_events wait_task_run
            """,
            "webhooks": "parse_webhook verify_webhook webhook_id",
        }
    ),
)

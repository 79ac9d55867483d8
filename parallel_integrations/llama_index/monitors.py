"""Monitors for LlamaIndex, whose events are documents."""

from llama_index.core.schema import Document

from parallel_integrations._documents.evidence import PageDocument
from parallel_integrations._documents.monitors import MonitorAdapter
from parallel_integrations.llama_index.base import as_node

IDS = ["monitor_id", "event_id"]


class ParallelMonitor(MonitorAdapter[Document]):
    """Watches the web on a schedule; what it finds becomes LlamaIndex's documents.

    A monitor belongs to the account: it goes on, billed for each execution, until it is cancelled,
    and any object of this class, in any process, takes its id. It takes the connection (`api_key`,
    `base_url`, `timeout` in seconds, `max_retries`, `client`) and:

    Attributes:
        rate_limiter: LlamaIndex's, as on LLMs: waited for before each call.

    Example:
        ```python
        from parallel_integrations.llama_index import ParallelMonitor

        monitors = ParallelMonitor()
        monitor = monitors.create("new syntax in Python", frequency="1d", include_backfill=True)
        for document in monitors.events(monitor.monitor_id):
            print(document.metadata["title"], document.text[:60])
        monitors.cancel(monitor.monitor_id)  # or it runs, and is billed, every day
        ```
    """

    def _document(self, event: PageDocument) -> Document:
        document = as_node(Document, event)
        document.excluded_embed_metadata_keys += IDS
        document.excluded_llm_metadata_keys += IDS
        return document

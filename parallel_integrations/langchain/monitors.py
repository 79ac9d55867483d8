"""Monitors for LangChain, whose events are documents."""

from langchain_core.documents import Document

from parallel_integrations._documents.evidence import PageDocument
from parallel_integrations._documents.monitors import MonitorAdapter
from parallel_integrations.langchain.retrievers import as_document


class ParallelMonitor(MonitorAdapter[Document]):
    """Watches the web on a schedule; what it finds becomes LangChain's documents.

    A monitor belongs to the account: it goes on, billed for each execution, until it is cancelled,
    and any object of this class, in any process, takes its id. It takes the connection (`api_key`,
    `base_url`, `timeout` in seconds, `max_retries`, `client`) and:

    Attributes:
        rate_limiter: LangChain's, as on chat models: waited for before each call.

    Example:
        ```python
        from parallel_integrations.langchain import ParallelMonitor

        monitors = ParallelMonitor()
        monitor = monitors.create("new syntax in Python", frequency="1d", include_backfill=True)
        for document in monitors.events(monitor.monitor_id):
            print(document.metadata["published_at"], document.page_content[:60])
        monitors.cancel(monitor.monitor_id)  # or it runs, and is billed, every day
        ```
    """

    def _document(self, event: PageDocument) -> Document:
        return as_document(event)

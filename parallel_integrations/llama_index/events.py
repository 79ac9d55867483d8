"""What a search said of itself, as an event of LlamaIndex's instrumentation."""

from typing import Any

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.events import BaseEvent

from parallel_integrations.models.search import SearchResponse

dispatcher = get_dispatcher(__name__)


class ParallelSearchEvent(BaseEvent):
    """What changes from search to search, and is therefore no metadata of a document.

    Handlers of LlamaIndex's dispatcher receive one for each search of a retriever or reader.

    Attributes:
        search_id: The API's id of this search, where given.
        session_id: Give it as `session_id=` to the next search of the same conversation.
        warnings: The API's, and what of the response could not be read.
        usage: The billed units that the response reports.

    Example:
        ```python
        from llama_index.core.instrumentation.event_handlers import BaseEventHandler
        from parallel_integrations.llama_index import ParallelSearchEvent

        class Sessions(BaseEventHandler):
            def handle(self, event, **kwargs):
                if isinstance(event, ParallelSearchEvent):
                    print(event.session_id)
        ```
    """

    search_id: str | None = None
    session_id: str | None = None
    warnings: list[dict[str, Any]] = []
    usage: list[dict[str, Any]] = []

    @classmethod
    def class_name(cls) -> str:
        """The name under which LlamaIndex knows this event."""
        return "ParallelSearchEvent"


def reported(response: SearchResponse) -> SearchResponse:
    """Dispatch what a search said of itself, and hand the response on."""
    if _has_handlers():  # without any, dumping the response would be wasted
        dispatcher.event(
            ParallelSearchEvent(
                search_id=response.search_id,
                session_id=response.session_id,
                warnings=[each.model_dump(mode="json") for each in response.warnings],
                usage=[each.model_dump(mode="json") for each in response.usage],
            )
        )
    return response


def _has_handlers() -> bool:
    """Whether an event of ours would come to anybody."""
    place = dispatcher
    while not place.event_handlers:
        if not place.propagate:
            return False
        place = place.parent
    return True

"""How the adapters search: the mode that each states, and the request of one call."""

from typing import Any, Final, TypeVar

from parallel_integrations._documents.adapter import Adapter, refuse_unknown_fields
from parallel_integrations.models.extract import ExtractRequest
from parallel_integrations.models.search import SearchRequest

MIN_REQUESTED_CHARS: Final = 4000
"""What even the smallest output requests: less, divided among ten results, says nothing."""
Limited = TypeVar("Limited", SearchRequest, ExtractRequest)

# Left out, the API takes `advanced`, at five times the price of `fast`, and may take another one
# day (docs/reference/facts.md, 3.4 and 5). So each adapter says what it wants.

TOOL_MODE: Final = "fast"
"""For agents, as the vendor advises: they wait for each search, and search again if need be."""
_FIELDS: Final = frozenset(SearchRequest.model_fields)
RETRIEVER_MODE: Final = "advanced"
"""For retrievers and readers: one search has to find all that a text or an index is made of."""


def search_request(settings: Adapter, **fields: Any) -> SearchRequest:
    """The request of one call; `fields` that are not None win over `settings`.

    A mode that is a default is left out on a route that takes none; one that was given is refused
    there.
    """
    if not _FIELDS.issuperset(fields):
        refuse_unknown_fields("a search", SearchRequest, fields)
    request = SearchRequest.from_settings(settings, **fields)
    given = "mode" in settings.model_fields_set or fields.get("mode") is not None
    if not given and not settings.resolved_client().settings.has_modes:
        request.mode = None
    return request


def as_much_as_shown(request: Limited, settings: Adapter, max_output_chars: int) -> Limited:
    """A tool's request, for no more text than its model is shown.

    A tenth of the output is left to titles, URLs and the marks of quoted lines. A `max_chars_total`
    of the caller's stays; a route and the oldest generation, which take none, are given none.
    """
    connected = settings.resolved_client().settings
    takes_limits = not connected.route.has_sessions and connected.api_version != "v1beta-processor"
    if request.max_chars_total is None and takes_limits:
        request.max_chars_total = max(MIN_REQUESTED_CHARS, max_output_chars * 9 // 10)
    return request

"""Resumable enrichment of rows: structured outputs with their basis, each row paid once."""

from parallel_integrations.enrichment.results import EnrichedRow, EnrichmentProgress
from parallel_integrations.enrichment.runner import enrich
from parallel_integrations.errors import JournalError

__all__ = ["EnrichedRow", "EnrichmentProgress", "JournalError", "enrich"]

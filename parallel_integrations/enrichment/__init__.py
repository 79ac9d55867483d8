"""Enrichment: rows in, structured answers with their basis out; can be resumed at any moment."""

from parallel_integrations.enrichment.results import EnrichedRow, EnrichmentProgress
from parallel_integrations.enrichment.runner import enrich
from parallel_integrations.errors import JournalError

__all__ = ["EnrichedRow", "EnrichmentProgress", "JournalError", "enrich"]

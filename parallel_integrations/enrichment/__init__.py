"""Enrichment: rows in, structured answers with their basis out; can be resumed at any moment."""

from parallel_integrations.api.errors import JournalError
from parallel_integrations.enrichment.runner import enrich
from parallel_integrations.enrichment.types import EnrichedRow, EnrichmentProgress

__all__ = ["EnrichedRow", "EnrichmentProgress", "JournalError", "enrich"]

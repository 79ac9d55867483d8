"""From pages to documents, and what both frameworks' adapters share."""

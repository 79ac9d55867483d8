"""From pages to documents, and what both adapters share."""

"""The pages the sandbox knows, and full-text search over them."""

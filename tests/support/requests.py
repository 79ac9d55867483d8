"""Requests that many tests send."""

from typing import Final

from parallel_integrations import ChatRequest, SearchRequest

QUESTION: Final = "How does the with statement handle exceptions?"
SEARCH: Final = SearchRequest(search_queries=["with statement exceptions"])
CHAT: Final = ChatRequest(messages=[{"role": "user", "content": "What is a closure?"}])

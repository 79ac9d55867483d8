"""Parallel's wire, pure: what to send and what the answer means. No network, no framework."""

from parallel_integrations.api.chat import chat as chat
from parallel_integrations.api.chat import stream_chat as stream_chat
from parallel_integrations.api.extract import extract as extract
from parallel_integrations.api.search import search as search

__all__ = ["chat", "extract", "search", "stream_chat"]

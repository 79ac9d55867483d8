"""Waiting times of the live service, which a sandbox takes on request."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

SEARCH_SECONDS: Mapping[str, float] = MappingProxyType(
    {"turbo": 0.2, "fast": 0.7, "basic": 1.0, "advanced": 3.0, "one-shot": 1.4, "agentic": 1.4}
)
EXTRACT_SECONDS = 3.0
CHAT_SECONDS: Mapping[str, float] = MappingProxyType(
    {"speed": 3.0, "lite": 30.0, "base": 50.0, "core": 150.0}
)
TASK_SECONDS: Mapping[str, float] = MappingProxyType(
    {
        "lite": 30.0,
        "lite-fast": 15.0,
        "base": 50.0,
        "base-fast": 30.0,
        "core": 150.0,
        "core-fast": 36.0,
        "core2x": 300.0,
        "core2x-fast": 90.0,
        "pro": 360.0,
        "pro-fast": 150.0,
        "ultra": 906.0,
        "ultra-fast": 300.0,
        "ultra2x": 1600.0,
        "ultra2x-fast": 600.0,
        "ultra4x": 2700.0,
        "ultra4x-fast": 1200.0,
        "ultra8x": 3600.0,
        "ultra8x-fast": 1800.0,
    }
)
"""The middle of what was measured or is documented (docs/reference/facts.md, 20)."""
FINDALL_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long responses take, as a share of what the live service needs.

    Attributes:
        share: 0 for as fast as possible, 1 for the live service.
    """

    share: float = 0.0

    def search_seconds(self, mode: str) -> float:
        """Return how long a search takes."""
        return self.share * SEARCH_SECONDS[mode]

    @property
    def extract_seconds(self) -> float:
        """How long an extract takes."""
        return self.share * EXTRACT_SECONDS

    def chat_seconds(self, model: str) -> float:
        """Return how long a chat model thinks before it writes."""
        return self.share * CHAT_SECONDS[model]

    def task_seconds(self, processors: Iterable[str], otherwise: float) -> float:
        """Return how long the slowest of some runs takes, `otherwise` where nothing waits."""
        if not self.share:
            return otherwise
        return self.share * max((TASK_SECONDS[name] for name in processors), default=0.0)

    def findall_seconds(self, otherwise: float) -> float:
        """Return how long a FindAll run takes, `otherwise` where nothing waits."""
        return self.share * FINDALL_SECONDS if self.share else otherwise

"""Rules of the cache: when, and for how long, a response may serve other equal requests."""

from functools import lru_cache
from math import inf
from operator import attrgetter
from typing import Final, TypeVar

from parallel_integrations._protocol.flow import Keep
from parallel_integrations.models.pages import PageSettings, PagesResponse

PagesResponseT = TypeVar("PagesResponseT", bound="PagesResponse")

LABELS: Final = frozenset({"session_id"})
"""Fields that say what a request belongs to, not what it is about."""


def keeping(settings: PageSettings) -> Keep:
    """How a response with pages serves other equal requests.

    Only what is whole is kept: what failed for one page may work a minute later. Who wants pages
    that are at most so old is not given a response that is older.
    """
    policy = settings.fetch_policy
    return _keep(policy.max_age_seconds if policy else None)


@lru_cache(maxsize=64)
def _keep(max_seconds: int | None) -> Keep:
    return Keep(attrgetter("is_whole"), inf if max_seconds is None else max_seconds, LABELS)


def of_session(response: PagesResponseT, settings: PageSettings) -> PagesResponseT:
    """The response with the session of this request: a cached one may come from another."""
    if settings.session_id is None:
        return response
    # Of its own: what was read from a cached response may serve other sessions.
    return response.model_copy(update={"session_id": settings.session_id})

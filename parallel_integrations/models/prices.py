"""What calls cost, in US dollars, as published (docs/reference/facts.md, 3.4)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PRICES_USD: Final[Mapping[str, float]] = MappingProxyType(
    {
        "search": 0.005,
        "search_fast": 0.001,
        "search_additional_results": 0.001,
        "extract": 0.001,
        "search_free": 0.0,
        "extract_free": 0.0,
        "chat_speed": 0.005,
        "chat_lite": 0.005,
        "chat_base": 0.010,
        "chat_core": 0.025,
        "response_low": 0.010,
        "response_medium": 0.050,
        "response_high": 0.250,
        "decision": 0.001,
        "task_lite": 0.005,
        "task_base": 0.010,
        "task_core": 0.025,
        "task_core2x": 0.050,
        "task_pro": 0.10,
        "task_ultra": 0.30,
        "task_ultra2x": 0.60,
        "task_ultra4x": 1.20,
        "task_ultra8x": 2.40,
        "findall_preview": 0.10,
        "findall_base": 0.25,
        "findall_core": 2.0,
        "findall_pro": 10.0,
        "findall_preview_match": 0.0,
        "findall_base_match": 0.03,
        "findall_core_match": 0.15,
        "findall_pro_match": 1.0,
        "entity_search": 0.005,
        "entity_search_additional_results": 0.00005,
        "monitor_lite": 0.003,
        "monitor_base": 0.010,
    }
)
"""Price by SKU: of a request, a URL of an extract, a result beyond the included, a run, a match."""


def task_sku(processor: str) -> str:
    """The SKU of a task run; `-fast` processors cost the same as those without."""
    return f"task_{processor.removesuffix('-fast')}"


def findall_skus(generator: str, match_limit: int) -> dict[str, int]:
    """What a FindAll run is billed as if it finds as many matches as it may."""
    return {f"findall_{generator}": 1, f"findall_{generator}_match": match_limit}


INCLUDED_ENTITIES: Final = 100


def entity_skus(match_limit: int) -> dict[str, int]:
    """What an entity search is billed as if it finds as many as it may."""
    if match_limit <= INCLUDED_ENTITIES:
        return {"entity_search": 1}
    return {
        "entity_search": 1,
        "entity_search_additional_results": match_limit - INCLUDED_ENTITIES,
    }


FAST_MODES: Final = frozenset({"fast", "turbo"})
INCLUDED_RESULTS: Final = 10


_SEARCH: Final = {"search": 1}
_FAST_SEARCH: Final = {"search_fast": 1}


def search_skus(mode: str | None, max_results: int) -> Mapping[str, int]:
    """What a search is billed as, by the mode that is sent."""
    skus = _FAST_SEARCH if mode in FAST_MODES else _SEARCH
    if max_results <= INCLUDED_RESULTS:
        return skus
    return {**skus, "search_additional_results": max_results - INCLUDED_RESULTS}


def reported_skus(counted: Mapping[str, int], reported: Mapping[str, int]) -> dict[str, int]:
    """The units that a search's or an extract's response reports, in our SKUs.

    The API's names do not say what a unit costs: a fast search is reported as any other, the older
    generations report results beyond those included as excerpts (docs/reference/facts.md, 5), and
    a page that is read with its full content is reported under two names. So the request decides
    what a unit is, the report how many there were.

    Args:
        counted: What the request counts as, the search or extract itself first.
        reported: How many of each of the API's units.
    """
    sku = next(iter(counted))
    extracts = [count for name, count in reported.items() if name.startswith("sku_extract")]
    if sku.startswith("extract"):
        return {sku: max(extracts)} if extracts else dict(counted)
    searches = reported.get("sku_search", counted[sku])
    beyond = reported.get("sku_search_additional_results", 0) + sum(extracts)
    return {sku: searches, "search_additional_results": beyond} if beyond else {sku: searches}

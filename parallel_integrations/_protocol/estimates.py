"""What an operation costs at most, read off before anything is sent."""

from collections import Counter
from inspect import GEN_CREATED, getgeneratorlocals, getgeneratorstate
from types import GeneratorType
from typing import Any

from parallel_integrations._protocol.flow import Send
from parallel_integrations._protocol.settings import Settings
from parallel_integrations.errors import ArgumentTypeError, InvalidArgumentError
from parallel_integrations.models.findall import CreateFindallRunRequest, EnrichFindallRequest
from parallel_integrations.models.prices import task_sku
from parallel_integrations.models.shared import RequestModel


def max_skus(priced: Any, settings: Settings) -> Counter[str]:
    """What a request, or an operation that has not begun, is billed as at most, by SKU.

    Raises:
        TypeError: It is neither.
        ValueError: The operation has begun, or its price depends on what only the API knows.
    """
    if isinstance(priced, RequestModel):
        version, has_key = settings.api_version, settings.api_key is not None
        billed = settings.route.skus(priced, version, has_key=has_key)
        own = billed == priced.skus(version)
        return Counter(priced.max_skus(version) if own else billed)
    if not isinstance(priced, GeneratorType):
        raise ArgumentTypeError(
            "estimate takes a request such as SearchRequest(objective=…), or an operation such as "
            f"search(request), and this is a {type(priced).__name__}."
        )
    if getgeneratorstate(priced) != GEN_CREATED:
        raise InvalidArgumentError(
            "This operation has begun: estimate another, or its request, before."
        )
    # Nothing of the operation has run, so all that it will send stands in its arguments.
    arguments = getgeneratorlocals(priced)
    run, enrich = arguments.get("request"), arguments.get("enrich")
    if isinstance(run, CreateFindallRunRequest) and isinstance(enrich, EnrichFindallRequest):
        per_match = {task_sku(enrich.processor): run.match_limit}
        return max_skus(run, settings) + Counter(per_match)
    total: Counter[str] = Counter()
    for value in arguments.values():
        for each in value if isinstance(value, list | tuple) else [value]:
            if isinstance(each, Send):
                total.update(dict(each.max_skus))
            found = each.request if isinstance(each, Send) else each
            if isinstance(found, RequestModel | GeneratorType):
                total += max_skus(found, settings)
    return total

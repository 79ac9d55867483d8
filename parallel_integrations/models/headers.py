"""Extra headers that a user may give: which names and values HTTP can carry."""

import re
from collections.abc import Iterable
from typing import Final

from parallel_integrations.errors import InvalidArgumentError

HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
OWN_HEADERS: Final = {
    "x-api-key": "api_key=",
    "authorization": "api_key=",
    "cf-aig-authorization": "route=CloudflareGateway(token=)",
    "content-type": "",
    "content-length": "",
    "transfer-encoding": "",
    "host": "base_url=",
}
"""What the client sets by itself, and where its value comes from."""


def checked_headers(
    headers: Iterable[tuple[str, str]], argument: str = "headers"
) -> tuple[tuple[str, str], ...]:
    """Extra headers in a hashable form.

    Raises:
        ValueError: A header that the client itself sets, or one that HTTP cannot carry. Values are
            not shown: they may be secrets.
    """
    pairs = tuple(headers)
    for name, value in pairs:
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidArgumentError(
                f"{argument}= must hold texts, and {name!r} or its value is none"
            )
        if not HEADER_NAME.fullmatch(name.lower()):
            raise InvalidArgumentError(
                f"{argument}= holds {name!r}, which is no name of an HTTP header"
            )
        # Some servers read `_` in a name as `-`.
        own = OWN_HEADERS.get(name.lower().replace("_", "-"))
        if own is not None:
            remedy = f" ({own})" if own else ""
            raise InvalidArgumentError(
                f"{argument}= must not hold {name.lower()!r}; the client sets it{remedy}"
            )
        if not (value.isascii() and value.isprintable()):
            raise InvalidArgumentError(
                f"{argument}= holds a value for {name!r} that is not one line of printable ASCII; "
                "encode it, or leave it out"
            )
    return tuple((name.lower(), value.strip()) for name, value in pairs)

"""Source policies: which domains and dates are allowed."""

import re
from collections.abc import Sequence
from datetime import date
from urllib.parse import SplitResult, urlsplit

from parallel_integrations.sandbox.web.corpus import Page

_DOMAIN = re.compile(r"\.?[\w-]+(\.[\w-]+)*(/[^\s?#:]*)?")


def check_domain(domain: str) -> str:
    """Return `domain` if a source policy may hold it.

    Raises:
        ValueError: If it has a scheme, port, query, fragment or white space, or is empty.
    """
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(
            f"{domain!r} is no domain: write example.com, .gov or example.com/path, "
            "without scheme, port, query or fragment"
        )
    return domain


def split_url(url: str) -> SplitResult:
    """Return the parts of `url`; all of them are empty when it is malformed, such as ``http://[``."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def covers(domain: str, url: str) -> bool:
    """Return whether `url` lies within `domain`.

    An apex domain covers its subdomains, ``.gov`` every host that ends so, and a path is a prefix
    that ends where a segment does; paths are case-sensitive.

    Example:
        ```python
        from parallel_integrations.sandbox.web.domains import covers

        assert covers("python.org", "https://docs.python.org/3/")
        assert not covers("docs.python.org/3", "https://docs.python.org/3.11/")
        ```
    """
    parts = split_url(url)
    name, slash, path = domain.partition("/")
    # "www." is left out, as the warning about it says.
    name = name.lower().removeprefix("www.").removeprefix(".")
    host = (parts.hostname or "").removeprefix("www.")
    if host != name and not host.endswith("." + name):
        return False
    # With the slash put back below, "/3" is no prefix of "/3.11".
    prefix = (slash + path).rstrip("/")
    return parts.path == prefix or parts.path.startswith(prefix + "/") or not prefix


def allowed(page: Page, include: Sequence[str], exclude: Sequence[str], after: date | None) -> bool:
    """Return whether a source policy lets `page` through.

    With `include` set, `exclude` counts for nothing. `after` asks for pages published that day or
    later, so a page without a date fails it.
    """
    if after is not None and (page.published is None or page.published < after):
        return False
    # Documented: exclusions count for nothing beside inclusions.
    if include:
        return any(covers(domain, page.url) for domain in include)
    return not any(covers(domain, page.url) for domain in exclude)

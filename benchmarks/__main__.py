"""`make bench`: what the package costs, beside plain httpx in the same run.

`python -m benchmarks calls streams` measures some of the groups only.
"""

import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from benchmarks import calls, enrichment, many, memory, peers, sandbox, start, streams, tls
from benchmarks.measure import Row
from benchmarks.server import Server

GROUPS: dict[str, Callable[[str], list[Row]]] = {
    "start": start.rows,
    "calls": calls.rows,
    "tls": lambda _: tls.rows(),
    "streams": streams.rows,
    "many": many.rows,
    "memory": memory.rows,
    "enrichment": lambda _: enrichment.rows(),
    "sandbox": lambda _: sandbox.rows(),
}
SHOWN = ("httpx", "httpcore", "pydantic", "langchain-core", "llama-index-core", *peers.PEERS)


def main(names: list[str]) -> None:
    """Measure and print, a line at a time."""
    unknown = set(names) - set(GROUPS)
    if unknown:
        sys.exit(f"No such group: {', '.join(sorted(unknown))}. There are {', '.join(GROUPS)}.")
    print(f"Python {platform.python_version()}, {', '.join(map(_versioned, SHOWN))}\n")
    print(f"{'what':<66}{'bar':>9}{'found':>9}   ratio to; others")
    with Server() as url:
        for name in names or GROUPS:
            for row in GROUPS[name](url):
                print(_line(row), flush=True)


def _line(row: Row) -> str:
    sign = ">=" if row.at_least else "<="
    said = [row.base] if row.base else []
    said += [f"{name} {value:.2f}{row.unit}" for name, value in row.peers.items()]
    mark = "" if row.met else "  <- missed"
    bar = "-" if row.bar is None else f"{sign}{row.bar:g}{row.unit}"
    found = f"{row.value:.2f}{row.unit}"
    return f"{row.what:<66}{bar:>9}{found:>9}   {'; '.join(said)}{mark}"


def _versioned(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} not installed (not measured)"


if __name__ == "__main__":
    main(sys.argv[1:])

"""A sandbox in a process of its own, which fails at random; prints its URL.

For each line that it reads it prints the number of its open connections and of requests so far.
"""

import sys
from typing import Any, Final

from parallel_integrations.sandbox import Sandbox

FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"reset": "before"},
    {"reset": "headers"},
    {"reset": "body"},
    {"cut_after_bytes": 100},
    {"cut_after_bytes": 100, "cut": "reset"},
    {"delay": 30},
    {"chunk_delay": 0.05},
    {"chunk_delay": 5},
    {"redirect": "https://elsewhere.example/v1/search"},
    {"status": 200, "body": "<html>Please log in</html>", "content_type": "text/html"},
    {"status": 200, "body": ""},
    {"status": 200, "body": '{"results": [', "content_type": "application/json"},
    {"status": 200, "body": "[1, 2]", "content_type": "application/json"},
    {"headers": {"content-encoding": "gzip"}},
    {"status": 502, "body": "<html>Bad gateway</html>", "content_type": "text/html"},
    {"status": 429, "retry_after": 0.1},
    {"status": 429, "retry_after": 120},
    {"status": 429, "retry_after": "soon"},
    {"status": 503, "retry_after": 0},
    *({"status": code, "echo_key": True} for code in (401, 402, 403, 404, 408, 409, 422)),
    *({"status": code, "echo_key": True} for code in (429, 500, 503, 504)),
)


def main(share: float) -> None:
    """Serve until standard input ends.

    Args:
        share: How many of the requests fail.
    """
    with Sandbox(seed=1) as sandbox:
        left = 1.0
        for fault in (
            FAULTS if share else ()
        ):  # the first that strikes wins: each takes its part of what is left
            sandbox.faults.add(times=None, probability=share / len(FAULTS) / left, **fault)
            left -= share / len(FAULTS)
        print(sandbox.url, sandbox.api_key, flush=True)
        for _ in sys.stdin:
            print(sandbox.open_connections, len(sandbox.requests), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))

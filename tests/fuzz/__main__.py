"""`make fuzz`: thousands of mutated responses for every response model and stream, and a table."""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from tests.fuzz.code_paths import CODE_PATHS
from tests.fuzz.fuzzer import Report, fuzz, table

SLOWEST_SECONDS: Final = 1.0


def _go(name: str, cases: int, first: int) -> Report:
    report = fuzz(CODE_PATHS[name], cases, first=first, slowest_seconds=SLOWEST_SECONDS)
    report.code_path = type(report.code_path)(
        name, _nothing
    )  # what goes through a pipe holds no lambda
    return report


def _nothing(client: object) -> None:
    """Stands in for what a code path does."""


def main() -> int:
    """Fuzz what was requested; 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument(
        "code_paths", nargs="*", help="names of code paths; all of them if none is given"
    )
    parser.add_argument("--cases", type=int, default=10_000, help="responses for each code path")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    arguments = parser.parse_args()
    names = arguments.code_paths or list(CODE_PATHS)
    if unknown := set(names) - CODE_PATHS.keys():
        parser.error(f"no such code path: {', '.join(sorted(unknown))}")
    with ProcessPoolExecutor() as processes:
        going = [processes.submit(_go, name, arguments.cases, arguments.first) for name in names]
        reports = [each.result() for each in going]
    print(table(reports))
    found = sum(len(report.findings) for report in reports)
    print(f"\n{sum(report.cases for report in reports)} responses, {found} findings")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())

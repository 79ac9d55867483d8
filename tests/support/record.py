"""Records every cassette: `python -m tests.support.record [name …]`.

Against the sandbox, unless LIVE=1 is set: then against the live API with PARALLEL_API_KEY, after
saying what that will cost and asking whether to go on (YES=1 goes on). FindAll, which costs
more than cents, and monitors, which go on by themselves, are recorded live with FULL=1 only.
PARALLEL_BASE_URL records from another address; such a cassette says so and is none to be kept.
A scenario that fails keeps the cassette that it had, and the others are recorded all the same.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from parallel_integrations import ParallelError
from parallel_integrations.sandbox import Sandbox
from tests.support.cassettes import CASSETTES, PUBLIC_API, recording
from tests.support.scenario import Scenario, price_usd, run
from tests.support.scenarios import BY_NAME, SCENARIOS

WRONG_KEY = "not-a-key-that-anybody-has"


def record_from_sandbox(scenario: Scenario, folder: Path = CASSETTES) -> None:
    """Record a scenario from a sandbox of its own, so that ids count from one in every file."""
    with Sandbox(**dict(scenario.sandbox)) as sandbox:
        for fault in scenario.faults:
            sandbox.faults.add(**fault)
        _record(scenario, folder, "sandbox", base_url=sandbox.url, api_key=sandbox.api_key)


def record_live(scenario: Scenario, api_key: str, folder: Path = CASSETTES) -> None:
    """Record a scenario from the live API; costs money."""
    base_url = os.environ.get("PARALLEL_BASE_URL", "").strip() or PUBLIC_API
    recorded_from = "live" if base_url == PUBLIC_API else "elsewhere"
    _record(scenario, folder, recorded_from, base_url=base_url, api_key=api_key)


def _record(
    scenario: Scenario, folder: Path, recorded_from: str, *, base_url: str, api_key: str
) -> None:
    key = WRONG_KEY if scenario.wrong_key else api_key
    with TemporaryDirectory() as made:
        with (
            recording(scenario.name, folder=Path(made), recorded_from=recorded_from, secret=key),
            scenario.set_up(base_url=base_url, api_key=key) as client,
        ):
            run(scenario, client)
        path = folder / f"{scenario.name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(made) / f"{scenario.name}.yaml", path)


def _left_out(scenario: Scenario) -> str:
    """Why a scenario is not recorded live; empty where it is."""
    if scenario.full and not _is_set("FULL"):
        return f"{price_usd(scenario):.3f} USD, only with FULL=1"
    return scenario.sandbox_only


def _is_set(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0")


def main(names: Sequence[str], folder: Path = CASSETTES) -> int:
    """Record the named scenarios, or all, into a folder; the exit code."""
    if unknown := [name for name in names if name not in BY_NAME]:
        print(f"No scenario is called {', '.join(unknown)}.", file=sys.stderr)
        return 2
    chosen = [BY_NAME[name] for name in names] if names else list(SCENARIOS)
    live = _is_set("LIVE")
    api_key = os.environ.get("PARALLEL_API_KEY", "").strip()
    if live:
        if not api_key:
            print("LIVE=1 needs PARALLEL_API_KEY.", file=sys.stderr)
            return 2
        for scenario in chosen:
            if why := _left_out(scenario):
                print(f"  left out  {scenario.name}: {why}")
        chosen = [scenario for scenario in chosen if not _left_out(scenario)]
        for scenario in chosen:
            print(f"{price_usd(scenario):7.3f} USD  {scenario.name}")
        print(f"{sum(map(price_usd, chosen)):7.3f} USD  altogether, billed to your account")
        if not _is_set("YES") and input("Go on? [y/N] ").strip().lower() != "y":
            return 1
    failed = 0
    for scenario in chosen:
        try:
            if live:
                record_live(scenario, api_key, folder)
            else:
                record_from_sandbox(scenario, folder)
        except ParallelError as error:  # the others are paid for, or wanted, all the same
            failed += 1
            shown = str(error).replace(api_key or WRONG_KEY, "[key]")
            print(f"FAILED   {scenario.name}: {type(error).__name__}: {shown}")
        else:
            print(f"recorded {scenario.name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

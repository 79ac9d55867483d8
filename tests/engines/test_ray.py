"""Ray Data: batches in two actors, one of whose processes is killed midway."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parallel_integrations.sandbox import Sandbox
from tests.engines.part import enriched_part
from tests.engines.support import ROWS_IN_PART, WITH_ENGINE, check, parts

pytestmark = WITH_ENGINE


class Enrich:
    """A batch of Ray Data is a part."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        rows = [
            {"statement": str(statement), "number": int(number)}
            for statement, number in zip(batch["statement"], batch["number"], strict=True)
        ]
        found = enriched_part(rows[0]["number"] // ROWS_IN_PART, rows, self.folder)
        return {name: [row[name] for row in found] for name in found[0]}


@pytest.fixture
def ray(at_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import ray

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    yield ray
    ray.shutdown()


def test_nothing_is_paid_twice_where_an_actor_of_ray_is_killed(
    ray: Any, at_sandbox: Sandbox, tmp_path: Path
) -> None:
    import ray.data

    given = [row for part in parts() for row in part]
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    found = (
        ray.data.from_items(given, override_num_blocks=1)
        .map_batches(
            Enrich,
            fn_constructor_args=[str(tmp_path)],
            batch_size=ROWS_IN_PART,
            compute=ray.data.ActorPoolStrategy(size=2),
        )
        .take_all()
    )
    check(found, at_sandbox, tmp_path)

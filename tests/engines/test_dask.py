"""Dask: partitions in two worker processes, one of which is killed midway."""

import os
from pathlib import Path

import pytest

from parallel_integrations.langchain import ParallelEnrichment, ParallelSearchRetriever
from parallel_integrations.sandbox import Sandbox
from tests.engines.part import enriched_part
from tests.engines.support import NUM_PARTS, check, parts
from tests.enrichment.support import rows, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_nothing_is_paid_twice_where_a_worker_of_dask_is_killed(
    at_sandbox: Sandbox, tmp_path: Path
) -> None:
    """A pickle holds no key: workers read their own environment."""
    from distributed import Client, LocalCluster  # here: the other processes need none of it

    # A function of a function is sent whole: workers need not import this module with its imports.
    def searched(retriever: ParallelSearchRetriever, question: str) -> tuple[int, list[str]]:
        return os.getpid(), [each.metadata["url"] for each in retriever.invoke(question)]

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        numbers = list(range(NUM_PARTS))
        futures = client.map(enriched_part, numbers, parts(), [tmp_path] * NUM_PARTS)
        found = [row for part in client.gather(futures) for row in part]
        check(found, at_sandbox, tmp_path)

        # Adapters go to the workers, and a second run pays nothing.
        again = client.map(enriched_part, numbers, parts(), [tmp_path] * NUM_PARTS, pure=False)
        assert [row["run_id"] for part in client.gather(again) for row in part] == [
            row["run_id"] for row in found
        ]
        enrichment = ParallelEnrichment(output_schema="What the statement does.")
        one, *_ = client.scheduler_info()["workers"]  # the other need not import LangChain
        assert len(client.submit(enrichment.invoke, rows(2), workers=one).result()) == 2
        retriever = ParallelSearchRetriever(k=2)
        worker, urls = client.submit(searched, retriever, "with", workers=one).result()
    assert worker != os.getpid()
    assert urls
    assert started(at_sandbox) == len(found) + 2

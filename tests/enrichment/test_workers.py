"""Enrichment and adapters inside Dask's worker processes, a journal for each partition."""

import os
from pathlib import Path
from typing import Any

import pytest

from parallel_integrations.langchain import ParallelEnrichment, ParallelSearchRetriever
from parallel_integrations.sandbox import Sandbox
from tests.enrichment.support import rows, started

pytestmark = [
    pytest.mark.slow,
]


def test_dask_workers_enrich_partitions_with_a_journal_each(
    at_sandbox: Sandbox, tmp_path: Path
) -> None:
    """A pickle holds no key: workers read their own environment."""
    from distributed import Client, LocalCluster

    # Functions of a function are sent whole: workers need not import this module with its imports.
    def enriched(
        enrichment: ParallelEnrichment, part: list[dict[str, Any]], journal: Path
    ) -> tuple[int, list[dict[str, Any]]]:
        found = enrichment.invoke(part, journal=journal)
        return os.getpid(), [{"input": row["input"], "run_id": row["run_id"]} for row in found]

    def searched(retriever: ParallelSearchRetriever, question: str) -> tuple[int, list[str]]:
        return os.getpid(), [each.metadata["url"] for each in retriever.invoke(question)]

    enrichment = ParallelEnrichment(output_schema="What the statement does.")
    retriever = ParallelSearchRetriever(k=2)
    given = rows(12)
    parts = [given[n : n + 3] for n in range(0, 12, 3)]
    journals = [tmp_path / f"part-{n}.db" for n in range(len(parts))]
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        workers = list(client.scheduler_info()["workers"])
        assert len(workers) == 2

        def spread(function: Any, *lists: Any) -> list[Any]:
            futures = [
                client.submit(function, *each, workers=[workers[n % 2]], pure=False)
                for n, each in enumerate(zip(*lists, strict=True))
            ]
            return list(client.gather(futures))

        first = spread(enriched, [enrichment] * 4, parts, journals)
        again = spread(enriched, [enrichment] * 4, parts, journals)
        pages = spread(searched, [retriever] * 2, ["with", "lambda"])
    assert len({pid for pid, _ in first} | {os.getpid()}) == 3
    assert [row["input"] for _, part in first for row in part] == given
    assert [part for _, part in again] == [part for _, part in first]
    assert started(at_sandbox) == at_sandbox.ledger.count("task_run") == 12
    assert len({pid for pid, _ in pages}) == 2
    assert all(urls for _, urls in pages)

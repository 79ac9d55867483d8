"""Spark: partitions through `mapInPandas`, in Python workers one of which is killed midway."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from parallel_integrations.sandbox import Sandbox
from tests.engines.part import enriched_part
from tests.engines.support import NUM_PARTS, WITH_ENGINE, check, parts

pytestmark = WITH_ENGINE


@pytest.fixture
def spark(at_sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17 or newer")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    spark = (
        SparkSession.builder.master("local[2, 4]")  # two tasks at once, each tried four times
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.warehouse.dir", str(tmp_path))
        .getOrCreate()
    )
    yield spark
    spark.stop()


def test_nothing_is_paid_twice_where_a_worker_of_spark_is_killed(
    spark: Any, at_sandbox: Sandbox, tmp_path: Path
) -> None:
    def enriched(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        from pyspark import TaskContext

        context = TaskContext.get()
        rows = [row for batch in batches for row in batch.to_dict("records")]
        yield pd.DataFrame(enriched_part(context.partitionId(), rows, tmp_path))

    given = [(row["statement"], row["number"]) for part in parts() for row in part]
    rows = spark.sparkContext.parallelize(given, NUM_PARTS)
    frame = spark.createDataFrame(rows, "statement string, number long")
    found = frame.mapInPandas(enriched, "part long, run_id string, worker long").collect()
    check([row.asDict() for row in found], at_sandbox, tmp_path)

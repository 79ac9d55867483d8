"""Event loops run as few programs run them."""

import os
import subprocess
import sys

SCRIPT = """
import asyncio, gc, nest_asyncio
from parallel_integrations.llama_index import ParallelQueryEngine, ParallelReader
from parallel_integrations.sandbox import Sandbox

nest_asyncio.apply()

async def main(connection):
    for number in range(5):
        await ParallelReader(**connection, timeout=20 + number).aload_data("with statement")
        gc.collect()
        settings = {**connection, "processor": "lite", "timeout": 30 + number}
        await ParallelQueryEngine(**settings).aquery("with")
    return "done"

with Sandbox() as sandbox:
    print(asyncio.run(main({"api_key": sandbox.api_key, "base_url": sandbox.url})))
"""


def test_a_client_collected_under_nest_asyncio_breaks_no_other_call() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)},
        check=False,
        timeout=50,
    )
    assert (done.stdout.strip(), done.stderr) == ("done", "")

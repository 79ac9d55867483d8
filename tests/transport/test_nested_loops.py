"""Event loops run as few programs run them."""

import os
import subprocess
import sys

from parallel_integrations.sandbox import Sandbox

SCRIPT = """
import asyncio, gc, nest_asyncio, sys
from parallel_integrations.llama_index import ParallelQueryEngine, ParallelReader

nest_asyncio.apply()

async def main(connection):
    for number in range(3):
        await ParallelReader(**connection, timeout=20 + number).aload_data("with statement")
        gc.collect()
        settings = {**connection, "processor": "lite", "timeout": 30 + number}
        await ParallelQueryEngine(**settings).aquery("with")
    return "done"

print(asyncio.run(main({"api_key": sys.argv[1], "base_url": sys.argv[2]})))
"""


def test_a_client_collected_under_nest_asyncio_breaks_no_other_call(sandbox: Sandbox) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, sandbox.api_key, sandbox.url],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)},
        check=False,
        timeout=50,
    )
    assert (done.stdout.strip(), done.stderr) == ("done", "")

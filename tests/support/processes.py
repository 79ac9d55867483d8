"""Another process, which has nothing but what it is given."""

import pickle
import subprocess
import sys
from typing import Any

from parallel_integrations.sandbox import Sandbox


def unpickled_elsewhere(made: Any, script: str, sandbox: Sandbox) -> str:
    """What a script prints to which a pickle of `made` is `loaded`, with a key of its own."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import pickle, sys\nloaded = pickle.load(sys.stdin.buffer)\n{script}",
        ],
        input=pickle.dumps(made),
        capture_output=True,
        env={"PARALLEL_API_KEY": sandbox.api_key, "PYTHONPATH": ":".join(sys.path)},
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()

"""The examples of each page, with nothing installed but what its install line names.

`make guides` runs them on a sandbox. It takes minutes: `tests/test_guides.py`, which compares what
examples import with what their page installs, is what the suite has of it.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Final

from parallel_integrations.sandbox import Sandbox
from tests.support import outputs

PAGES: Final = {str(path.relative_to(outputs.ROOT)): path.read_text() for path in outputs.pages()}
SECONDS: Final = 300
"""After which a page, or an installation, has failed."""
_INSTALL: Final = re.compile(r"^ *\$ pip install (.*)$", re.MULTILINE)
_RUN: Final = """
import json, sys, traceback
failed = []
for place, code in json.load(sys.stdin):
    try:
        exec(compile(code, place, "exec", dont_inherit=True), {"__name__": "__main__"})
    except BaseException:
        failed.append(place)
        traceback.print_exc()
sys.exit(bool(failed))
"""


def requirements(place: str) -> set[str]:
    """What the install lines of a page in a clone name, extras included; `.` where it has none."""
    lines = (shlex.split(line, comments=True) for line in _INSTALL.findall(PAGES[place]))
    return {each for line in lines for each in line if line[0].startswith(".")} or {"."}


def main(only: str = "") -> int:
    """Run the examples of all pages, or of those whose path contains a text; how many failed."""
    together = defaultdict(list)
    for place, text in PAGES.items():
        examples = [(each.place, each.code) for each in outputs.examples(place, text)]
        if examples and only in place:
            # A page may try one installation after another: all of them at once is one more.
            together[tuple(sorted(requirements(place)))].append((place, examples))
    failed = []
    for needs, pages in together.items():
        print(f"pip install {shlex.join(needs)}", flush=True)
        with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox:
            python = _installed(Path(folder), needs)
            for place, examples in pages:
                sandbox.reset()
                done = subprocess.run(
                    [str(python), "-c", _RUN],
                    input=json.dumps(examples),
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=SECONDS,
                    cwd=folder,  # in the clone, the clone would be imported
                    env={
                        "PATH": os.environ["PATH"],
                        "HOME": folder,
                        "PARALLEL_API_KEY": sandbox.api_key,
                        "PARALLEL_BASE_URL": sandbox.url,
                    },
                )
                print(f"  {'failed' if done.returncode else 'ok':7}{place}", flush=True)
                if done.returncode:
                    failed.append(place)
                    print(done.stderr)
    print(f"{len(failed)} of {sum(map(len, together.values()))} pages failed")
    return len(failed)


def _installed(folder: Path, needs: tuple[str, ...]) -> Path:
    """The Python of a new environment with these requirements; uv makes it where there is one."""
    venv, python = folder / "venv", folder / "venv" / "bin" / "python"
    if uv := shutil.which("uv"):
        make = [uv, "venv", "--quiet", "--python", sys.executable, str(venv)]
        install = [uv, "pip", "install", "--quiet", "--python", str(python), *needs]
    else:
        make = [sys.executable, "-m", "venv", str(venv)]
        install = [str(python), "-m", "pip", "install", "--quiet", *needs]
    for command in (make, install):
        subprocess.run(command, check=True, timeout=SECONDS, cwd=outputs.ROOT)
    return python


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:])))

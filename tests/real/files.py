"""Where the responses are: published ones in the folder `PARALLEL_REAL`, samples beside the tests.

`INDEX.md` in the folder says of each file what it is and whether the service printed it. A clone
without the folder tests the samples, whose shapes are the same and whose content is invented.
"""

import json
import os
import re
from pathlib import Path
from typing import Any, Final

SAMPLES: Final = Path(__file__).parent / "samples"
_FOLDER: Final = os.environ.get("PARALLEL_REAL")  # here, because tests clear the environment
REAL: Final = Path(_FOLDER) if _FOLDER and Path(_FOLDER).is_dir() else None
_ROW: Final = re.compile(r"^\| (\S+\.(?:json|sse)) \| (.*?) \| (.*?) \| (.*?) \|", re.MULTILINE)


def path_of(name: str) -> Path | None:
    """The file with this name; None without the folder that holds it."""
    if (sample := SAMPLES / name).exists():
        return sample
    return REAL / name if REAL else None


def printed_by_the_service() -> list[str]:
    """The files that `INDEX.md` calls real."""
    assert REAL is not None
    rows = _ROW.findall((REAL / "INDEX.md").read_text("utf-8"))
    return [name for name, _, _, judgement in rows if "REAL" in judgement]


def read(name: str) -> Any:
    """A JSON file."""
    path = path_of(name)
    assert path is not None
    return json.loads(path.read_text("utf-8"))

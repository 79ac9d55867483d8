"""How much is run: a part that holds every fault and every kind of request, or all."""

import os
from typing import Final

ALL: Final = os.environ.get("FAULTS") == "all"
"""Whether every cell is run."""
SOAK: Final = os.environ.get("SOAK") == "long"
"""Whether the soak is the long one."""

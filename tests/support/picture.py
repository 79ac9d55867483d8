"""The picture of the demo in README and documentation: a real run on the sandbox, as SVG.

`make picture` writes it; a test compares its words with what the demo says now.
"""

import io
import os
import re
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from parallel_integrations._cli import demo
from parallel_integrations._protocol.settings import KEY_VARIABLE
from tests.support.requests import QUESTION

PATH: Final = Path(__file__).parents[2] / "docs" / "images" / "demo.svg"
COLUMNS: Final = 90
TEMPLATE: Final[str] = Console.export_svg.__kwdefaults__["code_format"]
# Rich's own template loads its font from another host.
REMOTE_FONT: Final = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)


def draw() -> str:
    """The SVG: what the demo shows without a key."""
    recorded = Console(record=True, file=io.StringIO(), width=COLUMNS, highlight=False)
    demo.run_demo(QUESTION, recorded)
    # Text that the demo does not wrap itself is wrapped here.
    drawing = Console(record=True, file=io.StringIO(), width=COLUMNS, highlight=False)
    drawing.print(Text("$ make demo", style="bold green"))
    drawing.print(Text.from_ansi(recorded.export_text(styles=True).rstrip()), end="\n\n")
    return drawing.export_svg(
        title="make demo",
        theme=MONOKAI,
        code_format=REMOTE_FONT.sub("", TEMPLATE),
        unique_id="demo",
    )


def words(svg: str) -> str:
    """The words of an SVG, without what depends on the day Python was published."""
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", svg, flags=re.DOTALL)
    text = re.sub(r"&#160;|\s", " ", text)
    return re.sub(r"\d{4}-\d\d-\d\d|unknown", "DATE", " ".join(text.split()))


if __name__ == "__main__":
    os.environ.pop(KEY_VARIABLE, None)
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(draw())
    print(f"{PATH}: {PATH.stat().st_size} bytes")

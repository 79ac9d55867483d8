"""The drawings of the documentation: the chart of docs/speed.md, and the architecture's diagrams.

`make picture` writes them; a test compares the chart with the page's own table.
"""

import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[2] / "docs"
SPEED: Final = DOCS / "speed.md"
CHART: Final = DOCS / "images" / "speed.svg"
ARCHITECTURE: Final = DOCS / "images" / "architecture.svg"
ONE_SEARCH: Final = DOCS / "images" / "one_search.svg"

WIDTH: Final = 460  # readable on a phone, which shows it at four fifths
MARGIN: Final = 16
STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1f2430 }
.small { font-size: 11px; fill: #5b6270 }
.bold { font-weight: 600 }
.page { fill: #ffffff; stroke: #d8dce4 }
.box { fill: #eef1fb; stroke: #b9c3ea }
.line { stroke: #8a93a6; fill: none }
.mark { fill: #8a93a6 }
.ours { fill: #4a5fd0 }
.theirs { fill: #b4bac6 }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e7ee }
  .small { fill: #a3aab8 }
  .page { fill: #14171f; stroke: #303644 }
  .box { fill: #232a44; stroke: #43508a }
  .ours { fill: #8093ff }
  .theirs { fill: #5a6172 }
}
"""
# Row of the table, how the chart names it, and the package it is compared with.
COMPARED: Final = (
    ("search to documents, 60 kB, LangChain", "search, 60 kB", "langchain-parallel"),
    ("search to documents, 1 MB, LangChain", "search, 1 MB", "langchain-parallel"),
    ("search tool", "search tool", "langchain-parallel"),
    ("chat, short response, LangChain", "chat, LangChain", "langchain-parallel"),
    ("chat, short response, LlamaIndex", "chat, LlamaIndex", "OpenAILike"),
    (
        "stream, CPU per chunk, LangChain (all at once)",
        "stream, LangChain",
        "langchain-parallel",
    ),
    ("stream, CPU per chunk, LlamaIndex (all at once)", "stream, LlamaIndex", "OpenAILike"),
)


def figures() -> list[tuple[str, float, str, float]]:
    """What the page's table says: label, ratio, the other package, its ratio."""
    rows = [line.strip("| ").split(" | ") for line in SPEED.read_text().splitlines()]
    found = []
    for name, label, other in COMPARED:
        [cells] = [cells for cells in rows if cells[0].startswith(name) and len(cells) > 3]
        ours, theirs = cells[2], re.search(rf"{other} ([\d.]+)", cells[-1].strip(" |"))
        assert theirs is not None, name
        found.append((label, float(ours[:-1]), other, float(theirs[1])))
    return found


def chart() -> str:
    """Bars of CPU time, ours and another package's, as ratios to plain httpx."""
    step = 58
    rows = figures()
    scale = (WIDTH - 2 * MARGIN - 150) / max(theirs for *_, theirs in rows)
    parts = [_text(MARGIN, 28, "CPU time of a call, as a ratio to plain httpx", "bold")]
    for number, (label, ours, other, theirs) in enumerate(rows):
        top = 62 + number * step
        parts.append(_text(MARGIN, top - 6, label))
        for ratio, name, kind, down in (
            (ours, "this package", "ours", 0),
            (theirs, other, "theirs", 16),
        ):
            parts.append(
                f'<rect class="{kind}" x="{MARGIN}" y="{top + down}" width="{ratio * scale:.1f}" '
                'height="13" rx="2"/>'
            )
            words = f"{ratio:.2f}\N{MULTIPLICATION SIGN} {name}"
            parts.append(_text(MARGIN + ratio * scale + 6, top + down + 11, words, "small"))
        parts.append(
            f'<path class="line" stroke-dasharray="3 3" d="M{MARGIN + scale:.1f} {top - 3}v35"/>'
        )
    bottom = 46 + len(rows) * step
    parts.append(_text(MARGIN, bottom + 14, "dashed: plain httpx", "small"))
    return _drawing("CPU time as a ratio to plain httpx", bottom + 28, parts)


LAYERS: Final = (
    ("your program", ("LangChain", "LlamaIndex", "plain Python", "command line")),
    ("adapters", ("langchain/", "llama_index/", "enrichment/", "evaluation/")),
    ("shared", ("_documents/: text, ids", "client.py: run, arun, stream")),
    ("without I/O", ("api/: operations", "models/: their data", "_protocol/: rules")),
    ("with I/O", ("_transport/: driver, connection pool, cache, usage",)),
    ("servers", ("Parallel's API", "gateway", "hosted MCP", "sandbox/")),
)


def architecture() -> str:
    """The subpackages, each layer above those that it calls."""
    height, gap = 36, 40
    parts = []
    for number, (name, boxes) in enumerate(LAYERS):
        top = MARGIN + 16 + number * (height + gap)
        parts.append(_text(MARGIN, top - 6, name, "small"))
        width = (WIDTH - 2 * MARGIN - 10 * (len(boxes) - 1)) / len(boxes)
        for place, box in enumerate(boxes):
            x = MARGIN + place * (width + 10)
            parts.append(
                f'<rect class="box" x="{x:.1f}" y="{top}" width="{width:.1f}" height="{height}" '
                'rx="5"/>' + _text(x + width / 2, top + 23, box, anchor="middle")
            )
        if number + 1 < len(LAYERS):
            parts.append(_arrow(WIDTH / 2, top + height + 5, 0, gap - 10))
    return _drawing("Layers of the package", len(LAYERS) * (height + gap) + 10, parts)


COLUMNS: Final = ("your code", "retrievers.py", "api.search", "driver.py", "Parallel")
MESSAGES: Final = (
    (0, 1, 'invoke("…")'),
    (1, 1, "SearchRequest; queries derived"),
    (1, 3, "client.run(search(request))"),
    (3, 2, "next(flow)"),
    (2, 3, "Send(POST …)"),
    (3, 4, "HTTP request"),
    (4, 3, "response"),
    (3, 2, "send(response)"),
    (2, 3, "429: Send again"),
    (2, 1, "SearchResponse"),
    (1, 0, "documents"),
)


def one_search() -> str:
    """What happens between a question and its documents, downwards in time."""
    edge, top, step = 50, 52, 34
    between = (WIDTH - 2 * edge) / (len(COLUMNS) - 1)
    height = top + len(MESSAGES) * step
    places = [edge + number * between for number in range(len(COLUMNS))]
    parts = []
    for x, name in zip(places, COLUMNS, strict=True):
        parts.append(
            f'<rect class="box" x="{x - 43:.1f}" y="{MARGIN}" width="86" height="26" rx="5"/>'
            + _text(x, MARGIN + 17, name, "small", anchor="middle")
            + f'<path class="line" stroke-dasharray="2 4" d="M{x:.1f} {MARGIN + 26}V{height}"/>'
        )
    for number, (start, end, words) in enumerate(MESSAGES):
        y = top + number * step + 20
        x = places[start]
        if start == end:
            parts.append(_text(x + 8, y, words, "small"))
            continue
        parts.append(_text((x + places[end]) / 2, y - 5, words, "small", anchor="middle"))
        parts.append(_arrow(x, y, places[end] - x, 0))
    return _drawing("One search, from the question to its documents", height + 14, parts)


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'


def _arrow(x: float, y: float, right: float, down: float) -> str:
    end, bottom = x + right, y + down
    if down:
        tip = f"M{end - 4:.1f} {bottom - 6}h8l-4 6z"
    else:
        back = 6 if right > 0 else -6
        tip = f"M{end - back:.1f} {bottom - 4}v8L{end:.1f} {bottom}z"
    return f'<path class="line" d="M{x:.1f} {y}L{end:.1f} {bottom}"/><path class="mark" d="{tip}"/>'


def _drawing(title: str, height: float, parts: Iterable[str]) -> str:
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{title}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" x="1" y="1" width="{WIDTH - 2}" height="{height - 2}" rx="8"/>',
            *parts,
            "</svg>\n",
        )
    )


DRAWINGS: Final = {CHART: chart, ARCHITECTURE: architecture, ONE_SEARCH: one_search}

if __name__ == "__main__":
    for path, draw in DRAWINGS.items():
        path.write_text(draw())
        print(f"{path}: {path.stat().st_size} bytes")

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

WIDTH: Final = 720
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
    left, step = 156, 44
    rows = figures()
    scale = (WIDTH - left - 158) / max(theirs for *_, theirs in rows)
    parts = [_text(MARGIN, 28, "CPU time of a call, as a ratio to plain httpx", "bold")]
    for number, (label, ours, other, theirs) in enumerate(rows):
        top = 46 + number * step
        parts.append(_text(MARGIN, top + 19, label))
        for ratio, name, kind, down in (
            (ours, "this package", "ours", 0),
            (theirs, other, "theirs", 16),
        ):
            parts.append(
                f'<rect class="{kind}" x="{left}" y="{top + down}" width="{ratio * scale:.1f}" '
                'height="13" rx="2"/>'
            )
            words = f"{ratio:.2f}\N{MULTIPLICATION SIGN} {name}"
            parts.append(_text(left + ratio * scale + 6, top + down + 11, words, "small"))
    one = left + scale
    bottom = 46 + len(rows) * step
    parts.append(
        f'<path class="line" stroke-dasharray="3 3" d="M{one:.1f} 40V{bottom}"/>'
        + _text(one - 30, bottom + 14, "plain httpx", "small")
    )
    return _drawing("CPU time as a ratio to plain httpx", bottom + 28, parts)


LAYERS: Final = (
    ("your program", ("LangChain", "LlamaIndex", "plain Python", "command line")),
    ("adapters", ("langchain/", "llama_index/", "enrichment/", "evaluation/")),
    ("shared", ("_documents/: text, ids, queries", "client.py: run, arun, stream")),
    ("without I/O", ("api/: operations", "models/: their data", "_protocol/: rules")),
    ("with I/O", ("_transport/: driver, connection pool, cache, usage",)),
    ("servers", ("Parallel's API", "gateway", "hosted MCP server", "sandbox/")),
)


def architecture() -> str:
    """The subpackages, each layer above those that it calls."""
    left, height, gap = 120, 40, 26
    parts = []
    for number, (name, boxes) in enumerate(LAYERS):
        top = MARGIN + number * (height + gap)
        parts.append(_text(MARGIN, top + 25, name, "small"))
        width = (WIDTH - left - MARGIN - 10 * (len(boxes) - 1)) / len(boxes)
        for place, box in enumerate(boxes):
            x = left + place * (width + 10)
            parts.append(
                f'<rect class="box" x="{x:.1f}" y="{top}" width="{width:.1f}" height="{height}" '
                'rx="5"/>' + _text(x + width / 2, top + 25, box, anchor="middle")
            )
        if number + 1 < len(LAYERS):
            parts.append(_arrow((WIDTH + left) / 2, top + height + 4, 0, gap - 8))
    return _drawing("Layers of the package", len(LAYERS) * (height + gap) + 6, parts)


COLUMNS: Final = ("your code", "retrievers.py", "api.search", "driver.py", "Parallel")
MESSAGES: Final = (
    (0, 1, 'invoke("…")'),
    (1, 1, "SearchRequest; queries derived"),
    (1, 3, "client.run(search(request))"),
    (3, 2, "next(flow)"),
    (2, 3, "Send POST /v1/search"),
    (3, 4, "HTTP request, rendered"),
    (4, 3, "response"),
    (3, 2, "flow.send(response)"),
    (2, 3, "429, 5xx: Send again"),
    (2, 1, "SearchResponse"),
    (1, 0, "documents"),
)


def one_search() -> str:
    """What happens between a question and its documents, downwards in time."""
    between, top, step = (WIDTH - 2 * 70) / (len(COLUMNS) - 1), 52, 34
    height = top + len(MESSAGES) * step
    places = [70 + number * between for number in range(len(COLUMNS))]
    parts = []
    for x, name in zip(places, COLUMNS, strict=True):
        parts.append(
            f'<rect class="box" x="{x - 66:.1f}" y="{MARGIN}" width="132" height="26" rx="5"/>'
            + _text(x, MARGIN + 18, name, anchor="middle")
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
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
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

"""Draw the layers as an SVG, from the rows of `tests/test_imports.py` that the tests enforce.

    python docs/make_layers.py          writes docs/layers.svg

A part stands one floor above the highest part that it may import. Commands share a floor.
"""

from __future__ import annotations

import ast
import runpy
import textwrap
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "layers.svg"
WIDTH, SIDE, GAP = 960, 150, 10
MOST = 6  # boxes that stand side by side with their names inside
INK, SOFT, LINE, LEAVE = "#1f2933", "#52606d", "#9aa5b1", "#2b6cb0"
FILL = {"sweep": "#eef4fb", "verb": "#fdf3e2", "core": "#eaf6ee", "dashboards": "#f5eefa"}
#: Guarded packages as people call them; our own core comes first.
LIBRARIES = {
    "ptxcore": "core", "optuna": "Optuna", "ray": "Ray", "mlflow": "MLflow", "torch": "PyTorch",
    "monai": "MONAI", "plotly": "plotly", "dashboards": "dashboards",
}  # fmt: skip


def floors(rules: dict[str, Any]) -> list[list[str]]:
    """Parts of `sweep` by floor, the lowest first."""
    rows = {name: row.parts - {name} for name, row in rules["SWEEP"].items()}
    if strangers := set(rules["VERBS"]).union(*rows.values()) - rows.keys():
        raise SystemExit(f"tests/test_imports.py names parts without a row: {sorted(strangers)}")
    level: dict[str, int] = {}
    while len(level) < len(rows):
        ready = {n: p for n, p in rows.items() if n not in level and p <= level.keys()}
        if not ready:
            raise SystemExit(f"these parts import each other: {sorted(rows.keys() - level.keys())}")
        for name, parts in ready.items():
            level[name] = 1 + max((level[part] for part in parts), default=-1)
    commands = [name for name in rules["VERBS"] if name != "demo"]
    level |= dict.fromkeys(commands, max(level[name] for name in commands))
    found: list[list[str]] = [[] for _ in range(max(level.values()) + 1)]
    for name in rows:
        found[level[name]].append(name)
    return [floor for floor in found if floor]


def answer(name: str) -> str:
    """The first sentence of a folder's docstring, without its examples."""
    text = (ROOT / "sweep" / name / "__init__.py").read_text(encoding="utf-8")
    first = " ".join((ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].split())
    return first.split(". ")[0].rstrip(".").replace("`", "")


class Drawing:
    """Boxes and texts, from the top down."""

    def __init__(self) -> None:
        """Nothing drawn yet."""
        self.parts: list[str] = []
        self.y = 0

    def text(self, x: float, y: float, text: str, size: int, color: str, weight: int = 400) -> None:
        """One line, centred at x."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{color}" font-weight="{weight}" '
            f'text-anchor="middle">{escape(text)}</text>'
        )

    def box(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """A rectangle."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" '
            f'fill="{fill}" stroke="{LINE}"/>'
        )

    def floor(self, boxes: list[tuple[str, str, str]], fill: str, width: float) -> None:
        """One row of boxes of equal width: name, what it answers, what it may import besides."""
        size = (width - GAP * (len(boxes) - 1)) / len(boxes)
        wrapped = [
            [(line, SOFT) for line in textwrap.wrap(text, int(size / 6.2))]
            + [(line, LEAVE) for line in textwrap.wrap(more, int(size / 6.2))]
            for _, text, more in boxes
        ]
        height = 28 + 15 * max(map(len, wrapped))
        for place, ((name, *_), lines) in enumerate(zip(boxes, wrapped, strict=True)):
            x = place * (size + GAP)
            self.box(x, self.y, size, height, fill)
            self.text(x + size / 2, self.y + 19, name, 14, INK, 600)
            for number, (line, color) in enumerate(lines):
                self.text(x + size / 2, self.y + 35 + 15 * number, line, 11, color)
        self.y += height + GAP

    def title(self, text: str, width: float) -> None:
        """A line between floors."""
        self.text(width / 2, self.y + 12, text, 12, SOFT)
        self.y += 22


def draw(rules: dict[str, Any]) -> str:
    """The whole picture."""
    drawing, width = Drawing(), WIDTH - SIDE - GAP
    drawing.title(
        "sweep: a part imports only what stands below; in blue, what it has leave for", width
    )
    for floor in reversed(floors(rules)):
        is_verb = floor[0] in rules["VERBS"]
        boxes = []
        for name in floor:
            row = rules["SWEEP"][name]
            known = [label for key, label in LIBRARIES.items() if key in row.guarded]
            is_folder = (ROOT / "sweep" / name).is_dir()
            more = "anything installed" if len(known) > 5 else " · ".join(known)
            boxes.append((name, answer(name) if is_folder and not is_verb else "", more))
        num_rows = -(-len(boxes) // MOST)
        size = -(-len(boxes) // num_rows)
        for start in range(0, len(boxes), size):
            drawing.floor(boxes[start : start + size], FILL["verb" if is_verb else "sweep"], width)
    words = ("errors, records", "words that every part shares; the standard library", "")
    drawing.floor([words], FILL["sweep"], width)
    top = drawing.y
    drawing.title("ptxcore: knows nothing of sweeps, Ray, Optuna, MLflow or plotly", width)
    for layer in reversed(rules["CORE_LAYERS"]):
        drawing.floor([(", ".join(sorted(layer)), "", "")], FILL["core"], width)
    rooms = " → ".join(rules["DATA_ROOMS"])
    drawing.title(f"inside data, each imports those before it: {rooms}", width)
    drawing.parts += side(rules, width + GAP, 22, top - GAP - 22)
    style = 'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif"'
    body = "\n".join(drawing.parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 {WIDTH + 16} {drawing.y + 16}" '
        f'{style} role="img" aria-label="Layers of ptxsweep">\n'
        f'<rect x="-8" y="-8" width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def side(rules: dict[str, Any], x: float, y: float, height: float) -> list[str]:
    """`dashboards`, beside the floors: it reads and is called, and no part below imports it."""
    drawing = Drawing()
    drawing.box(x, y, SIDE, height, FILL["dashboards"])
    drawing.text(x + SIDE / 2, y + 24, "dashboards", 14, INK, 600)
    reads = ", ".join(sorted(rules["DASHBOARDS_MAY"]))
    callers = [name for name, row in rules["SWEEP"].items() if "dashboards" in row.guarded]
    lines = [
        "figures and the report,", "a view of the ledger", "",
        *textwrap.wrap(f"reads {reads}", 22), "",
        *textwrap.wrap(f"imported by {', '.join(callers)}", 22),
    ]  # fmt: skip
    for number, line in enumerate(lines):
        drawing.text(x + SIDE / 2, y + 46 + 15 * number, line, 11, SOFT)
    return drawing.parts


def main() -> str:
    """The picture of the rules as they are."""
    return draw(runpy.run_path(str(ROOT / "tests" / "test_imports.py")))


if __name__ == "__main__":
    PICTURE.write_text(main(), encoding="utf-8")

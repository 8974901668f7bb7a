"""`ptxsweep data fidelity`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sweep.cli._common import (
    EXISTING_FILE,
    EXISTING_FOLDER,
    OUTPUT_FILE,
    console,
    counter,
    emit,
    json_option,
    say,
)
from sweep.cli._help import command
from sweep.errors import UsageError
from sweep.util.words import count

if TYPE_CHECKING:
    from ptxcore.data.studies.fidelity import Study
    from ptxcore.data.studies.fidelity_masks import Masks

_SIDE_PX = 1024

_EPILOG = """\b
Dice of the mask against itself after it went to a coarser grid and came back, cut at 0.5:
  back bilinear  the answer returns as shares, as prediction does it here
  back nearest   it returns block by block
Q1 to Q4 are quarters of the masks, the smallest first. `dice` is the mean over all cases, empty
ones count 1; `positive` the mean over cases with a mask.
\b
Masks are those of
  --rle CSV               every image of the table
  --store STORE           every case of the store, as it was imported
  --rle CSV --store STORE those images of the table that the store holds, on their own grids"""


@command("fidelity", epilog=_EPILOG)
@click.option("--rle", type=EXISTING_FILE, help="CSV of run-length encoded masks, or .csv.gz.")
@click.option(
    "--store", type=EXISTING_FOLDER, help="Case store: its masks, or with --rle its images."
)
@click.option(
    "--height", type=click.IntRange(2), help=f"Of CSV masks without a store, px [{_SIDE_PX}]."
)
@click.option(
    "--width", type=click.IntRange(2), help=f"Of CSV masks without a store, px [{_SIDE_PX}]."
)
@click.option(
    "--size",
    "sizes",
    type=click.IntRange(1),
    multiple=True,
    help="Longer side of a coarse grid in px; may be given many times [1/2, 1/4 and 1/8 of the "
    "smallest mask's: 512, 256, 128 at 1024].",
)
@click.option("--figure", type=OUTPUT_FILE, help="Write the figure as HTML.")
@click.option("--workers", type=click.IntRange(1), help="Threads [one per core].")
@json_option
def fidelity_command(
    rle: Path | None,
    store: Path | None,
    height: int | None,
    width: int | None,
    sizes: tuple[int, ...],
    figure: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Is downsampling the limit? The best Dice that a perfect network could reach."""
    masks = _masks(rle, store, height, width)
    sizes = tuple(dict.fromkeys(sizes)) or masks.sizes
    from ptxcore.data.studies.fidelity import study

    progress = counter("measured")
    found = study(
        masks.loaders,
        sizes=sizes,
        workers=workers,
        on_case=lambda done: progress(done, len(masks.loaders)),
    )
    if figure is not None:
        _draw(figure, found)
    if as_json:
        emit(
            {
                "num_cases": found.num_cases,
                "num_positive": found.num_positive,
                "num_rows_unused": masks.num_rows_unused,
                "num_cases_unused": masks.num_cases_unused,
                "quartile_edges_px": found.quartile_edges_px,
                "rows": found.rows,
                "best": {str(size): found.best(size) for size in sizes},
            }
        )
        return
    _print(found)
    for size in sizes:
        click.echo(answer(found, size))


def answer(found: Study, size: int) -> str:
    """The study at one size in a sentence."""
    best = found.best(size)
    return (
        f"{size} px: a perfect network reaches Dice {best.dice_positive:.3f} on cases with a mask "
        f"({best.dice_quartiles[0]:.3f} on the smallest quarter), {best.dice:.3f} over all cases "
        f"({best.method}, back {best.back}); what a model lacks beyond that is not the grid's."
    )


def _masks(rle: Path | None, store: Path | None, height: int | None, width: int | None) -> Masks:
    if rle is None and store is None:
        raise UsageError("data fidelity: found neither, expected --rle CSV, --store FOLDER or both")
    if store is not None and (height, width) != (None, None):
        raise UsageError(
            "data fidelity: found --height or --width beside --store; its cases have sizes of "
            "their own; leave them out"
        )
    from ptxcore.data.studies.fidelity_masks import masks_of_both, masks_of_store, masks_of_table

    if store is None:
        assert rle is not None
        return masks_of_table(rle, height or _SIDE_PX, width or _SIDE_PX)
    if rle is None:
        return masks_of_store(store)
    masks = masks_of_both(rle, store)
    say(
        f"{len(masks.loaders)} images are in both; left out: {masks.num_rows_unused} of {rle.name} "
        f"alone, {masks.num_cases_unused} of {store} alone"
    )
    return masks


def _print(found: Study) -> None:
    from rich.table import Table as Grid

    low, middle, high = found.quartile_edges_px
    grid = Grid(
        title=f"{count(found.num_cases, 'case')}, {found.num_positive} with a mask; quarters at "
        f"{low:.0f}, {middle:.0f}, {high:.0f} px"
    )
    for name in ("px", "method", "back"):
        grid.add_column(name, justify="right" if name == "px" else "left")
    for name in ("positive", "Q1", "Q2", "Q3", "Q4", "5th pct", "vanished", "dice"):
        grid.add_column(name, justify="right")
    for cells in _cells(found):
        grid.add_row(*cells)
    console().print(grid)


def _cells(found: Study) -> Iterator[list[str]]:
    for row in found.rows:
        numbers = (row.dice_positive, *row.dice_quartiles, row.lowest_twentieth)
        shown = [f"{value:.4f}" for value in numbers]
        yield [
            str(row.size), row.method, row.back, *shown, f"{row.vanished:.2%}", f"{row.dice:.4f}"
        ]  # fmt: skip


def _draw(path: Path, found: Study) -> None:
    from dashboards.figures.fidelity import ceiling_figure
    from dashboards.report.page import figure_page
    from ptxcore.atomic_file import whole_file

    with whole_file(path) as draft:
        page = figure_page("Dice that a perfect network reaches", ceiling_figure(found))
        draft.write_text(page, encoding="utf-8")

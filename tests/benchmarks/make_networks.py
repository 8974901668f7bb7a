"""Tables of folds x epochs x cases of real networks: sweeps of `search_spaces/table.yaml`.

    python tests/benchmarks/make_networks.py FOLDER [NAME ...] [--nuclei WHEEL]

runs each sweep of `SWEEPS` with two workers and writes `<name>_k<folds>.npz` into FOLDER, as
`ptxsweep export-table --cases` does: 40 random configurations, objective average precision, no
pruner. Radiographs are the positive ones below `PTXSWEEP_SIIM`; the phantom is drawn; nuclei are 64
tiles of the fluorescence image with its mask that comes in the wheel of StarDist, for instance
`stardist-0.9.2-cp311-cp311-*.whl` (BSD-3-Clause), held by blocks of four tiles that touch. Five to
twenty minutes a table on two cores; tables that exist are left alone and sweeps that were
interrupted go on. `tests/data/curves/<name>_curves_*.npz` are these without `cases`, and
`tests/data/cases` has those of one drawn set.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

#: By name: data, and options of `ptxsweep run table`.
SWEEPS: dict[str, tuple[str, str]] = {
    "siim_unet_96": ("siim", "--seed 1 --set network=unet --set image_size=96"),
    "siim_attention_96": ("siim", "--seed 2 --set image_size=96"),
    "siim_unet_128": ("siim", "--seed 3 --set network=unet"),
    "siim_unet_64_e60": (
        "siim",
        "--seed 6 --set network=unet --set image_size=64 --set patch_size=0 --set max_epochs=60 "
        "--set patience=60",
    ),
    "siim_attention_64": ("siim", "--seed 7 --set image_size=64 --set patch_size=0 --folds 10"),
    "nuclei_unet_64": (
        "nuclei",
        "--seed 5 --set network=unet --set image_size=64 --set patch_size=0",
    ),
    "phantom_unet_96": ("phantom", "--seed 4 --set network=unet --set image_size=96"),
    # Healthy cases are held, too.
    "phantom_attention_96": ("harder_phantom", "--seed 8 --set image_size=96 --cases all"),
}
#: Options of `ptxsweep data phantom`.
PHANTOMS = {
    "phantom": "--num-cases 80 --size 256 --prevalence 1 --seed 3",
    "harder_phantom": "--num-cases 120 --size 256 --prevalence 0.35 --seed 4",
}
_TILE_PX, _BLOCK_PX = 64, 128


def ptxsweep(folder: Path, *words: str) -> None:
    home = {"PTXSWEEP_HOME": str(folder / "home"), "PTXSWEEP_KEY": str(folder / "key")}
    command = [sys.executable, "-m", "sweep.cli", *words]
    subprocess.run(command, check=True, env={**os.environ, **home})


def store_of(data: str, folder: Path, nuclei: Path | None) -> Path:
    """Import what is not imported yet."""
    store, source = folder / "stores" / data, folder / "sources" / data
    if store.exists():
        return store
    if data == "siim":
        siim = Path(os.environ["PTXSWEEP_SIIM"])
        given = ["--dicom", str(siim / "dicom"), "--rle", str(siim / "train-rle.csv")]
    elif data == "nuclei":
        assert nuclei is not None
        write_tiles(nuclei, source)
        given = ["--png", str(source), "--groups", str(source.with_suffix(".csv"))]
    else:
        ptxsweep(folder, "data", "phantom", str(source), *PHANTOMS[data].split())
        given = ["--dicom", str(source / "dicom"), "--rle", str(source / "phantom-rle.csv")]
    ptxsweep(folder, "data", "import", *given, "--store", str(store))
    return store


def write_tiles(wheel: Path, folder: Path) -> None:
    """Pairs of PNG files, and beside the folder the table of the blocks that they lie in."""
    with zipfile.ZipFile(wheel) as archive:
        image, labels = (
            np.asarray(Image.open(io.BytesIO(archive.read(f"stardist/data/images/{name}.tif"))))
            for name in ("img2d", "mask2d")
        )
    bright = np.clip(image * (255 / np.percentile(image, 99.9)), 0, 255).astype(np.uint8)
    mask = ((labels > 0) * 255).astype(np.uint8)
    rows = ["image_id,group"]
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for top in range(0, image.shape[0], _TILE_PX):
        for left in range(0, image.shape[1], _TILE_PX):
            name, place = f"tile-{top}-{left}", np.s_[top : top + _TILE_PX, left : left + _TILE_PX]
            Image.fromarray(bright[place]).save(folder / "images" / f"{name}.png")
            Image.fromarray(mask[place]).save(folder / "masks" / f"{name}.png")
            rows.append(f"{name},{top // _BLOCK_PX}-{left // _BLOCK_PX}")
    folder.with_suffix(".csv").write_text("\n".join(rows) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=[*SWEEPS], metavar="NAME")
    parser.add_argument("--nuclei", type=Path, metavar="WHEEL")
    given = parser.parse_args(arguments)
    wanted = {SWEEPS[name][0] for name in given.names}
    if "siim" in wanted and "PTXSWEEP_SIIM" not in os.environ:
        parser.error("expected PTXSWEEP_SIIM, the folder of the radiographs")
    if "nuclei" in wanted and given.nuclei is None:
        parser.error("expected --nuclei, the wheel of StarDist")
    for name in given.names:
        data, options = SWEEPS[name]
        words = options.split()
        num_folds = words[words.index("--folds") + 1] if "--folds" in words else "5"
        out = given.folder / f"{name}_k{num_folds}.npz"
        if out.exists():
            continue
        store = store_of(data, given.folder, given.nuclei)
        cases = [] if "--cases" in words else ["--cases", "positive"]
        words += [*cases, "--store", str(store), "--workers", "2", "--name", name, "--or-resume"]
        ptxsweep(given.folder, "run", "table", *words)
        ptxsweep(given.folder, "export-table", name, "--cases", "--out", str(out))


if __name__ == "__main__":
    main()

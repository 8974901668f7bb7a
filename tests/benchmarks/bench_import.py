"""Import against a plain pydicom loop, in time and in memory.

    python tests/benchmarks/bench_import.py [number of images]

The real slice that the tests use, where it is found, else drawn 1024 x 1024 images, JPEG Baseline
as in SIIM-ACR. The plain loop reads, decodes, unites the masks and writes the same two files, all
with Pillow as decoder: hashes, checks and the table are extra work that only the import does. Both
run in processes of their own, in turn; the fastest of each counts. Set-up is not timed. The last
line is one JSON object.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))

from siim_slice import find_slice

NUM_REPEATS = 5
SIDE_PX = 1024


def plain_loop(dicom: Path, rle: Path, target: Path) -> None:
    import pydicom
    from pydicom.pixels import pixel_array

    rows: dict[str, list[str]] = {}
    for line in rle.read_text().splitlines()[1:]:
        name, text = line.split(",")
        rows.setdefault(name.strip(), []).append(text.strip())
    target.mkdir()
    with (target / "images.bin").open("wb") as images, (target / "masks.bin").open("wb") as masks:
        for path in sorted(dicom.iterdir()):
            dataset = pydicom.dcmread(path)
            if str(dataset.SOPInstanceUID) not in rows:
                continue
            pixels = pixel_array(dataset, decoding_plugin="pillow")
            flat = np.zeros(pixels.size, dtype=bool)
            for text in rows[str(dataset.SOPInstanceUID)]:
                numbers = [int(word) for word in text.split()]
                place = 0
                for gap, length in zip(numbers[::2], numbers[1::2], strict=False):
                    place += gap
                    flat[place : place + length] = True
                    place += length
            images.write(pixels.tobytes())
            masks.write(np.packbits(flat.reshape(pixels.shape[::-1]).T).tobytes())


def our_import(dicom: Path, rle: Path, target: Path) -> None:
    from ptxcore.data.importing.run import import_cases

    import_cases(dicom, rle, target)


def child(what: str, dicom: Path, rle: Path, target: Path) -> None:
    """Time one run after the imports, and report the peak memory of the process."""
    import pydicom.pixels  # noqa: F401

    import ptxcore.data.importing.run  # noqa: F401

    work = {"plain": plain_loop, "ours": our_import}[what]
    begin, begin_cpu = time.perf_counter(), time.process_time()
    work(dicom, rle, target)
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - begin_cpu
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak_kib / 1024}))


def run(what: str, dicom: Path, rle: Path, target: Path) -> dict[str, float]:
    words = [sys.executable, __file__, "child", what, str(dicom), str(rle), str(target)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    subprocess.run(["rm", "-r", str(target)], check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def draw(folder: Path, num_images: int) -> tuple[Path, Path]:
    """Smooth noise compresses to about the size of a real chest X-ray, 100 KiB."""
    from pydicom.uid import JPEGBaseline8Bit
    from tiny_dicom import write_dicom

    from ptxcore.data.formats.rle import encode

    rng = np.random.default_rng(0)
    (folder / "dicom").mkdir(parents=True)
    lines = ["ImageId, EncodedPixels"]
    ramp = np.add.outer(np.linspace(0, 60, SIDE_PX), np.linspace(0, 60, SIDE_PX))
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    for number in range(num_images):
        uid = f"1.2.826.0.1.3680043.8.498.{number + 1}"
        coarse = rng.normal(80, 25, (SIDE_PX // 4, SIDE_PX // 4)).repeat(4, 0).repeat(4, 1)
        pixels = np.clip(coarse + ramp, 0, 255).astype(np.uint8)
        mask = np.hypot((y - 400) / 1.5, x - 300) < 60 + number % 30
        write_dicom(folder / "dicom" / f"{number}.dcm", pixels, uid=uid, syntax=JPEGBaseline8Bit)
        lines.append(f"{uid}, {encode(mask) if number % 3 == 0 else -1}")
    (folder / "masks.csv").write_text("\n".join(lines) + "\n")
    return folder / "dicom", folder / "masks.csv"


def main() -> None:
    num_images = int(sys.argv[1]) if len(sys.argv) > 1 else 240
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        real = find_slice()
        few = draw(folder / "few", num_images // 6)
        many = draw(folder / "many", num_images)
        timed = (real / "dicom", real / "train-rle.csv") if real else many
        runs: dict[str, list[dict[str, float]]] = {"plain": [], "ours": []}
        for repeat in range(NUM_REPEATS):
            for what in ("plain", "ours"):
                found = run(what, *timed, folder / f"{what}-{repeat}")
                runs[what].append(found)
                print(f"{what:<6} {found['seconds']:7.2f} s, {found['cpu_seconds']:7.2f} s of CPU")
        small, large = (run("ours", *files, folder / "memory")["peak_mib"] for files in (few, many))
    best = {what: min(run["seconds"] for run in own) for what, own in runs.items()}
    cpu = {what: min(run["cpu_seconds"] for run in own) for what, own in runs.items()}
    result = {
        "images": "real" if real else "drawn",
        "num_images": len(list(timed[0].iterdir())) if real else num_images,
        "num_processors": len(os.sched_getaffinity(0)),
        "plain_seconds": round(best["plain"], 3),
        "import_seconds": round(best["ours"], 3),
        "ratio": round(best["plain"] / best["ours"], 2),
        # Tells the same story on a machine that is busy with other things.
        "plain_cpu_seconds": round(cpu["plain"], 3),
        "import_cpu_seconds": round(cpu["ours"], 3),
        "load": round(os.getloadavg()[0], 1),
        "peak_mib_of_a_sixth": round(small, 1),
        "peak_mib": round(large, 1),
        "peak_growth_mib": round(large - small, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "child":
        child(sys.argv[2], *map(Path, sys.argv[3:6]))
    else:
        main()

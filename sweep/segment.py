"""Segment DICOM files with a registered model, and write what it sees: pictures, tables, DICOM."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptxcore.atomic_file import whole_file
from ptxcore.data.formats.contrast import has_contrast
from ptxcore.data.formats.dicom import read_dicom
from ptxcore.data.formats.image_range import ImageRange, other_kind, unlike_training
from ptxcore.data.formats.rle import encode
from ptxcore.data.importing.naming import HINT, refuse_all, speaking_of
from ptxcore.errors import DataError
from ptxcore.export.dicom_seg import SEG_TYPES, make_seg
from ptxcore.export.dicom_sr import make_sr
from ptxcore.export.pictures import write_mask, write_probability
from ptxcore.export.source_image import Maker, SourceImage, read_source, silent
from sweep.analysis.detection import CaseCall, call_case, known_case_rule
from sweep.errors import UsageError
from sweep.mlflow.graph_cache import with_engine
from sweep.mlflow.open_model import AUTO, ENGINE, PYTORCH, REGISTERED, open_model
from sweep.shadow import TABLE, Disagreement, Shadow
from sweep.storage.home import Home
from sweep.storage.inputs import Inputs, find_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from ptxcore.export.onnx_graph import OnnxEnsemble
    from ptxcore.inference import Ensemble, Segmentation

    Model = Ensemble | OnnxEnsemble

#: How a file's name ends, after that of its image, in each format; "rle" is one file for all.
FORMATS = {
    "png": ".mask.png",
    "probability": ".probability.png",
    "rle": "masks.csv",
    "seg": ".seg.dcm",
    "sr": ".sr.dcm",
}
DEFAULT_FORMATS = ("png", "probability")
_BEYOND = "as the model was trained on (--beyond-training segments them all the same)"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One file.

    Attributes:
        source: The DICOM file.
        probability: 16-bit PNG, 65535 is a probability of 1; None if not asked for.
        mask: 8-bit PNG, 0 or 255; likewise.
        mask_px: Pixels of the mask.
        share: Share of the image inside the mask, in [0, 1].
        highest: Highest probability, in [0, 1].
        has_contrast: Whether the image shows anything; if not, an empty mask is no finding.
        case: Whether the image as a whole is called ill, apart from its mask; None where the model
            does not know.
        attention: Picture of what the attention gates let through, None if not asked for.
        seg: DICOM Segmentation, which carries the patient's identity; likewise.
        sr: Structured report on it, with the area; likewise.
        shadow: Where a second model disagrees, None if there was none.
    """

    source: Path
    probability: Path | None
    mask: Path | None
    mask_px: int
    share: float
    highest: float
    has_contrast: bool
    case: CaseCall | None = None
    attention: Path | None = None
    seg: Path | None = None
    sr: Path | None = None
    shadow: Disagreement | None = None


def check_formats(formats: Sequence[str]) -> None:
    """Refuse what cannot be written, before a model is loaded.

    Raises:
        UsageError: None, or an unknown format.
    """
    unknown = [word for word in formats if word not in FORMATS]
    if unknown or not formats:
        raise UsageError(
            f"--format: found {', '.join(unknown) or 'none'}, expected some of {', '.join(FORMATS)}"
        )


def predict_files(
    home: Home,
    uri: str,
    inputs: Inputs | Sequence[Path],
    out: Path,
    *,
    formats: Sequence[str] = DEFAULT_FORMATS,
    seg_type: str = SEG_TYPES[0],
    ohif: bool = False,
    attention: Path | None = None,
    engine: str = AUTO,
    shadow: str | None = None,
    shadow_pictures: Path | None = None,
    beyond_training: bool = False,
    on_convert: Callable[[], None] = lambda: None,
    on_model: Callable[[Mapping[str, Any]], None] = lambda facts: None,
    on_shadow: Callable[[Mapping[str, Any]], None] = lambda facts: None,
    on_problem: Callable[[DataError], None] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Prediction]:
    """Segment files one by one; memory does not grow with their number.

    Args:
        home: Home with the address of the MLflow that knows the model.
        uri: See `open_model`.
        inputs: DICOM files and folders of them, or what `find_inputs` made of those.
        out: Folder for the files; made if absent, files of the same name are replaced.
        formats: Names from `FORMATS`; "sr" brings the "seg" that it refers to.
        seg_type: One of `ptxcore.export.dicom_seg.SEG_TYPES`.
        ohif: Whether segmentations have the orientation that the viewer OHIF asks for.
        attention: Folder for pictures of the attention gates, likewise; None draws none.
        engine: What computes: of networks see `sweep.mlflow.graph_cache`, of a graph `open_model`.
        shadow: Alias or address of a second model that is compared with the first, see
            `sweep.shadow`; `out` gets a table of where they disagree, and none of its masks.
        shadow_pictures: Folder for pictures of both outlines where they do; None draws none.
        beyond_training: Whether images of a size, shape, bit depth or view that is too far from
            those that a model was trained on are segmented all the same.
        on_convert: Called before networks are made into a graph, which takes a while.
        on_model: Called with what the model says of its origin, and under "unlike" and "outside"
            with sentences about images that are too far from those of its training, or somewhat
            other; before the first file is decoded.
        on_shadow: Likewise with what the shadow says.
        on_problem: Called with the error of a file that cannot be read, after which the next one is
            segmented; None lets it end the call.
        on_progress: Called after every segmented file with how many are done, and of how many.

    Raises:
        DataError: Images are too far from those that a model was trained on; nothing was written.
        UsageError: No such model, or pictures of gates are asked of one that has none; no image;
            a format that cannot be written.
        CheckpointError: The model's files are damaged or were exchanged.
        TrackingError: MLflow cannot be reached.
        DicomError: A file cannot be read, and `on_problem` is None; those before it were written.
    """
    check_formats(formats)
    chosen = inputs if isinstance(inputs, Inputs) else find_inputs(inputs)
    if {"seg", "sr"} & {*formats}:
        for file in chosen.files:  # before anything is written
            with speaking_of(file, chosen.labels[file], HINT):
                read_source(file)
    model, facts = open_model(home, uri, engine)
    beside = None if shadow is None else Shadow(home, shadow, uri, facts, shadow_pictures)
    for origin in [facts, *([] if beside is None else [beside.facts])]:
        origin["unlike"] = _require_alike(origin, chosen, beyond_training=beyond_training)
    # A graph has no gates to draw.
    asked = PYTORCH if attention is not None and engine == AUTO else engine
    model, facts = with_engine(home, model, facts, asked, len(chosen.files), on_convert)
    on_model({**facts, "rule": model.rule.to_stored(), "outside": _outside(facts, chosen)})
    if beside is not None:
        on_shadow(beside.facts)
    if attention is not None and not any(network.num_gates for network, _ in model.members):
        raise UsageError(
            f"--attention: found no networks with attention gates in {uri}, expected "
            "network=attention_unet, and no graph; leave the option out"
        )
    for folder in (out, attention or out, shadow_pictures or out):
        folder.mkdir(parents=True, exist_ok=True)
    case_rule = known_case_rule(facts)
    writer = _Writer(out, frozenset(formats), seg_type, ohif, _maker(facts))
    found = []
    try:
        for number, file in enumerate(chosen.files, start=1):
            label = chosen.labels[file]
            try:
                image, source = _read(file, label, writer)
            except DataError as error:
                if on_problem is None:
                    raise
                on_problem(error)
                continue
            name = chosen.names[file]
            prediction, (probability, mask, case_logit) = _predict(
                model, file, name, image, source, writer
            )
            if case_rule is not None:
                call = call_case(case_rule, probability, case_logit)
                prediction = dataclasses.replace(prediction, case=call)
            if attention is not None:
                path = attention / f"{name}.attention.png"
                _draw_attention(model, image, mask, path)
                prediction = dataclasses.replace(prediction, attention=path)
            if beside is not None:
                both = beside.compare(name, label, image, probability, mask)
                prediction = dataclasses.replace(prediction, shadow=both)
            found.append(prediction)
            on_progress(number, len(chosen.files))
    finally:
        writer.finish()
        if beside is not None:
            beside.write_table(out / TABLE)
    return found


def _require_alike(facts: Mapping[str, Any], inputs: Inputs, *, beyond_training: bool) -> list[str]:
    """What is too far from the images that a model was trained on; refused unless that is meant."""
    kind = other_kind(facts, inputs.contents)
    # Others than radiographs were asked for by --any-modality.
    if kind is not None and kind.endswith("radiographs") and not beyond_training:
        raise UsageError(f"predict: it is {kind}, expected pictures {_BEYOND}")
    problems = []
    for file, header in inputs.headers.items():
        if (found := unlike_training(facts, header)) is not None:
            problems.append(f"{inputs.labels[file]}: {found}")
    if not beyond_training:
        refuse_all([*map(DataError, problems)], len(inputs.headers), f", {_BEYOND}")
    return problems


def _outside(facts: Mapping[str, Any], inputs: Inputs) -> str | None:
    """What to say of images that are somewhat other than those of training; None of none."""
    known = ImageRange.from_facts(facts.get("images"))
    headers = inputs.headers.values()
    if known is None or all(known.holds(one.shape, one.bits) for one in headers):
        return None
    number = sum(not known.holds(one.shape, one.bits) for one in headers)
    return (
        f"{number} of {len(headers)} images are of other sizes or bits than the model was trained "
        f"on ({known.words}); they are brought to its grid and normalised one by one, as those were"
    )


def _maker(facts: Mapping[str, Any]) -> Maker:
    name, number = facts.get(REGISTERED) or (facts.get("sweep") or "a folder", "unregistered")
    engine = facts[ENGINE]
    software = f"{version('ptxsweep')}, {engine['name']} {engine['version']}"
    return Maker(model=str(name)[:64], version=str(number)[:64], software=software[:64])


def _draw_attention(
    ensemble: Model, image: NDArray[Any], mask: NDArray[np.bool_], path: Path
) -> None:
    from ptxcore.inference import Ensemble
    from ptxcore.inference.attention_sheet import attention_sheet

    assert isinstance(ensemble, Ensemble), "a graph has no gates, which was refused before"

    with whole_file(path) as draft:
        attention_sheet(image, mask, ensemble.attention(image)).save(draft, format="PNG")


def _read(file: Path, label: str, writer: _Writer) -> tuple[NDArray[Any], SourceImage | None]:
    with speaking_of(file, label, "" if label == file.name else HINT):
        return read_dicom(file).pixels, read_source(file) if writer.needs_source else None


def _predict(
    ensemble: Model,
    file: Path,
    name: str,
    image: NDArray[Any],
    source: SourceImage | None,
    writer: _Writer,
) -> tuple[Prediction, Segmentation]:
    """The prediction, and what it was made of."""
    from ptxcore.inference import segment

    found = segment(ensemble, image)
    probability, mask, _ = found
    paths = writer.write(name, source, probability, mask)
    done = Prediction(
        source=file,
        probability=paths.get("probability"),
        mask=paths.get("png"),
        mask_px=int(mask.sum()),
        share=float(mask.mean()),
        highest=float(probability.max()),
        has_contrast=has_contrast(image),
        seg=paths.get("seg"),
        sr=paths.get("sr"),
    )
    return done, found


class _Writer:
    """Writes a prediction in each format that was asked for."""

    def __init__(
        self, out: Path, formats: frozenset[str], seg_type: str, ohif: bool, maker: Maker
    ) -> None:
        self._out, self._maker = out, maker
        self._seg_options: dict[str, Any] = {"seg_type": seg_type, "ohif": ohif}
        self._formats = formats | ({"seg"} if "sr" in formats else set())
        self._rows: list[tuple[str, str]] = []
        self.needs_source = "seg" in self._formats

    def write(
        self,
        name: str,
        source: SourceImage | None,
        probability: NDArray[Any],
        mask: NDArray[np.bool_],
    ) -> dict[str, Path]:
        """Where each format of one image was written."""
        paths = {word: self._out / f"{name}{FORMATS[word]}" for word in self._formats - {"rle"}}
        if "probability" in paths:
            write_probability(paths["probability"], probability)
        if "png" in paths:
            write_mask(paths["png"], mask)
        if "rle" in self._formats:
            self._rows.append((name, encode(mask)))
        if source is not None:
            seg = make_seg(source, probability, mask, maker=self._maker, **self._seg_options)
            _write_dicom(paths["seg"], seg)
            if "sr" in paths:
                _write_dicom(paths["sr"], make_sr(source, seg, mask, maker=self._maker))
        return paths

    def finish(self) -> None:
        """The table of masks; after an error, of those before it."""
        if "rle" not in self._formats:
            return
        with (
            whole_file(self._out / FORMATS["rle"]) as draft,
            draft.open("w", encoding="utf-8", newline="") as file,
        ):
            csv.writer(file).writerows([("ImageId", "EncodedPixels"), *self._rows])


def _write_dicom(path: Path, dataset: Dataset) -> None:
    with whole_file(path) as draft, silent():
        dataset.save_as(draft)

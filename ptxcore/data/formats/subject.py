"""What a picture is of: kind of object, modality, view and body part, as its header says.

Only words of the lists below are ever counted or shown: elsewhere a field can hold free text about
a person, which counts as "other".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydicom.config import IGNORE
from pydicom.uid import UID

from ptxcore.errors import OtherModalityError

UNKNOWN, OTHER = "unknown", "other"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: SOP classes of projections by X-rays, and those that may hold one, as pydicom abbreviates them.
_PROJECTION_CLASSES = _words(
    "ComputedRadiographyImageStorage DigitalXRayImageStorageForPresentation "
    "DigitalXRayImageStorageForProcessing XRayAngiographicImageStorage EnhancedXAImageStorage "
    "XRayRadiofluoroscopicImageStorage EnhancedXRFImageStorage SecondaryCaptureImageStorage "
    "MultiFrameSingleBitSecondaryCaptureImageStorage "
    "MultiFrameGrayscaleByteSecondaryCaptureImageStorage "
    "MultiFrameGrayscaleWordSecondaryCaptureImageStorage "
    "MultiFrameTrueColorSecondaryCaptureImageStorage"
)
#: Modalities (PS3.3 C.7.3.1.1.1) a chest radiograph may have; OT, HC and SC say nothing.
_PROJECTIONS = ("CR", "DX", "RG", "RF", "XA", "CF", "DF", "DS", "VF", "OT", "HC", "SC")
#: The others of the standard, those of breast and teeth among them.
_NO_PROJECTIONS = _words(
    "ANN AR AS ASMT AU BDUS BI BMD CD CFM CP CS CT CTPROTOCOL DD DG DM DMS DOC EC ECG EEG "
    "EMG EOG EPS ES FA FID FS GM HD IO IOL IVOCT IVUS KER KO LEN LP LS M3D MA MG MR MS NM OAM OCT "
    "OP OPM OPR OPT OPTBSV OPTENF OPV OSS PA PLAN POS PR PT PX REG RESP RTDOSE RTIMAGE RTINTENT "
    "RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF ST STAIN TEXTUREMAP TG US VA "
    "XAPROTOCOL XC"
)
#: View positions (PS3.3 C.8.1.1), and "LATERAL" for all that is lateral or oblique in other words.
VIEWS = ("AP", "PA", "LL", "RL", "LLD", "RLD", "LLO", "RLO", "LATERAL")
_NOT_FRONTAL = ("LL", "RL", "LLO", "RLO", "LATERAL")
_LATERAL = re.compile(
    r"(?<![A-Z])[LR]?LAT(ERAL)?(?![A-Z])(?!.*DECUB)|\bPROFIL|\bOBL|(?<![A-Z])[LR][AP]O(?![A-Z])"
)
_CHEST = ("CHEST", "THORAX", "TORAX", "LUNG")
#: The commonest of PS3.16 annex L.
_OTHER_BODY_PARTS = _words(
    "ABDOMEN ABDOMENPELVIS ANKLE ARM BREAST CALCANEUS CERVICALSPINE CLAVICLE COCCYX CSPINE ELBOW "
    "EXTREMITY FEMUR FINGER FOOT FOREARM HAND HEAD HEART HIP HUMERUS JAW KNEE LEG LSPINE "
    "LUMBARSPINE NECK PELVIS RIB SCAPULA SHOULDER SKULL SPINE STERNUM TEETH THIGH THORACICSPINE "
    "THUMB TIBIA TOE TSPINE WHOLEBODY WRIST"
)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a picture is of. Each word is one of a list, "other", or "unknown" where none stands.

    Attributes:
        modality: Modality, as the standard abbreviates it.
        view: See `VIEWS`.
        body_part: "CHEST" whatever the chest is called.
        foreign: The element, and what was found there, that says that this is no projection by
            X-rays of a chest; None where nothing says so.
    """

    modality: str = UNKNOWN
    view: str = UNKNOWN
    body_part: str = UNKNOWN
    foreign: tuple[str, str] | None = None


#: Of a picture with a file that says nothing.
ANYTHING = Subject()


def is_image(sop_class: str) -> bool:
    """Whether a SOP class can be that of an image; one that the standard does not know can.

    Args:
        sop_class: Its UID; empty where there is none.
    """
    uid = UID(sop_class, validation_mode=IGNORE)
    return uid.type != "SOP Class" or "Image Storage" in uid.name


def subject_of(*, sop_class: str, modality: str, view: str, body_part: str) -> Subject:
    """What a header says of its picture.

    The SOP class is asked first; one of secondary capture, and a class that the standard does not
    know, leave it to the modality.

    Args:
        sop_class: UID of the SOP class.
        modality: Text of the header, likewise the rest; empty where there is none.
        view: View position.
        body_part: Body part examined.
    """
    uid = UID(sop_class, validation_mode=IGNORE)
    word = _known(modality.upper(), {*_PROJECTIONS, *_NO_PROJECTIONS})
    foreign = None
    if uid.type == "SOP Class" and uid.keyword not in _PROJECTION_CLASSES:
        foreign = "SOPClassUID", uid.name
        word = word if word in _NO_PROJECTIONS else OTHER
    elif word in _NO_PROJECTIONS:
        foreign = "Modality", word
    return Subject(
        modality=word,
        view=_view(view.upper()),
        body_part=_body_part(body_part.upper()),
        foreign=foreign,
    )


def refuse_foreign(name: str, subject: Subject, advice: str) -> None:
    """Refuse what is no projection radiograph.

    Args:
        name: What the message calls the file.
        subject: What it is of.
        advice: What to do if it is meant.

    Raises:
        OtherModalityError: Its SOP class or its modality says that it is something else.
    """
    if subject.foreign is not None:
        element, found = subject.foreign
        raise OtherModalityError(
            f"{name}: {element}: found {found}, expected a projection radiograph "
            f"(CR, DX, RG, RF or XA); {advice}"
        )


def is_lateral(view: str) -> bool:
    """Whether a view position says that the view is lateral or oblique.

    Args:
        view: One of `VIEWS`, or any other word.
    """
    return view in _NOT_FRONTAL


def count_subjects(subjects: Iterable[Subject]) -> dict[str, dict[str, int]]:
    """How often each word was found, by "modality", "view" and "body_part", the commonest first."""
    known = list(subjects)
    return {
        what: dict(Counter(sorted(getattr(subject, what) for subject in known)).most_common())
        for what in ("modality", "view", "body_part")
    }


def doubts_about(contents: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Sentences about pictures that may be no frontal chest radiographs.

    Args:
        contents: Contents from `count_subjects`; nothing is said of what it lacks.
    """
    for what, is_doubtful, one, many in (
        (
            "modality",
            lambda word: word in _NO_PROJECTIONS or word == OTHER,
            "image has another modality than a radiograph has",
            "images have another modality than radiographs have",
        ),
        (
            "view",
            lambda word: word in _NOT_FRONTAL,
            "image is a lateral or oblique view",
            "images are lateral or oblique views",
        ),
        (
            "body_part",
            lambda word: word not in ("CHEST", UNKNOWN),
            "image names another body part than the chest",
            "images name another body part than the chest",
        ),
    ):
        found = {word: n for word, n in contents.get(what, {}).items() if is_doubtful(word)}
        number = sum(found.values())
        if number:
            yield f"{number} {one if number == 1 else many} ({_listed(found)})"


def main_subject(contents: Mapping[str, Mapping[str, int]]) -> str | None:
    """What most pictures are: "radiographs", "lateral radiographs", a modality that has none.

    Args:
        contents: Contents from `count_subjects`.

    Returns:
        None where most headers do not say it, as of PNG files and of stores made before it was
        counted.
    """
    modalities, views = contents.get("modality", {}), contents.get("view", {})
    total = sum(modalities.values())
    most = max(modalities, key=lambda word: modalities[word], default=UNKNOWN)
    if most in (UNKNOWN, OTHER):
        return None
    if most in _NO_PROJECTIONS:
        return most
    is_lateral = 2 * sum(views.get(word, 0) for word in _NOT_FRONTAL) > total
    return "lateral radiographs" if is_lateral else "radiographs"


def describe_contents(contents: Mapping[str, Mapping[str, int]]) -> str:
    """Counts on one line, such as "modality CR 252; view PA 155, AP 97; body part CHEST 252"."""
    return "; ".join(
        f"{what.replace('_', ' ')} {_listed(words)}" for what, words in contents.items()
    )


def _listed(words: Mapping[str, int]) -> str:
    return ", ".join(f"{word} {number}" for word, number in words.items())


def _known(word: str, words: Iterable[str]) -> str:
    return word if word in words else OTHER if word else UNKNOWN


def _view(text: str) -> str:
    return "LATERAL" if _LATERAL.search(text) else _known(text, VIEWS)


def _body_part(text: str) -> str:
    if any(word in text for word in _CHEST):
        return "CHEST"
    return _known("".join(text.split()), _OTHER_BODY_PARTS)

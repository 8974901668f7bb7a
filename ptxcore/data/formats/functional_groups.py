"""Enhanced objects keep per frame what others have in the header itself (PS3.3 C.7.6.16).

Of an image of one frame it is brought to where the rest of the reader looks: a rescale or a window
that stands one level deeper must not be passed over.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
#: Macros with elements that other objects have in the header (C.7.6.16.2.1, .9, .10; C.8.19.6.4).
_MACROS = (
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "FramePixelDataPropertiesSequence",
)


def bring_up(dataset: Dataset) -> None:
    """Put the elements of the first frame into the header, which changes; those there give way.

    Args:
        dataset: The header.

    Raises:
        Exception: Whatever pydicom raises for a sequence that is damaged.
    """
    for name in _GROUPS:
        groups = dataset.get(name)
        for macro in _MACROS if groups else ():
            found = groups[0].get(macro)
            for element in found[0] if found else ():
                dataset.add(element)

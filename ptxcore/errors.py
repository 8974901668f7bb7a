"""Errors of the segmentation core.

    CoreError
    ├── DataError          a file or folder that cannot be used as it is
    │   ├── DicomError     one DICOM or PNG file
    │   │   └── NoImageError   a DICOM file with the SOP class of no image
    │   ├── MaskError      one run-length encoding, or a mask that does not fit its image
    │   ├── StoreError     a case store
    │   └── FoldPlanError  a fold plan that cannot be made or read
    ├── SettingsError      a setting out of its range, or a combination that makes no sense
    ├── CheckpointError    weights or a checkpoint that cannot be trusted or read
    └── TrainingDiverged   the loss became NaN or infinite

Messages say what was found, what was expected and what to do. They never carry the value
of a DICOM identifier, a date or a name.
"""


class CoreError(Exception):
    """Base class of every error that `ptxcore` raises on purpose."""


class DataError(CoreError):
    """A file or folder that cannot be used as it is."""


class DicomError(DataError):
    """One image file is missing something, or cannot be decoded."""


class NoImageError(DicomError):
    """A DICOM file holds a report, an index of a disc or the like: nothing is wrong with it."""


class OtherModalityError(DicomError):
    """An image is no projection radiograph, such as a CT slice; nothing may be wrong with it."""


class MaskError(DataError):
    """A run-length encoding or a mask is invalid or does not fit its image."""


class StoreError(DataError):
    """A case store is missing, damaged, of another version, or already there."""


class FoldPlanError(DataError):
    """The cases cannot be split as asked, or a saved plan does not fit its store."""


class SettingsError(CoreError):
    """A setting is out of its range. The message names the field."""


class CheckpointError(CoreError):
    """Weights or a checkpoint are damaged, or belong to another configuration."""


class TrainingDiverged(CoreError):
    """The training loss became NaN or infinite."""


class OutOfMemory(CoreError):
    """A training step or a window does not fit in memory, however small its parts."""

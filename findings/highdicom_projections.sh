#!/usr/bin/env bash
# highdicom 0.28.2, three things about derived objects of a projection radiograph:
# 1. The segmentation of an image whose patient's name has one component (as anonymisers write it) warns, and the
#    warning's text holds the name, so that it ends in whatever log takes warnings.
# 2. `sr.ReferencedSegmentationFrame` writes Referenced Frame Number and Referenced Segment Number into one reference;
#    PS3.3 C.18.4 has the second only where the first is absent, and dciodvfy calls it an error.
# 3. The segmentation of a CR with ImagerPixelSpacing has no pixel measures, and that of a Secondary Capture with
#    PixelSpacing has measures without a thickness, which highdicom's own reader refuses.
# Here: ptxcore/export (test_nothing_of_the_patient_is_logged_or_warned_of, test_no_fault_that_the_image_had_not,
# test_spacing_and_orientation_are_those_of_the_image).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6 dicom3tools==20260927
"$folder/venv/bin/python" - "$folder" <<'PY'
import subprocess
import sys
import warnings
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

folder = Path(sys.argv[1])
print("highdicom", hd.__version__)
CR, SC = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.7"


def image(sop_class, **elements):
    source = Dataset()
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    source.SOPClassUID, source.SOPInstanceUID = sop_class, "1.2.3.4"
    source.StudyInstanceUID, source.SeriesInstanceUID = "1.2.3.5", "1.2.3.6"
    source.Modality, source.Rows, source.Columns = "CR", 16, 16
    source.BitsAllocated = source.BitsStored = 8
    source.SamplesPerPixel, source.PhotometricInterpretation = 1, "MONOCHROME2"
    for name in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(source, name, "")
    source.StudyDate, source.StudyTime = "20200101", "101010"
    source.PatientName, source.PatientID = "Nobody^N", "1"
    for name, value in elements.items():
        setattr(source, name, value)
    return source


def segmentation(source):
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="Pneumothorax",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=hd.sr.CodedConcept("36118008", "SCT", "Pneumothorax"),
        algorithm_type="MANUAL",
    )
    return hd.seg.Segmentation(
        source_images=[source],
        pixel_array=np.eye(16, dtype=bool)[None],
        segmentation_type="BINARY",
        segment_descriptions=[description],
        series_instance_uid=hd.UID(),
        series_number=1,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="-",
        manufacturer_model_name="-",
        software_versions="-",
        device_serial_number="-",
    )


with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    segmentation(image(SC, PatientName="b7c1-anonymous"))
names = [str(one.message) for one in warned if "b7c1-anonymous" in str(one.message)]
print("warnings with the name:", len(names))
assert names, "expected at least one"

source = image(CR, ImagerPixelSpacing=[0.2, 0.2])
seg = segmentation(source)
print("CR, pixel measures:", "PixelMeasuresSequence" in seg.SharedFunctionalGroupsSequence[0])
assert "PixelMeasuresSequence" not in seg.SharedFunctionalGroupsSequence[0]

path = folder / "sc.dcm"
segmentation(image(SC, PixelSpacing=[0.2, 0.2])).save_as(path)
try:
    hd.seg.segread(path)
    found = "read"
except AttributeError as error:
    found = str(error)
print("SC, its own reader:", found)
assert "Pixel Measures Sequence" in found

group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
    tracking_identifier=hd.sr.TrackingIdentifier(uid=hd.UID(), identifier="1"),
    referenced_segment=hd.sr.ReferencedSegmentationFrame(
        sop_class_uid=seg.SOPClassUID,
        sop_instance_uid=seg.SOPInstanceUID,
        frame_number=1,
        segment_number=1,
        source_image=hd.sr.SourceImageForSegmentation.from_source_image(source),
    ),
    measurements=[hd.sr.Measurement(name=codes.SCT.Area, value=1.0, unit=codes.UCUM.NoUnits)],
)
observer = hd.sr.ObserverContext(
    observer_type=codes.DCM.Person,
    observer_identifying_attributes=hd.sr.PersonObserverIdentifyingAttributes(name="A^B"),
)
report = hd.sr.MeasurementReport(
    observation_context=hd.sr.ObservationContext(observer_person_context=observer),
    procedure_reported=hd.sr.CodedConcept("399208008", "SCT", "Plain chest X-ray"),
    imaging_measurements=[group],
)
path = folder / "sr.dcm"
hd.sr.Comprehensive3DSR(
    evidence=[source, seg],
    content=report[0],
    series_instance_uid=hd.UID(),
    series_number=2,
    sop_instance_uid=hd.UID(),
    instance_number=1,
    manufacturer="-",
).save_as(path)
said = subprocess.run(
    [Path(sys.executable).with_name("dciodvfy"), path], capture_output=True, text=True, check=False
).stderr
wanted = "Shall not be present when ReferencedFrameNumber is present - attribute <ReferencedSegmentNumber>"
print("dciodvfy:", wanted if wanted in said else "no such error")
assert wanted in said
PY

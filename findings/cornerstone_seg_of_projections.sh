#!/usr/bin/env bash
# @cornerstonejs/adapters 5.14.0, which reads DICOM Segmentations for the viewer OHIF, on a segmentation of a projection
# radiograph (DX), which has no Image Orientation (Patient); PS3.3 A.51 asks for none where the segmentation names its
# source image.
# 1. Without a Plane Orientation Sequence it fails: "Cannot read properties of undefined (reading
#    'ImageOrientationPatient')". With the orientation that OHIF's MetadataProvider gives an image that has none,
#    [0, 1, 0, 0, 0, -1], every pixel comes back.
# 2. One frame of 1,350 bits fills 169 bytes, which DICOM pads to an even number: "Unexpected 1-bit SEG PixelData length
#    170 for 1 frame(s) of 1350 pixels".
# Here: `predict --ohif`, ptxcore/export/dicom_seg.py (test_ohif_gets_the_orientation_that_it_takes_radiographs_to_have).
# Needs node and npm.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
npm install --silent --no-fund --no-audit @cornerstonejs/adapters@5.14.0 dcmjs@0.52.0 esbuild events url \
  @babel/runtime >/dev/null
venv/bin/python - <<'PY'
import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian


def make(name, rows, columns, orientation):
    source = Dataset()
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    source.SOPClassUID, source.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.4"
    source.StudyInstanceUID, source.SeriesInstanceUID = "1.2.3.5", "1.2.3.6"
    source.Modality, source.Rows, source.Columns = "DX", rows, columns
    source.BitsAllocated = source.BitsStored = 8
    source.SamplesPerPixel, source.PhotometricInterpretation = 1, "MONOCHROME2"
    for empty in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(source, empty, "")
    source.StudyDate, source.StudyTime = "20200101", "101010"
    source.PatientName, source.PatientID = "Nobody^N", "1"
    seg = hd.seg.Segmentation(
        source_images=[source],
        pixel_array=np.eye(rows, columns, dtype=bool)[None],
        segmentation_type="BINARY",
        segment_descriptions=[
            hd.seg.SegmentDescription(
                segment_number=1,
                segment_label="Pneumothorax",
                segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
                segmented_property_type=hd.sr.CodedConcept("36118008", "SCT", "Pneumothorax"),
                algorithm_type="MANUAL",
            )
        ],
        series_instance_uid=hd.UID(),
        series_number=1,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="-",
        manufacturer_model_name="-",
        software_versions="-",
        device_serial_number="-",
        pixel_measures=hd.PixelMeasuresSequence(pixel_spacing=(0.2, 0.2), slice_thickness=1.0),
    )
    if orientation:
        plane = Dataset()
        plane.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence = Sequence([plane])
    seg.save_as(f"{name}.dcm")


make("plain", 32, 32, False)
make("plane", 32, 32, True)
make("odd", 30, 45, True)
PY
cat >read.js <<'JS'
import { metaData, init } from '@cornerstonejs/core';
import { createLabelmapsFromDICOMBuffer } from '@cornerstonejs/adapters/cornerstone3D/Segmentation/labelmapImagesFromBuffer';
import fs from 'fs';
const [file, rows, columns] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
try { init(); } catch (error) { /* no graphics are needed */ }
const id = 'wadouri:source', added = {};
const answers = { // as OHIF's MetadataProvider answers for an image without an orientation
  instance: { SOPInstanceUID: '1.2.3.4', Rows: rows, Columns: columns },
  generalImageModule: { sopInstanceUID: '1.2.3.4' },
  generalSeriesModule: { seriesInstanceUID: '1.2.3.6' },
  imagePlaneModule: { rows, columns, rowCosines: [0, 1, 0], columnCosines: [0, 0, -1], imagePositionPatient: [0, 0, 0],
    pixelSpacing: [0.2, 0.2], rowPixelSpacing: 0.2, columnPixelSpacing: 0.2 },
  imagePixelModule: { rows, columns, samplesPerPixel: 1, photometricInterpretation: 'MONOCHROME2', bitsAllocated: 8,
    bitsStored: 8, highBit: 7, pixelRepresentation: 0 },
};
const provider = {
  get: (type, imageId) => (imageId === id ? answers[type] : added[imageId + type]),
  addCustomMetadata: (imageId, type, value) => { added[imageId + type] = value; },
};
metaData.addProvider((type, imageId) => provider.get(type, imageId), 1000);
const bytes = fs.readFileSync(file);
createLabelmapsFromDICOMBuffer([id], bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), provider, {})
  .then(result => {
    const data = result.labelMapImages.flat()[0].voxelManager.getScalarData();
    const wrong = [...data].filter((value, i) => (value > 0) !== (i % columns === Math.floor(i / columns))).length;
    console.log(`${wrong} pixels differ`);
  }, error => console.log(error.message));
JS
node_modules/.bin/esbuild read.js --bundle --platform=node --format=cjs --outfile=bundle.js --loader:.wasm=dataurl \
  --define:window=globalThis --define:self=globalThis --log-level=error
check() {
  found=$(node bundle.js "$1.dcm" "$2" "$3" 2>&1 | tail -1)
  echo "$1: $found"
  [[ $found == *"$4"* ]] || { echo "expected: $4" >&2; exit 1; }
}
echo "@cornerstonejs/adapters 5.14.0, dcmjs 0.52.0, node $(node --version)"
check plain 32 32 "reading 'ImageOrientationPatient'"
check plane 32 32 "0 pixels differ"
check odd 30 45 "Unexpected 1-bit SEG PixelData length 170"

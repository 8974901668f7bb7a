"""Files as they come: DICOM, PNG, run-length encoding."""

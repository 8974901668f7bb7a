"""Masks as the objects that other systems read: DICOM Segmentation, structured report."""

"""The segmentation core, from data to inference; knows nothing of sweeps."""

"""The segmentation core: data, networks, losses, metrics, training and inference; knows nothing of sweeps."""

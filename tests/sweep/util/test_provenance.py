"""Versions of what changes pixels or scores."""

from __future__ import annotations

import importlib.metadata

import cv2

from sweep.util.provenance import (
    differences,
    installed_packages,
    pixel_versions,
    recorded_versions,
)


def test_versions_of_what_changes_pixels() -> None:
    found = pixel_versions()
    assert {"numpy", "scipy", "torch", "monai", "albumentations", "pydicom", "pillow"} <= set(found)
    assert found["opencv"] == cv2.__version__
    assert found["torch"] == importlib.metadata.version("torch").split("+")[0]
    assert found["ptxsweep"] == importlib.metadata.version("ptxsweep")
    assert "click" not in found


def test_a_list_of_packages_tells_the_same() -> None:
    assert recorded_versions(installed_packages()) == pixel_versions()
    two = ["opencv-python==4.12.0.88", "opencv-python-headless==5.0.0.93", "numpy==2.4.6"]
    assert recorded_versions(two) == recorded_versions([]) == {}
    old = recorded_versions(["numpy==2.4.6", "opencv-python==4.12.0.88", "torch==2.13.0+cpu"])
    assert old == {"numpy": "2.4.6", "opencv": "4.12.0", "torch": "2.13.0"}


def test_what_differs_and_what_is_missing() -> None:
    ours = {"opencv": "5.0.0", "pydicom": "3.0.2", "numpy": "2.4.6"}
    theirs = {"opencv": "4.12.0", "numpy": "2.4.6", "python-gdcm": "3.2.6"}
    assert differences(ours, theirs) == [
        ("opencv", "5.0.0", "4.12.0"),
        ("pydicom", "3.0.2", "none"),
        ("python-gdcm", "none", "3.2.6"),
    ]
    assert differences(ours, dict(ours)) == []
    assert differences(ours, {**ours, "ptxsweep": "0.1.0"}) == []  # not noted by earlier versions
    assert len(differences({"ptxsweep": "0.1.0"}, {"ptxsweep": "0.2.0"})) == 1

"""A drawn chest X-ray with pneumothorax: valid DICOM and a csv of masks, for demos and tests.

No patient, no simulation of physics: a drawing with the same obstacles as the real thing. It says
"phantom" wherever it can, and scores on it say nothing about scores on patients.
"""

from ptxcore.data.phantom._cohort import Order, order_cases
from ptxcore.data.phantom._draw import draw
from ptxcore.data.phantom._files import PhantomFiles, write_phantom

__all__ = ["Order", "PhantomFiles", "draw", "order_cases", "write_phantom"]

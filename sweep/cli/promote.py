"""`ptxsweep promote`."""

from __future__ import annotations

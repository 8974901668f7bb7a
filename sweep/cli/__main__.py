"""`python -m sweep.cli` is `ptxsweep`."""

import sys

from sweep.cli import main

sys.exit(main())

"""What would another policy have cost: sweeps in simulated time over tables of scores."""

from sweep.simulate._compare import Comparison, Contender, compare, parse_contender, play
from sweep.simulate._engine import Simulation
from sweep.simulate._files import load_table, save_table
from sweep.simulate._layout import Cluster, Deal, deal
from sweep.simulate._report import Outcome, mean_outcome, outcome
from sweep.simulate._run import Run
from sweep.simulate._settle import Missing, mask, settled
from sweep.simulate._table import Table, table_of

__all__ = [
    "Cluster",
    "Comparison",
    "Contender",
    "Deal",
    "Missing",
    "Outcome",
    "Run",
    "Simulation",
    "Table",
    "compare",
    "deal",
    "load_table",
    "mask",
    "mean_outcome",
    "outcome",
    "parse_contender",
    "play",
    "save_table",
    "settled",
    "table_of",
]

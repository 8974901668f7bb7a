"""What would another policy have cost: sweeps in simulated time over tables of scores."""

from sweep.simulate._cases import cases_of
from sweep.simulate._engine import Simulation
from sweep.simulate._files import load_table, save_table
from sweep.simulate._layout import Cluster, ReplayOrder, replay_order
from sweep.simulate._leave_out import MAX_REGRET, leave_one_out
from sweep.simulate._missing import Missing, drop_missing, replayable
from sweep.simulate._parallel import replay_all
from sweep.simulate._replay import COSTS, Arm, ReplayResult, parse_arm, replay, replay_seeds
from sweep.simulate._report import Outcome, mean_outcome, outcome
from sweep.simulate._run import Run
from sweep.simulate._table import Table, table_of

__all__ = [
    "COSTS",
    "MAX_REGRET",
    "Arm",
    "Cluster",
    "Missing",
    "Outcome",
    "ReplayOrder",
    "ReplayResult",
    "Run",
    "Simulation",
    "Table",
    "cases_of",
    "drop_missing",
    "leave_one_out",
    "load_table",
    "mean_outcome",
    "outcome",
    "parse_arm",
    "replay",
    "replay_all",
    "replay_order",
    "replay_seeds",
    "replayable",
    "save_table",
    "table_of",
]

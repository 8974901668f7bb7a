"""Which worker trained what, and when.

Time runs only while something trained: stretches in which the sweep stood still (interrupted, then
resumed) are cut out and marked. An attempt that a dead driver left behind is noted as lost only on
resume; its bar ends at the last sign of life before that.

The ledger does not name workers. Attempts that overlap need as many of them as overlap, so each
takes the first row that is free, as a scheduler would hand them out.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboards import theme
from dashboards.plot import Plot, panels, plain, rounded
from dashboards.text import duration
from sweep.ledger.projection import Projection
from sweep.util.words import count

#: More rows are drawn as the share of them that trained.
MAX_ROWS = 50
#: More bars than this would be thinner than a pixel; neighbours of one outcome are merged.
_MAX_BARS = 400
#: Steps of time of the share that trained.
_NUM_STEPS = 200


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One attempt at a fold; times are seconds of running time since the sweep's first fold.

    Attributes:
        worker: Row that was free, from 0.
        trial: Number of its trial.
        fold: Zero-based fold.
        attempt: One-based try at it.
        start_seconds: When it began.
        end_seconds: When it ended.
        outcome: As in the trial's log.
    """

    worker: int
    trial: int
    fold: int
    attempt: int
    start_seconds: float
    end_seconds: float
    outcome: str


@dataclass(frozen=True, kw_only=True)
class ScheduleInfo:
    """What the schedule shows.

    Attributes:
        num_workers: Rows: attempts that ran at the same time, at most.
        bars: Bars in order of start.
        breaks_seconds: Where the sweep stood still, on the axis of the bars.
        busy_seconds: Length of the axis.
    """

    num_workers: int
    bars: tuple[Bar, ...]
    breaks_seconds: tuple[float, ...]
    busy_seconds: float

    @property
    def share_busy(self) -> float:
        """Share of the workers' time in which they trained."""
        trained = sum(bar.end_seconds - bar.start_seconds for bar in self.bars)
        whole = self.num_workers * self.busy_seconds
        return trained / whole if whole else 0.0


#: Shorter pauses (the driver thinking, a worker starting) stay on the axis.
_SHORTEST_BREAK_SECONDS = 120.0


def schedule_info(projection: Projection) -> ScheduleInfo:
    """Collect every attempt from the trials' logs."""
    attempts = [(trial.number, entry) for trial in projection.trials for entry in trial.log]
    starts = [_seconds(entry.started_at) for _, entry in attempts]
    ends = [None if e.ended_at is None else _seconds(e.ended_at) for _, e in attempts]
    signs = sorted(
        starts
        + [
            end
            for end, (_, entry) in zip(ends, attempts, strict=True)
            if end is not None and entry.outcome != "lost"
        ]
    )
    spans = []
    for (_, entry), start, ended in zip(attempts, starts, ends, strict=True):
        if ended is None:
            end = max(start, signs[-1])
        elif entry.outcome == "lost":
            before = bisect.bisect_right(signs, ended)
            end = max([start, *signs[max(0, before - 1) : before]])
        else:
            end = ended
        spans.append((start, end))
    busy = _merged(spans)
    workers = _workers(spans)
    bars = [
        Bar(
            worker=worker,
            trial=number,
            fold=entry.fold,
            attempt=entry.attempt,
            start_seconds=_on_axis(start, busy),
            end_seconds=_on_axis(end, busy),
            outcome=entry.outcome,
        )
        for (number, entry), (start, end), worker in zip(attempts, spans, workers, strict=True)
    ]
    bars.sort(key=lambda bar: (bar.start_seconds, bar.trial))
    return ScheduleInfo(
        num_workers=max(workers, default=-1) + 1,
        bars=tuple(bars),
        breaks_seconds=tuple(_on_axis(start, busy) for start, _ in busy[1:]),
        busy_seconds=sum(end - start for start, end in busy),
    )


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _workers(spans: Sequence[tuple[float, float]]) -> list[int]:
    """The first free row for each span, in order of start."""
    free_at: list[float] = []
    rows = [0] * len(spans)
    for place in sorted(range(len(spans)), key=lambda place: spans[place]):
        start, end = spans[place]
        row = next((row for row, at in enumerate(free_at) if at <= start), len(free_at))
        free_at[row : row + 1] = [end]
        rows[place] = row
    return rows


def _merged(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretches in which something ran, short pauses included."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if merged and start - merged[-1][1] < _SHORTEST_BREAK_SECONDS:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _on_axis(at: float, busy: Sequence[tuple[float, float]]) -> float:
    return sum(min(at, end) - start for start, end in busy if start < at)


#: Outcomes: name, colour, hatching.
_LOOK = {
    "finished": ("finished", theme.WINNER, ""),
    "stopped": ("stopped for good (pruned or failed)", theme.DEFAULT, "/"),
    "lost": ("lost, may run again", theme.MUTED, "x"),
    "running": ("running", theme.SECOND, "."),
}


def schedule(info: ScheduleInfo) -> Plot:
    """Draw it: a row per worker, colour and hatching say how an attempt ended."""
    unit, name = _unit(info.busy_seconds)
    plot = _shares(info, unit) if info.num_workers > MAX_ROWS else _rows(info, unit)
    for at in info.breaks_seconds:
        plot.vertical(at / unit, color=theme.MUTED, width=1, dash="dot")
    plot.x(title=f"{name} of running time", range=[0, max(info.busy_seconds / unit, 1e-9)])
    return plot.finished()


def _rows(info: ScheduleInfo, unit: float) -> Plot:
    rows = max(1, info.num_workers)
    plot = panels(row_px=min(max(26 * rows, 60), 640))
    drawn = info.bars if len(info.bars) <= _MAX_BARS else _joined(info)
    for outcome, (name, color, pattern) in _LOOK.items():
        bars = [bar for bar in drawn if bar.outcome == outcome]
        if not bars:
            continue
        lengths = [bar.end_seconds - bar.start_seconds for bar in bars]
        plot.add(
            type="bar", orientation="h", name=name,
            base=rounded((bar.start_seconds / unit for bar in bars), 6),
            x=rounded((length / unit for length in lengths), 6),
            y=[bar.worker for bar in bars], width=0.8,
            marker={
                "color": color,
                "pattern": {
                    "shape": pattern, "size": 5, "fgcolor": "#ffffff", "fillmode": "overlay",
                },
                "line": {"color": "#ffffff", "width": 0.5 if drawn is info.bars else 0},
            },
            customdata=[bar.trial for bar in bars],
            hovertext=[
                f"fold {bar.fold}, attempt {bar.attempt}: {duration(length)}"
                for bar, length in zip(bars, lengths, strict=True)
            ],
            hovertemplate="#%{customdata} %{hovertext}<extra></extra>",
        )  # fmt: skip
    plot.layout["barmode"] = "overlay"
    plot.y(
        title="worker", range=[rows - 0.5, -0.5], showgrid=False, dtick=1 if rows <= 20 else 5,
        ticksuffix="  ",
    )  # fmt: skip
    return plot


def _joined(info: ScheduleInfo) -> list[Bar]:
    """Neighbours of one outcome as one bar, where single ones would be thinner than a pixel."""
    thin = info.busy_seconds / _MAX_BARS
    joined: list[Bar] = []
    last: dict[int, int] = {}  # place of each worker's last bar
    for bar in info.bars:
        place = last.get(bar.worker)
        before = None if place is None else joined[place]
        if (
            place is not None
            and before is not None
            and before.outcome == bar.outcome
            and bar.start_seconds - before.end_seconds < thin
        ):
            joined[place] = dataclasses.replace(before, end_seconds=bar.end_seconds)
        else:
            last[bar.worker] = len(joined)
            joined.append(bar)
    return joined


def _shares(info: ScheduleInfo, unit: float) -> Plot:
    """The number of workers that trained, step by step, where rows would be too thin."""
    plot = panels(row_px=220)
    step = info.busy_seconds / _NUM_STEPS or 1.0
    totals = [0.0] * _NUM_STEPS
    for bar in info.bars:
        first, last = int(bar.start_seconds / step), int(bar.end_seconds / step)
        for place in range(first, min(last, _NUM_STEPS - 1) + 1):
            low, high = place * step, (place + 1) * step
            totals[place] += max(0.0, min(bar.end_seconds, high) - max(bar.start_seconds, low))
    plot.add(
        x=rounded(((place + 0.5) * step / unit for place in range(_NUM_STEPS)), 6),
        y=rounded(total / step for total in totals), mode="lines", fill="tozeroy",
        line={"color": theme.WINNER, "shape": "hvh", "width": 1.5},
        hovertemplate="%{y:.1f} workers trained<extra></extra>",
    )  # fmt: skip
    plot.y(title=plain("workers that trained"), range=[0, info.num_workers + 0.5])
    return plot


def _unit(seconds: float) -> tuple[float, str]:
    if seconds < 300:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 3 * 3600 else (3600.0, "hours")


def sentence(info: ScheduleInfo) -> str:
    """How to read the figure."""
    breaks = len(info.breaks_seconds)
    stood = "once" if breaks == 1 else f"{breaks} times"
    cut = f" The sweep stood still {stood}; that time is cut out (dotted lines)." if breaks else ""
    if info.num_workers > MAX_ROWS:
        text = f"How many of {count(info.num_workers, 'worker')} trained at each time."
    else:
        text = (
            "A row per worker, a bar per try at a fold: plain bars were finished, hatched ones "
            "stopped for good or lost. Workers are told apart by what overlapped, not by name."
        )
        if len(info.bars) > _MAX_BARS:
            text += " Neighbours that ended alike are drawn as one."
    return f"{text} They trained {info.share_busy:.0%} of the time.{cut}"

"""Which fold of which trial ran when.

Time runs only while something trained: stretches in which the sweep stood still (interrupted, then
resumed) are cut out and marked. An attempt that a dead driver left behind is noted as lost only on
resume; its bar ends at the last sign of life before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import plotly.graph_objects as go

from dashboards import theme
from dashboards.text import duration
from sweep.ledger.projection import Projection


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One attempt at a fold; times are seconds of running time since the sweep's first fold."""

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
        num_trials: Rows.
        bars: Bars in order of start.
        breaks_seconds: Where the sweep stood still, on the axis of the bars.
        busy_seconds: Length of the axis.
    """

    num_trials: int
    bars: tuple[Bar, ...]
    breaks_seconds: tuple[float, ...]
    busy_seconds: float


#: Shorter pauses (the driver thinking, a worker starting) stay on the axis.
_SHORTEST_BREAK_SECONDS = 120.0


def schedule_info(projection: Projection) -> ScheduleInfo:
    """Collect every attempt from the trials' logs."""
    attempts = [(trial.number, entry) for trial in projection.trials for entry in trial.log]
    signs = sorted(
        [_seconds(entry.started_at) for _, entry in attempts]
        + [
            _seconds(entry.ended_at)
            for _, entry in attempts
            if entry.ended_at is not None and entry.outcome != "lost"
        ]
    )
    spans = []
    for _, entry in attempts:
        start = _seconds(entry.started_at)
        if entry.ended_at is None:
            end = max(start, signs[-1])
        elif entry.outcome == "lost":
            before = [sign for sign in signs if sign <= _seconds(entry.ended_at)]
            end = max([start, *before[-1:]])
        else:
            end = _seconds(entry.ended_at)
        spans.append((start, end))
    busy = _merged(spans)
    bars = [
        Bar(
            trial=number,
            fold=entry.fold,
            attempt=entry.attempt,
            start_seconds=_on_axis(start, busy),
            end_seconds=_on_axis(end, busy),
            outcome=entry.outcome,
        )
        for (number, entry), (start, end) in zip(attempts, spans, strict=True)
    ]
    bars.sort(key=lambda bar: (bar.start_seconds, bar.trial))
    return ScheduleInfo(
        num_trials=len(projection.trials),
        bars=tuple(bars),
        breaks_seconds=tuple(_on_axis(start, busy) for start, _ in busy[1:]),
        busy_seconds=sum(end - start for start, end in busy),
    )


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


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


_OUTCOMES = {
    "finished": "finished",
    "stopped": "stopped for good (pruned or failed)",
    "lost": "lost, may run again",
    "running": "running",
}
_PATTERNS = {"finished": "", "stopped": "/", "lost": "x", "running": "."}


def schedule(info: ScheduleInfo) -> go.Figure:
    """Draw it: a row per trial, colour says the fold, hatching how the attempt ended."""
    unit, name = _unit(info.busy_seconds)
    figure = go.Figure()
    for fold in sorted({bar.fold for bar in info.bars}):
        bars = [bar for bar in info.bars if bar.fold == fold]
        color = theme.FOLDS[fold % len(theme.FOLDS)]
        figure.add_trace(
            go.Bar(
                orientation="h", name=f"fold {fold}",
                base=[bar.start_seconds / unit for bar in bars],
                x=[(bar.end_seconds - bar.start_seconds) / unit for bar in bars],
                y=[bar.trial for bar in bars], width=0.8,
                marker={
                    "color": color,
                    "pattern": {
                        "shape": [_PATTERNS[bar.outcome] for bar in bars], "size": 5,
                        "fgcolor": "#ffffff", "fillmode": "overlay",
                    },
                    "line": {"color": "#ffffff", "width": 0.5},
                },
                customdata=[
                    [
                        f"#{bar.trial} fold {bar.fold}, attempt {bar.attempt}: "
                        f"{duration(bar.end_seconds - bar.start_seconds)}, "
                        f"{_OUTCOMES[bar.outcome]}"
                    ]
                    for bar in bars
                ],
                hovertemplate="%{customdata[0]}<extra></extra>",
            )
        )  # fmt: skip
    for at in info.breaks_seconds:
        figure.add_vline(at / unit, line={"color": theme.MUTED, "width": 1, "dash": "dot"})
    rows = max(1, info.num_trials)
    theme.dress(figure, height=150 + max(11, min(26, 900 // rows)) * rows)
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(title_text=f"{name} of running time")
    figure.update_yaxes(
        title_text="trial", range=[rows - 0.4, -0.6], showgrid=False,
        dtick=1 if rows <= 30 else 5, tickprefix="#",
    )  # fmt: skip
    return figure


def _unit(seconds: float) -> tuple[float, str]:
    if seconds < 300:
        return 1.0, "seconds"
    return (60.0, "minutes") if seconds < 3 * 3600 else (3600.0, "hours")


def sentence(info: ScheduleInfo) -> str:
    """How to read the figure."""
    breaks = len(info.breaks_seconds)
    stood = "once" if breaks == 1 else f"{breaks} times"
    cut = f" The sweep stood still {stood}; that time is cut out (dotted lines)." if breaks else ""
    return (
        "A row per trial from top to bottom, a bar per fold: plain bars were finished, hatched "
        "ones stopped for good or lost. Between bars that lie apart the trial was parked."
        f"{cut}"
    )

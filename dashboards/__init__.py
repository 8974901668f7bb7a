"""Views of a sweep's ledger for people: plotly figures, each an info and a pure function of it,
and a report in one file. This package reads; it never trains, schedules or writes a ledger.
"""

"""The pictures of the page: Vega-Lite, drawn to SVG, in the page's own colours, light or dark."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import vl_convert

from ..monitoring.result import Histogram, Result, WindowResult
from ..printable import all_shown

WIDTH = 340
Spec = dict[str, Any]
# Numbers on an axis: years as years, and millions as 1M; never 1.96e+3.
READABLE = "abs(datum.value) < 1e5 ? format(datum.value, '~r') : format(datum.value, '~s')"
# Names are the page's: it decides what they look like.
NOW, BEFORE, ALARM, LINE = "var(--now)", "var(--before)", "var(--alarm)", "var(--line)"
CONFIG: Spec = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "gridColor": LINE,
        "domainColor": LINE,
        "tickColor": LINE,
    },
}


def svg(spec: Spec, width: int = WIDTH) -> str:
    """Draw a chart."""
    whole = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "autosize": {"type": "fit", "contains": "padding"},
        "width": width,
        "config": CONFIG,
        **all_shown(spec),
    }
    return str(vl_convert.vegalite_to_svg(json.dumps(whole)))


def _windows(result: Result) -> list[str]:
    """A name for each window: the day it ends, or the moment where days do not tell them apart."""
    names = [each.end[5:10] for each in result.windows]
    return names if len({*names}) == len(names) else [each.end[5:16] for each in result.windows]


def _axis(result: Result) -> Spec:
    """Time runs to the right, and as many names as fit are written."""
    names = _windows(result)
    step = -(-len(names) // 6)
    shown = names[::-1][::step][::-1]
    axis = {"title": None, "values": shown, "labelAngle": 0, "grid": False}
    return {"field": "window", "type": "ordinal", "sort": None, "axis": axis}


def traffic(result: Result) -> str:
    """Rows in each window, and how many of them have labels."""
    values = [
        {"window": name, "rows": rows, "what": what}
        for name, each in zip(_windows(result), result.windows, strict=True)
        for what, rows in (("all", each.rows), ("labelled", each.labelled))
    ]
    colour = {
        "field": "what",
        "scale": {"domain": ["all", "labelled"], "range": [BEFORE, NOW]},
        "legend": None,
    }
    return svg(
        {
            "height": 130,
            "data": {"values": values},
            "mark": "bar",
            "encoding": {
                "x": _axis(result),
                "y": {
                    "field": "rows",
                    "type": "quantitative",
                    "stack": None,
                    "axis": {"title": None, "tickCount": 4, "tickMinStep": 1, "format": "~s"},
                },
                "color": colour,
            },
        }
    )


def metric(result: Result, name: str) -> str:
    """A metric over time with its interval, estimated or not, and what it was on the test rows."""
    measured, guessed = [], []
    for window, each in zip(_windows(result), result.windows, strict=True):
        if name in each.metrics:
            live = each.metrics[name].live
            measured.append(_point(window, live.value, live.low, live.high))
        if name in each.estimates:
            live = each.estimates[name]
            guessed.append(_point(window, live.value, live.low, live.high))
    tests = (each.metrics[name].test for each in result.windows if name in each.metrics)
    test = next((each.value for each in tests if each), None)
    y = {
        "field": "value",
        "type": "quantitative",
        "scale": {"zero": False},
        "axis": {"title": None, "tickCount": 4, "labelExpr": READABLE},
    }
    x = _axis(result) | {"scale": {"domain": _windows(result)}}
    layers: list[Spec] = []
    if test is not None:
        layers.append(
            {
                "data": {"values": [{"value": test}]},
                "mark": {"type": "rule", "color": BEFORE, "strokeDash": [4, 3], "strokeWidth": 1.5},
                "encoding": {"y": y},
            }
        )
    for points, colour, filled in ((guessed, BEFORE, False), (measured, NOW, True)):
        if points:
            layers += [
                {
                    "data": {"values": points},
                    "mark": {"type": "rule", "color": colour, "strokeWidth": 2, "opacity": 0.6},
                    "encoding": {"x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}},
                },
                {
                    "data": {"values": points},
                    "mark": {
                        "type": "point", "color": colour, "filled": filled, "size": 55, "opacity": 1
                    },
                    "encoding": {"x": x, "y": y},
                },
            ]  # fmt: skip
    return svg({"height": 150, "layer": layers})


def _point(window: str, value: float, low: float, high: float) -> Spec:
    return {"window": window, "value": value, "low": low, "high": high}


def heat(result: Result, names: Sequence[str]) -> str:
    """How far each column is off in each window: full colour where it is as far as matters."""
    values = [
        {"window": window, "column": name, **cell}
        for window, each in zip(_windows(result), result.windows, strict=True)
        for name, cell in _cells(each, names)
    ]
    x = _axis(result) | {"scale": {"domain": _windows(result)}}
    shared = {
        "x": x,
        "y": {
            "field": "column",
            "type": "nominal",
            "sort": [*names],
            "axis": {"title": None, "labelLimit": 120, "grid": False, "ticks": False},
        },
    }
    cell = {"stroke": LINE, "strokeWidth": 0.5}
    return svg(
        {
            "height": 16 * len(names) + 24,
            "data": {"values": values},
            "layer": [
                {
                    "mark": {"type": "rect", "color": NOW, **cell},
                    "transform": [{"filter": "!datum.alarm"}],
                    "encoding": {**shared, "opacity": _strength()},
                },
                {
                    "mark": {"type": "rect", "color": ALARM, **cell},
                    "transform": [{"filter": "datum.alarm"}],
                    "encoding": shared,
                },
            ],
        },
        width=WIDTH + 60,
    )


def _strength() -> Spec:
    scale = {"domain": [0, 1], "range": [0.04, 0.85], "clamp": True}
    return {"field": "share", "type": "quantitative", "scale": scale, "legend": None}


def _cells(window: WindowResult, names: Sequence[str]) -> Iterator[tuple[str, Spec]]:
    for name in names:
        each = window.columns.get(name)
        if each is not None:
            shifts = [shift for shift in (each.values, each.missing) if shift is not None]
            share = max((shift.share for shift in shifts), default=0.0)
            yield name, {"share": share, "alarm": any(shift.alarm for shift in shifts)}


def bars(histogram: Histogram) -> str:
    """Both distributions: what was before as an area or wide bars, what is now in front of it."""
    values: list[Spec]
    if histogram.edges:
        middles = zip(histogram.edges, histogram.edges[1:], strict=False)
        values = [
            {"low": low, "high": high, "before": before, "now": now}
            for (low, high), before, now in zip(
                middles, histogram.before, histogram.now, strict=True
            )
        ]
        x: Spec = {
            "field": "low",
            "type": "quantitative",
            "scale": {"zero": False, "nice": False},
            "axis": {"title": None, "grid": False, "tickCount": 5, "labelExpr": READABLE},
        }
        # From the ground up, which it does not take for granted where bars have two ends.
        across: Spec = {"x": x, "x2": {"field": "high"}, "y2": {"datum": 0}}
    else:
        values = [
            {"name": name, "before": before, "now": now}
            for name, before, now in zip(
                histogram.labels, histogram.before, histogram.now, strict=True
            )
        ]
        angle = -40 if len(histogram.labels) > 6 or max(map(len, histogram.labels)) > 8 else 0
        axis = {"title": None, "labelAngle": angle, "labelLimit": 70}
        across = {"x": {"field": "name", "type": "nominal", "sort": None, "axis": axis}}
    y: Spec = {
        "type": "quantitative",
        "axis": {"title": None, "format": ".0%", "tickCount": 3},
    }
    front = {"type": "bar", "filled": False, "stroke": NOW, "strokeWidth": 1.8}
    return svg(
        {
            "height": 130,
            "data": {"values": values},
            "layer": [
                {
                    "mark": {"type": "bar", "color": BEFORE, "opacity": 0.45},
                    "encoding": {**across, "y": {**y, "field": "before"}},
                },
                {"mark": front, "encoding": {**across, "y": {**y, "field": "now"}}},
            ],
        }
    )

# SPDX-License-Identifier: BSD-3-Clause
"""The page ``/plib-cache``: what the heartbeats of the workers tell of their caches, live.

On top the cluster's sums, then a table of the regions (a machine has one, as a rule), and of the
workers a chart and a table.  Sizes are in units of 1,024.
"""

from __future__ import annotations

from html import escape
from typing import Any

from bokeh.models import (
    BasicTicker,
    Column,
    ColumnDataSource,
    CustomJS,
    CustomJSTickFormatter,
    DataRange1d,
    DataTable,
    Div,
    FactorRange,
    HoverTool,
    HTMLTemplateFormatter,
    NumberFormatter,
    StringFormatter,
    TableColumn,
)
from bokeh.plotting import figure
from bokeh.transform import dodge
from dask.utils import format_bytes
from distributed.dashboard.components import DashboardComponent, add_periodic_callback
from distributed.dashboard.components.scheduler import BOKEH_THEME, env
from distributed.dashboard.utils import update

from plib_cache.integrations.dask._numbers import METRIC

_EVERY_MS = 500
_BARS_MOST = 50  # workers in the chart, those that come first; the table has all
_ROW, _HEAD = 25, 30  # pixels of a table
_ROWS_MOST = 20  # that are seen without scrolling

# The tables: field, title, kind, pixels.
_REGION = (
    ("path", "region", "text", 320),
    ("workers", "workers", "count", 70),
    ("used", "in use", "bytes", 90),
    ("size", "size", "bytes", 90),
    ("leased", "leased", "bytes", 90),
    ("leases", "leases so far", "count", 100),
    ("hits", "hits", "count", 90),
    ("misses", "misses", "count", 90),
    ("rate", "hit rate", "share", 80),
    ("evictions", "evictions", "count", 90),
    ("seconds_saved", "seconds saved", "seconds", 110),
)
_WORKER = (
    ("name", "worker", "text", 80),
    ("address", "address", "text", 190),
    ("found", "hits", "count", 70),
    ("missed", "misses", "count", 70),
    ("placed_bytes", "shared", "bytes", 90),
    ("handed_bytes", "not sent", "bytes", 90),
    ("taken_bytes", "taken", "bytes", 90),
    ("held", "leases", "count", 70),
    ("held_bytes", "leased", "bytes", 90),
    ("kept_bytes", "kept", "bytes", 90),
    ("refused", "refused", "count", 80),
    ("repeated", "repeated", "count", 80),
    ("nodes_lost", "nodes lost", "count", 85),
    ("failures", "failures", "count", 80),
)
_LEGEND = (
    "<b>hits, misses</b>: kept results that were found, or had to be computed (of a region: all"
    " lookups) · <b>shared</b>: put into the region · <b>not sent</b>: handed to another worker"
    " by reference · <b>taken</b>: come by reference · <b>leases, leased</b>: values held in the"
    " region now · <b>kept</b>: results that outlive the cluster · <b>refused</b>: large values"
    " that stayed in the worker's own memory · <b>repeated</b>: transfers that were done again as"
    " bytes · <b>nodes lost</b>: times that another node did not answer · <b>failures</b>: of the"
    " cache; they change nothing but speed"
)
_EMPTY = (
    "<p style='font-size: 15px'>No worker of this cluster shares a region. To have them do so:</p>"
    "<pre style='font-size: 13px; margin-top: 10px'>"
    "from plib_cache.integrations.dask import PlibCachePlugin\n"
    "client.register_plugin(PlibCachePlugin())</pre>"
)
# dask's menu covers the top of a page where it has more than one line; here it takes its place.
_TEMPLATE = """{% extends "simple.html" %}
{% block extra_resources %}
<style>
    body { height: auto; min-height: 100%; padding-top: 0 }
    .navbar { position: sticky; margin: 0 -10px }
</style>
{% endblock %}
"""
_TABLE_CSS = (
    ".bk-data-table { z-index: 0 }"  # below the menu
    " .slick-header-column:nth-child(n + %d) .slick-column-name { float: right }"  # as the numbers
)
# As dask.utils.format_bytes says it, in the browser, where the numbers remain sortable.
_SIZE_JS = (
    "const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']; let size = Number(%s), n = 0;"
    " while (Math.abs(size) >= 1024 && n < 5) { size /= 1024; n += 1 }"
)
_TICK_JS = _SIZE_JS % "tick" + " return +size.toFixed(1) + ' ' + units[n]"
_CELL_JS = (
    "<div style='text-align: right'><% "
    + _SIZE_JS % "value"
    + " %><%= size.toFixed(n ? 1 : 0) %> <%= units[n] %></div>"
)


def _column(field: str, title: str, kind: str, width: int) -> TableColumn:
    formatter: Any = StringFormatter()
    if kind == "bytes":
        formatter = HTMLTemplateFormatter(template=_CELL_JS)
    elif kind != "text":
        shape = {"count": "0,0", "share": "0.0 %", "seconds": "0,0.0"}[kind]
        formatter = NumberFormatter(format=shape, text_align="right")
    return TableColumn(field=field, title=title, formatter=formatter, width=width)


def _table(columns: Any) -> DataTable:
    first_number = 1 + sum(kind == "text" for _, _, kind, _ in columns)
    table = DataTable(
        source=ColumnDataSource({field: [] for field, *_ in columns}),
        columns=[_column(*column) for column in columns],
        index_position=None,
        sortable=True,
        reorderable=False,
        row_height=_ROW,
        sizing_mode="stretch_width",
        min_width=sum(width for *_, width in columns),
        stylesheets=[_TABLE_CSS % first_number],
    )
    # Some versions of bokeh draw a table anew only if the number of its rows has changed.
    again = CustomJS(args={"view": table.view}, code="view.change.emit()")
    table.source.js_on_change("data", again)
    return table


def _scrolled(table: DataTable) -> Column:
    """In a window that is narrower than the table, there are no columns cut off."""
    return Column(table, sizing_mode="stretch_width", styles={"overflow-x": "auto"})


def _fill(table: DataTable, rows: list[dict[str, Any]]) -> None:
    update(table.source, {name: [row[name] for row in rows] for name in table.source.data})
    # A new height also has the columns' widths, which were none while hidden, worked out anew.
    table.height = _HEAD + _ROW * min(len(rows), _ROWS_MOST)


def told(scheduler: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of the regions and of the workers, from the newest heartbeats."""
    regions: dict[str, dict[str, Any]] = {}
    workers = []
    for state in sorted(scheduler.workers.values(), key=lambda one: one.last_seen):
        metric = state.metrics.get(METRIC)
        if not isinstance(metric, dict):
            continue
        own = metric["worker"]
        row = {field: own.get(field, 0) for field, *_ in _WORKER}
        name = str(state.name)  # its address, if it was given none
        row |= {"name": "" if name == state.address else name, "address": state.address}
        row["repeated"] = own.get("hand_over_failed", 0) + own.get("take_failed", 0)
        workers.append(row)
        before = regions.get(metric["region"], dict.fromkeys((one[0] for one in _REGION), 0))
        one = regions[metric["region"]] = {**before, **metric.get("all", {})}
        one |= {"path": metric["path"], "workers": before["workers"] + 1}
        one["rate"] = one["hits"] / ((one["hits"] + one["misses"]) or 1)
    in_order = sorted(workers, key=lambda row: (len(row["name"]), row["name"], row["address"]))
    return sorted(regions.values(), key=lambda row: str(row["path"])), in_order


def _sums(regions: list[dict[str, Any]], workers: list[dict[str, Any]]) -> str:
    def total(rows: list[dict[str, Any]], field: str) -> Any:
        return sum(row[field] for row in rows)

    shown = (
        (f"{total(workers, 'found'):,}", "hits"),
        (f"{total(workers, 'missed'):,}", "misses"),
        (f"{total(regions, 'seconds_saved'):,.1f} s", "saved"),
        (format_bytes(total(workers, "placed_bytes")), "shared"),
        (format_bytes(total(workers, "handed_bytes")), "not sent"),
        (f"{total(workers, 'held'):,}", "leases"),
        (format_bytes(total(regions, "used")), "in use"),
        (f"{total(workers, 'failures'):,}", "failures"),
    )
    cards = "".join(
        "<div style='min-width: 90px'>"
        f"<div style='font-size: 24px; white-space: nowrap'>{escape(number)}</div>"
        f"<div style='font-size: 13px; color: #666'>{what}</div></div>"
        for number, what in shown
    )
    return f"<div style='display: flex; flex-wrap: wrap; gap: 12px 36px'>{cards}</div>"


class Panel(DashboardComponent):
    """The page's contents; ``update`` brings them to what the scheduler knows now."""

    def __init__(self, scheduler: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._scheduler = scheduler
        self._empty = Div(text=_EMPTY)
        self._totals = Div(sizing_mode="stretch_width")
        self._regions = _table(_REGION)
        self._workers = _table(_WORKER)
        self._bars = ColumnDataSource({"label": [], "held_bytes": [], "handed_bytes": []})
        self._chart = _chart(self._bars)
        self._full = Column(
            self._totals,
            _title("Regions"),
            _scrolled(self._regions),
            _title("Workers"),
            _scrolled(self._workers),
            self._chart,
            Div(text=_LEGEND, sizing_mode="stretch_width", styles={"color": "#666"}),
            sizing_mode="stretch_width",
            spacing=6,
        )
        self.source = self._workers.source
        self.root = Column(
            self._empty, self._full, sizing_mode="stretch_width", styles={"padding": "12px"}
        )
        self.update()

    def update(self, messages: Any = None) -> None:
        """Show what the newest heartbeats tell."""
        regions, workers = told(self._scheduler)
        self._empty.visible = not workers
        self._full.visible = bool(workers)
        self._totals.text = _sums(regions, workers)
        _fill(self._regions, regions)
        _fill(self._workers, workers)
        first = workers[:_BARS_MOST]
        labels = [f"{row['name']}  {row['address']}".lstrip() for row in first]
        if list(self._chart.y_range.factors) != labels[::-1]:
            self._chart.y_range.factors = labels[::-1]
            self._chart.height = 90 + 36 * len(labels)
        bars: dict[str, list[Any]] = {"label": labels}
        for field in ("held_bytes", "handed_bytes"):
            bars[field] = [row[field] for row in first]
        update(self._bars, bars)


def _title(text: str) -> Div:
    return Div(text=f"<b style='font-size: 15px'>{text}</b>")


def _chart(source: ColumnDataSource) -> Any:
    chart = figure(
        y_range=FactorRange(factors=[]),
        x_range=DataRange1d(start=0),
        title="Bytes of each worker",
        tools="",
        toolbar_location=None,
        sizing_mode="stretch_width",
        height=120,
    )
    series = (
        ("held_bytes", "leased", -0.18, "#4c78a8"),
        ("handed_bytes", "not sent", 0.18, "#f58518"),
    )
    for field, label, shift, color in series:
        where = dodge("label", -shift, range=chart.y_range)
        chart.hbar(
            y=where, right=field, height=0.32, source=source, color=color, legend_label=label
        )
    tips = [
        ("worker", "@label"),
        ("leased", "@held_bytes{0,0} B"),
        ("not sent", "@handed_bytes{0,0} B"),
    ]
    chart.add_tools(HoverTool(tooltips=tips))
    chart.xaxis.ticker = BasicTicker(base=1024, mantissas=[2**n for n in range(10)])
    chart.xaxis.formatter = CustomJSTickFormatter(code=_TICK_JS)
    chart.ygrid.visible = False
    chart.add_layout(chart.legend[0], "right")
    return chart


def page(scheduler: Any, extra: dict[str, Any], doc: Any) -> None:
    """Make the page for one who looks at it, as dask's own pages are made."""
    panel = Panel(scheduler)
    add_periodic_callback(doc, panel, _EVERY_MS)  # type: ignore[no-untyped-call]
    doc.add_root(panel.root)
    doc.title = "Dask: plib_cache"
    doc.theme = BOKEH_THEME
    doc.template = env.from_string(_TEMPLATE)
    doc.template_variables.update(extra)

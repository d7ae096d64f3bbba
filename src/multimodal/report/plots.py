"""Plots of a run: model comparison, learning curves, predictions, residuals; drawing helpers.

Each function returns a `matplotlib.figure.Figure` outside pyplot's global state; :func:`picture`
saves it among the plots of the run and makes it a data URI with its alt text. Colours are those of
Okabe and Ito, which colour-blind readers tell apart; text stays readable at 700 pixels.
"""

from __future__ import annotations

import base64
import math
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from multimodal.core.arrays import Floats
from multimodal.core.errors import RunError
from multimodal.core.files import replace_file
from multimodal.core.formatting import short_number
from multimodal.evaluation.bootstrap import ConfidenceInterval
from multimodal.evaluation.measures import format_metric, measure_of, metric_label, ranked
from multimodal.evaluation.metrics import LOG_FLOOR, deciles
from multimodal.evaluation.records import ModelScore
from multimodal.report.run_files import RunFiles

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DPI = 120
WIDTH = 5.6
INK, FAINT = "#222222", "#767676"
BLUE, ORANGE, RED, SKY, GREEN = "#0072B2", "#E69F00", "#D55E00", "#56B4E9", "#009E73"
KIND_COLOURS = {
    "constant": "#999999",
    "trees": ORANGE,
    "sequential": SKY,
    "recipe": GREEN,
    "fusion": BLUE,
}
KIND_NAMES = {
    "constant": "constant",
    "trees": "gradient boosting",
    "sequential": "plain network, one modality",
    "recipe": "same recipe, one modality",
    "fusion": "the whole recipe",
}
WIDE_SPAN = 100.0
_TITLES = {
    "higher": "Score{} on the test rows: higher is better",
    "lower": "Error{} on the test rows: lower is better",
    None: "Score{} on the test rows",
}


def save(figure: Figure, path: Path) -> Path:
    """Write `figure` as a PNG at 120 dots per inch, with its folder, and return `path`."""
    if path.parent.is_symlink():  # a run may come from anybody
        raise RunError(
            f"{path.parent}: a link; plots are written inside the run directory alone. Remove it."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), replace_file(path) as beside:
        # Names in scripts that the font lacks are drawn as boxes; the page has them as text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(beside, dpi=DPI, format="png")
    return path


def comparison(
    scores: Sequence[ModelScore],
    metric: str,
    limit: float | None = None,
    *,
    name: str = "",
    unit: str = "",
    intervals: Mapping[str, ConfidenceInterval] | None = None,
) -> Figure:
    """Draw the value of `metric` of each model that has it, the best on top; `limit` is dashed.

    `name` says what is predicted, `unit` the unit of an error that is not relative. A line across
    the end of a bar is the interval of that model, by its label.

    Example:
    >>> score = ModelScore("median", "constant", "nothing", {"rmse": 3.0})
    >>> figure = comparison([score], "rmse", unit="EUR")
    """
    best_first = ranked(scores, metric)
    figure, axes = new_axes(1.5 + 0.46 * max(len(best_first), 2))
    values = [score.metrics[metric] for score in best_first]
    colours = [KIND_COLOURS[score.kind] for score in best_first]
    places = range(len(best_first))
    axes.barh(places, values, color=colours, edgecolor=INK, linewidth=0.5, height=0.7)
    spans = [(intervals or {}).get(score.label) for score in best_first]
    _name_bars(axes, best_first, [format_metric(metric, value) for value in values], spans)
    axes.locator_params(axis="x", nbins=6)
    ends = [span.high for span in spans if span is not None and math.isfinite(span.high)]
    # From 0, so that bars compare as their lengths do; the rest is for the numbers behind them.
    axes.set_xlim(0, 1.17 * max([*values, *ends, limit or 0]) or 1)
    what = f" of {name}" if name else ""
    title = _TITLES[measure_of(metric).better].format(what)
    write_words(axes, title, metric_label(metric, unit))
    format_numbers(axes.xaxis)
    more = []
    if limit is not None:
        name = f"known limit {short_number(limit, 3)}"
        more.append(axes.axvline(limit, color=RED, linestyle="--", linewidth=1.8, label=name))
    kind_legend(axes, [score.kind for score in best_first], *more)
    return figure


def learning_curves(log: pd.DataFrame) -> Figure:
    """Draw the columns `loss` and `val_loss` against `epoch`, and mark the epoch with the least.

    The loss axis is logarithmic where the losses span more than two powers of ten. Of several
    networks, the mean of those still learning is drawn.
    """
    if "network" in log:
        log = log.groupby("epoch", as_index=False).mean(numeric_only=True)
    figure, axes = new_axes(3.6)
    epochs = log["epoch"].to_numpy(dtype=float)
    drawn = [column for column in ("loss", "val_loss") if column in log]
    curves = {column: log[column].to_numpy(dtype=float) for column in drawn}
    styles = {"loss": ("training", ORANGE, "s"), "val_loss": ("validation", BLUE, "o")}
    for column, values in curves.items():
        label, colour, marker = styles[column]
        axes.plot(epochs, values, color=colour, marker=marker, markersize=4, label=label)
    _mark_best(axes, epochs, curves)
    everything = np.concatenate(list(curves.values()) or [np.empty(0)])
    if _wide(everything[np.isfinite(everything)]):
        axes.set_yscale("log")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.set_xlim(epochs.min() - 0.5, epochs.max() + 0.5)
    format_numbers(axes.yaxis)
    write_words(axes, "Loss while training", "epoch", "loss (of the transformed target)")
    if curves:
        axes.legend(frameon=False)
    return figure


def predicted_against_true(
    y_true: ArrayLike, prediction: ArrayLike, name: str, *, unit: str = ""
) -> Figure:
    """Draw one dot per row, both (N,); a perfect prediction lies on the line.

    Both axes are logarithmic where all true values are positive and span more than two powers of
    ten; predictions too small for that are drawn at the lower edge.
    """
    y, p = np.asarray(y_true, dtype=float), np.asarray(prediction, dtype=float)
    figure, axes = new_axes(5.0)
    logarithmic = _wide(y)
    if logarithmic:
        p = np.maximum(p, LOG_FLOOR * y.min())
        axes.set_xscale("log")
        axes.set_yscale("log")
    else:
        axes.locator_params(nbins=4)  # seven-digit prices would run into each other
    alpha = float(np.clip(40 / math.sqrt(len(y)), 0.15, 0.8))
    axes.scatter(y, p, s=16, color=BLUE, alpha=alpha, linewidths=0)
    ends = [min(y.min(), p.min()), max(y.max(), p.max())]
    axes.plot(ends, ends, color=RED, linewidth=1.5, label="perfect prediction")
    label = f"{name} ({unit})" if unit else name
    scale = ", log scale" if logarithmic else ""
    title = f"Predicted against true {label}, {len(y):,} test rows"
    write_words(axes, title, f"true {label}{scale}", f"predicted {label}{scale}")
    axes.legend(frameon=False, loc="upper left")
    format_numbers(axes.xaxis, axes.yaxis)
    return figure


def residuals_by_decile(
    y_true: ArrayLike, prediction: ArrayLike, name: str, *, unit: str = "", parts: int = 10
) -> Figure:
    """Draw how far off the rows of each tenth of the prediction are: median, middle half, 90 %.

    With `parts`, it is another equal part. Errors are in per cent of the true value where most are
    positive and none is negative, without rows of 0; else in the target's unit.
    """
    y, p = np.asarray(y_true, dtype=float), np.asarray(prediction, dtype=float)
    there = y > 0
    relative = bool(2 * there.sum() > len(y) and (y >= 0).all())
    y, p = (y[there], p[there]) if relative else (y, p)
    error = 100 * (p - y) / y if relative else p - y
    tenth = deciles(p, parts)
    rows = [(p[tenth == i], error[tenth == i]) for i in np.unique(tenth)]
    figure, axes = new_axes(1.6 + 0.36 * max(len(rows), 3))
    for position, (_, errors) in enumerate(rows):
        _box(axes, position, errors)
    axes.axvline(0, color=INK, linewidth=1)
    labels = [f"{short_number(v.min(), 3)} to {short_number(v.max(), 3)}" for v, _ in rows]
    axes.set_yticks(range(len(rows)), labels=labels)
    shown = "% of the true value" if relative else unit or "units of the target"
    up = f"predicted {name} ({unit})" if unit else f"predicted {name}"
    write_words(
        axes, f"Error by predicted {name}, in equal parts", f"predicted − true, {shown}", up
    )
    note = "dot: median; box: the middle half of the rows; line: 90 % of them"
    axes.figure.supxlabel(note, fontsize=9.5, color=FAINT)
    format_numbers(axes.xaxis)
    return figure


def new_axes(height: float) -> tuple[Figure, Any]:
    """Return an empty figure of the page's width, `height` inches high, and its axes."""
    # Not pyplot: it keeps every figure alive, and picks a backend that may want a display.
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = Figure(figsize=(WIDTH, height), layout=layout, facecolor="white")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=10.5, colors=INK)
    return figure, axes


def write_words(axes: Any, title: str, across: str, up: str = "") -> None:
    """Write the title and the names of both axes."""
    axes.figure.suptitle(plain(title), x=0.02, ha="left", fontsize=12)
    axes.set_xlabel(plain(across), fontsize=11)
    axes.set_ylabel(plain(up, 36, 2), fontsize=11)


def plain(text: str, width: int = 54, lines: int = 3) -> str:
    """Return user text that matplotlib takes literally: no mathematics, no endless line."""
    folded = textwrap.wrap(text, width, max_lines=lines, placeholder=" …")
    # Two dollar signs would set what lies between them as mathematics.
    return "\n".join(folded).replace("$", r"\$")


def annotate(
    axes: Any, text: str, at: tuple[float, float], offset: tuple[float, float], **style: Any
) -> None:
    """Write text at a place of the axes, moved by an offset in points."""
    axes.annotate(text, at, xytext=offset, textcoords="offset points", **style)


def format_numbers(*axes: Any) -> None:
    """Write the numbers at an x-axis or y-axis as elsewhere on the page."""
    from matplotlib.ticker import FuncFormatter

    for each in axes:
        each.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))


def _name_bars(
    axes: Any,
    scores: Sequence[ModelScore],
    shown: Sequence[str],
    spans: Sequence[ConfidenceInterval | None],
) -> None:
    names = [plain(score.label, 24) for score in scores]
    axes.set_yticks(range(len(scores)), labels=names)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    widths = [bar.get_width() for bar in axes.patches]
    for position, span in enumerate(spans):
        if span is not None and math.isfinite(span.high):
            axes.hlines(position, span.low, span.high, color=INK, linewidth=1.6)
            widths[position] = max(widths[position], span.high)
    for position, (score, value) in enumerate(zip(scores, shown, strict=True)):
        weight = "bold" if score.kind == "fusion" else "normal"
        annotate(
            axes,
            value,
            (widths[position], position),
            (4, 0),
            va="center",
            fontsize=10.5,
            fontweight=weight,
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
        axes.get_yticklabels()[position].set_fontweight(weight)


def kind_legend(axes: Any, kinds: Iterable[str], *more: Any) -> None:
    """Write which colour is which kind of model below the plot, then further handles."""
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=colour, edgecolor=INK, linewidth=0.5, label=KIND_NAMES[kind])
        for kind, colour in reversed(KIND_COLOURS.items())
        if kind in set(kinds)
    ]
    if handles or more:
        legend = {"loc": "outside lower center", "ncols": 2, "frameon": False}
        axes.figure.legend(handles=[*handles, *more], **legend)


def _mark_best(axes: Any, epochs: Floats, curves: dict[str, Floats]) -> None:
    watched = curves.get("val_loss", curves.get("loss", np.empty(0)))
    if not np.isfinite(watched).any():
        return
    best = int(np.nanargmin(np.where(np.isfinite(watched), watched, np.nan)))
    label = f"best epoch: {epochs[best]:g}"
    axes.axvline(epochs[best], color=FAINT, linestyle=":", linewidth=1.2)
    axes.scatter(
        epochs[best],
        watched[best],
        s=110,
        marker="*",
        color=RED,
        edgecolor=INK,
        linewidth=0.5,
        zorder=5,
        label=label,
    )


def _wide(values: Floats) -> bool:
    """Tell whether the values are positive and span more than two powers of ten."""
    return bool(len(values)) and bool(values.min() > 0 and values.max() > WIDE_SPAN * values.min())


def _box(axes: Any, position: int, errors: Floats) -> None:
    low, left, middle, right, high = np.quantile(errors, [0.05, 0.25, 0.5, 0.75, 0.95])
    axes.hlines(position, low, high, color=INK, linewidth=1.2)
    axes.barh(
        position, right - left, left=left, height=0.6, color=SKY, edgecolor=INK, linewidth=0.8
    )
    axes.scatter(middle, position, color=INK, s=26, zorder=4)


class Picture(NamedTuple):
    """A picture for a page: where it is, and what it shows, in numbers."""

    uri: str
    alt: str


def picture(run: RunFiles, figure: Figure, name: str, words: str) -> Picture:
    """Save a figure as `plots/<name>.png` of the run and return it for the page."""
    path = save(figure, run.path / "plots" / f"{name}.png")
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return Picture(f"data:image/png;base64,{content}", words)

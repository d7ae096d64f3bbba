"""Results of a comparison for people: verdict, further sentences, terminal table, CSV, picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from multimodal.core.formatting import bare_percent, listed
from multimodal.evaluation.measures import BESIDE, format_metric, metric_label
from multimodal.report.plots import (
    FAINT,
    INK,
    KIND_COLOURS,
    kind_legend,
    new_axes,
    plain,
    write_words,
)
from multimodal.studies.compare.results import (
    Addition,
    ComparisonRecord,
    Difference,
    Leaderboard,
    LeaderboardRow,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import Console
    from rich.table import Table as Printed


NETWORKS = ("sequential", "recipe")  # kinds of baselines whose labels are names


def comparison_verdict(head: Leaderboard) -> str:
    """Say which modalities earned their place, and whether the model beats the best baseline.

    A difference counts where its 95 % interval leaves zero out.

    Args:
        head: How the models of one head stand.
    """
    full = next((each for each in head.standings if each.name == head.full), None)
    if full is None:
        return f"For {head.head} the model of everything is not finished; there is no verdict."
    baseline = next((each for each in head.standings if each.name == head.reference), None)
    first = f"For {head.head}, {full.label} {_against(full, baseline, head.rows)}"
    # Of models that differ in one modality and nothing else.
    added = [each for each in head.additions if each.arm == head.full]
    if not added:
        return f"{first}."
    return f"{first}; to the others, {listed([addition_words(each) for each in added])}."


def addition_words(addition: Addition) -> str:
    """Say what a modality adds: "text adds 12 % (8 to 16)".

    Example:
    >>> found = Difference(gain=0.12, low=0.081, high=0.159, p=0.001)
    >>> names = {"family": "concat", "to": "table", "arm": "a", "without": "b"}
    >>> addition_words(Addition(adds="text", difference=found, **names))
    'text adds 12 % (8 to 16)'
    """
    found = addition.difference
    verb = "" if addition.adds.endswith("s") and "+" not in addition.adds else "s"
    if found.low > 0:
        return f"{addition.adds} add{verb} {_share(found.gain)} ({_range(found)})"
    if found.high < 0:
        return f"{addition.adds} cost{verb} {_share(-found.gain)} ({_range(found, -1)})"
    return (
        f"{addition.adds} add{verb} nothing that these rows show "
        f"({_share(found.gain)}, {_range(found)})"
    )


def further_sentences(head: Leaderboard) -> list[str]:
    """Say what the verdict leaves out: each addition with its family, and what better means."""
    measured = metric_name(head.metrics[0])
    found = [f"n % better: the error ({measured}) is n % smaller; ranges are 95 % intervals."]
    for each in head.additions:
        to = "the table alone" if each.to == "table" else each.to
        doubt = _doubt(each.difference)
        found.append(f"In {each.family}, beside {to}: {addition_words(each)}{doubt}.")
    return found


def _against(full: LeaderboardRow, baseline: LeaderboardRow | None, rows: int) -> str:
    found = full.versus
    if baseline is None or found is None:
        return "has no baseline to be compared with"
    name = baseline.label if baseline.kind in NETWORKS else baseline.label.lower()
    than = f"the best baseline, {name.replace('tf-idf', 'TF-IDF')}"
    if found.low > 0:
        return f"is {_share(found.gain)} better ({_range(found)}) than {than}{_doubt(found)}"
    if found.high < 0:
        return f"is {_share(-found.gain)} worse ({_range(found, -1)}) than {than}{_doubt(found)}"
    shown = f"{_share(found.gain)}, {_range(found)}"
    return f"is no better, as far as {rows:,} rows can tell, than {than} ({shown})"


def _doubt(found: Difference) -> str:
    """Say so where rows are sure of a difference, and whole folds are not."""
    sure = found.low > 0 or found.high < 0
    if not sure or found.p_folds is None or found.p_folds <= 0.05:
        return ""
    return f", though folds alone are not sure of it (p = {found.p_folds:.2f})"


def metric_name(metric: str) -> str:
    """Name a metric without the remark in brackets.

    Example:
    >>> metric_name("log_rmse")
    'RMSE of the logarithm'
    """
    return metric_label(metric).split(" (")[0]


def _share(value: float) -> str:
    return f"{bare_percent(value)} %"


def _range(found: Difference, sign: int = 1) -> str:
    low, high = sorted((sign * found.low, sign * found.high))
    return f"{bare_percent(low)} to {bare_percent(high)}"


_MARK, _WIDE = "best baseline", 110
_CAPTION = (
    "Ranges are 95 % intervals. Better: by how many per cent the error is smaller than that of the "
    "best baseline; p: of that, over rows, over folds. *: the model of the verdict. s: of a fit."
)


def show_leaderboard(record: ComparisonRecord, console: Console) -> None:
    """Print how the models of each head stand, best first, and the verdict."""
    for head in record.heads:
        console.print(_printed(record, head, wide=console.width >= _WIDE))
    for sentence in record.verdicts.values():
        console.print(sentence, soft_wrap=True)
    for sentence in record.left_out:
        console.print(f"left out: {sentence}", soft_wrap=True)


def leaderboard_frame(record: ComparisonRecord) -> pd.DataFrame:
    """Return the comparison as a table: a line per head and model, best first."""
    import pandas as pd

    return pd.DataFrame([_line(head, each) for head in record.heads for each in head.standings])


def leaderboard_figure(head: Leaderboard) -> Figure:
    """Draw each model's value of the main metric as a dot with its 95 % interval, best on top.

    The dashed line is the best baseline.
    """
    from matplotlib.lines import Line2D

    main = head.metrics[0]
    figure, axes = new_axes(1.7 + 0.42 * max(len(head.standings), 2))
    for place, each in enumerate(head.standings):
        value, low, high = each.values[main]
        colour = KIND_COLOURS[each.kind]
        axes.hlines(place, low, high, color=colour, linewidth=3)
        axes.plot(value, place, "o", color=colour, markeredgecolor=INK, markersize=8)
        if each.name == head.reference:
            axes.axvline(value, color=FAINT, linestyle="--", linewidth=1, zorder=0)
    axes.set_yticks(range(len(head.standings)), labels=[plain(s.label, 30) for s in head.standings])
    for tick, each in zip(axes.get_yticklabels(), head.standings, strict=True):
        tick.set_fontweight("bold" if each.name == head.full else "normal")
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.locator_params(axis="x", nbins=6)
    title = f"{head.head}: {head.rows:,} rows out of fold; dot and 95 % interval"
    write_words(axes, title, metric_name(main))
    dashed = Line2D([], [], color=FAINT, linestyle="--", label=_MARK)
    kind_legend(axes, [each.kind for each in head.standings], dashed)
    return figure


def _printed(record: ComparisonRecord, head: Leaderboard, *, wide: bool) -> Printed:
    from rich import box
    from rich.table import Table as Printed

    seeds = f"{len(record.seeds)} seed{'s' if len(record.seeds) > 1 else ''}"
    printed = Printed(
        title=f"{head.head}: {head.rows:,} rows out of fold, {record.folds} folds, {seeds}"
        f"{'' if record.complete else ', INCOMPLETE'}",
        caption=_CAPTION,
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    main, *others = head.metrics
    beside = [*others, *(name for name in BESIDE.get(main, ()) if name not in others)][:2]
    beside = beside if wide else []
    printed.add_column("model", min_width=16)
    last = ("p, by folds", "weights", "s") if wide else ("weights", "s")
    for name in (main, *beside, "better by %", *last):
        printed.add_column(name, justify="right", no_wrap=True)
    for each in head.standings:
        cells = _cells(each, head, main, beside)
        printed.add_row(*(cells if wide else [*cells[:-3], *cells[-2:]]))
    return printed


def _cells(each: LeaderboardRow, head: Leaderboard, main: str, beside: Sequence[str]) -> list[str]:
    value, low, high = (format_metric(main, number) for number in each.values[main])
    shown = [format_metric(name, each.metrics.get(name), 4) for name in beside]
    marked = "* " if each.name == head.full else ""
    return [
        f"{marked}{each.label}",
        f"{value} ({low} to {high})",
        *shown,
        _MARK if each.name == head.reference else _better(each.versus),
        _p(each.versus),
        _short(each.parameters),
        f"{each.seconds:.0f}" if each.seconds >= 10 else f"{each.seconds:.1f}",
    ]


def _better(found: Difference | None) -> str:
    if found is None:
        return ""
    return f"{bare_percent(found.gain)} ({_range(found)})"


def _p(found: Difference | None) -> str:
    if found is None:
        return ""
    folds = "–" if found.p_folds is None else f"{found.p_folds:.2g}"
    return f"{found.p:.2g}, {folds}"


def _short(count: int) -> str:
    """Write a number of weights in few letters: 950, 12k, 3.4M."""
    if count < 1000:
        return f"{count:,}" if count else "–"
    return f"{count / 1e3:,.0f}k" if count < 1e6 else f"{count / 1e6:,.1f}M"


def _line(head: Leaderboard, each: LeaderboardRow) -> dict[str, Any]:
    found: dict[str, Any] = {
        "head": head.head,
        "name": each.name,
        "kind": each.kind,
        "model": each.label,
        "reads": each.inputs,
        "rows": head.rows,
        "seeds": len(each.seeds),
    }
    for metric, (value, low, high) in each.values.items():
        found |= {metric: value, f"{metric}_low": low, f"{metric}_high": high}
    found |= {name: value for name, value in each.metrics.items() if name not in (*found, "n")}
    if each.versus is not None:
        names = ("gain", "low", "high", "p", "p_folds", "folds_won")
        found |= {
            name if name == "gain" else f"gain_{name}": getattr(each.versus, name) for name in names
        }
    return {**found, "parameters": each.parameters, "seconds": each.seconds}

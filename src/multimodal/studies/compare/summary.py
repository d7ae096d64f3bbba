"""The finding of a comparison in one sentence, with its intervals, also where it is nothing."""

from __future__ import annotations

from collections.abc import Sequence

from multimodal.evaluation.measures import label
from multimodal.studies.compare.records import Addition, Difference, HeadStandings, Standing


def comparison_verdict(head: HeadStandings) -> str:
    """Say whether reading everything was worth it, and what each modality adds to the table.

    A difference counts where its 95 % interval leaves zero out.

    Args:
        head: How the models of one head stand.
    """
    full = next((each for each in head.standings if each.name == head.full), None)
    if full is None:
        return f"For {head.head} the fusion of everything is not finished; there is no verdict."
    simple = next((each for each in head.standings if each.name == head.reference), None)
    first = f"For {head.head}, {full.label} {_against(full, simple, head.rows)}"
    over_table = [a for a in head.additions if a.to == "table" and a.arm.startswith("fusion")]
    if not over_table:
        over_table = [a for a in head.additions if a.arm == head.full]
    if not over_table:
        return f"{first}."
    to = "the table alone" if over_table[0].to == "table" else "the rest"
    return f"{first}; over {to}, {_listed([addition_words(a) for a in over_table])}."


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


def further_sentences(head: HeadStandings) -> list[str]:
    """Say what the verdict leaves out: each addition with its family, and what better means."""
    measured = short_label(head.metrics[0])
    found = [f"n % better: the error ({measured}) is n % smaller; ranges are 95 % intervals."]
    for each in head.additions:
        to = "the table alone" if each.to == "table" else each.to
        doubt = _doubt(each.difference)
        found.append(f"In {each.family}, beside {to}: {addition_words(each)}{doubt}.")
    return found


def _against(full: Standing, simple: Standing | None, rows: int) -> str:
    found = full.versus
    if simple is None or found is None:
        return "has nothing simple to be compared with"
    name = simple.label if simple.kind == "sequential" else simple.label.lower()
    than = f"the best simple model, {name.replace('tf-idf', 'TF-IDF')}"
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


def short_label(metric: str) -> str:
    """Name a metric without the remark in brackets.

    Example:
    >>> short_label("log_rmse")
    'RMSE of the logarithm'
    """
    return label(metric).split(" (")[0]


def _share(value: float) -> str:
    return f"{percent(value)} %"


def _range(found: Difference, sign: int = 1) -> str:
    low, high = sorted((sign * found.low, sign * found.high))
    return f"{percent(low)} to {percent(high)}"


def percent(value: float) -> str:
    """Write a share in per cent, two digits where it is small.

    Example:
    >>> percent(0.123), percent(-0.004), percent(-0.0001)
    ('12', '−0.4', '0')
    """
    text = f"{100 * value:.{1 if abs(value) < 0.0095 else 0}f}"
    return "0" if not float(text) else text.replace("-", "−")


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last

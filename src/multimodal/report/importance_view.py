"""What a head needs, as the lines of a table on the screen and in the report."""

from __future__ import annotations

from multimodal.explain.importance_records import HeadImportance


def importance_rows(head: HeadImportance | None) -> list[dict[str, str]]:
    """Return the groups, then the columns, each needed most first: name, kind, change, interval.

    The change is a share of the error of the rows as they are; where that is 0, it is the change
    itself.

    Example:
    >>> from multimodal.explain.importance_records import Need
    >>> need = Need(name="year", kind="column", error=3.0, change=1.0, low=0.5, high=1.5)
    >>> head = HeadImportance(metric="rmse", error=2.0, rows=9, repeats=5, needs=[need])
    >>> importance_rows(head)[0]["change"], importance_rows(head)[0]["interval"]
    ('+50%', '+25% to +75%')
    """
    if head is None:
        return []
    return [
        {
            "name": need.name,
            "kind": need.kind,
            "change": _share(need.change, head.error),
            "interval": f"{_share(need.low, head.error)} to {_share(need.high, head.error)}",
        }
        for need in (*head.ranked("group"), *head.ranked("column"))
    ]


def _share(change: float, error: float) -> str:
    return f"{change / error:+.0%}" if error > 0 else f"{change:+.3g}"

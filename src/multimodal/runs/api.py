"""What one does with a run directory, a function each, as the commands of the same names do it."""

from __future__ import annotations

from pathlib import Path

from multimodal.data.photos.locate import Images
from multimodal.data.read.readers import Source
from multimodal.explain.records import Explanation
from multimodal.report.report import rewrite_report
from multimodal.runs.exported import ExportedRun
from multimodal.runs.open import load
from multimodal.runs.run import Run
from multimodal.runtime.export_record import refuse_export


def evaluate(
    run: Run | ExportedRun | str | Path, rows: Source, *, images: Images = None
) -> dict[str, dict[str, float]]:
    """Return the metrics of every head of a run on rows that hold the targets.

    Args:
        run: A run or an export, or the directory of one.
        rows: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
        images: Folder that photo paths are relative to; the file's folder by default.

    Raises:
        RunError: There is no run, or it is damaged.
        DataError: As `Run.evaluate`.

    Example:
        multimodal.evaluate("run", "holdout.csv")["price"]["rmse"]
    """
    return _loaded(run).evaluate(rows, images=images)


def explain(
    run: Run | str | Path,
    rows: Source,
    *,
    images: Images = None,
    head: str | None = None,
    label: str | None = None,
    limit: int = 20,
) -> list[Explanation]:
    """Explain what a run predicts for each row: groups, words, columns, photos, rows alike.

    Args:
        run: A run, or the directory of one.
        rows: A CSV, TSV, Parquet or JSON Lines file, a DataFrame, or a list of dicts.
        images: Folder that photo paths are relative to; the file's folder by default.
        head: The head to explain; the first one by default.
        label: The class or label to explain; the predicted one by default.
        limit: Rows to explain at most.

    Raises:
        RunError: There is no run, or it is damaged.
        DataError: As `Run.explain`.

    Example:
        multimodal.explain("run", "rows.csv", limit=3)[0].groups
    """
    return _loaded(run).explain(rows, images=images, head=head, label=label, limit=limit)


def report(run: Run | str | Path, rows: Source | None = None, *, images: Images = None) -> Path:
    """Write `report.html` and `model_card.md` of a run anew; return the path of the report.

    Args:
        run: A run, or the directory of one.
        rows: What the run was made from; without it the page shows no single rows.
        images: Folder that photo paths are relative to; the file's folder by default.

    Raises:
        RunError: There is no run, or one of its files is damaged.
        DataError: The rows are not those that the run was made from.

    Example:
        multimodal.report("run", "products.csv")
    """
    refuse_export(run.path if isinstance(run, Run) else Path(run))
    return rewrite_report(run.path if isinstance(run, Run) else run, rows, images=images)


def _loaded(run: Run | ExportedRun | str | Path) -> Run | ExportedRun:
    return load(run) if isinstance(run, str | Path) else run

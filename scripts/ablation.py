"""What does an ingredient of the networks give? One is changed at a time, all else stays.

    python scripts/ablation.py houses.csv price --folds folds.csv --out DIR [--seeds 2]
        [--only NAME ...] [--config FILE] [--images FOLDER]

One network, without the linear model, is trained on the rows outside a fold and predicts those
inside, for each ingredient, fold and seed (`--folds` as in `cross_validate.py`). Printed is the
error of logarithms beside that of the defaults on the same fold and seed: the mean change, its 95 %
interval over folds and seeds, and in how many of them it was less. Errors that are there
(`--out/ablation.csv`) are not measured again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from cross_validate import folds_parser, table_in_folds

from multimodal.cli import load_backend, report_errors

Change = Callable[[Any], Any]
DEFAULT = "the defaults"


def groups(modality: str, edit: Change) -> Change:
    """Return what edits the groups of a modality, given and returned as plain values."""

    def change(config: Any) -> Any:
        return config.merge(
            groups=[
                edit(group.model_dump()) if group.modality == modality else group.model_dump()
                for group in config.groups
            ]
        )

    return change


def encoder(modality: str, name: str | None = None, **options: Any) -> Change:
    """Return what changes the encoders of a modality: another one, or further options."""

    def edit(group: Any) -> Any:
        part = group["encoder"]
        kept = part["options"] if name in (None, part["name"]) else {}
        return {**group, "encoder": {"name": name or part["name"], "options": {**kept, **options}}}

    return groups(modality, edit)


def pooling(modality: str, name: str) -> Change:
    """Return what pools the tokens of a modality otherwise."""
    return groups(modality, lambda group: {**group, "pooling": name})


def training(**options: Any) -> Change:
    """Return what changes how networks are fitted."""
    return lambda config: config.merge(training=options)


def fusion(name: str, **options: Any) -> Change:
    """Return what fuses otherwise."""
    return lambda config: config.merge(fusion={"name": name, "options": options})


CHANGES: dict[str, Change] = {
    DEFAULT: lambda config: config,
    "no warm-up": training(warmup=0.0),
    "gradients not clipped": training(clip_norm=1e6),
    "moving average of weights, .99": training(ema_momentum=0.99),
    "batches of 64": training(batch_size=64),
    "batches of 16": training(batch_size=16),
    "no weight decay": training(weight_decay=0.0),
    "three networks": training(fold_models=3),
    "no modality dropout": fusion("concat", num_members=8),
    "modality dropout .2": fusion("concat", num_members=8, modality_dropout=0.2),
    "fusion of one member": fusion("concat", modality_dropout=0.05),
    "gated fusion": fusion("gated", modality_dropout=0.05),
    "late fusion": fusion("late", modality_dropout=0.05),
    "cross-attention": fusion("cross_attention", modality_dropout=0.05),
    "piecewise linear numbers": encoder("tabular", numeric_embedding="piecewise_linear"),
    "periodic numbers": encoder("tabular", numeric_embedding="periodic"),
    "table of one member": encoder("tabular", num_members=1),
    "residual blocks of the table": encoder("tabular", num_blocks=2),
    "FT-Transformer": encoder("tabular", "ft_transformer"),
    "words without order": encoder("text", "embedding_bag"),
    "recurrent over words": encoder("text", "recurrent"),
    "transformer over words": encoder("text", "transformer"),
    "attention over words": pooling("text", "attention"),
    "photos without normalization": encoder("image", normalization="none"),
    "photos of 32 x 32 cells": encoder("image", pool_sizes=[1, 2, 2]),
    "residual photos": encoder("image", "residual"),
}


def error(table: pd.DataFrame, inside: Any, change: Change, seed: int, a: Any) -> float:
    """Return the error of logarithms on the rows inside a fold; NaN if nothing is changed."""
    import multimodal
    from multimodal.data.prepare import prepare
    from multimodal.runs.train import label_kinds
    from multimodal.studies.fits import fit_rows

    rows = table.assign(part=np.where(inside, "test", "train"))
    config = multimodal.Config.from_yaml(a.config) if a.config else multimodal.Config()
    split = {"method": "column", "column": "part"}
    config = config.merge(
        data={"split": split}, training={"seed": seed, "fold_models": 1, "linear": False}
    )
    options: dict[str, Any] = {"images": a.images, "label_kinds": label_kinds()}
    complete = prepare(rows, [a.target], config, **options).config
    changed = change(complete)
    if changed == complete and change is not CHANGES[DEFAULT]:
        return np.nan
    prepared = prepare(rows, [a.target], changed, **options)
    found = fit_rows(prepared).outputs[prepared.spec.heads[0].name][:, 0]
    y_true = next(iter(prepared.labels.values()))[prepared.rows("test")]
    logs = np.log1p(found.clip(0)) - np.log1p(y_true)
    return float(np.sqrt(np.nanmean(logs**2)))


def show(errors: pd.DataFrame) -> None:
    """Print how errors change with each ingredient."""
    from scipy.stats import t

    wide = errors.pivot_table(index=["seed", "fold"], columns="name", values="error")
    print(f"\n{DEFAULT}: {wide[DEFAULT].mean():.4f} over {len(wide)} folds and seeds\n")
    print(f"{'changed':34} {'change':>8} {'95 % interval':>20} {'less error':>11}")
    for name in (name for name in CHANGES if name != DEFAULT and name in wide):
        gain = (wide[name] / wide[DEFAULT] - 1).dropna()
        reach = t.ppf(0.975, max(len(gain) - 1, 1)) * gain.std() / np.sqrt(len(gain))
        mean, less = gain.mean(), int((gain < 0).sum())
        print(
            f"{name:34} {mean:+8.1%} {mean - reach:+9.1%} to {mean + reach:+7.1%} "
            f"{less:>4} of {len(gain)}"
        )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = folds_parser(__doc__)
    parser.add_argument("--only", nargs="*", default=list(CHANGES), choices=list(CHANGES))
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    a = parse()
    load_backend()
    table, fold = table_in_folds(a)
    kept = a.out / "ablation.csv"
    found = pd.read_csv(kept).to_dict("records") if kept.exists() else []
    done = {(each["name"], each["fold"], each["seed"]) for each in found}
    for seed in range(a.seeds):
        for each in sorted(fold.unique()):
            for name in dict.fromkeys([DEFAULT, *a.only]):
                if (name, each, seed) in done:
                    continue
                measured = error(table, (fold == each).to_numpy(), CHANGES[name], seed, a)
                found.append({"name": name, "fold": each, "seed": seed, "error": measured})
                pd.DataFrame(found).to_csv(kept, index=False)
                print(f"seed {seed}, fold {each:g}, {name}: {measured:.4f}", flush=True)
    show(pd.DataFrame(found))


if __name__ == "__main__":
    with report_errors():
        main()

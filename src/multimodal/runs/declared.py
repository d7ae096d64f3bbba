"""What a run directory says of its model, checked before any of it is read: config, schema, spec.

An export holds the same files. No Keras here: an export is read without.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from multimodal.core.config import Config
from multimodal.core.errors import MultimodalError, RunError
from multimodal.core.files import read_text
from multimodal.core.interrupted import MODEL, RECORD
from multimodal.core.manifest import MANIFEST, check_manifest, is_listed
from multimodal.core.spec import FittedGroup, FittedSpec
from multimodal.data.columns.schema import Schema
from multimodal.data.features.series import MAX_STEPS
from multimodal.evaluation.calibration import CALIBRATION
from multimodal.runtime.export_record import refuse_export

CONFIG, SCHEMA, SPEC = "config.json", "schema.json", "spec.json"
MOST_BYTES = 1 << 26  # of a JSON file
LEAST_WORDS = 1024  # of a text that any run may read: one that was fine-tuned reads its origin's


def check_folder(folder: Path, given: str) -> None:
    """Raise RunError unless `folder` is a whole run directory."""
    wanted = "Give the folder that training wrote."
    if folder.is_file():
        raise RunError(f"{folder}: a file, not a run directory. {wanted}")
    if not folder.is_dir():
        remote = ", and only local folders are read" if ":/" in given else ""  # s3://…
        raise RunError(f"{given}: no such run directory{remote}. {wanted}")
    refuse_export(folder)
    whole = (folder / MODEL).exists() and (folder / MANIFEST).exists()
    if (folder / RECORD).exists() and not whole:
        raise RunError(
            f"{folder}: the training in it is unfinished. Give the command it was started with "
            "again; it goes on from there."
        )
    for name in (CONFIG, SCHEMA, SPEC):
        if not (folder / name).exists():
            raise RunError(f"{folder / name}: cannot be read (no such file); not a complete run.")
    if not (folder / MODEL).exists():
        raise RunError(
            f"{folder}: {MODEL} is missing; training did not get as far as saving a model."
        )
    names = [CONFIG, SCHEMA, SPEC, MODEL]
    if (folder / CALIBRATION).exists() or is_listed(folder, CALIBRATION):
        names.append(CALIBRATION)
    check_manifest(folder, names)


def read_declared(folder: Path) -> tuple[Config, Schema, FittedSpec]:
    """Return what a run directory says of its model: config, schema and fitted spec.

    Raises:
        RunError: A file cannot be read, or is damaged.
    """
    try:
        config = Config.from_json(_text(folder / CONFIG), str(folder / CONFIG))
        schema = Schema.from_json(_text(folder / SCHEMA), str(folder / SCHEMA))
        spec = FittedSpec.model_validate_json(_text(folder / SPEC))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RunError(f"{folder / SPEC}: damaged; `{where}`: {first['msg']}.") from None
    except MultimodalError as error:
        raise RunError(str(error)) from None
    for group in spec.groups:
        if not (group.columns and _is_whole(group)):
            raise RunError(f"{folder / SPEC}: damaged; group '{group.name:.60}' is not whole.")
        if why := _contradiction(group, config):
            raise RunError(
                f"{folder}: {SPEC} contradicts {CONFIG}; group '{group.name:.60}' {why}."
            )
    return config, schema, spec


def _is_whole(group: FittedGroup) -> bool:
    """Whether a group has what its modality needs, all of it from its own columns."""
    needs = {
        "tabular": bool(group.numeric or group.categorical),
        "text": bool(group.lengths or group.pretrained),
        "image": group.photos * group.image_size > 0,
        "series": group.steps * len(group.channels) > 0,
    }
    sources = [*(each.source for each in group.numeric), *(c.source for c in group.categorical)]
    return needs[group.modality] and {*sources} <= {*group.columns}


def _contradiction(group: FittedGroup, config: Config) -> str:
    """Say in what a group is larger than the config lets it be; nothing where it is not.

    Rows take memory by these sizes, which no weight has the shape of.
    """
    data = config.data
    words = max(data.max_words, LEAST_WORDS) + 7  # rounded up to a multiple of eight
    photos = max(data.max_photos, len(group.columns))
    size = data.image_size if group.pretrained is None else group.pretrained.size
    if group.modality == "image" and group.image_size != size:
        return f"has photos of {group.image_size} pixels, not {size}"
    if group.photos > photos:
        return f"has {group.photos} photos, more than {photos}"
    if max(group.lengths, default=0) > words:
        return f"has texts of {max(group.lengths):,} words, more than {data.max_words:,}"
    if group.steps > max(MAX_STEPS, len(group.columns)):
        return f"has series of {group.steps:,} steps, more than {MAX_STEPS:,}"
    return ""


def _text(path: Path) -> str:
    try:
        return read_text(path, most=MOST_BYTES)
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); not a complete run.") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: damaged; not a text file ({error.reason}).") from None

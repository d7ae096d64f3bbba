"""The pretrained models whose frozen features stand for photos or texts of a config or a run."""

from __future__ import annotations

from typing import Any

from multimodal.core.config import PRETRAINED_ENCODER, Group
from multimodal.core.errors import ConfigError, RunError
from multimodal.core.pretrained import find_weights, pretrained
from multimodal.core.spec import FittedSpec, PretrainedFeatures
from multimodal.data.features.pretrained import FrozenFeatures


def extractor_of(group: Group) -> FrozenFeatures | None:
    """Return the pretrained model of a group that a config declares, None where it has none.

    What it computes is kept on disk, for later trainings.

    Raises:
        ConfigError: There is no such model, or its weights are not found here.
    """
    if group.encoder.name != PRETRAINED_ENCODER:
        return None
    from multimodal.models.pretrained.extractors import load_extractor

    options: dict[str, Any] = group.encoder.options
    name, weights, size = (options.get(key) for key in ("model", "weights", "size"))
    reads = pretrained(str(name)).modality
    if reads != group.modality:
        raise ConfigError(
            f"group '{group.name}' is of modality {group.modality}, and '{name}' reads {reads}."
        )
    extractor = load_extractor(str(name), weights, size=size)
    return FrozenFeatures(extractor, kept=True, weights=str(weights or ""))


def extractors_of(spec: FittedSpec) -> dict[str, FrozenFeatures]:
    """Return the pretrained models, by group, that a fitted spec names.

    Raises:
        ConfigError: The weights of one are not found here.
        RunError: Those that are found are others than in the training.
    """
    known: dict[PretrainedFeatures, FrozenFeatures] = {}
    found = {}
    for group in spec.groups:
        wanted = group.pretrained
        if wanted is None:
            continue
        if wanted not in known:
            known[wanted] = _checked(wanted)
        found[group.name] = known[wanted]
    return found


def check_weights_are_here(spec: FittedSpec, run: str) -> None:
    """Raise RunError unless the weights of all pretrained models of a run are on this machine.

    They are not opened: their checksum is compared when they are used.

    Args:
        spec: The fitted spec.
        run: Names the run in the message.
    """
    for wanted in {group.pretrained for group in spec.groups if group.pretrained is not None}:
        try:
            find_weights(wanted.weights or wanted.model)
        except ConfigError as error:
            raise RunError(
                f"{run}: it reads features of '{wanted.model}' (SHA-256 of the weights "
                f"{wanted.checksum[:16]}...), which the run names and does not hold. {error}"
            ) from None


def _checked(wanted: PretrainedFeatures) -> FrozenFeatures:
    from multimodal.models.pretrained.extractors import load_extractor

    extractor = load_extractor(wanted.model, wanted.weights or None, size=wanted.size or None)
    if extractor.checksum != wanted.checksum:
        raise RunError(
            f"the run was trained with other weights of '{wanted.model}' than those found here "
            f"(SHA-256 {wanted.checksum[:16]}..., found {extractor.checksum[:16]}...). Put its own "
            "below the folder that `MULTIMODAL_WEIGHTS` names."
        )
    return FrozenFeatures(extractor)

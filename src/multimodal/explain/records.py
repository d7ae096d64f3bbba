"""What an explanation holds, as plain numbers and texts."""

from __future__ import annotations

from dataclasses import dataclass, field

from multimodal.core.arrays import Floats
from multimodal.core.config import Modality
from multimodal.data.photos.names import Photo
from multimodal.explain.targets import ExplanationTarget


@dataclass(frozen=True)
class GroupScore:
    """How much a group moved the score; `there` is False where the row lacks it."""

    name: str
    modality: Modality
    columns: list[str]
    score: float
    there: bool


@dataclass(frozen=True)
class WordScores:
    """The words of one text group: `text[start:end]` moved the score by `scores[i]`.

    `start` is the score without the words, `end` that of the row; `gap` is how far the scores are
    from adding up to the difference. What stands from `read` on was too long for the networks: only
    the linear model read it where `beyond` is True, else nothing. `method` says how the networks'
    part of the scores came about.
    """

    group: str
    text: str
    spans: list[tuple[int, int]]
    scores: Floats
    start: float
    end: float
    read: int
    method: str
    beyond: bool = False

    @property
    def gap(self) -> float:
        """How far the scores are from adding up, in the head's transformed space."""
        return abs(float(self.scores.sum()) - (self.end - self.start))


@dataclass(frozen=True)
class ColumnScore:
    """How much a cell of the table moved the score, compared with a typical value.

    `counts_as` is what a category that the model does not know counts as, "" for any other cell.
    """

    name: str
    value: str
    typical: str
    score: float
    counts_as: str = ""


@dataclass(frozen=True)
class ColumnScores:
    """The columns of the table; their scores add up to `end - start`.

    `exact` says that all combinations were computed, and not a sample of them.
    """

    columns: list[ColumnScore]
    start: float
    end: float
    exact: bool


@dataclass(frozen=True)
class PhotoMaps:
    """One photo of a row, and where in it the score was moved.

    `gradients` (H, W) is Grad-CAM, each cell the mean of those around it, None where the encoder's
    tokens have no place in the photo; `hidden` (H, W) is how much of the score is lost where a
    patch is hidden. Positive raises the score. `fault` says why there are none.
    """

    group: str
    path: Photo
    gradients: Floats | None = None
    hidden: Floats | None = None
    fault: str = ""


@dataclass(frozen=True)
class Neighbour:
    """A training row near the explained one.

    `distance` is 1 at the median distance of two training rows; `labels` by head, as shown;
    `photos` are paths as they stand in the table.
    """

    line: int
    distance: float
    labels: dict[str, str]
    photos: list[str]
    text: str


@dataclass(frozen=True)
class Explanation:
    """Why one row got its prediction.

    `place` names the row, `remarks` say what is odd about it. Without a prediction they say why
    and the rest is empty. `target` is the score that is explained. `prediction` and
    `baseline_prediction` are the predictions of the row and of one in which every group is absent,
    as shown; `score` and `start` the scores of the two, and the groups' scores add up to
    `score - start`. `stacking_weights` are those of the base models in the score, by name; empty
    where the networks are all of the model. `trees` are the weights of this model, of its
    linear model once more, and of gradient boosting, which is not explained, in the run's
    prediction, None without trees. `nearness` says what the distances of `neighbours` are between,
    or why there are no neighbours.
    """

    row: int
    place: str
    identifier: str
    remarks: list[str]
    target: ExplanationTarget | None = None
    prediction: str = ""
    baseline_prediction: str = ""
    score: float = 0.0
    start: float = 0.0
    stacking_weights: dict[str, float] = field(default_factory=dict)
    trees: tuple[float, float, float] | None = None
    groups: list[GroupScore] = field(default_factory=list)
    words: list[WordScores] = field(default_factory=list)
    columns: ColumnScores | None = None
    photos: list[PhotoMaps] = field(default_factory=list)
    neighbours: list[Neighbour] = field(default_factory=list)
    nearness: str = ""

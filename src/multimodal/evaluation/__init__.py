"""How right or wrong predictions are: metrics of every kind of label, and the record of a run."""

from multimodal.evaluation.boxes import box_metrics
from multimodal.evaluation.classification import best_class, class_metrics, label_metrics
from multimodal.evaluation.confidence import ConfidenceBin, ConfidenceCheck
from multimodal.evaluation.intervals import (
    Ends,
    IntervalCheck,
    IntervalPart,
    binomial_band,
    check_intervals,
    interval_score,
)
from multimodal.evaluation.measures import main_metric
from multimodal.evaluation.metrics import (
    LOG_FLOOR,
    Floats,
    deciles,
    quantile_metrics,
    regression_metrics,
    worst_rows,
)
from multimodal.evaluation.records import (
    METRICS_FILE,
    DataSummary,
    HeadMetrics,
    ModelScore,
    RunMetrics,
    TrainingSummary,
)
from multimodal.evaluation.task import Task, has_answer, has_truth, measure

__all__ = [
    "LOG_FLOOR",
    "METRICS_FILE",
    "ConfidenceBin",
    "ConfidenceCheck",
    "DataSummary",
    "Ends",
    "Floats",
    "HeadMetrics",
    "IntervalCheck",
    "IntervalPart",
    "ModelScore",
    "RunMetrics",
    "Task",
    "TrainingSummary",
    "best_class",
    "binomial_band",
    "box_metrics",
    "check_intervals",
    "class_metrics",
    "deciles",
    "has_answer",
    "has_truth",
    "interval_score",
    "label_metrics",
    "main_metric",
    "measure",
    "quantile_metrics",
    "regression_metrics",
    "worst_rows",
]

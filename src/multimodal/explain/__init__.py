"""Why a prediction is what it is: groups, words, columns, photos and like rows; what matters."""

from multimodal.explain.importance import IMPORTANCE_FILE, Importance
from multimodal.explain.records import Explanation
from multimodal.explain.rows import explain_rows

__all__ = ["IMPORTANCE_FILE", "Explanation", "Importance", "explain_rows"]

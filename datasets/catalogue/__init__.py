"""A generated catalogue: product photos, descriptions, a table, and prices of known make-up.

This package is loaded by path under a name of its own (see `README.md`), so that the folder
`datasets` never hides an installed library of that name. It does not import TensorFlow; the
TFDS builder in `catalogue_dataset_builder.py` does.
"""

from .files import export, is_complete
from .records import limit
from .rows import SIZES, Row, Shift, generate, make_row
from .world import VERSION

__all__ = [
    "SIZES",
    "VERSION",
    "Row",
    "Shift",
    "export",
    "generate",
    "is_complete",
    "limit",
    "make_row",
]

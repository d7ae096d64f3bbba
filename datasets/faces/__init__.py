"""Generated faces: drawn portraits whose wrinkles, hair and mouth carry age and emotion.

This package is loaded by path under a name of its own, so that the folder `datasets` never hides an
installed library of that name. It does not import TensorFlow; the TFDS builder in
`faces_dataset_builder.py` does.
"""

from .files import export
from .rows import EMOTIONS, SIZES, VERSION, Face, generate, make_face

__all__ = ["EMOTIONS", "SIZES", "VERSION", "Face", "export", "generate", "make_face"]

"""Pages, plots and cards from the files of a run. No Keras.

`multimodal.report(run)` writes them anew: :func:`multimodal.runs.api.report`.
"""

from multimodal.core.verbs import make_verb

make_verb(__name__, "multimodal.runs.api")

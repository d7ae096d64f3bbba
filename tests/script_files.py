"""Scripts as modules, for tests of what is in them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

SCRIPTS = Path(__file__).parents[1] / "scripts"


def load_script(name: str) -> ModuleType:
    """Import a script of `scripts` by its name, without running it."""
    own = f"script_{name}"
    spec = importlib.util.spec_from_file_location(own, SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[own] = module  # where dataclasses look up what their annotations name
    spec.loader.exec_module(module)
    return module

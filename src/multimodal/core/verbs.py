"""Names of the top level that are a module and something else at once.

`multimodal.explain` is the package of explanations and the verb `explain(run, rows)`. Python binds
a subpackage to its name in the parent whenever anything below it is imported, so a function of that
name would be replaced by the package at some import, depending on what else was imported before.
Instead the package itself can be called.
"""

from __future__ import annotations

import importlib.machinery
import sys
from types import ModuleType
from typing import Any


class Verb(ModuleType):
    """A package that can be called: its call is that of a function that lies higher up.

    The function is found by name when it is called, as no package imports from above.
    """

    _function: tuple[str, str]

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        home, name = self._function
        return getattr(importlib.import_module(home), name)(*arguments, **options)


def make_verb(package: str, home: str) -> None:
    """Let a loaded package be called as the function of its own name in the module `home`."""
    module = sys.modules[package]
    module.__class__ = Verb
    vars(module)["_function"] = (home, package.rpartition(".")[2])


class Alias(ModuleType):
    """A module under a second name, loaded on first use.

    `multimodal.losses` is `multimodal.heads.losses`: both names are the same classes.
    """

    def __init__(self, name: str, home: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, None)
        self._home = home

    def __getattr__(self, name: str) -> Any:
        # Not a package, and no file of its own; and who looks through all modules, as for warnings,
        # must load none.
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)
        return getattr(importlib.import_module(self._home), name)

    def __dir__(self) -> list[str]:
        return sorted(importlib.import_module(self._home).__all__)

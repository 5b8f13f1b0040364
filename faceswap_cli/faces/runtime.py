"""mediapipe without what its plots and its microphone want.

Imported as it is, it loads matplotlib, which at its first start searches the machine's fonts with a program
of its own and writes a cache into the user's folders, and sounddevice, which asks the linker for a library.
Nothing here draws plots or listens; without the two the import takes a third of the time.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_NOT_NOW = ("matplotlib", "matplotlib.pyplot", "sounddevice")
_lock = threading.RLock()


class _Later(ModuleType):
    """Stands in for a module until something of it is wanted."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or sys.modules.get(self.__name__) is self:
            raise AttributeError(name)
        with _lock:  # not while another thread has stand-ins where the import would find them
            module = importlib.import_module(self.__name__)
        return getattr(module, name)


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Modules of ``_NOT_NOW`` that nobody has loaded yet stay unloaded while mediapipe asks for them."""
    made = {name: _Later(name) for name in _NOT_NOW if name not in sys.modules}
    for name, module in made.items():
        parent, _, own = name.rpartition(".")
        if parent in made:
            vars(made[parent])[own] = module
    sys.modules.update(made)
    try:
        yield
    finally:
        for name, module in made.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def load_mediapipe() -> ModuleType:
    """The package; quick after the first time."""
    if "mediapipe" not in sys.modules:
        with _lock, _stand_ins():
            importlib.import_module("mediapipe.tasks.python.vision")
    return importlib.import_module("mediapipe")

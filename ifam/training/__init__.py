"""The loop, one for every method, and a finished run opened again."""
import importlib

_names = dict(train="ifam.training.loop", load="ifam.training.opened")


def __getattr__(name):
    if name in _names:
        module, _, other = _names[name].partition(":")
        return getattr(importlib.import_module(module), other or name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__(): return sorted([*globals(), *_names])

"""The data as it is distributed, one page a dataset, and what reads, checks and prepares it."""
import importlib

_names = dict(load="ifam.datasets.loading:load_dataset", check="ifam.datasets.loading", fingerprint="ifam.datasets.loading", registry="ifam.datasets.loading", NoSplit="ifam.datasets.records")


def __getattr__(name):
    if name in _names:
        module, _, other = _names[name].partition(":")
        return getattr(importlib.import_module(module), other or name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__(): return sorted([*globals(), *_names])

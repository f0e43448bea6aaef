"""Two-stage vision transformers whose attention maps are faithful by construction."""
__version__ = "0.1.0"
import importlib

_names = dict(load="ifam.training.opened", train="ifam.training.loop", Config="ifam.methods.contract:configure")
_modules = dict(losses="ifam.model.losses", metrics="ifam.measures.metrics", interventions="ifam.analysis.interventions")
_rooms = ("core", "model", "datasets", "methods", "measures", "training", "analysis", "show", "paper", "twins")


def __getattr__(name):
    "What users type, loaded when it is asked for: `import ifam` itself takes no time."
    if name in _modules: return importlib.import_module(_modules[name])
    if name in _rooms: return importlib.import_module(f"ifam.{name}")
    if name in _names:
        module, _, other = _names[name].partition(":")
        return getattr(importlib.import_module(module), other or name)
    raise AttributeError(f"module 'ifam' has no attribute {name!r}")


def __dir__(): return sorted([*globals(), *_names, *_modules, *_rooms])

"""Two-stage vision transformers whose attention maps are faithful by construction."""
__version__ = "0.1.0"
import importlib

_names = dict(load="ifam.training.opened", train="ifam.training.loop", Config="ifam.methods.contract:configure",
              predict="ifam.show.prediction:predict_pictures", export="ifam.training.exported")
_modules = dict(losses="ifam.model.losses", metrics="ifam.measures.metrics", interventions="ifam.analysis.interventions")
_rooms = ("core", "model", "datasets", "methods", "measures", "training", "analysis", "show", "paper", "twins")


def handing_on(
    package: str,  # its name, for errors
    **homes: str,  # name to its module, and after a colon to its name there
):
    "`__getattr__` and `__dir__` of a package that hands on names."
    def get(name):
        if name not in homes: raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, other = homes[name].partition(":")
        return getattr(importlib.import_module(module), other or name)
    return get, lambda: sorted(homes)


_handed, _ = handing_on("ifam", **_names)


def __getattr__(name):
    "What users type, loaded when it is asked for: `import ifam` itself takes no time."
    if name in _modules: return importlib.import_module(_modules[name])
    if name in _rooms: return importlib.import_module(f"ifam.{name}")
    return _handed(name)


def __dir__(): return sorted([*globals(), *_names, *_modules, *_rooms])

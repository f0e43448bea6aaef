"""The two stages: backbones, masks, parts, losses, and the authors' checkpoints."""
import importlib

_names = dict(load="ifam.training.opened", from_release="ifam.model.two_stages", IFAM="ifam.model.two_stages", MaskedViT="ifam.model.two_stages", Output="ifam.model.two_stages")


def __getattr__(name):
    if name in _names:
        module, _, other = _names[name].partition(":")
        return getattr(importlib.import_module(module), other or name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__(): return sorted([*globals(), *_names])

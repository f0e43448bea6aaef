"""The two stages: backbones, masks, parts, losses, and the authors' checkpoints."""
from ifam import handing_on

__getattr__, __dir__ = handing_on(
    __name__,
    load="ifam.training.opened",
    from_release="ifam.model.two_stages",
    from_pdiscoformer="ifam.training.authors",
    IFAM="ifam.model.two_stages",
    MaskedViT="ifam.model.two_stages",
    Output="ifam.model.two_stages")

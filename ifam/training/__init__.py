"""The loop, one for every method, and a finished run opened again."""
from ifam import handing_on

__getattr__, __dir__ = handing_on(
    __name__,
    train="ifam.training.loop",
    load="ifam.training.opened")

"""The data as it is distributed, one page a dataset, and what reads, checks and prepares it."""
from ifam import handing_on

__getattr__, __dir__ = handing_on(
    __name__,
    load="ifam.datasets.loading:load_dataset",
    check="ifam.datasets.loading",
    fingerprint="ifam.datasets.loading",
    contents="ifam.datasets.loading",
    registry="ifam.datasets.loading",
    NoSplit="ifam.datasets.records")

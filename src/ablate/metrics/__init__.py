"""The figures that samples are measured with. A new metric is a class in its own file, and a line here.

Light to import, as the configuration is: it takes its choices from here.
"""

from __future__ import annotations

from ablate.metrics.base import Cost, Figure, Metric
from ablate.metrics.clip_i import ClipI
from ablate.metrics.clip_t import ClipT
from ablate.metrics.fid import Fid
from ablate.metrics.kid import Kid

METRICS: dict[str, Metric] = {
    "fid": Fid(),
    "kid": Kid(),
    "clip_i": ClipI(),
    "clip_t": ClipT(),
}
"""The metrics of quality that every evaluated run has, in the order of the tables. An evaluator with labels
adds ``accuracy.accuracies``."""

COSTS: dict[str, Figure] = {
    "seconds_per_image": Cost("seconds_per_image", "seconds per image"),
    "seconds_per_epoch": Cost("seconds_per_epoch", "seconds per epoch"),
}
"""What a run took: sampling, and the last epochs of its training, in which all that is configured acts."""

"""What every loss, metric and the like promises, as classes of tests for the package's own and for yours.

In a file of tests, with pytest:

    class TestEdges(LossContract):
        @pytest.fixture
        def loss(self) -> Edges:
            return Edges(weight=0.5)

A contract says in the names of its tests what it asks for.
"""

from ablate.testing.factors import AugmentationContract, LossContract, ObserverContract, WeightingContract
from ablate.testing.metrics import MetricContract, SpaceContract
from ablate.testing.report import SectionContract

__all__ = [
    "AugmentationContract",
    "LossContract",
    "MetricContract",
    "ObserverContract",
    "SectionContract",
    "SpaceContract",
    "WeightingContract",
]

"""The ranges that several claims share, with the reason for each, and where claims hold."""

from analysis.checks.check import Range

ABOVE, BELOW = Range(low=0, open=True), Range(high=0, open=True)
DIRECTION = "The claim is of a direction: any effect that is surely on this side of 0 agrees."

WITHIN = Range(-1, 1)
POINT = (
    "The paper puts differences of 1 to 2 points of AUC down to what other runs of the same "
    "networks would give (section 4.2); 1 is the lower of the two."
)

MNIST, CIFAR10, IMAGENET = ("mnist",), ("cifar10",), ("imagenet",)
GENERAL = "step imbalance on MNIST and CIFAR-10; data sets of one's own"

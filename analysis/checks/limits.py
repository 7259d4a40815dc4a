"""The ranges that several claims share, with the reason for each, and where claims hold."""

from analysis.checks.check import Range

ABOVE, BELOW = Range(low=0, open=True), Range(high=0, open=True)
DIRECTION = "The claim is of a direction: any effect that is surely on this side of 0 agrees."

MOSTLY = Range(low=50, open=True)
HALF = (
    "More than half of the cells. By cells, as one extreme cell can outweigh all others in a mean."
)

TRIFLE = 0.1
"""Points of AUC by which a method may stay below another and still count as no worse."""
NEARLY = Range(low=-TRIFLE)
TRIFLING = (
    f"{TRIFLE:g} points are next to nothing: of oversampling two nets trained again on one set of "
    "images differ by up to 0.09, two draws of a cell by up to 0.17 (95 %; MNIST, rho 100, mu 0.5, "
    "results/reference/mnist_variance-small)."
)

WITHIN = Range(-1, 1)
POINT = (
    "1 point is what chance gives: of the baseline two nets trained again on one set of images "
    "differ by up to 0.83 points, two draws of a cell by up to 1.29 (95 %; MNIST, rho 100, mu 0.5, "
    "results/reference/mnist_variance-small); the paper puts 1 to 2 points down to other runs of "
    "the same networks (section 4.2, on ImageNet)."
)

MNIST, CIFAR10, IMAGENET = ("mnist",), ("cifar10",), ("imagenet",)
OWN = "data sets of one's own where none of the paper's is there"
GENERAL = f"step imbalance on MNIST and CIFAR-10; {OWN}"

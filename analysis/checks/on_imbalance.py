"""What the paper concludes of imbalance itself: C1, C2, C3 and C11."""

from analysis.checks import imbalance
from analysis.checks.check import Check, Claim, Range
from analysis.checks.effects import LEAST
from analysis.checks.gains import Gain, Rise, Short, extremes, steps
from analysis.checks.limits import ABOVE, DIRECTION, IMAGENET, MNIST, OWN, POINT

BOTH = (("cifar10", "mnist"),)

CLAIMS = (
    Claim(
        "C1",
        "Imbalance lowers the AUC of a net that is trained plainly, the more so the larger the "
        "ratio rho and the larger the fraction mu of minority classes.",
        f"step imbalance on all three data sets; {OWN}",
        (
            Check(
                "The baseline falls from one ratio to the next larger at the same mu, on average",
                Rise("baseline", steps, "rho", sign=-1),
                ABOVE,
                DIRECTION,
            ),
            Check(
                "The baseline falls from one mu to the next larger at the same ratio, on average",
                Rise("baseline", steps, "mu", sign=-1),
                ABOVE,
                DIRECTION,
                figure="fig4",
            ),
            Check(
                "The baseline is lower than on the balanced set, averaged over cells",
                Short("baseline"),
                ABOVE,
                DIRECTION,
                grid="{}_balanced",
            ),
            Check(
                "The baseline falls from the mildest cell to the most extreme one",
                Rise("baseline", extremes, "rho", sign=-1),
                ABOVE,
                DIRECTION + " Table 4 has no two cells that differ in rho or mu alone.",
                datasets=(IMAGENET,),
                general=False,
            ),
        ),
    ),
    Claim(
        "C2",
        "The harder the task, the worse the harm: CIFAR-10 loses about as much at a ratio as MNIST "
        "does at a hundred times that ratio.",
        "step imbalance, CIFAR-10 against MNIST, both measured from the balanced set",
        (
            Check(
                "What CIFAR-10 loses at rho, over what MNIST loses at 100 rho and the same mu",
                imbalance.Harm(100),
                Range(1 / 3, 3),
                "The paper says 'similar' and 'approximately': within a factor of three, half a "
                "power of ten, either way.",
                datasets=BOTH,
                general=False,
                unit="times",
            ),
            Check(
                "What CIFAR-10 loses less what MNIST loses at the same rho and mu",
                imbalance.Harm(1),
                ABOVE,
                DIRECTION,
                datasets=BOTH,
                general=False,
            ),
        ),
    ),
    Claim(
        "C3",
        "Having fewer images does not explain the harm: how they are spread over the classes "
        "matters.",
        f"step and linear imbalance on MNIST and CIFAR-10; {OWN}",
        (
            Check(
                "Baseline: linear less step with mu = 0.5 at one ratio, equally many images",
                imbalance.linear_less_step,
                ABOVE,
                DIRECTION,
                figure="fig5",
                grid="{}_linear",
            ),
            Check(
                "Oversampling less the baseline, on the same images, averaged over cells",
                Gain("oversampling", "baseline"),
                ABOVE,
                DIRECTION,
            ),
            Check(
                "The balanced set less oversampling, averaged over cells",
                Short("oversampling"),
                ABOVE,
                DIRECTION,
                grid="{}_balanced",
            ),
        ),
    ),
    Claim(
        "C11",
        "Linear imbalance: on MNIST the baseline hardly falls even at the largest ratio; "
        "oversampling helps at every ratio; undersampling falls about linearly with the ratio.",
        "linear imbalance on MNIST and CIFAR-10, where the paper's one draw a ratio cannot decide "
        "what is said of every ratio: replicates in grids/cifar10_linear.yaml can; all but the "
        f"first part on {OWN}",
        (
            Check(
                "Baseline at the smallest ratio less at the largest",
                Rise("baseline", extremes, "rho", kind="linear", sign=-1),
                Range(high=1),
                "'Not significant' means a fall that does not matter. " + POINT,
                figure="fig5",
                grid="{}_linear",
                datasets=(MNIST,),
                general=False,
            ),
            Check(
                "Oversampling less the baseline at the ratio where that is least",
                Gain("oversampling", "baseline", kind="linear", statistic=LEAST),
                ABOVE,
                "'For all tested values of rho': the least gain is above 0.",
                figure="fig5",
                grid="{}_linear",
            ),
            Check(
                "Undersampling at the smallest ratio less at the largest",
                Rise("undersampling", extremes, "rho", kind="linear", sign=-1),
                ABOVE,
                DIRECTION,
                figure="fig5",
                grid="{}_linear",
            ),
            Check(
                "Undersampling's distance from the edge of a band about a straight line against "
                "rho, an eighth of its fall to either side, at the ratio where that is least",
                imbalance.undersampling_straightness,
                Range(low=0),
                "'Approximately linearly with imbalance ratio': against rho itself, which is what "
                "the ratio is, not its logarithm. A square or a root is up to a quarter of the "
                "fall off the line; nearer than half of that it is nearer to the line.",
                figure="fig5",
                grid="{}_linear",
            ),
        ),
    ),
)

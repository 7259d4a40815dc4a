"""What the paper concludes of the methods: C4, C5, C6, C7 and C14."""

from analysis.checks import sampling
from analysis.checks.check import Check, Claim, Range
from analysis.checks.effects import LEAST, share
from analysis.checks.gains import Gain, Rise, ends
from analysis.checks.limits import (
    ABOVE,
    BELOW,
    DIRECTION,
    GENERAL,
    HALF,
    MOSTLY,
    POINT,
    TRIFLE,
    TRIFLING,
    WITHIN,
)
from analysis.checks.planes import Region

FEW_MINORITY = Region((0, 0.5))
ONE_DRAW = (
    f"{GENERAL}. With the paper's one draw a cell on CIFAR-10 {{}} cannot be decided; "
    "grids/cifar10_resplit.yaml has three"
)

CLAIMS = (
    Claim(
        "C4",
        "Oversampling has the best AUC almost everywhere, and is nowhere far below the baseline.",
        ONE_DRAW.format("the second part"),
        (
            Check(
                f"Share of cells where oversampling is the best method, or within "
                f"{TRIFLE:g} points of it",
                sampling.share_best,
                Range(70, 100),
                "'Almost all' is clearly more than half ('most', section 5), and all 12 of the "
                "paper's cells on CIFAR-10 could show no more (exact interval from 73.5 %). "
                + TRIFLING,
                unit="%",
            ),
            Check(
                "Oversampling less the baseline in the cell where that is worst",
                Gain("oversampling", "baseline", statistic=LEAST),
                Range(low=-1),
                "'Never a considerable decrease'. " + POINT,
            ),
        ),
    ),
    Claim(
        "C5",
        "Undersampling is mostly below the baseline, recovers where most classes are minority, "
        "does not depend on mu, and so comes nearer to oversampling as mu grows.",
        GENERAL,
        (
            Check(
                "Share of cells with mu up to 0.5 where undersampling is below the baseline",
                Gain("undersampling", "baseline", statistic=share(BELOW), region=FEW_MINORITY),
                MOSTLY,
                "'In a large number of analyzed scenarios'. " + HALF + " Up to 0.5: the paper "
                "excepts a large proportion of minority classes.",
                unit="%",
            ),
            Check(
                "Undersampling less the baseline: at the largest mu less at the smallest",
                Rise("undersampling", ends, "mu", less="baseline"),
                ABOVE,
                DIRECTION,
                figure="fig4",
            ),
            Check(
                "Undersampling at the largest mu less at the smallest, at one ratio",
                Rise("undersampling", ends, "mu"),
                WITHIN,
                "'Does not change' means a difference that does not matter. " + POINT,
                figure="fig4",
            ),
            Check(
                "Undersampling less oversampling: at the largest mu less at the smallest",
                Rise("undersampling", ends, "mu", less="oversampling"),
                ABOVE,
                DIRECTION,
                figure="fig4",
            ),
        ),
    ),
    Claim(
        "C6",
        "Two-phase training ends between the baseline and the sampling method it starts from.",
        GENERAL,
        tuple(
            Check(
                f"Share of cells where two-phase with {method} is between the baseline and "
                f"{method}, or within {TRIFLE:g} points of it",
                sampling.TwoPhase(method),
                MOSTLY,
                f"'Tend to'. {HALF} {TRIFLING}",
                unit="%",
            )
            for method in ("oversampling", "undersampling")
        ),
    ),
    Claim(
        "C7",
        "Thresholding raises accuracy, most with the baseline or oversampling, and does not go "
        "with undersampling.",
        GENERAL,
        (
            Check(
                "Accuracy: thresholding less the baseline, averaged over cells",
                Gain("thresholding", "baseline", measure="accuracy"),
                ABOVE,
                DIRECTION,
                figure="fig6",
            ),
            Check(
                "Accuracy: thresholding of baseline or oversampling, whichever is better, less "
                "that of undersampling",
                sampling.thresholded_less_undersampling,
                ABOVE,
                DIRECTION,
                figure="fig6",
            ),
            Check(
                "Accuracy: undersampling with thresholding less without",
                Gain("undersampling_thresholding", "undersampling", measure="accuracy"),
                BELOW,
                DIRECTION,
                figure="fig6",
            ),
            Check(
                "Accuracy: share of cells where oversampling with thresholding is above without",
                Gain(
                    "oversampling_thresholding",
                    "oversampling",
                    measure="accuracy",
                    statistic=share(ABOVE),
                ),
                MOSTLY,
                "'Worked particularly well when applied jointly with oversampling'. " + HALF,
                figure="fig6",
                unit="%",
            ),
            Check(
                "Accuracy: share of cells where thresholding of baseline or oversampling, "
                "whichever is better, is above the best method without thresholding",
                sampling.thresholded_less_bare,
                MOSTLY,
                "'To achieve the best accuracy, one should apply thresholding'. " + HALF,
                figure="fig6",
                unit="%",
            ),
        ),
    ),
    Claim(
        "C14",
        "Under extreme imbalance with most classes minority, undersampling is as good as "
        "oversampling.",
        ONE_DRAW.format("it"),
        (
            Check(
                "Undersampling less oversampling at the largest ratio and its largest mu",
                sampling.undersampling_less_oversampling_at_extreme,
                WITHIN,
                "'On a par' means a difference that does not matter. " + POINT,
            ),
        ),
    ),
)

"""What the paper concludes of the methods: C4, C5, C6, C7 and C14."""

from analysis.checks import sampling
from analysis.checks.check import Check, Claim, Range
from analysis.checks.effects import LEAST
from analysis.checks.gains import Gain, Rise, ends
from analysis.checks.limits import ABOVE, BELOW, DIRECTION, GENERAL, POINT, WITHIN
from analysis.checks.planes import Region

FEW_MINORITY = Region((0, 0.5))

CLAIMS = (
    Claim(
        "C4",
        "Oversampling has the best AUC almost everywhere, and is nowhere far below the baseline.",
        GENERAL,
        (
            Check(
                f"Share of cells where oversampling is the best method, or within "
                f"{sampling.TRIFLE:g} points of it",
                sampling.share_best,
                Range(70, 100),
                "'Almost all' is clearly more than half ('most', section 5), and all 12 of the "
                "paper's cells on CIFAR-10 could show no more (exact interval from 73.5 %). "
                f"{sampling.TRIFLE:g} points are a tenth of what the paper puts down to chance.",
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
                "Undersampling less the baseline, averaged over cells with mu up to 0.5",
                Gain("undersampling", "baseline", region=FEW_MINORITY),
                BELOW,
                DIRECTION + " Up to 0.5: the paper excepts a large proportion of minority classes.",
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
                f"{'Above the lower' if above else 'Below the higher'} of baseline and "
                f"{method}: two-phase with {method}, averaged over cells",
                sampling.TwoPhase(method, above),
                Range(low=0),
                "Between includes both ends. Averaged over cells, as the paper says 'tend to'.",
            )
            for method in ("oversampling", "undersampling")
            for above in (True, False)
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
                "Accuracy: thresholding of baseline or oversampling, whichever is better, less "
                "the best method without thresholding",
                sampling.thresholded_less_bare,
                ABOVE,
                DIRECTION + " 'To achieve the best accuracy, one should apply thresholding'.",
                figure="fig6",
            ),
        ),
    ),
    Claim(
        "C14",
        "Under extreme imbalance with most classes minority, undersampling is as good as "
        "oversampling.",
        GENERAL,
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

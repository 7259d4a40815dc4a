"""A drawing as the page shows it: a picture in text, its words as words, its rows as a CSV."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

from matplotlib.text import Text
from matplotlib.transforms import Bbox

from analysis.page import UNDATED, Blank, Drawing, Page
from analysis.page import Picture as Drawn
from analysis.paper import printed
from analysis.sheet import MINUS, MU, RHO, address, anchor, csv_of
from analysis.style import theme
from analysis.together import FOLDER

NAMES = {
    "fig1": "images of each class",
    "fig3": "AUC against the imbalance ratio",
    "fig4": "AUC against the number of minority classes",
    "fig5": "AUC under linear imbalance",
    "fig6": "accuracy against the imbalance ratio",
    "fig7": "sampling to smaller ratios",
    "fig8": "accuracy on the way",
    "figA": "figure 3 on one split",
    "figB": "accuracy on the way, another cell",
    "table4": "AUC by method and cell",
    "map_auc": "AUC of every method against the baseline's, cell by cell",
    "map_auc_oversampling": "AUC of over- against undersampling, cell by cell",
    "map_accuracy": "Accuracy of every method against the baseline's, cell by cell",
    "map_accuracy_oversampling": "Accuracy of over- against undersampling, cell by cell",
    "ranks_auc": "Mean ranks by AUC",
    "ranks_accuracy": "Mean ranks by accuracy",
    "recall": "Recall of a class against its training images",
    "scatter": "Accuracy against AUC",
    "calibration": "Calibration",
    "variance": "Parts of the variance",
}
"""What figures show, by how their ids begin; the longest beginning counts."""

NUMBERED = re.compile("(fig|table)([0-9A-Z]+)$")
"""Ids of the paper's own figures and tables."""

WIDE, NARROW = 120, 102
"""Pixels of the page for an inch of a figure: as laid for a page, and for a column, which a phone
shows.
"""

HEAVY, DOTS = 400_000, 200
"""Bytes above which a drawing is stored as dots, and how many an inch."""

SIGNS = {
    "rho": RHO, "mu": MU, "alpha": "\u03b1", "chi": "\u03c7", "Delta": "\u0394", "pm": "\u00b1",
    "times": "\u00d7", "leq": "\u2264", "geq": "\u2265", "to": "\u2192",
}  # fmt: skip
"""What stands for matplotlib's names."""


@dataclass(frozen=True)
class Picture:
    """An image within the page: its address, and its width and height in pixels."""

    source: str
    width: int
    height: int


@dataclass(frozen=True)
class Shown:
    """A figure in the page: its anchor, words, pictures and rows. `narrow` is for phones."""

    study: str
    anchor: str
    name: str
    title: str
    caption: str
    alt: str
    wide: Picture
    narrow: Picture | None
    csv: str
    rows: int


@dataclass(frozen=True)
class Hall:
    """The figures of one study by their ids, and by the reason those that could not be drawn."""

    study: str
    shown: dict[str, Shown]
    absent: dict[str, list[str]]

    @property
    def title(self) -> str:
        """What stands above it."""
        return "Several studies together" if self.study == FOLDER else self.study


def halls(pages: Mapping[str, Callable[[], Drawing]]) -> list[Hall]:
    """Every figure drawn, study by study. `pages`: what draws each, by study/id."""
    found: dict[str, Hall] = {}
    taken: set[str] = set()
    for page, drawer in pages.items():
        study, _, id = page.partition("/")
        hall = found.setdefault(study, Hall(study, {}, {}))
        drawing = drawer()
        if isinstance(drawing, Blank):
            names, name = hall.absent.setdefault(drawing.why, []), named(id).partition(":")[0]
            names += [name] if name not in names else []
        else:
            with printed("column"):
                narrow = drawer()
            hall.shown[id] = show(drawing, narrow, study, id, free(f"figure-{page}", taken))
    return list(found.values())


def show(drawing: Drawn, narrow: Drawing, study: str, id: str, place: str) -> Shown:
    """A figure without the title and caption drawn in it, which the page has as text."""
    page = drawing.page
    title, caption = in_words(page.title), in_words(page.caption)
    name = named(id) + page.number
    return Shown(
        study=study,
        anchor=place,
        name=name,
        title=title,
        caption=caption,
        alt=f"{name}. {'; '.join(title.splitlines())}. {described(page)}",
        wide=picture(drawing, WIDE),
        narrow=None if isinstance(narrow, Blank) else picture(narrow, NARROW),
        csv=csv_of(page.data),
        rows=len(page.data),
    )


def picture(drawing: Drawn, pixels: int) -> Picture:
    """The image of what stands between title and caption; in vectors, unless they weigh much."""
    with theme():
        box, kind = between(drawing), "image/svg+xml"
        image = saved(drawing, box, "svg")
        if len(image) > HEAVY:
            image, kind = saved(drawing, box, "png"), "image/png"
    size = round(pixels * box.width), round(pixels * box.height)
    return Picture(address(kind, image), *size)


def between(drawing: Drawn) -> Bbox:
    """Take title and caption out of a figure; the box, in inches, that is left."""
    width, height = drawing.get_size_inches()
    low, high = 0.0, float(height)
    page = drawing.page
    title, caption = (" ".join(t.split()) for t in (page.title + page.number, page.caption))
    for artist in drawing.findobj(Text, include_self=False):
        assert isinstance(artist, Text)
        words = " ".join(artist.get_text().split())
        if words and words in (title, caption):
            extent = artist.get_window_extent().transformed(drawing.dpi_scale_trans.inverted())
            low, high = (low, extent.y0) if words == title else (extent.y1, high)
            artist.set_visible(False)
    return Bbox([[0, low], [width, high]])


def saved(drawing: Drawn, box: Bbox, format: str) -> bytes:
    """The file of what lies inside the box."""
    out = BytesIO()
    drawing.savefig(out, format=format, metadata=UNDATED[format], bbox_inches=box, dpi=DOTS)
    return out.getvalue()


def described(page: Page) -> str:
    """The panels and the legend of a figure, for those who do not see it."""
    panels = "; ".join(in_words(label) for label in page.panels if label)
    lines = "; ".join(filter(None, (str(one.get_label()).strip() for one in page.legend)))
    said = [f"Panels: {panels}." if panels else "", f"Legend: {lines}." if lines else ""]
    return " ".join([*filter(None, said), "Its numbers are in the CSV below."])


def named(id: str) -> str:
    """A figure's number, where the paper gives it one, and what it shows."""
    start = max((name for name in NAMES if id.startswith(name)), key=len, default="")
    shows = NAMES.get(start, id.replace("_", " "))
    if not (numbered := NUMBERED.match(id)):
        return shows
    kind = {"fig": "Figure", "table": "Table"}[numbered[1]]
    return f"{kind} {numbered[2]}" + (f": {shows}" if start else "")


def free(wanted: str, taken: set[str]) -> str:
    """An anchor of that name, or of a like one where it is taken."""
    place, number = anchor(wanted), 2
    while place in taken:
        place, number = anchor(f"{wanted}-{number}"), number + 1
    taken.add(place)
    return place


def in_words(text: str) -> str:
    """Words for what matplotlib would set as formulas."""
    plain = re.sub(r"\$([^$]*)\$", lambda found: formula(found[1]), text)
    return plain.replace(" = ", "\u00a0=\u00a0")


def formula(text: str) -> str:
    """A short formula as plain text."""
    signs = re.sub(r"\\([A-Za-z]+) ?", lambda found: SIGNS.get(found[1], found[1]), text)
    return re.sub(r"[{}\\]", "", signs).replace("-", MINUS)

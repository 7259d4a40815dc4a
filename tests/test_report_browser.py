"""The report in a browser without a window: what is clicked, typed, measured and printed."""

import os
import shutil
from pathlib import Path

import pytest

from analysis import report
from analysis.figures import COLUMNS, pages
from analysis.page import Blank
from analysis.study import gathered
from tests.test_report import EVIL, put

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)

WIDTHS = (390, 1440)

SHIFTS = """
new Promise((done) => {
  let sum = 0;
  const add = (list) => { for (const shift of list.getEntries()) sum += shift.value; };
  new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => setTimeout(() => done(sum), 200));
})
"""


@pytest.fixture(scope="module")
def browser():
    """A browser; without one the tests are skipped, but fail where STUDY_BROWSER=required."""
    if BROWSER is None:
        why = f"no browser is installed: none of {', '.join(NAMES)}"
        if os.environ.get("STUDY_BROWSER") == "required":
            pytest.fail(why)
        pytest.skip(why)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page, where a browser finds it."""
    results = put(tmp_path_factory.mktemp("report") / "results")
    out = results.parent / "page.html"
    assert report.main(["--results", str(results), "--out", str(out), "--title", EVIL]) == 0
    return out.as_uri()


@pytest.fixture
def visit(browser, address):
    """Opens the page, or a place in it; whatever the browser has to complain of fails the test."""
    contexts, said = [], []

    def go(place="", **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("requestfailed", lambda request: said.append(request.url))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: requested(request.url))
        page.goto(address + place)
        return page

    def requested(url):
        if not url.startswith(("file:", "data:")):
            said.append(url)

    yield go
    for context in contexts:
        context.close()
    assert said == []


def at(width):
    return {"viewport": {"width": width, "height": 844}}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_stays_where_it_is(visit, width, scheme):
    page = visit(color_scheme=scheme, **at(width))
    assert page.evaluate(SHIFTS) == 0
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    backdrop = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, backdrop[4:-1].split(","))) < 60) == (scheme == "dark")


@pytest.mark.parametrize("width", WIDTHS)
def test_every_figure_is_shown_undistorted(visit, width):
    page = visit(**at(width))
    shapes = page.evaluate(
        """Promise.all([...document.querySelectorAll("figure img")].map(async (image) => {
             await image.decode();
             const box = image.getBoundingClientRect();
             return [image.naturalWidth / image.naturalHeight, box.width / box.height, box.width];
           }))"""
    )
    assert len(shapes) == page.locator("figure").count() >= 6
    for natural, shown, pixels in shapes:
        assert shown == pytest.approx(natural, rel=0.02)
        assert 250 < pixels < width


def test_a_phone_is_shown_the_narrow_figure(visit):
    sources = "[...document.querySelectorAll('figure img')].map((image) => image.currentSrc)"
    narrow, wide = (visit(**at(width)).evaluate(sources) for width in WIDTHS)
    assert not set(narrow) & set(wide)


def column(page, sheet, number):
    """The cells of a column."""
    return page.locator(f"#{sheet} tbody tr td:nth-child({number + 1})").all_inner_texts()


def test_tables_are_sorted_by_their_headings(visit):
    page = visit()
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    heads = [text.strip() for text in page.locator("#auc-by-cell thead th").all_inner_texts()]
    number, words = heads.index("p (Holm)"), heads.index("Method")
    before = column(page, "auc-by-cell", number)
    assert len(set(before)) > 2

    def sort(place):
        page.locator("#auc-by-cell thead th").nth(place).get_by_role("button").press("Enter")
        named = page.locator("#auc-by-cell th[aria-sort]")
        assert named.count() == 1
        assert named.inner_text().strip() == heads[place]
        return named.get_attribute("aria-sort"), column(page, "auc-by-cell", place)

    known = [cell for cell in before if cell != "too few"]
    few = ["too few"] * (len(before) - len(known))
    assert few
    value = {cell: float(cell.replace("<", "").strip()) for cell in known}
    assert sort(number) == ("ascending", sorted(known, key=value.get) + few)
    falling = sort(number)
    assert falling == ("descending", sorted(known, key=value.get, reverse=True) + few)
    names = column(page, "auc-by-cell", words)
    assert sort(words) == ("ascending", sorted(names, key=str.casefold))


def test_a_number_is_sorted_as_a_number_with_its_sign(visit):
    page = visit()
    heads = [text.strip() for text in page.locator("#overall thead th").all_inner_texts()]
    place = heads.index("Accuracy")
    page.locator("#overall thead th").nth(place).get_by_role("button").click()
    means = [cell.split(" ")[0] for cell in column(page, "overall", place)]
    numbers = [float(mean.replace("\u2212", "-")) for mean in means]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 2


def places(page, sheet):
    """The heading over each row of a table."""
    return page.evaluate(
        """sheet => {
             let over = "";
             const found = [];
             for (const row of document.querySelector(`#${sheet} tbody`).rows) {
               if (row.className === "place") over = row.textContent;
               else found.push(over + "|" + row.textContent);
             }
             return found;
           }""",
        sheet,
    )


def test_a_phone_shows_method_and_score_under_their_place(visit):
    wide, narrow = (visit(**at(width)) for width in (1440, 390))
    for page in (wide, narrow):
        page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    assert not wide.locator("#means tr.place").first.is_visible()
    assert wide.locator("#means tbody tr:not(.place) td").first.is_visible()
    heads = [text.strip() for text in wide.locator("#means thead th").all_inner_texts()]
    assert narrow.locator("#means tr.place").first.is_visible()
    row = narrow.locator("#means tbody tr:not(.place)").first
    shown = [i for i in range(len(heads)) if row.locator("td").nth(i).is_visible()]
    assert shown[0] == heads.index("Method")
    for head in ("Method", "n", "AUC"):
        box = row.locator("td").nth(heads.index(head)).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    method = row.locator("td").nth(heads.index("Method"))
    before = method.bounding_box()["x"]
    narrow.evaluate("document.querySelector('#means .scroll').scrollLeft = 80")
    assert narrow.evaluate("document.querySelector('#means .scroll').scrollLeft") > 0
    assert method.bounding_box()["x"] == pytest.approx(before, abs=1)


def test_sorted_rows_keep_their_place(visit):
    page = visit(**at(390))
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    before = places(page, "auc-by-cell")
    page.locator("#auc-by-cell thead th").last.get_by_role("button").click()
    after = places(page, "auc-by-cell")
    assert after != before
    assert sorted(after) == sorted(before)
    assert not page.evaluate(
        "document.querySelector('#auc-by-cell tbody tr.place + tr.place') !== null"
    )


def test_all_sections_are_named_within_a_phone(visit):
    page = visit(**at(390))
    boxes = [link.bounding_box() for link in page.locator("nav a").all()]
    assert len(boxes) == 6
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    page.locator("nav a[href='#figures']").click()
    bar, section = (page.locator(name).bounding_box() for name in ("nav", "#figures"))
    assert section["y"] == pytest.approx(bar["y"] + bar["height"], abs=24)
    assert section["y"] >= bar["y"] + bar["height"]


def test_a_wide_table_uses_the_room_at_its_side(visit):
    page = visit(**at(1440))
    page.evaluate(
        """for (const cell of document.querySelectorAll("#machines td:last-child"))
             cell.textContent = "0123456789, 1123456789, 2123456789";"""
    )
    hidden = "document.querySelector('#machines .scroll')"
    assert page.evaluate(f"{hidden}.offsetWidth > {hidden}.parentElement.offsetWidth")
    assert page.evaluate(f"{hidden}.scrollWidth <= {hidden}.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == 1440


def test_a_figure_is_enlarged_by_keyboard(visit):
    page = visit()
    button = page.locator("button.zoom").nth(1)
    before = button.locator("img").bounding_box()["width"]
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.is_visible()
    heading = page.locator("figure h4").nth(1).inner_text()
    assert dialog.get_by_role("heading").inner_text() == heading
    assert dialog.locator("img").bounding_box()["width"] > 1.2 * before
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert button.evaluate("button => button === document.activeElement")
    button.click()
    dialog.get_by_role("button", name="Close").click()
    assert not dialog.is_visible()


def test_a_verdict_leads_to_its_figure_and_back(visit):
    page = visit()
    fold = page.locator("details.claim", has=page.locator("a[href^='#figure-']")).first
    assert not fold.evaluate("fold => fold.open")
    fold.locator("summary").click()
    link = fold.locator("a[href^='#figure-']").first
    link.click()
    target = page.locator(link.get_attribute("href"))
    assert target.evaluate("figure => figure.matches(':target')")
    assert 0 <= target.bounding_box()["y"] < 844
    fold.evaluate("fold => { fold.open = false; }")
    id = fold.get_attribute("id")
    target.locator(f"a[href='#{id}']").click()
    page.wait_for_function("id => document.getElementById(id).open", arg=id)


def test_a_link_from_elsewhere_opens_what_is_folded(visit):
    assert visit("#claim-C4").locator("#claim-C4").evaluate("fold => fold.open")


def test_a_figures_rows_are_downloaded(visit, address, tmp_path):
    page = visit(accept_downloads=True)
    results = address.removeprefix("file://").removesuffix("page.html") + "results"
    drawers = pages(gathered(Path(results), ["made_up"], "best_on_test", COLUMNS))
    for id in ("fig3", "fig6"):
        drawing = drawers[f"made_up/{id}"]()
        assert not isinstance(drawing, Blank)
        with page.expect_download() as download:
            page.locator(f"#figure-made_up-{id} a.csv").click()
        assert download.value.suggested_filename == f"made_up-{id}.csv"
        assert download.value.path().read_text() == drawing.page.data.to_csv(index=False)


def test_light_and_dark_by_button(visit):
    page = visit(color_scheme="light")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate(colour)
    assert dark != light
    assert page.locator("button.zoom").first.evaluate(
        "button => getComputedStyle(button).backgroundColor"
    ) == ("rgb(255, 255, 255)")
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(colour) == light


def test_it_can_be_read_without_a_script(visit):
    page = visit(java_script_enabled=False)
    assert page.locator("figure img").first.is_visible()
    assert page.locator("details.claim").count() == 14
    assert not page.locator("#theme").is_visible()
    assert page.locator("#overall thead button").count() == 0
    assert page.locator("#overall tbody tr").count() > 3


def test_on_paper_verdicts_are_unfolded_and_links_are_words(visit):
    page = visit("#claim-C1")
    page.evaluate("document.getElementById('claim-C1').open = false")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.claim:not([open])").count() == 0
    for hidden in ("nav", "#theme", "a.csv"):
        assert not page.locator(hidden).first.is_visible()
    link = page.locator(".part a[href^='#figure-']").first
    assert link.inner_text().startswith("Figure ")
    ink = "link => getComputedStyle(link).color"
    assert link.evaluate(ink) == page.locator("h1").evaluate(ink)
    fold = page.locator("#means.short > details.fold")
    mark = "fold => getComputedStyle(fold.querySelector('summary'), '::after').content"
    assert fold.evaluate("fold => fold.open")
    assert "not on paper" not in fold.evaluate(mark)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.evaluate("document.getElementById('means').classList.remove('short')")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    fold = page.locator("#means > details.fold")
    assert not fold.evaluate("fold => fold.open")
    assert "not on paper" in fold.evaluate(mark)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.claim[open], details.fold[open]").count() == 0
    assert page.pdf(format="A4", prefer_css_page_size=True).startswith(b"%PDF")

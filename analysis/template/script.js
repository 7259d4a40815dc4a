"use strict";

// Tables: a button in each heading; what is missing comes last either way.
function value(row, column, numeric) {
  const cell = row.cells[column];
  if (!numeric) return cell.textContent;
  return cell.dataset.key === "" ? NaN : Number(cell.dataset.key);
}

function compare(a, b, numeric, sign) {
  if (!numeric) return sign * a.localeCompare(b, "en", { numeric: true });
  if (isNaN(a) || isNaN(b)) return isNaN(a) - isNaN(b);
  return sign * (a - b);
}

// Each row with the heading that a phone has above it, where it has any.
function headed(body) {
  const rows = new Map();
  let heading = null;
  for (const row of body.rows) {
    if (row.className === "place") heading = row;
    else rows.set(row, heading);
  }
  return rows;
}

function sort(table, head) {
  const numeric = head.classList.contains("number");
  const falling = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const body = table.tBodies[0];
  const headings = headed(body);
  const rows = [...headings.keys()].map((row) => [value(row, head.cellIndex, numeric), row]);
  rows.sort(([a], [b]) => compare(a, b, numeric, falling ? -1 : 1));
  body.replaceChildren();
  let above = "";
  for (const [, row] of rows) {
    const heading = headings.get(row);
    if (heading && heading.textContent !== above) body.append(heading.cloneNode(true));
    above = heading && heading.textContent;
    body.append(row);
  }
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(table, head));
    head.replaceChildren(button);
  }
}

// Figures: one dialog shows any of them; Escape closes it and gives the focus back.
const dialog = document.getElementById("zoom");
const room = dialog.querySelector(".room");

for (const button of document.querySelectorAll("button.zoom")) {
  button.addEventListener("click", () => {
    document.getElementById("zoom-name").textContent =
      button.closest("figure").querySelector("h4").textContent;
    room.replaceChildren(button.querySelector("img").cloneNode());
    dialog.showModal();
  });
}
document.getElementById("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

// A link to what is folded unfolds it; paper has no folds.
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const fold = target && target.closest("details");
  if (fold) fold.open = true;
}
addEventListener("hashchange", unfold);
unfold();

let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details.claim:not([open]), .short > details.fold:not([open])")];
  for (const details of folded) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of folded) details.open = false;
});

// Light or dark: the system's, until the button says otherwise.
const theme = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
const label = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  label();
});
system.addEventListener("change", label);
label();
theme.hidden = false;

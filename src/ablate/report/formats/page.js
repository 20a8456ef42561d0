"use strict";
// Without this script all is there: tables in the order of the report, frames below each other.

const SECONDS = { d: 86400, h: 3600, min: 60, s: 1 };

// The number that a cell begins with, a time in seconds; not a number for words.
function numberIn(cell) {
  const text = cell.innerText
    .replace(/[\u00a0\u202f\u2009]/g, "")
    .replace(/\u2212/g, "-")
    .replace(/^[<\u00d7\s]+/, "");
  const [time] = text.match(/^([\d.]+ (d|h|min|s)\b ?)+/) || [""];
  const parts = [...time.matchAll(/([\d.]+) (\w+)/g)];
  return parts.length ? parts.reduce((sum, [, n, unit]) => sum + n * SECONDS[unit], 0) : parseFloat(text);
}

function compare(a, b) {
  const [x, y] = [numberIn(a), numberIn(b)];
  if (isNaN(x) || isNaN(y)) {
    return isNaN(x) - isNaN(y) || a.innerText.localeCompare(b.innerText);
  }
  return x - y;
}

// A click on the head of a column sorts by it: ascending, descending, and as it was.
function makeSortable(table) {
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  if (rows.length < 2) return;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.ariaSort, next = now === "ascending" ? "descending" : now ? null : "ascending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      const sorted = [...rows];
      if (next) {
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        sorted.sort((a, b) => sign * compare(a.cells[column], b.cells[column]));
      }
      body.append(...sorted);
    });
  });
}

// Pictures of one place, one at a time: a slider says which.
function makeSlider(frames) {
  const pictures = [...frames.querySelectorAll("figure")];
  const input = document.createElement("input"), name = document.createElement("output");
  Object.assign(input, { type: "range", min: 0, max: pictures.length - 1, value: 0, ariaLabel: "which one" });
  const show = () => {
    pictures.forEach((picture, number) => { picture.hidden = number !== Number(input.value); });
    name.value = pictures[input.value].querySelector("figcaption").innerText;
  };
  input.addEventListener("input", show);
  frames.classList.add("moving");
  frames.prepend(input, name);
  show();
}

document.querySelectorAll("table").forEach((table) => { if (table.tHead) makeSortable(table); });
document.querySelectorAll(".frames").forEach(makeSlider);

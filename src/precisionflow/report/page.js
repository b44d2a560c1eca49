"use strict";
// A click on a heading sorts its table. Without this script the tables are read in the order that they stand in.
(() => {
  const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const collator = new Intl.Collator("en", { numeric: true });

  // Text of a cell without its note.
  const text = (cell) => [...cell.childNodes].filter((of) => of.nodeName !== "SMALL").map((of) => of.textContent).join("").trim();

  // The first number of a text, such as −1 234.5 ± 0.2 or (3.6 ± 0.1)×10⁻⁸; NaN where it begins with none.
  const number = (of) => {
    const plain = of.replace(/−/g, "-").replace(/\s/g, "");
    const found = /^[(<+]*(-?\d[\d.]*(?:e[-+]?\d+)?)/.exec(plain);
    if (!found) return /^[(<+]*-?∞/.test(plain) ? (plain.includes("-") ? -Infinity : Infinity) : NaN;
    const power = /×10(⁻?)([⁰¹²³⁴⁵⁶⁷⁸⁹]+)/.exec(plain);
    const exponent = power ? Number((power[1] ? "-" : "") + [...power[2]].map((sign) => digits.indexOf(sign)).join("")) : 0;
    return Number(found[1]) * 10 ** exponent;
  };

  // Cells that hold a dash come last, and so do rows of what chance gives.
  const sorted = (rows, column, sign) => {
    const texts = new Map(rows.map((row) => [row, text(row.cells[column])]));
    const empty = (row) => ["—", ""].includes(texts.get(row)) || row.querySelector(".chance") !== null;
    const values = new Map(rows.map((row) => [row, number(texts.get(row))]));
    const numeric = rows.every((row) => empty(row) || !Number.isNaN(values.get(row)));
    const compared = numeric
      ? (a, b) => Math.sign(values.get(a) - values.get(b)) || 0
      : (a, b) => collator.compare(texts.get(a), texts.get(b));
    return [...rows.filter((row) => !empty(row)).sort((a, b) => sign * compared(a, b)), ...rows.filter(empty)];
  };

  for (const table of document.querySelectorAll("table:not(.numbers table)")) {
    const body = table.tBodies[0];
    if (!table.tHead || body.rows.length < 2) continue;
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") === "ascending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        body.append(...sorted([...body.rows], column, down ? -1 : 1));
      });
    });
  }
})();

// Pieces of a page.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

export function number(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3 ? value.toExponential(2) : String(+value.toPrecision(4));
}

// rows: [label, values, whether they are ours]
export function table(caption, columns, rows) {
  const head = element("tr", {}, element("th", {}), ...columns.map((c) => element("th", { scope: "col" }, c)));
  const body = rows.map(([label, values, ours]) => element("tr", { class: ours ? "ours" : null },
    element("th", { scope: "row" }, label), ...values.map((v) => element("td", {}, number(v)))));
  return element("table", {}, element("caption", {}, caption), element("thead", {}, head),
    element("tbody", {}, ...body));
}

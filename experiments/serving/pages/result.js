// What an answer holds: pictures, sounds on one time axis, numbers, tables, files to keep.
import { element, table, number } from "/static/parts.js";

let held = [];

export function show(answer) {
  for (const url of held) URL.revokeObjectURL(url);
  held = [];
  const files = answer.files.map((made) => {
    const bytes = Uint8Array.from(atob(made.data), (c) => c.charCodeAt(0));
    const url = URL.createObjectURL(new Blob([bytes], { type: made.type }));
    held.push(url);
    return { ...made, url, size: bytes.length };
  });
  const of = (kind) => files.filter((made) => made.type.startsWith(kind));
  const parts = [...sounds(of("audio/")), ...of("image/").map(picture)];
  const numbers = Object.entries(answer.numbers).map(([label, value]) => [label, [value]]);
  if (numbers.length) parts.push(element("div", { class: "scroll" }, table("Numbers", ["value"], numbers)));
  for (const [title, rows] of Object.entries(answer.tables)) parts.push(beside(title, rows));
  if (answer.notes.length) {
    parts.push(element("h3", {}, "To know"), element("ul", {}, ...answer.notes.map((n) => element("li", {}, n))));
  }
  parts.push(element("h3", {}, "Files"), element("ul", { class: "files" }, ...files.map((made) =>
    element("li", {}, element("a", { href: made.url, download: made.name }, made.name),
      ` ${made.title} (${number(made.size / 1000)} kB)`))));
  return parts;
}

function picture(made) {
  return element("figure", {}, element("figcaption", {}, made.title),
    element("img", { src: made.url, alt: made.title }));
}

// One plays at a time; the next goes on where the last one was, so that they can be compared.
function sounds(made) {
  const players = made.map((one) => element("audio", { controls: true, preload: "metadata", src: one.url, "aria-label": one.title }));
  let last = null;
  for (const player of players) {
    player.addEventListener("play", () => {
      for (const other of players) if (other !== player) other.pause();
      if (last && last !== player) player.currentTime = Math.min(last.currentTime, player.duration || Infinity);
      last = player;
    });
  }
  return made.map((one, i) => element("figure", {}, element("figcaption", {}, one.title), players[i]));
}

function beside(title, rows) {
  const columns = [...new Set(Object.values(rows).flatMap((row) => Object.keys(row)))];
  return element("div", { class: "scroll" }, table(title, columns, Object.entries(rows).map(([label, row]) =>
    [label, columns.map((c) => row[c]), label === "ours"])));
}

// Draws the curves of one tag: a line a run (or all tags of one group for one run), with hover,
// a legend that toggles, logarithmic scales and smoothing. No library; works from a saved file.
(() => {
  const COLOURS = ["#1f77b4", "#e07b00", "#2a9d4a", "#c8323c", "#9467bd", "#8c564b", "#17899b",
    "#c2569b", "#b07d00", "#5d6b2f", "#4c5b70"];
  const [W, H, LEFT, RIGHT, TOP, BOTTOM] = [1060, 380, 70, 14, 12, 36];
  const make = (name, attributes = {}, text = "") => {
    const svg = ["svg", "path", "line", "text", "circle", "g", "rect"].includes(name);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name)
      : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return node;
  };
  const short = (x) => {
    if (x === 0) return "0";
    const size = Math.abs(x);
    return size >= 1e6 || size < 1e-3 ? x.toExponential(2) : String(+x.toPrecision(4));
  };
  const ticks = (low, high, log) => {
    if (log) {
      const found = [];
      for (let e = Math.floor(low); e <= Math.ceil(high); e++)
        for (const m of high - low < 2 ? [1, 2, 5] : [1]) found.push(e + Math.log10(m));
      return found.filter((t) => t >= low - 1e-9 && t <= high + 1e-9);
    }
    const raw = (high - low) / 6 || 1, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
    const found = [];
    for (let t = Math.ceil(low / step) * step; t <= high + 1e-12; t += step) found.push(t);
    return found;
  };
  const smoothed = (values, width) => {
    if (width < 2) return values;
    return values.map((_, i) => {
      const part = values.slice(Math.max(0, i - width), i + width + 1);
      return part.reduce((a, b) => a + b, 0) / part.length;
    });
  };

  const start = (box) => {
    const data = JSON.parse(box.querySelector("script").textContent), hidden = new Set();
    const bar = make("p", { class: "controls" }), choice = make("select", { "aria-label": "curve" });
    for (const tag of data.tags) choice.append(make("option", { value: tag }, tag));
    choice.value = data.first;
    const option = (name) => {
      const label = make("label"), tick = make("input", { type: "checkbox" });
      label.append(tick, " " + name);
      bar.append(label);
      tick.addEventListener("change", draw);
      return tick;
    };
    bar.append(choice);
    const logY = option("log y"), logX = option("log x"), smooth = option("smooth");
    const plot = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img" });
    const told = make("p", { class: "told" }), legend = make("p", { class: "legend" });
    box.append(bar, plot, told, legend);
    choice.addEventListener("change", draw);
    let lines = [], scale = null;

    function draw() {
      const tag = choice.value;
      plot.replaceChildren();
      legend.replaceChildren();
      lines = data.runs.map((run, i) => ({ label: run.label, colour: COLOURS[i % COLOURS.length],
        dash: i >= COLOURS.length ? "6 3" : "", points: run.curves[tag] }))
        .filter((line) => line.points);
      for (const line of lines) {
        const key = make("button", { type: "button", "aria-pressed": !hidden.has(line.label) });
        key.append(make("span", { style: `background:${line.colour}` }), line.label);
        key.addEventListener("click", () => {
          hidden.has(line.label) ? hidden.delete(line.label) : hidden.add(line.label);
          draw();
        });
        legend.append(key);
      }
      const mapX = (x) => (logX.checked ? Math.log10(Math.max(x, 1)) : x);
      const mapY = (y) => (logY.checked ? Math.log10(y) : y);
      lines = lines.filter((line) => !hidden.has(line.label)).map((line) => {
        const values = smooth.checked
          ? smoothed(line.points[1], Math.ceil(line.points[1].length / 30)) : line.points[1];
        const shown = line.points[0].map((x, i) => [x, values[i]])
          .filter(([, y]) => !logY.checked || y > 0);
        return { ...line, shown };
      }).filter((line) => line.shown.length);
      told.textContent = lines.length ? "" : "Nothing to draw: all hidden, or not positive.";
      if (!lines.length) return;
      const xs = lines.flatMap((line) => line.shown.map(([x]) => mapX(x)));
      const ys = lines.flatMap((line) => line.shown.map(([, y]) => mapY(y)));
      const low = Math.min(...ys), high = Math.max(...ys), pad = (high - low) * 0.05 || 1e-9;
      const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), low - pad, high + pad];
      const px = (x) => LEFT + ((mapX(x) - x0) / (x1 - x0 || 1)) * (W - LEFT - RIGHT);
      const py = (y) => H - BOTTOM - ((mapY(y) - y0) / (y1 - y0)) * (H - TOP - BOTTOM);
      scale = { px, py };
      for (const t of ticks(y0, y1, logY.checked)) {
        const y = H - BOTTOM - ((t - y0) / (y1 - y0)) * (H - TOP - BOTTOM);
        plot.append(make("line", { x1: LEFT, x2: W - RIGHT, y1: y, y2: y, class: "grid" }));
        plot.append(make("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" },
          short(logY.checked ? 10 ** t : +t.toPrecision(12))));
      }
      for (const t of ticks(x0, x1, logX.checked)) {
        const x = LEFT + ((t - x0) / (x1 - x0 || 1)) * (W - LEFT - RIGHT);
        plot.append(make("text", { x, y: H - BOTTOM + 18, "text-anchor": "middle" },
          short(logX.checked ? Math.round(10 ** t) : +t.toPrecision(12))));
      }
      plot.append(make("text", { x: W - RIGHT, y: H - 4, "text-anchor": "end" }, "step"));
      for (const line of lines) {
        const path = line.shown.map(([x, y], i) => `${i ? "L" : "M"}${px(x)} ${py(y)}`).join("");
        plot.append(make("path", { d: path, stroke: line.colour, "stroke-dasharray": line.dash }));
        if (line.shown.length <= 25)
          for (const [x, y] of line.shown)
            plot.append(make("circle", { cx: px(x), cy: py(y), r: 2.5, fill: line.colour }));
      }
      plot.append(make("g", { class: "mark" }));
    }

    plot.addEventListener("pointermove", (event) => {
      if (!lines.length) return;
      const area = plot.getBoundingClientRect(), at = ((event.clientX - area.left) / area.width) * W;
      const marks = plot.querySelector(".mark");
      marks.replaceChildren();
      told.replaceChildren();
      for (const line of lines) {
        const [x, y] = line.shown.reduce((a, b) =>
          (Math.abs(scale.px(b[0]) - at) < Math.abs(scale.px(a[0]) - at) ? b : a));
        marks.append(make("circle", { cx: scale.px(x), cy: scale.py(y), r: 4.5, fill: line.colour }));
        const item = make("span", { style: `color:${line.colour}` }, `${line.label}: ${short(y)}`);
        told.append(item, ` at step ${x.toLocaleString("en")}   `);
      }
    });
    draw();
  };
  document.querySelectorAll(".curves").forEach(start);
})();

"""The style sheet of report.html: plain, wide enough for tables, light and dark."""

CSS = """
:root { color-scheme: light dark;
  --page: #ffffff; --ink: #1c1f24; --soft: #646b76; --line: #dfe2e7; --band: #f5f6f8;
  --good: #11703a; --bad: #b3261e; --warn: #8a5a00; --warnband: #fff6e0; --badband: #fdecea;
  --goodband: #e9f6ee; --link: #1a56b0; }
@media (prefers-color-scheme: dark) { :root {
  --page: #121212; --ink: #e4e6ea; --soft: #9aa2ad; --line: #31353c; --band: #1c1f23;
  --good: #6fd196; --bad: #ff8a80; --warn: #f0c36d; --warnband: #2d2512; --badband: #331a18;
  --goodband: #14291c; --link: #8ab4f8; }
  img.plot { filter: invert(0.928) hue-rotate(180deg); } }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 24px 80px; }
h1 { font-size: 26px; line-height: 1.25; margin: 12px 0 16px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 40px 0 10px; padding-top: 12px; border-top: 1px solid var(--line); }
h3 { font-size: 15px; margin: 22px 0 6px; }
p { margin: 8px 0; max-width: 82ch; }
p.note, p.quiet, .quiet, figcaption { color: var(--soft); }
p.quiet, figcaption { font-size: 13px; max-width: 110ch; }
p.warning, p.bad, p.good { max-width: none; padding: 9px 14px; border-left: 4px solid;
  border-radius: 3px; }
p.warning { background: var(--warnband); border-color: var(--warn); }
p.bad { background: var(--badband); border-color: var(--bad); }
p.good { background: var(--goodband); border-color: var(--good); }
span.good { color: var(--good); font-weight: 600; }
span.bad { color: var(--bad); font-weight: 600; }
a { color: var(--link); }
.scroll { overflow-x: auto; margin: 10px 0; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 11px; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; border-bottom-width: 2px; vertical-align: bottom; }
th.left, td.left { text-align: left; }
td { white-space: nowrap; }
td.left { max-width: 58ch; white-space: normal; }
td.left:first-child { min-width: 15ch; }
small { display: block; font-weight: 400; color: var(--soft); font-size: 11.5px; }
code { overflow-wrap: anywhere; }
tbody tr:hover { background: var(--band); }
dl.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(136px, 1fr)); gap: 8px;
  margin: 14px 0; }
dl.facts div { background: var(--band); border-radius: 6px; padding: 9px 13px; }
dt { color: var(--soft); font-size: 12.5px; }
dd { margin: 1px 0 0; font-size: 17px; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
figure { margin: 14px 0; }
img { max-width: 100%; height: auto; }
img.photo { background: #ffffff; border-radius: 4px; }
pre { background: var(--band); padding: 11px 14px; border-radius: 6px; overflow-x: auto;
  font-size: 12.5px; line-height: 1.45; }
details { margin: 8px 0; }
summary { cursor: pointer; color: var(--link); }
details.section { margin: 0; border-top: 1px solid var(--line); }
details.section > summary { color: var(--soft); padding: 14px 0 6px; }
details.section > summary :is(h2, h3) { display: inline; margin: 0; padding: 0; border: 0;
  color: var(--ink); }
.curves svg { width: 100%; height: auto; touch-action: none; }
.curves svg text { fill: var(--soft); font-size: 12px; }
.curves svg .grid { stroke: var(--line); }
.curves svg path { fill: none; stroke-width: 1.6; }
.curves .controls { display: flex; gap: 16px; align-items: center; max-width: none; }
.curves .told { min-height: 3em; max-width: none; font-size: 13px; white-space: pre-wrap; }
.curves .legend { display: flex; gap: 6px; flex-wrap: wrap; max-width: none; }
.curves button { font: inherit; font-size: 13px; color: inherit; background: var(--band);
  border: 1px solid var(--line); border-radius: 4px; padding: 2px 9px; cursor: pointer; }
.curves button[aria-pressed="false"] { opacity: 0.4; }
.curves button span { display: inline-block; width: 10px; height: 10px; margin-right: 7px;
  border-radius: 2px; }
p.sound { display: flex; gap: 14px; align-items: center; flex-wrap: wrap; }
p.sound span { min-width: 22ch; }
@media print { .scroll { overflow: visible; } main { max-width: none; } }
"""

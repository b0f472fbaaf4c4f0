// The page of a served run: a form made of its fields, and what the answer holds.
import { fields, valuesOf, fill } from "/static/form.js";
import { element, table, number } from "/static/parts.js";
import { show } from "/static/result.js";
import { live } from "/static/live.js";
import { ask, remember } from "/static/door.js";

const at = (id) => document.getElementById(id);
const name = location.pathname.split("/")[1];
let busy = false;

async function start() {
  const runs = await ask("/runs");
  if (!runs) return;
  at("door").hidden = true;
  const names = Object.keys(runs);
  const here = name || (names.length === 1 ? names[0] : "");
  at("runs").replaceChildren(...(names.length > 1 ? names : []).map((one) => {
    const link = element("a", { href: `/${one}/` }, one);
    if (one === here) link.setAttribute("aria-current", "page");
    return link;
  }));
  if (!here) {
    at("about").replaceChildren(...names.map((one) => element("p", {},
      element("a", { href: `/${one}/` }, runs[one].title), ` ${runs[one].about}`)));
    return;
  }
  open(await ask(`/${here}/about`));
}

function open(said) {
  document.title = said.title;
  at("title").textContent = said.title;
  at("about").textContent = said.about;
  at("form").replaceChildren(...fields(said.fields), element("div", { class: "wide" },
    element("button", { class: "main", id: "go" }, "Run")));
  at("form").onsubmit = (event) => { event.preventDefault(); run(said); };
  at("examples").replaceChildren(...Object.entries(said.examples).map(([label, values]) => {
    const button = element("button", { type: "button" }, `Example: ${label}`);
    button.onclick = async () => {
      try {
        await fill(said, values);
        await run(said);
      } catch (error) { tell(error.message, true); }
    };
    return button;
  }));
  at("summary").replaceChildren(...summary(said.summary, said.name));
  if (said.live) at("conversation").replaceChildren(...live(said));
  at("live").hidden = !said.live;
  at("main").hidden = false;
}

async function run(said) {
  if (busy) return;
  busy = at("go").disabled = true;
  const began = performance.now();
  const clock = setInterval(() => tell(`Working, ${number((performance.now() - began) / 1000)} s ...`), 5000);
  tell("Working ...");
  try {
    const answer = await ask(`/${said.name}`, { method: "POST", body: valuesOf(said.fields) });
    if (!answer) return;
    tell(`Done in ${number((performance.now() - began) / 1000)} s.`);
    at("answer").replaceChildren(...show(answer, at("form")));
    at("result").hidden = false;
    at("result").focus();
  } catch (error) {
    tell(error.message, true);
  } finally {
    clearInterval(clock);
    busy = at("go").disabled = false;
  }
}

function tell(text, bad) {
  at("status").textContent = text;
  at("status").className = bad ? "bad" : "";
}

function summary(said, name) {
  const best = said.objective || {};
  const facts = { run: said.run, status: said.status, trained: said.trained, updates: said.steps,
    data: said.data, parameters: said.parameters };
  const line = Object.entries(facts).filter(([, v]) => v !== null && v !== undefined && v !== "")
    .map(([k, v]) => `${k} ${typeof v === "number" ? v.toLocaleString("en") : v}`).join(" · ");
  const found = [element("p", {}, line)];
  if (best.best !== undefined && best.best !== null) {
    const rows = { [`${name}, validation (${best.name})`]: best.best };
    if (said.tested !== null && said.tested !== undefined) rows[`${name}, test`] = said.tested;
    const better = best.mode === "min" ? "smaller is better" : "larger is better";
    found.push(element("div", { class: "scroll" }, table(`Objective (${better})`, [said.metric.replaceAll("_", " ")],
      Object.entries({ ...rows, ...said.baselines }).map(([k, v]) => [k.replaceAll("_", " "), [v], k in rows]))));
  }
  return [...found, ...said.notes.map((note) => element("p", { class: "bad" }, note))];
}

at("door").onsubmit = (event) => { event.preventDefault(); remember(at("token").value); start(); };
start().catch((error) => tell(error.message, true) || (at("main").hidden = false));

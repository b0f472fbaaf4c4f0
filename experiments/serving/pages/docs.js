// The API as its schema says it: without a foreign host's scripts, which FastAPI's own page loads.
import { element } from "/static/parts.js";
import { ask, remember } from "/static/door.js";

const at = (id) => document.getElementById(id);

async function start() {
  const schema = await ask("/openapi.json");
  if (!schema) return;
  at("door").hidden = true;
  const routes = Object.entries(schema.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, said]) => route(path, method, said)));
  at("main").replaceChildren(...routes);
}

function route(path, method, said) {
  const parts = [element("h2", {}, `${method.toUpperCase()} ${path}`), element("p", {}, said.description || said.summary || "")];
  const form = said.requestBody?.content["multipart/form-data"]?.schema;
  if (form) {
    const needed = new Set(form.required || []);
    const rows = Object.entries(form.properties).map(([name, field]) => element("tr", {},
      element("th", { scope: "row" }, name + (needed.has(name) ? " (required)" : "")),
      element("td", {}, kind(field)), element("td", {}, field.description || field.title || "")));
    parts.push(element("div", { class: "scroll" }, element("table", { class: "words" }, element("caption", {}, "multipart/form-data"), ...rows)));
    const words = Object.entries(form.properties).filter(([name]) => needed.has(name))
      .map(([name, field]) => ` -F ${name}=${field.format === "binary" ? "@FILE" : "VALUE"}`).join("");
    parts.push(element("pre", {}, `curl ${location.origin}${path}${words} -H 'Accept: application/zip' -o answer.zip`));
  }
  const answers = Object.entries(said.responses).map(([status, one]) => element("li", {}, `${status}: ${one.description}`));
  parts.push(element("ul", {}, ...answers));
  return element("section", {}, ...parts);
}

function kind(field) {
  const one = field.anyOf ? field.anyOf.find((part) => part.type !== "null") : field;
  const all = { ...field, ...one };
  if (all.format === "binary") return "file";
  const limits = [];
  if (all.minimum !== undefined) limits.push(`from ${all.minimum}`);
  if (all.maximum !== undefined) limits.push(`to ${all.maximum}`);
  if (all.exclusiveMaximum !== undefined) limits.push(`below ${all.exclusiveMaximum}`);
  const what = all.enum ? all.enum.join(" | ") : all.type;
  const preset = field.default === undefined || field.default === null ? "" : `; ${field.default} if not given`;
  return `${what} ${limits.join(" ")}${preset}`;
}

at("door").onsubmit = (event) => { event.preventDefault(); remember(at("token").value); start(); };
start().catch((error) => { at("status").textContent = error.message; });

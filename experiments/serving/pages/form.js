// A form of a request's fields, and the values in it.
import { element } from "/static/parts.js";
import { get } from "/static/door.js";

const input = (name) => document.getElementById(`field-${name}`);

export function fields(said) {
  const made = said.map((field) => field.kind === "file" ? file(field, said) : option(field));
  return made;
}

function named(field) {
  return { id: `field-${field.name}`, name: field.name, "aria-describedby": `help-${field.name}` };
}

function framed(field, control, kind) {
  const title = field.title + (field.required ? "" : " (optional)");
  const label = element("label", { for: `field-${field.name}` }, field.kind === "file" || field.default === null ? title : field.title);
  const help = element("span", { class: "help", id: `help-${field.name}` }, field.help);
  const parts = kind === "flag" ? [control, label, help] : [label, control, help];
  return element("div", { class: `field ${kind}` }, ...parts);
}

function option(field) {
  if (field.kind === "choice") {
    const control = element("select", named(field), ...field.choices.map((choice) =>
      element("option", { value: choice, selected: choice === field.default }, choice)));
    return framed(field, control, "choice");
  }
  if (field.kind === "flag") {
    const control = element("input", { ...named(field), type: "checkbox", checked: field.default === true });
    return framed(field, control, "flag");
  }
  const numeric = field.kind !== "text";
  const control = element("input", { ...named(field), type: numeric ? "number" : "text",
    step: field.kind === "integer" ? 1 : numeric ? "any" : null, min: field.minimum, max: field.maximum,
    required: field.required, value: field.default ?? "" });
  if (field.on) control.addEventListener("input", () => mark(field.on));
  return framed(field, control, field.kind);
}

function file(field, said) {
  const control = element("input", { ...named(field), type: "file", accept: field.accept, required: field.required });
  const box = framed({ ...field, help: `${field.help} (or drop it here; ${field.megabytes} MB at most)` }, control, "drop");
  const preview = element("div", { id: `preview-${field.name}` });
  box.append(preview);
  const places = said.filter((other) => other.on === field.name);
  control.addEventListener("change", () => look(field, control.files[0], preview, places));
  box.addEventListener("dragover", (event) => { event.preventDefault(); box.classList.add("over"); });
  box.addEventListener("dragleave", () => box.classList.remove("over"));
  box.addEventListener("drop", (event) => {
    event.preventDefault();
    box.classList.remove("over");
    if (event.dataTransfer.files.length) put(control, event.dataTransfer.files[0]);
  });
  return box;
}

function put(control, content) {
  const held = new DataTransfer();
  if (content) held.items.add(content);
  control.files = held.files;
  control.dispatchEvent(new Event("change"));
}

// What was picked, to see or to hear; on a picture with places a click sets them.
function look(field, content, preview, places) {
  for (const old of preview.querySelectorAll("[src]")) URL.revokeObjectURL(old.src);
  preview.replaceChildren();
  if (!content) return;
  const kind = content.type.split("/")[0];
  const source = kind === "image" || kind === "audio" ? URL.createObjectURL(content) : null;
  if (kind === "audio") {
    preview.append(element("audio", { controls: true, src: source, "aria-label": content.name }));
  } else if (kind === "image") {
    const picture = element("img", { src: source, alt: `${field.title}: ${content.name}` });
    const box = element("div", { class: places.length ? "map" : "" }, picture);
    if (places.length) {
      preview.append(element("p", { class: "help" }, "Click on the picture, or type row and column."));
      picture.addEventListener("load", () => mark(field.name));
      box.addEventListener("click", (event) => {
        const frame = picture.getBoundingClientRect();
        const along = { row: (event.clientY - frame.top) / frame.height * picture.naturalHeight,
          column: (event.clientX - frame.left) / frame.width * picture.naturalWidth };
        for (const place of places) input(place.name).value = Math.max(0, Math.floor(along[place.axis]));
        mark(field.name);
      });
      box.dataset.places = JSON.stringify(Object.fromEntries(places.map((p) => [p.axis, p.name])));
    } else {
      picture.style.maxWidth = "12rem";
    }
    preview.append(box);
  }
}

function mark(name) {
  const box = document.querySelector(`#preview-${name} .map`);
  if (!box) return;
  box.querySelector("i")?.remove();
  const picture = box.querySelector("img"), names = JSON.parse(box.dataset.places);
  const [row, column] = ["row", "column"].map((axis) => input(names[axis]).value);
  if (row === "" || column === "" || !picture.naturalWidth) return;
  const dot = element("i", {});
  dot.style.top = `${100 * (+row + .5) / picture.naturalHeight}%`;
  dot.style.left = `${100 * (+column + .5) / picture.naturalWidth}%`;
  box.append(dot);
}

export function valuesOf(said) {
  const form = new FormData();
  for (const field of said) {
    const control = input(field.name);
    if (field.kind === "file") {
      if (control.files.length) form.append(field.name, control.files[0]);
    } else if (field.kind === "flag") {
      form.append(field.name, control.checked);
    } else if (control.value !== "") {
      form.append(field.name, control.value);
    }
  }
  return form;
}

// Puts an example into the form, as if it had been picked.
export async function fill(said, values) {
  for (const field of said.fields) {
    const control = input(field.name), value = values[field.name];
    if (field.kind === "file") {
      let content = null;
      if (value) {
        const response = await get(`/${said.name}/examples/${value}`);
        if (!response) throw new Error("The example was not sent.");
        const blob = await response.blob();
        content = new File([blob], value, { type: response.headers.get("content-type") });
      }
      put(control, content);
    } else if (field.kind === "flag") {
      control.checked = value ?? field.default ?? false;
    } else {
      control.value = value ?? field.default ?? "";
      control.dispatchEvent(new Event("input"));
    }
  }
}

// A conversation with a run: what one holds down is said every tenth of a second, what answers is shown.
import { element } from "/static/parts.js";
import { token } from "/static/door.js";

const TICK = 100; // ms

export function live(said) {
  const [[label, opening]] = Object.entries(said.live.openings);
  const settings = element("textarea", { id: "live-settings", rows: 3, spellcheck: "false" });
  settings.value = JSON.stringify(opening);
  const begin = element("button", { type: "button", class: "main", id: "live-go" }, "Begin");
  const people = element("div", { role: "group", "aria-label": "Who speaks" });
  const shown = element("p", { id: "live-shown", role: "status", "aria-live": "polite" });
  const cuts = element("ol", { id: "live-cuts", reversed: true });
  let end = null;
  begin.onclick = () => {
    if (end) return end("Ended.");
    cuts.replaceChildren();
    end = talk(said.name, settings.value, people, shown, cuts, () => { end = null; begin.textContent = "Begin"; });
    begin.textContent = "End";
  };
  return [element("p", {}, said.live.about),
    element("label", { for: "live-settings" }, `Settings (${label})`), settings, begin, people, shown, cuts];
}

function talk(name, opening, people, shown, cuts, over) {
  const key = token();
  const secret = key && btoa(String.fromCharCode(...new TextEncoder().encode(key)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const address = `${location.protocol.replace("http", "ws")}//${location.host}/${name}/live`;
  const way = new WebSocket(address, secret ? ["bearer", secret] : []);
  const speaking = {};
  let clock = 0, last = "", told = false;
  const end = (text) => {
    clearInterval(clock);
    way.onclose = null;
    way.close();
    people.replaceChildren();
    shown.textContent = text;
    over();
  };
  way.onopen = () => way.send(opening);
  way.onclose = (event) => end(last || event.reason || "The conversation has ended.");
  way.onmessage = (event) => {
    const answer = JSON.parse(event.data);
    if (answer.detail) { last = answer.detail; return; }
    if (!told) {
      told = true;
      people.replaceChildren(...answer.speakers.map((one) => speaker(one, speaking)));
      clock = setInterval(() => way.send(JSON.stringify(speaking)), TICK);
      return;
    }
    if (answer.camera !== shown.dataset.camera || answer.cut) {
      shown.dataset.camera = answer.camera;
      shown.textContent = answer.camera ? `${answer.camera} shows` : "Nothing shows yet";
    }
    if (answer.cut) cuts.prepend(element("li", {}, `${answer.time.toFixed(1)} s: ${answer.camera}`));
  };
  return end;
}

// A switch: pressed while that person speaks.
function speaker(name, speaking) {
  const button = element("button", { type: "button", "aria-pressed": "false" }, `${name} speaks`);
  speaking[name] = 0;
  button.onclick = () => {
    speaking[name] = speaking[name] ? 0 : 1;
    button.setAttribute("aria-pressed", String(Boolean(speaking[name])));
  };
  return button;
}

"use strict";

const POLL_MS = 2000;
const COLUMNS = 60;
const SHOWN = 5;
const MIN_SHOWN = 0.0005; // shown as 0.0 %
const COLOURS = 10;
const STAGES = ["decode", "features", "select", "predict"];

const byId = (id) => document.getElementById(id);
const model = document.querySelector("meta[name=model]").content;
const noun = document.querySelector("meta[name=noun]").content;
let token = "";
let asked = 0; // only the newest question's answer is shown

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function headers(more) {
  return token ? { ...more, Authorization: `Bearer ${token}` } : { ...more };
}

function askForToken() {
  byId("access").hidden = false;
  document.querySelector("nav").hidden = true; // a plain link bears no token
}

const spaced = (name) => name.replaceAll("+", " + "); // fused candidates are joined by it

/* A name that may break after its signs. */
function breakable(name) {
  return spaced(name).split(/(?<=[_@.-])/).flatMap((part) => [part, document.createElement("wbr")]);
}

const ms = (value) => `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ms`;
const percent = (value) => `${(100 * value).toFixed(1)} %`;

/* ---- asking ---- */

function body(file) {
  const parameters = { explain: true };
  const budget = byId("budget").value.trim();
  if (budget !== "") parameters.max_latency_ms = Number(budget);
  const tensor = {
    name: noun, datatype: "BYTES", shape: [1], parameters: { binary_data_size: file.size + 4 },
  };
  const request = { parameters, inputs: [tensor], outputs: [{ name: "explanation" }] };
  const text = new TextEncoder().encode(JSON.stringify(request));
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, file.size, true);
  return [new Blob([text, length, file]), text.length];
}

async function post(file) {
  const [content, length] = body(file);
  const response = await fetch(`v2/models/${encodeURIComponent(model)}/infer`, {
    method: "POST",
    headers: headers({
      "Content-Type": "application/octet-stream", "Inference-Header-Content-Length": String(length),
    }),
    body: content,
  });
  const data = await response.json();
  if (response.status === 401) askForToken();
  if (!response.ok) throw new Error(data.error || `status ${response.status}`);
  return JSON.parse(data.outputs[0].data[0]);
}

let last = null;

async function ask(file) {
  const mine = ++asked;
  last = file;
  preview(file);
  byId("error").hidden = true;
  document.body.classList.add("busy");
  try {
    const answer = await post(file);
    if (mine === asked) show(answer);
  } catch (error) {
    if (mine === asked) fail(error);
  } finally {
    if (mine === asked) document.body.classList.remove("busy");
  }
}

function fail(error) {
  reveal(false);
  const offline = error instanceof TypeError;
  byId("error").textContent = offline ? "The server cannot be reached." : error.message;
  byId("error").hidden = false;
}

function preview(file) {
  const picture = byId("picture");
  if (!picture) return; // a text stands in its box
  URL.revokeObjectURL(picture.src);
  picture.hidden = false;
  picture.onerror = () => { picture.hidden = true; }; // a format the server reads and the browser does not
  picture.src = URL.createObjectURL(file);
}

/* ---- showing an answer ---- */

function bar(share) {
  const outer = element("div", undefined, "bar");
  const inner = element("i");
  inner.style.width = `${100 * Math.max(0, Math.min(1, share))}%`;
  outer.append(inner);
  return outer;
}

function show(answer) {
  const isText = "outcome" in answer;
  byId("class").textContent = answer.abstained ? "No answer" : isText ? answer.outcome : answer.class;
  byId("class").classList.toggle("outcome", isText);
  const alone = answer.ran.length === 1 && answer.ran[0] === answer.candidate;
  const ran = alone ? "" : answer.ran.length ? `; ran ${answer.ran.join(", then ")}` : "; nothing ran";
  const served = answer.abstained ? "The premodel abstained" : `Answered by ${spaced(answer.candidate)}`;
  const own = isText && !answer.abstained ? `; its own probability ${percent(answer.probability)}` : "";
  const meant = isText ? "its score is estimated at" : "estimated to be right with";
  const sure = answer.confidence === null ? own : `; ${meant} ${percent(answer.confidence)}`;
  byId("by").textContent = `${served}${ran}${sure}.`;
  byId("probabilities").replaceChildren(...answer.probabilities.slice(0, SHOWN).filter(({ p }) => p >= MIN_SHOWN).map((line) => {
    const item = element("li");
    item.append(element("span", line.class, "name"), element("span", percent(line.p), "number"), bar(line.p));
    item.title = line.class;
    return item;
  }));
  showCandidates(answer);
  byId("steps").replaceChildren(...answer.steps.map((step) => {
    const what = "run" in step ? `Run ${step.run}` : step.stop === "abstain" ? "Stop without an answer" : "Stop";
    return element("li", step.reason ? `${what}: ${step.reason}` : what);
  }));
  showStages(answer.latency_ms);
  reveal(true);
}

function reveal(answered) {
  byId("answer").hidden = !answered;
  byId("waiting").hidden = answered;
}

function showCandidates(answer) {
  const scores = {};
  for (const step of answer.steps) Object.assign(scores, step.scores || {});
  const failed = answer.failed || {};
  const served = (answer.candidate || "").split("+");
  byId("candidates").replaceChildren(...answer.candidates.map((name) => {
    const row = element("tr", undefined, answer.candidate === name || served.includes(name) ? "served" : "");
    const score = element("td");
    if (name in scores) score.append(element("span", scores[name].toFixed(3), "number"), bar(scores[name]));
    else score.append(element("span", "–", "quiet"));
    const place = answer.ran.indexOf(name);
    const state = name in failed ? "failed" : place < 0 ? "no" : answer.ran.length > 1 ? `${place + 1}.` : "yes";
    const cell = element("td", state);
    if (name in failed) cell.title = failed[name];
    const label = element("td");
    label.append(...breakable(name));
    row.append(label, score, cell);
    return row;
  }));
  byId("noscores").hidden = answer.candidates.every((name) => name in scores);
}

function showStages(latency) {
  const rest = Math.max(0, latency.total - STAGES.reduce((sum, stage) => sum + latency[stage], 0));
  const parts = [...STAGES.map((stage) => [stage, latency[stage]]), ["rest", rest]];
  const colour = (index) => (index < STAGES.length ? `c${index}` : "c9");
  byId("total").textContent = `${ms(latency.total)} in the server`;
  byId("stages").setAttribute("aria-label", parts.map(([name, value]) => `${name} ${ms(value)}`).join(", "));
  byId("stages").replaceChildren(...parts.map(([, value], index) => {
    const piece = element("i", undefined, colour(index));
    piece.style.width = `${(100 * value) / latency.total}%`;
    return piece;
  }));
  byId("stagelegend").replaceChildren(...parts.map(([name, value], index) => {
    const item = element("li");
    item.append(element("i", undefined, colour(index)), `${name} ${ms(value)}`);
    return item;
  }));
}

/* ---- the live chart ---- */

const order = []; // candidates in the order of their colours
let history = []; // per poll: when, candidate -> answers since the poll before, and their mean time in ms
let before = null;

const SAMPLE = /^(premodel_\w+?)(?:\{\w+="((?:[^"\\]|\\.)*)"\})? ([-+.eE\d]+)$/;
const unescape = (text) => text.replace(/\\(.)/g, (_, sign) => (sign === "n" ? "\n" : sign));

function read(text) {
  const found = { answers: new Map(), abstentions: 0, seconds: 0, count: 0, busy: 0 };
  for (const line of text.split("\n")) {
    const match = SAMPLE.exec(line);
    if (!match) continue;
    const [, name, label, number] = match;
    const value = Number(number);
    if (name === "premodel_answers_total") found.answers.set(unescape(label), value);
    else if (name === "premodel_abstentions_total") found.abstentions = value;
    else if (name === "premodel_stage_seconds_sum" && label === "total") found.seconds = value;
    else if (name === "premodel_stage_seconds_count" && label === "total") found.count = value;
    else if (name === "premodel_rejected_total" && label === "overload") found.busy = value;
  }
  if (found.abstentions) found.answers.set("no answer", found.abstentions);
  return found;
}

function setState(text, className) {
  const state = byId("state");
  if (state.textContent !== text) state.textContent = text;
  state.className = className;
}

let polling = false;

async function poll() {
  if (polling || document.visibilityState !== "visible") return;
  polling = true;
  try {
    const ready = await fetch("v2/health/ready");
    setState(ready.ok ? "ready" : "not ready", ready.ok ? "ready" : "");
    const response = await fetch("metrics", { headers: headers() });
    if (response.status === 401) {
      askForToken();
      byId("totals").textContent = "shown once the token is given";
    } else if (response.ok) {
      draw(read(await response.text()));
    }
  } catch {
    setState("not reachable", "down");
  } finally {
    polling = false;
  }
}

function draw(now) {
  for (const name of now.answers.keys()) if (!order.includes(name)) order.push(name);
  const restarted = before && now.count < before.count;
  if (before && !restarted) {
    const since = new Map();
    for (const [name, value] of now.answers) since.set(name, value - (before.answers.get(name) || 0));
    const count = now.count - before.count;
    const mean = count ? (1e3 * (now.seconds - before.seconds)) / count : 0;
    history.push({ at: performance.now(), since, mean });
    history = history.filter(({ at }) => performance.now() - at < COLUMNS * POLL_MS);
  }
  before = now;
  const total = [...now.answers.values()].reduce((sum, value) => sum + value, 0);
  if (total) {
    const busy = now.busy ? `, ${now.busy} refused as busy` : "";
    byId("totals").textContent = `${total} answers since the start, ${ms((1e3 * now.seconds) / Math.max(1, now.count))} on average${busy}`;
  }
  const recent = (name) => history.reduce((sum, { since }) => sum + (since.get(name) || 0), 0); // of the columns drawn
  const all = order.reduce((sum, name) => sum + recent(name), 0);
  byId("mixlegend").replaceChildren(...order.map((name, index) => {
    const item = element("li");
    const share = all ? ` ${percent(recent(name) / all)}` : "";
    const label = element("span");
    label.append(...breakable(name), share);
    item.append(element("i", undefined, `c${index % COLOURS}`), label);
    return item;
  }));
  byId("chart").replaceChildren(...columns());
  drawTimes();
}

function column(age, top, height, className) {
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const width = 240 / COLUMNS;
  const box = { x: (COLUMNS - 1 - age) * width, y: top, width: 0.8 * width, height };
  for (const [key, value] of Object.entries(box)) shape.setAttribute(key, value);
  if (className) shape.setAttribute("class", className);
  return shape;
}

function drawTimes() {
  const slowest = Math.max(0, ...history.map(({ mean }) => mean));
  byId("slowest").textContent = slowest ? `mean per 2 s, up to ${ms(slowest)}` : "";
  byId("times").replaceChildren(...history.filter(({ mean }) => mean).map(({ at, mean }) => {
    const height = (38 * mean) / slowest;
    return column(Math.round((performance.now() - at) / POLL_MS), 40 - height, height);
  }));
}

function columns() {
  const shapes = [];
  history.forEach(({ at, since }) => {
    const age = Math.round((performance.now() - at) / POLL_MS);
    const sum = [...since.values()].reduce((all, value) => all + value, 0);
    let top = 60;
    order.forEach((name, colour) => {
      const height = sum ? (60 * (since.get(name) || 0)) / sum : 0;
      if (!height) return;
      top -= height;
      shapes.push(column(age, top, height, `c${colour % COLOURS}`));
    });
  });
  return shapes;
}

/* ---- what the user does ---- */

if (byId("file")) takeFiles(); // else text.js takes a text

function takeFiles() {
  byId("file").addEventListener("change", (event) => {
    const file = event.target.files[0];
    event.target.value = ""; // so that the same file can be chosen again
    if (file) ask(file);
  });

  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    byId("drop").classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) byId("drop").classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    byId("drop").classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (file) ask(file);
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData.files[0];
    if (file) ask(file);
  });
}

byId("budget").addEventListener("change", () => { if (last) ask(last); });

byId("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  if (last) ask(last);
  else poll();
});

document.addEventListener("visibilitychange", poll);
setInterval(poll, POLL_MS);
poll();

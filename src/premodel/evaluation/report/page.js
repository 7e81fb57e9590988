// Draws the charts from their JSON, in the colours of the page, and lets groups be hidden and ranges be zoomed.
const ITEMS = JSON.parse(document.getElementById("items").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const drawn = {};

async function draw(id, inTheDark) {
  const place = document.getElementById("chart-" + id);
  if (!place) return;
  let item = JSON.stringify(ITEMS[id]);
  if (inTheDark) item = item.replaceAll(LIGHT.text, "#e6eaf0").replaceAll(LIGHT.grid, "#323b47");
  place.replaceChildren();
  const views = await Bokeh.embed.embed_item(JSON.parse(item), place.id);
  drawn[id] = views.roots ? views.roots[0].model : Object.values(views)[0].model;
  for (const box of document.querySelectorAll(`input[data-chart="${id}"]`)) show(box);
}

function show(box) {
  const figure = drawn[box.dataset.chart];
  if (!figure) return;
  const wide = window.innerWidth > 600; // names of baselines find no room on a narrow screen; they can be hovered
  for (const part of figure.renderers) {
    if (part.name === box.dataset.group) part.visible = box.checked;
    const label = part.name === box.dataset.group + "-label";
    if (label) part.visible = box.checked && (wide || !/^(baseline|group-)/.test(box.dataset.group));
    if (label && !wide) inward(part, figure);
  }
}

// On a narrow screen names are drawn towards the middle, so that none is cut off.
function inward(part, figure) {
  const data = part.data_source.data, range = figure.x_range;
  const of = figure.x_scale.type === "LogScale" ? Math.log : Number;
  const middle = (of(range.start) + of(range.end)) / 2;
  const right = Array.from(data.x, (x) => of(x) > middle);
  data.align = right.map((yes) => (yes ? "right" : "left"));
  data.aside = right.map((yes) => (yes ? -9 : 9));
  data.down = right.map((_, index) => (index % 2 ? 13 : -11));
  part.data_source.change.emit();
}

function zoom(button) {
  const id = button.dataset.chart, factor = Number(button.dataset.zoom), figure = drawn[id];
  if (!figure) return;
  if (!factor) return void draw(id, dark.matches);
  for (const [range, scale] of [[figure.x_range, figure.x_scale], [figure.y_range, figure.y_scale]]) {
    const log = scale.type === "LogScale";
    const [a, b] = [range.start, range.end].map((value) => (log ? Math.log(value) : value));
    const middle = (a + b) / 2, half = ((b - a) / 2) * factor;
    const [start, end] = [middle - half, middle + half].map((value) => (log ? Math.exp(value) : value));
    range.setv({ start, end });
  }
}

function drawAll(inTheDark) {
  for (const id of Object.keys(ITEMS)) draw(id, inTheDark);
}

document.addEventListener("change", (event) => {
  if (event.target.matches("input[data-group]")) show(event.target);
});
document.addEventListener("click", (event) => {
  if (event.target.matches("button[data-zoom]")) zoom(event.target);
});
dark.addEventListener("change", () => drawAll(dark.matches));
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
drawAll(dark.matches);

// Draws the charts from their JSON, in the colours of the page, and lets groups be hidden and ranges be zoomed.
const ITEMS = JSON.parse(document.getElementById("items").textContent);
const dark = window.matchMedia("screen and (prefers-color-scheme: dark)"); // paper is white
const drawn = {};

async function draw(id, inTheDark) {
  const place = document.getElementById("chart-" + id);
  if (!place) return;
  let item = JSON.stringify(ITEMS[id]);
  if (inTheDark) item = item.replaceAll(LIGHT.text, "#e6eaf0").replaceAll(LIGHT.grid, "#323b47");
  place.replaceChildren();
  const views = await Bokeh.embed.embed_item(JSON.parse(item), place.id);
  drawn[id] = views.roots ? views.roots[0].model : Object.values(views)[0].model;
  const figure = drawn[id];
  for (const box of document.querySelectorAll(`input[data-chart="${id}"]`)) show(box);
  for (const wait of [0, 100, 600]) setTimeout(() => placeNames(figure), wait); // the layout may settle late
}

function show(box) {
  const figure = drawn[box.dataset.chart];
  if (!figure) return;
  for (const part of figure.renderers) {
    if (part.name === box.dataset.group) part.visible = box.checked;
    if (part.name === box.dataset.group + "-label") part.visible = box.checked;
  }
  placeNames(figure);
}

// Where a name may stand beside its point: [alignment, pixels aside, pixels down], the best first.
const BESIDE = [-11, 13, -26, 28, -41, 43, -56, 58].flatMap((down) => [["right", -9, down], ["left", 9, down]])
  .concat([-34, 34, -50, 50].map((down) => ["center", 0, down]));
const RANK = ["premodel-label", "single-label"];
const ruler = document.createElement("canvas").getContext("2d");

function placeOn(range, scale, pixels) {
  const of = scale.type === "LogScale" ? Math.log : Number;
  return (value) => (pixels * (of(value) - of(range.start))) / (of(range.end) - of(range.start));
}

function overlap(a, b) {
  return Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
}

// Names are placed for the size that the chart really has, the most important first; a name without room is left out.
function placeNames(figure) {
  const width = figure.inner_width, height = figure.inner_height;
  if (!width || !height) return;
  const parts = figure.renderers.filter((part) => part.name?.endsWith("-label") && part.visible);
  const rank = (part) => (RANK.indexOf(part.name) + RANK.length + 1) % (RANK.length + 1);
  parts.sort((a, b) => rank(a) - rank(b));
  const across = placeOn(figure.x_range, figure.x_scale, width), up = placeOn(figure.y_range, figure.y_scale, height);
  const at = (data, index) => [across(data.x[index]), height - up(data.y[index])];
  const taken = parts.flatMap((part) => Array.from(part.data_source.data.x, (_, index) => {
    const [x, y] = at(part.data_source.data, index);
    return [x - 6, y - 7, x + 6, y + 7];
  }));
  for (const part of parts) {
    const data = part.data_source.data, shown = [], align = [], aside = [], down = [];
    ruler.font = `bold ${part.name === "premodel-label" ? 12.5 : 12}px Helvetica, Arial, sans-serif`;
    for (let index = 0; index < data.x.length; index++) {
      const [x, y] = at(data, index), long = ruler.measureText(data.full[index]).width + 4;
      let best = null;
      for (const [side, dx, dy] of BESIDE) {
        const left = x + dx - { left: 0, right: long, center: long / 2 }[side];
        const box = [left, y + dy - 7, left + long, y + dy + 7];
        if (box[0] < 0 || box[2] > width || box[1] < 0 || box[3] > height) continue;
        if (taken.some((other) => overlap(box, other) > 0)) continue;
        best = [side, dx, dy];
        taken.push(box);
        break;
      }
      shown.push(best ? data.full[index] : "");
      align.push(best ? best[0] : "left");
      aside.push(best ? best[1] : 0);
      down.push(best ? best[2] : 0);
    }
    Object.assign(data, { label: shown, align, aside, down });
    part.data_source.change.emit();
  }
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
  placeNames(figure);
}

let printing = false;

function drawAll(inTheDark) {
  document.body.classList.toggle("drawn-dark", inTheDark);
  for (const id of Object.keys(ITEMS)) draw(id, inTheDark);
}

let resized = 0;
window.addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => Object.values(drawn).forEach(placeNames), 200);
});
document.addEventListener("change", (event) => {
  if (event.target.matches("input[data-group]")) show(event.target);
});
document.addEventListener("click", (event) => {
  if (event.target.matches("button[data-zoom]")) zoom(event.target);
});
dark.addEventListener("change", () => printing || drawAll(dark.matches));
window.addEventListener("afterprint", () => (printing = false));
window.addEventListener("beforeprint", () => {
  printing = true; // drawing anew takes longer than the printer waits: dark charts keep a dark ground
  for (const details of document.querySelectorAll("details")) details.open = true;
});
drawAll(dark.matches);

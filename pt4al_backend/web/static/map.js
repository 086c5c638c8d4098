// The map of a project's images. Fills <section class="map" data-source="ADDRESS"> from the JSON at that address, and
// does so again, without moving the view, when the section gets an event named "reload".
//
// The JSON has one list per column, each with an integer per image:
//
//   task          its id in Label Studio
//   x, y          its place, 0 to 65535; y grows downwards
//   class         a position in `classes`: its label or, without one, the predicted class; -1: neither
//   batch         0 to `batches` - 1; -1: the pool is not sorted
//   uncertainty   0 to 1000, from the lowest to the highest of `ranges.uncertainty`; -1: unknown
//   pretext_loss  the same, in `ranges.pretext_loss`
//   labelled      0 or 1
//
// and beside them `queue`, positions in these lists in serving order; `classes`, names; `batches`, a number; `ranges`,
// {"uncertainty": [low, high], "pretext_loss": [low, high]}; `link` and `thumbnail`, addresses in which {task} stands
// for the id. Without spaces, 50,000 images take 1.7 MB, with gzip 0.6.

import { MODES, has, painted } from "./map_colours.js";
import { Drawing, pixel } from "./map_drawing.js";
import { View, between, distance, inside } from "./map_view.js";

const STEP = 1.5; // of a key or a button that zooms
const REACH = 10; // CSS pixels from the pointer within which an image is meant
const STILL = 4; // CSS pixels that a click may move
const MOST_LISTED = 100;
const HINT =
  "Drag, or press the arrow keys, to move. Scroll, pinch, or press + and \u2212, to zoom; 0 shows the whole map. Click " +
  "an image to open its task. Press Lasso, or hold Shift, and draw around images to list them below; Enter lists all " +
  "that are in view.";

class ImageMap {
  constructor(section) {
    this.section = section;
    this.view = new View();
    this.selected = new Set(); // task ids
    this.pointers = new Map(); // id -> place
    this.under = -1; // the image under the pointer
    this.build();
    this.listen();
    this.load();
  }

  build() {
    const button = (words, label, onclick) => make("button", { type: "button", ariaLabel: label, onclick }, words);
    this.mode = make("select", {}, ...Object.entries(MODES).map(([value, words]) => make("option", { value }, words)));
    this.only = make("select", {});
    this.onlyLabel = make("label", {}, "Show ", this.only);
    this.lasso = button("Lasso", null, () => this.setLasso(this.lasso.ariaPressed === "false"));
    this.setLasso(false);
    const tools = [
      make("label", {}, "Colour ", this.mode),
      this.onlyLabel,
      this.lasso,
      button("List those in view", null, () => this.selectView()),
      button("+", "Zoom in", () => this.zoom(STEP)),
      button("\u2212", "Zoom out", () => this.zoom(1 / STEP)),
      button("Whole map", null, () => this.reset()),
    ];
    this.canvas = make("canvas", { tabIndex: 0, role: "application", ariaRoleDescription: "map" });
    this.canvas.ariaDescription = HINT;
    this.drawing = new Drawing(this.canvas);
    this.picture = make("img", { alt: "" });
    this.caption = make("figcaption", {});
    this.card = make("figure", { className: "map-card", hidden: true }, this.picture, this.caption);
    this.frame = make("div", { className: "map-frame" }, this.canvas, this.card);
    this.legend = make("ul", { className: "map-legend", ariaLabel: "Legend" });
    this.status = make("p", { role: "status" }, "The map is loading.");
    this.list = make("ol", { className: "map-list", ariaLabel: "Selected tasks" });
    const hint = make("p", { className: "soft" }, HINT);
    const bar = make("div", { className: "map-tools" }, ...tools);
    this.section.replaceChildren(bar, this.frame, this.legend, hint, this.status, this.list);
  }

  listen() {
    const on = (name, act) =>
      this.canvas.addEventListener(name, (event) => this.data && act(event), { passive: name !== "wheel" });
    on("wheel", (event) => this.onWheel(event));
    on("pointerdown", (event) => this.onDown(event));
    on("pointermove", (event) => this.onMove(event));
    on("pointerup", (event) => this.onUp(event));
    on("pointercancel", (event) => this.onUp(event));
    on("pointerleave", () => this.point(-1));
    this.canvas.addEventListener("keydown", (event) => this.data && this.onKey(event));
    for (const select of [this.mode, this.only]) select.addEventListener("change", () => this.paint());
    this.section.addEventListener("reload", () => this.load());
    new ResizeObserver(() => this.resize()).observe(this.frame);
    addEventListener("resize", () => this.resize()); // also when the density of the screen changes
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  async load() {
    try {
      const response = await fetch(this.section.dataset.source, { cache: "no-store" });
      if (!response.ok) throw new Error(`error ${response.status}`);
      this.show(await response.json());
    } catch (error) {
      this.status.textContent = `The map cannot be loaded (${error.message}). Reload the page to try again.`;
    }
  }

  show(data) {
    const [first, only] = [!this.data, this.only.value];
    this.data = data;
    this.points = { x: Uint16Array.from(data.x), y: Uint16Array.from(data.y) };
    this.turns = new Map(data.queue.map((image, turn) => [image, turn + 1]));
    const names = data.classes.map((name, value) => make("option", { value }, name));
    this.only.replaceChildren(make("option", { value: "" }, "the most frequent classes"), ...names);
    this.only.value = data.classes[only] === undefined ? "" : only;
    for (const option of this.mode.options) option.disabled = !has(data, option.value);
    if (first) this.mode.value = [...this.mode.options].find((option) => !option.disabled).value;
    this.point(-1);
    this.select(this.imagesWhere((image) => this.selected.has(data.task[image])));
    this.resize();
  }

  // Drawing

  resize() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    this.view.resize(width, height);
    this.drawing.resize(width, height);
    this.paint();
  }

  paint() {
    if (!this.data) return;
    const [mode, only, style] = [this.mode.value, this.only.value, getComputedStyle(this.section)];
    const colour = (name) => pixel(style.getPropertyValue(name));
    this.look = painted(this.data, mode, only === "" ? -1 : Number(only), colour);
    const ofWeight = (weight) => this.imagesWhere((image) => this.look.weights[image] === weight);
    this.order = Uint32Array.from([0, 1, 2].flatMap(ofWeight));
    [this.ink, this.inkPixel] = [style.getPropertyValue("--text"), colour("--text")];
    this.onlyLabel.hidden = mode !== "class";
    const counted = this.look.entries.map(([name, words, images]) => [name, `${words} (${images.toLocaleString()})`]);
    const swatch = (name) => make("span", { className: `map-swatch ${name}` });
    const rows = counted.map(([name, words]) => make("li", {}, swatch(name), words));
    if (this.look.note) rows.push(make("li", { className: "soft" }, this.look.note));
    this.legend.replaceChildren(...rows);
    this.canvas.ariaLabel =
      `${this.data.task.length.toLocaleString()} images, similar ones close together. ${MODES[mode]}: ` +
      counted.map(([, words]) => words).join(", ");
    this.draw();
  }

  draw() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      if (!this.look) return;
      this.drawing.points(this.points, this.look, this.order, this.chosen, this.inkPixel, this.view);
      this.drawing.lines(this.under < 0 ? null : this.at(this.under), this.path, this.ink);
    });
  }

  zoom(factor, place) {
    this.view.zoomBy(factor, place);
    this.draw();
  }

  move(right, down) {
    this.view.move(right, down);
    this.draw();
  }

  reset() {
    this.view.reset();
    this.draw();
  }

  // Pointers and keys

  onWheel(event) {
    const pixels = event.deltaY * (event.deltaMode ? 16 : 1);
    if (pixels > 0 && this.view.zoom === 1) return; // then the page scrolls
    event.preventDefault();
    this.zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002)), placeOf(event)); // with ctrlKey: a pinched touchpad
  }

  onDown(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, placeOf(event));
    const alone = this.pointers.size === 1;
    this.moved = alone ? 0 : Infinity;
    this.path = alone && (event.shiftKey || this.lasso.ariaPressed === "true") ? [placeOf(event)] : null;
  }

  onMove(event) {
    const [here, before] = [placeOf(event), this.pointers.get(event.pointerId)];
    if (!before) return this.point(this.nearest(here));
    const [other] = [...this.pointers.keys()].filter((id) => id !== event.pointerId).map((id) => this.pointers.get(id));
    this.pointers.set(event.pointerId, here);
    this.moved += distance(here, before);
    if (this.moved <= STILL) return;
    this.point(-1);
    if (this.path) this.path.push(here);
    else if (other) this.pinch([here, other], [before, other]);
    else this.move(here[0] - before[0], here[1] - before[1]);
    this.draw();
  }

  pinch(now, before) {
    const [[x, y], [fromX, fromY]] = [between(...now), between(...before)];
    this.move(x - fromX, y - fromY);
    this.zoom(Math.max(distance(...now), 1) / Math.max(distance(...before), 1), [x, y]);
  }

  onUp(event) {
    const { path } = this;
    if (!this.pointers.delete(event.pointerId)) return;
    this.path = null;
    if (event.type === "pointercancel") this.draw();
    else if (this.moved <= STILL) this.click(this.nearest(placeOf(event)), event.pointerType === "touch");
    else if (path) {
      this.setLasso(false);
      this.select(this.imagesWhere((image) => inside(this.at(image), path)));
    }
  }

  // A finger shows an image first, and opens it when it touches it again.
  click(image, touched) {
    const opens = image >= 0 && (!touched || image === this.under);
    this.point(image);
    if (opens) open(this.link(image), "_blank", "noopener,noreferrer");
  }

  onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const step = this.view.height / 8;
    const acts = {
      "+": () => this.zoom(STEP),
      "=": () => this.zoom(STEP),
      "-": () => this.zoom(1 / STEP),
      0: () => this.reset(),
      ArrowLeft: () => this.move(step, 0),
      ArrowRight: () => this.move(-step, 0),
      ArrowUp: () => this.move(0, step),
      ArrowDown: () => this.move(0, -step),
      Enter: () => this.selectView(),
      Escape: () => this.select([]),
    };
    if (!Object.hasOwn(acts, event.key)) return;
    event.preventDefault();
    this.point(-1);
    acts[event.key]();
  }

  // Images: positions in the columns

  imagesWhere(holds) {
    return Array.from(this.data.task.keys()).filter(holds);
  }

  at(image) {
    return this.view.placing()(this.points.x[image], this.points.y[image]);
  }

  nearest([right, below]) {
    const [placing, { x, y }] = [this.view.placing(), this.points];
    let [found, least] = [-1, REACH];
    for (let image = 0; image < x.length; image++) {
      const far = distance(placing(x[image], y[image]), [right, below]);
      if (far < least) [found, least] = [image, far];
    }
    return found;
  }

  // Shows what is under the pointer; -1: nothing.
  point(image) {
    if (image === this.under) return;
    this.under = image;
    this.card.hidden = image < 0;
    this.canvas.classList.toggle("map-over", image >= 0);
    if (image >= 0) {
      this.picture.src = this.thumbnail(image);
      this.caption.textContent = `Task ${this.data.task[image]}: ${this.words(image)}`;
      const [[x, y], { offsetWidth: width, offsetHeight: height }] = [this.at(image), this.card];
      const left = Math.max(Math.min(x - width / 2, this.view.width - width), 0);
      this.card.style.translate = `${left}px ${y > height + 12 ? y - height - 12 : y + 12}px`;
    }
    this.draw();
  }

  words(image) {
    const { data } = this;
    const [name, labelled] = [data.classes[data.class[image]], data.labelled[image]];
    const known = [labelled ? name ?? "labelled" : name ? `${name} (predicted)` : "not labelled"];
    for (const [measure, [low, high]] of Object.entries(data.ranges)) {
      const value = low + ((high - low) * data[measure][image]) / 1000;
      if (data[measure][image] >= 0) known.push(`${MODES[measure].toLowerCase()} ${value.toPrecision(2)}`);
    }
    if (data.batch[image] >= 0) known.push(`batch ${data.batch[image] + 1}`);
    if (this.turns.has(image)) known.push(`number ${this.turns.get(image)} in the queue`);
    return known.join(", ");
  }

  link(image) {
    return this.data.link.replaceAll("{task}", this.data.task[image]);
  }

  thumbnail(image) {
    return this.data.thumbnail.replaceAll("{task}", this.data.task[image]);
  }

  // Selection

  setLasso(on) {
    this.lasso.ariaPressed = String(on);
  }

  selectView() {
    if (this.data) this.select(this.imagesWhere((image) => this.view.contains(this.at(image))));
  }

  select(images) {
    this.selected = new Set(images.map((image) => this.data.task[image]));
    this.chosen = new Uint8Array(this.data.task.length);
    for (const image of images) this.chosen[image] = 1;
    this.list.replaceChildren(...images.slice(0, MOST_LISTED).map((image) => this.item(image)));
    this.status.textContent = this.selectionWords(images.length);
    this.draw();
  }

  selectionWords(images) {
    if (!this.data.task.length) return "There is nothing to show yet: images appear here once they are embedded.";
    if (!images) return "No task is selected.";
    const all = images === 1 ? "1 task is selected" : `${images.toLocaleString()} tasks are selected`;
    return images > MOST_LISTED ? `${all}; these are the first ${MOST_LISTED}.` : `${all}.`;
  }

  item(image) {
    const picture = make("img", { loading: "lazy", alt: "", src: this.thumbnail(image) });
    const link = { href: this.link(image), target: "_blank", rel: "noopener noreferrer" };
    const words = make("span", { className: "soft" }, this.words(image));
    return make("li", {}, make("a", link, picture, `Task ${this.data.task[image]}`), words);
  }
}

function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function placeOf(event) {
  return [event.offsetX, event.offsetY];
}

for (const section of document.querySelectorAll("section.map")) new ImageMap(section);

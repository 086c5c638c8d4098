// What each image of the map is drawn with, and what the legend says. Colours are those of map.css.

export const MODES = {
  class: "Class",
  batch: "Batch",
  uncertainty: "Uncertainty",
  pretext_loss: "Pretext loss",
  labelled: "Labelled or not",
  queue: "Place in the queue",
};

const CATEGORIES = 8; // --map-1 to --map-8
const RAMP = ["--map-low", "--map-middle", "--map-high"];
const SHADES = 256;
const STEPS = 1000; // of uncertainty and pretext loss

// Whether there is anything to show in a mode.
export function has(data, mode) {
  if (mode === "labelled") return true;
  return mode === "queue" ? data.queue.length > 0 : data[mode].some((value) => value >= 0);
}

// `colour` gives the pixel for the name of a colour. Returns, for n images, their `colours` and `weights` (0: small
// and below the others, 1, 2: large and on top), and for the legend `entries`, [CSS class, words, images], and a `note`.
export function painted(data, mode, only, colour) {
  const n = data.task.length;
  const colours = new Uint32Array(n).fill(colour("--map-other"));
  const look = { colours, weights: new Uint8Array(n), entries: [], note: "" };
  if (mode === "class") byClass(look, data, only, colour);
  else if (mode === "labelled") byLabel(look, data, colour);
  else onScale(look, data, mode, colour);
  const others = n - look.entries.reduce((sum, [, , images]) => sum + images, 0);
  if (others) look.entries.push(["map-other", otherWords(mode, only), others]);
  return look;
}

function otherWords(mode, only) {
  if (mode === "class") return only < 0 ? "other classes, or none" : "all others";
  return { labelled: "not labelled", queue: "not in the queue" }[mode] ?? "not known yet";
}

function byClass(look, data, only, colour) {
  const images = data.classes.map(() => 0);
  for (const name of data.class) if (name >= 0) images[name]++;
  const largest = data.classes.map((_, name) => name).sort((a, b) => images[b] - images[a]);
  const shown = only < 0 ? largest.slice(0, CATEGORIES) : [only];
  const pixels = new Map(shown.map((name, place) => [name, colour(`--map-${place + 1}`)]));
  data.class.forEach((name, image) => {
    if (pixels.has(name)) paint(look, image, pixels.get(name), 1 + data.labelled[image]);
  });
  look.entries = shown.map((name, place) => [`map-${place + 1}`, data.classes[name], images[name]]);
  look.note = "Large: labelled. Small: predicted.";
}

function byLabel(look, data, colour) {
  const pixel = colour("--map-1");
  data.labelled.forEach((labelled, image) => labelled && paint(look, image, pixel, 2));
  look.entries = [["map-1", "labelled", data.labelled.reduce((sum, labelled) => sum + labelled, 0)]];
}

function onScale(look, data, mode, colour) {
  const shades = ramp(RAMP.map(colour));
  const [places, low, high] = { batch: batches, queue: queue }[mode]?.(data) ?? ranks(data, mode);
  let known = 0;
  places.forEach((place, image) => {
    if (place < 0) return;
    paint(look, image, shades[Math.round((SHADES - 1) * place)], mode === "queue" ? 2 : 1);
    known++;
  });
  look.entries = [["map-ramp", `${low} to ${high}`, known]];
  if (mode in data.ranges) look.note = "Every shade has as many images.";
}

function paint(look, image, pixel, weight) {
  look.colours[image] = pixel;
  look.weights[image] = weight;
}

// Each of the following returns the images' places on the scale, 0 to 1 or -1 for none, and words for its two ends.

function batches(data) {
  const last = Math.max(data.batches - 1, 1);
  return [data.batch.map((batch) => (batch < 0 ? -1 : batch / last)), "batch 1", `batch ${data.batches}`];
}

function queue(data) {
  const places = new Float32Array(data.task.length).fill(-1);
  data.queue.forEach((image, place) => (places[image] = 1 - place / data.queue.length));
  return [places, "last", "next"];
}

// By rank, as most values are close together.
function ranks(data, measure) {
  const below = new Float64Array(STEPS + 2);
  for (const value of data[measure]) if (value >= 0) below[value + 1]++;
  for (let value = 1; value < below.length; value++) below[value] += below[value - 1];
  const all = below[STEPS + 1];
  const places = data[measure].map((value) => (value < 0 ? -1 : (below[value] + below[value + 1]) / 2 / all));
  return [places, ...data.ranges[measure].map((end) => end.toPrecision(2))];
}

// From three pixels to shades between them.
function ramp(ends) {
  const channel = (pixel, shift) => (pixel >>> shift) & 255;
  return Uint32Array.from({ length: SHADES }, (_, shade) => {
    const at = (shade / (SHADES - 1)) * (ends.length - 1);
    const from = Math.min(Math.floor(at), ends.length - 2);
    const mixed = [0, 8, 16, 24].map((shift) => {
      const [a, b] = [channel(ends[from], shift), channel(ends[from + 1], shift)];
      return Math.round(a + (b - a) * (at - from)) << shift;
    });
    return mixed.reduce((pixel, part) => pixel | part) >>> 0;
  });
}

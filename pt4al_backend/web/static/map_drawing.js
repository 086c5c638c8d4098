// Draws the images as discs, pixel by pixel: 50,000 of them take a few milliseconds without a graphics card.

const MOST_PIXELS = 4e6; // of the canvas: on larger ones it is coarser than the screen
const SIZES = [0.8, 1, 1.5]; // by weight
const RING = 2; // CSS pixels around images that are chosen

export class Drawing {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  resize(width, height) {
    this.density = Math.min(devicePixelRatio, Math.sqrt(MOST_PIXELS / Math.max(width * height, 1)));
    this.canvas.width = Math.max(Math.round(width * this.density), 1);
    this.canvas.height = Math.max(Math.round(height * this.density), 1);
    this.pixels = this.context.createImageData(this.canvas.width, this.canvas.height);
    this.buffer = new Uint32Array(this.pixels.data.buffer);
  }

  // Of n images their places, their colours and weights, and the order in which they are drawn; those of which `chosen`
  // is 1 get a ring in the colour `ink`.
  points({ x, y }, { colours, weights }, order, chosen, ink, view) {
    const { buffer, density } = this;
    const { width, height } = this.canvas;
    this.radius = density * Math.min(Math.max(120 / Math.sqrt(x.length), 1.2) * view.zoom ** 0.3, 6);
    const discs = SIZES.map((size) => disc(size * this.radius, width));
    const rings = SIZES.map((size) => disc(size * this.radius + RING * density, width));
    const margin = Math.ceil(SIZES.at(-1) * this.radius + RING * density);
    const [across, down] = view.scale.map((scale) => scale * density);
    const [left, top] = [width / 2 - view.x * across, height / 2 - view.y * down];
    buffer.fill(0);
    for (const image of order) {
      const right = Math.round(x[image] * across + left);
      const below = Math.round(y[image] * down + top);
      if (right < margin || below < margin || right >= width - margin || below >= height - margin) continue;
      const centre = below * width + right;
      if (chosen[image]) for (const step of rings[weights[image]]) buffer[centre + step] = ink;
      for (const step of discs[weights[image]]) buffer[centre + step] = colours[image];
    }
    this.context.putImageData(this.pixels, 0, 0);
  }

  // Around a place, and along a path, both in CSS pixels; either may be null.
  lines(place, path, colour) {
    const { context, density } = this;
    context.setTransform(density, 0, 0, density, 0, 0);
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.beginPath();
    if (place) context.arc(...place, (SIZES.at(-1) * this.radius) / density + RING, 0, 2 * Math.PI);
    path?.forEach((corner, number) => (number ? context.lineTo(...corner) : context.moveTo(...corner)));
    context.stroke();
  }
}

// "#rrggbb" as canvases store it on every processor that browsers run on.
export function pixel(colour) {
  const [red, green, blue] = colour.match(/[0-9a-f]{2}/gi).map((digits) => parseInt(digits, 16));
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

// The steps from a pixel to those of a disc around it, in a picture of that width.
function disc(radius, width) {
  const steps = [];
  const most = Math.floor(radius);
  for (let down = -most; down <= most; down++) {
    for (let right = -most; right <= most; right++) {
      if (right * right + down * down <= radius * radius) steps.push(down * width + right);
    }
  }
  return Int32Array.from(steps);
}

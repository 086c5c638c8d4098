// Which part of the map is in view. Places on the page are [x, y] in CSS pixels from the canvas's corner.

export const SIDE = 65535; // of the map
const DEEPEST = 200; // how far one can zoom in
const FILLED = 0.94; // of the canvas, by the whole map

export class View {
  constructor() {
    this.resize(1, 1);
    this.reset();
  }

  resize(width, height) {
    [this.width, this.height] = [width, height];
  }

  reset() {
    [this.x, this.y, this.zoom] = [SIDE / 2, SIDE / 2, 1];
  }

  // CSS pixels per unit, across and down. A wide canvas is filled by up to twice as many across as down.
  get scale() {
    const [across, down] = [this.width, this.height].map((length) => (FILLED * length * this.zoom) / SIDE);
    return [Math.min(across, 2 * down), Math.min(down, 2 * across)];
  }

  // A function from places on the map to places on the page.
  placing() {
    const [across, down] = this.scale;
    const [left, top] = [this.width / 2 - this.x * across, this.height / 2 - this.y * down];
    return (x, y) => [x * across + left, y * down + top];
  }

  contains([x, y]) {
    return x >= 0 && y >= 0 && x < this.width && y < this.height;
  }

  // By CSS pixels. The map cannot be lost from sight.
  move(right, down) {
    const [perUnitAcross, perUnitDown] = this.scale;
    const within = (place) => Math.min(Math.max(place, 0), SIDE);
    this.x = within(this.x - right / perUnitAcross);
    this.y = within(this.y - down / perUnitDown);
  }

  // What is at this place stays there.
  zoomBy(factor, [x, y] = [this.width / 2, this.height / 2]) {
    const zoom = Math.min(Math.max(this.zoom * factor, 1), DEEPEST);
    const kept = 1 - zoom / this.zoom;
    this.zoom = zoom;
    this.move((x - this.width / 2) * kept, (y - this.height / 2) * kept);
  }
}

export function distance([x, y], [otherX, otherY]) {
  return Math.hypot(x - otherX, y - otherY);
}

export function between([x, y], [otherX, otherY]) {
  return [(x + otherX) / 2, (y + otherY) / 2];
}

// Whether a ray to the right crosses the closed path an odd number of times.
export function inside([x, y], path) {
  let odd = false;
  path.forEach(([toX, toY], corner) => {
    const [fromX, fromY] = path.at(corner - 1);
    if (toY > y !== fromY > y && x < toX + ((fromX - toX) * (y - toY)) / (fromY - toY)) odd = !odd;
  });
  return odd;
}

// The graph: stacked areas over time, in which a window is chosen by mouse, finger or keys.

const COLORS = 12;
const given = new Map();

/** The color of a line: the same as long as the page is there, whatever its rank. */
function colorOf(line) {
  if (line.name === null) return "var(--rest)";
  if (!given.has(line.key)) {
    // A color that no line beside it has, if there is one left.
    const beside = new Set(line.beside.filter((key) => given.has(key)).map((key) => given.get(key)));
    let color = 0;
    while (beside.has(color) && color < COLORS - 1) color += 1;
    given.set(line.key, color);
  }
  return `var(--s${given.get(line.key)})`;
}

/** Steps for an axis: 1, 2 or 5 times a power of ten. */
function niceStep(greatest, count) {
  const raw = greatest / count;
  const power = 10 ** Math.floor(Math.log10(raw || 1));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= raw) || raw;
}

/** Times at which an axis is marked, and how they are written. */
function timeMarks(from, to, count) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000, 7776000, 31536000];
  const step = steps.find((candidate) => (to - from) / candidate <= count) || steps[steps.length - 1];
  const marks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    const text = time(at);
    const isMidnight = at % 86400 === 0;
    marks.push([at, isMidnight ? text.slice(5, 10) : step < 60 ? text.slice(11) : text.slice(11, 16)]);
  }
  return marks;
}

class Chart {
  constructor(element, { onread, onchoose, onback, onzoom }) {
    Object.assign(this, { element, onread, onchoose, onback, onzoom });
    this.data = null;
    this.cursor = null;
    this.anchor = null;
    this.dim = null;
    new ResizeObserver(() => this.render()).observe(element);
    element.addEventListener("pointerdown", (event) => this.down(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    element.addEventListener("pointerup", (event) => this.up(event));
    element.addEventListener("pointercancel", () => this.clear());
    element.addEventListener("pointerleave", () => { if (!this.isDrawing) { this.cursor = null; this.mark(); } });
    element.addEventListener("keydown", (event) => this.key(event));
  }

  /** data: first, bin, bins, lines [{name, values}], unit; values are rates. */
  show(data) {
    this.data = data;
    this.clear();
    this.render();
  }

  clear() {
    this.anchor = null;
    this.cursor = null;
    this.isDrawing = false;
    this.mark();
  }

  get frame() {
    const { width, height } = this.element.getBoundingClientRect();
    return { width, height, left: 58, right: 8, top: 10, bottom: 24 };
  }

  x(bin) {
    const { width, left, right } = this.frame;
    return left + (bin / this.data.bins) * (width - left - right);
  }

  binAt(clientX) {
    const { width, left, right } = this.frame;
    const at = (clientX - this.element.getBoundingClientRect().left - left) / (width - left - right);
    return Math.min(this.data.bins - 1, Math.max(0, Math.floor(at * this.data.bins)));
  }

  render() {
    const { data } = this;
    const { width, height, left, right, top, bottom } = this.frame;
    if (!data || width < 50) return;
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": true });
    const sums = Array.from({ length: data.bins }, (_, bin) => data.lines.reduce((sum, line) => sum + line.values[bin], 0));
    const step = niceStep(Math.max(...sums, 1e-9), height / 60);
    const greatest = Math.max(step, Math.ceil(Math.max(...sums) / step) * step);
    const y = (value) => top + (1 - value / greatest) * (height - top - bottom);
    for (let value = 0; value <= greatest * 1.0001; value += step) {
      svg.append(
        draw("line", { class: value === 0 ? "rule zero" : "rule", x1: left, x2: width - right, y1: y(value), y2: y(value) }),
        draw("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, scaled(value)),
      );
    }
    const end = data.first + data.bin * data.bins;
    for (const [at, text] of timeMarks(data.first, end, width / 90)) {
      const place = this.x((at - data.first) / data.bin);
      svg.append(draw("line", { class: "rule", x1: place, x2: place, y1: height - bottom, y2: height - bottom + 4 }));
      if (place > left + 8 && place < width - 22) {
        svg.append(draw("text", { x: place, y: height - 6, "text-anchor": "middle" }, text));
      }
    }
    const below = new Array(data.bins).fill(0);
    data.lines.forEach((line, place) => {
      let up = "";
      let down = "";
      for (let bin = 0; bin < data.bins; bin += 1) {
        const [low, high] = [below[bin], below[bin] + line.values[bin]];
        const [from, to] = [this.x(bin).toFixed(1), this.x(bin + 1).toFixed(1)];
        up += `${bin ? "L" : "M"}${from} ${y(high).toFixed(1)}L${to} ${y(high).toFixed(1)}`;
        down = `L${to} ${y(low).toFixed(1)}L${from} ${y(low).toFixed(1)}${down}`;
        below[bin] = high;
      }
      const isDim = this.dim !== null && this.dim !== place;
      svg.append(draw("path", { class: isDim ? "area dim" : "area", d: `${up}${down}Z`, color: colorOf(line) }));
    });
    if (!data.lines.length) {
      svg.append(draw("text", { class: "nothing", x: (left + width) / 2, y: height / 2, "text-anchor": "middle" }, "No flows in this window"));
    }
    this.overlay = draw("g");
    svg.append(this.overlay);
    this.element.replaceChildren(svg);
    this.mark();
  }

  /** From the first bin chosen to the last, or null. */
  get chosen() {
    if (this.anchor === null || this.cursor === null) return null;
    return [Math.min(this.anchor, this.cursor), Math.max(this.anchor, this.cursor)];
  }

  /** Shows cursor and choice. */
  mark() {
    if (!this.data || !this.overlay) return;
    const { height, top, bottom } = this.frame;
    this.overlay.replaceChildren();
    const { chosen } = this;
    if (chosen) {
      const [from, to] = [this.x(chosen[0]), this.x(chosen[1] + 1)];
      this.overlay.append(draw("rect", { class: "chosen", x: from, width: to - from, y: top, height: height - top - bottom }));
    } else if (this.cursor !== null) {
      const at = this.x(this.cursor + 0.5);
      this.overlay.append(draw("line", { class: "cursor", x1: at, x2: at, y1: top, y2: height - bottom }));
    }
    this.onread(chosen || (this.cursor === null ? null : [this.cursor, this.cursor]));
  }

  choose() {
    const [first, last] = this.chosen || [this.cursor, this.cursor];
    const { data } = this;
    this.clear();
    if (first !== null) this.onchoose(data.first + first * data.bin, data.first + (last + 1) * data.bin);
  }

  down(event) {
    if (!this.data || event.button > 0) return;
    this.element.setPointerCapture(event.pointerId);
    this.isDrawing = true;
    this.began = event.clientX;
    this.anchor = this.cursor = this.binAt(event.clientX);
    this.mark();
  }

  move(event) {
    if (!this.data) return;
    const bin = this.binAt(event.clientX);
    if (bin === this.cursor && !this.isDrawing) return;
    this.cursor = bin;
    this.mark();
  }

  up(event) {
    if (!this.isDrawing) return;
    this.isDrawing = false;
    // A click is no choice.
    if (Math.abs(event.clientX - this.began) < 5) {
      this.anchor = null;
      this.mark();
    } else {
      this.choose();
    }
  }

  key(event) {
    if (!this.data || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.data.bins - 1;
    const far = Math.max(1, Math.round(this.data.bins / 20));
    const to = {
      ArrowLeft: () => this.cursor - 1, ArrowRight: () => this.cursor + 1,
      PageUp: () => this.cursor - far, PageDown: () => this.cursor + far,
      Home: () => 0, End: () => last,
    }[event.key];
    if (to) {
      if (this.cursor === null) this.cursor = event.key === "ArrowLeft" ? last + 1 : -1;
      if (!event.shiftKey) this.anchor = null;
      else if (this.anchor === null) this.anchor = Math.min(last, Math.max(0, this.cursor));
      this.cursor = Math.min(last, Math.max(0, to()));
      this.mark();
    } else if (event.key === "Enter" && this.cursor !== null) {
      this.choose();
    } else if (event.key === "Escape") {
      if (this.anchor === null && this.cursor === null) this.onback();
      else this.clear();
    } else if (event.key === "+" || event.key === "=") {
      this.onzoom(0.5);
    } else if (event.key === "-") {
      this.onzoom(2);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

/** A small graph of one line. */
function sparkline(values) {
  const greatest = Math.max(...values, 1e-9);
  const width = values.length || 1;
  let path = "M0 100";
  values.forEach((value, place) => {
    const y = (100 - (value / greatest) * 96).toFixed(1);
    path += `L${place} ${y}L${place + 1} ${y}`;
  });
  return draw("svg", { viewBox: `0 0 ${width} 100`, preserveAspectRatio: "none", role: "img", "aria-label": "over time" }, draw("path", { d: `${path}L${width} 100Z` }));
}

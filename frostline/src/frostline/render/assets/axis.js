// Where a moment lies, from 0 to 1. The knots are made by render/axis.py, which says why time is not drawn to scale; here they are only read.

class Axis {
  // `quiet`: stretches that are drawn much shorter than they were, from, until.
  constructor(times, places, zero, quiet = []) {
    Object.assign(this, { times, places, zero, quiet });
  }

  // Steps from knot to knot: microseconds from the picture's beginning, and thousand-millionths of its width.
  static shortened(knots) {
    const times = new Float64Array(knots.times.length);
    const places = new Float64Array(knots.places.length);
    let micros = 0;
    let parts = 0;
    knots.times.forEach((step, i) => { micros += step; times[i] = knots.begin + micros / 1e6; });
    knots.places.forEach((step, i) => { parts += step; places[i] = parts / 1e9; });
    return new Axis(times, places, knots.zero, knots.quiet);
  }

  static toScale(begin, end, zero) {
    return new Axis([begin, Math.max(end, begin + 1e-6)], [0, 1], zero);
  }

  place(at) { return Axis.between(this.times, this.places, at); }

  time(place) { return Axis.between(this.places, this.times, place); }

  // At most so many labels within a part of the axis: at equal steps where time is to scale; elsewhere, in each share of it, the roundest moment.
  ticks(from, to, most) {
    const [begin, end] = [this.time(from) - this.zero, this.time(to) - this.zero];
    if (Math.abs(this.place(this.zero + (begin + end) / 2) - (from + to) / 2) < 1e-9 * (to - from)) {
      const step = Axis.STEPS.filter((each) => (end - begin) / each <= most - 1).pop() || Axis.STEPS[0];
      const first = Math.ceil(begin / step - 1e-9);
      const count = Math.floor(end / step + 1e-9) - first + 1;
      return Array.from({ length: count }, (_, i) => ({ place: this.place(this.zero + (first + i) * step), text: Axis.label((first + i) * step, step) }));
    }
    const found = [];
    for (let share = 0; share < most; share += 1) {
      const low = this.time(from + (to - from) * share / most) - this.zero;
      const high = this.time(from + (to - from) * (share + 0.6) / most) - this.zero;
      const [step, seconds] = Axis.roundest(low, high);
      const text = Axis.label(seconds, step);
      if (!found.length || found[found.length - 1].text !== text) found.push({ place: this.place(this.zero + seconds), text });
    }
    return found;
  }

  static between(xs, ys, x) {
    const last = xs.length - 1;
    if (x <= xs[0]) return ys[0];
    if (x >= xs[last]) return ys[last];
    let low = 0;
    let high = last;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle; else high = middle;
    }
    return ys[low] + (ys[high] - ys[low]) * ((x - xs[low]) / (xs[high] - xs[low]));
  }

  static roundest(low, high) {
    for (const step of Axis.STEPS) {
      const multiple = Math.ceil(low / step - 1e-9) * step;
      if (multiple <= high) return [step, multiple];
    }
    return [Axis.STEPS[Axis.STEPS.length - 1], low];
  }

  static label(seconds, step) {
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    if (seconds < 60) return `${seconds.toFixed(digits)} s`;
    const minutes = Math.floor(seconds / 60);
    const tail = (seconds - minutes * 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
    if (minutes < 60) return `${minutes}:${tail}`;
    return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${tail}`;
  }
}

Axis.STEPS = [86400, 21600, 3600, 1800, 600, 300, 60, 30, 20, 10];
for (let exponent = 0; exponent > -7; exponent -= 1) Axis.STEPS.push(...[5, 2, 1].map((digit) => digit * 10 ** exponent));

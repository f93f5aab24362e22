// Numbers with units. `–` stands for a number that is not known (yet).

const DASH = "–";
const INTEGER = new Intl.NumberFormat("en");

function scaled(number, steps, factor) {
  let at = 0;
  let value = number;
  while (Math.abs(value) >= 999.5 && at < steps.length - 1) {
    value /= factor;
    at += 1;
  }
  const size = Math.abs(value);
  const digits = at === 0 && Number.isInteger(number) ? 0 : size >= 99.95 ? 0 : size >= 0.95 || size === 0 ? 1 : 2;
  const text = value.toFixed(digits);
  return [digits === 1 && size === 0 ? "0" : text, steps[at]];
}

function known(number) {
  return typeof number === "number" && Number.isFinite(number);
}

function unit(number, steps, suffix = "") {
  if (!known(number)) return DASH;
  const [text, step] = scaled(number, steps, 1000);
  return `${text}${step || suffix ? "\u00a0" : ""}${step}${suffix}`;
}

const COUNTS = ["", "k", "M", "G", "T"];
const BYTES = ["B", "kB", "MB", "GB", "TB", "PB"];

const format = {
  // 12,672
  count: (number) => (known(number) ? INTEGER.format(Math.round(number)) : DASH),
  // 12.7 k
  short: (number) => unit(number, COUNTS),
  // 1.2 k/s
  rate: (number) => (known(number) ? `${unit(number, COUNTS)}/s` : DASH),
  // 3.4 MB
  bytes: (number) => unit(number, BYTES),
  // 3.4 MB/s
  byteRate: (number) => (known(number) ? `${unit(number, BYTES)}/s` : DASH),
  // 38 %
  share: (number) => {
    if (!known(number)) return DASH;
    if (number < 0) return `−${format.share(-number)}`;
    const percent = 100 * number;
    if (percent === 0) return "0\u00a0%";
    if (percent < 0.1) return "<\u00a00.1\u00a0%";
    return `${percent >= 9.95 ? percent.toFixed(0) : percent.toFixed(1)}\u00a0%`;
  },
  // 640 ns
  time: (seconds) => {
    if (!known(seconds)) return DASH;
    if (seconds === 0) return "0\u00a0ns";
    for (const [step, size] of [["s", 1], ["ms", 1e-3], ["µs", 1e-6]]) {
      if (seconds >= 0.9995 * size) return `${trim(seconds / size)}\u00a0${step}`;
    }
    return `${trim(seconds * 1e9)}\u00a0ns`;
  },
  // 3 h 12 min
  span: (seconds) => {
    if (!known(seconds)) return DASH;
    const whole = Math.max(0, Math.round(seconds));
    const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const first = parts.findIndex(([, size]) => whole >= size);
    if (first < 0) return "0\u00a0s";
    const [name, size] = parts[first];
    const next = parts[first + 1];
    const rest = next ? Math.floor((whole % size) / next[1]) : 0;
    return `${Math.floor(whole / size)}\u00a0${name}${rest > 0 ? ` ${rest}\u00a0${next[0]}` : ""}`;
  },
  money: (amount, currency) => (known(amount) ? `${amount >= 1000 ? format.count(amount) : amount.toFixed(2)}\u00a0${currency}` : DASH),
  // 20:01:03, in local time
  clock: (iso) => {
    const at = new Date(iso);
    return Number.isNaN(at.getTime()) ? DASH : at.toLocaleTimeString("en-GB");
  },
  date: (iso) => {
    const at = new Date(iso);
    return Number.isNaN(at.getTime()) ? DASH : `${at.toLocaleDateString("en-CA")} ${at.toLocaleTimeString("en-GB")}`;
  },
  digest: (digest) => {
    const [, name, rest] = /^(sha256:)?(.*)$/.exec(digest || "");
    return rest ? `${name || ""}${rest.slice(0, 12)}…` : DASH;
  },
};

function trim(number) {
  return number >= 99.95 ? number.toFixed(0) : number >= 9.95 ? number.toFixed(0) : number.toFixed(1);
}

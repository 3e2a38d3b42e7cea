/* (seed, index) -> the same latents as cvae_sdk's, bit for bit, in a browser or in Node; sdk/SEEDS.md is the contract.

   Every step is one that ECMAScript and IEEE 754 round in one way: 32-bit integers, + - * / of float64, Math.fround.
   Math.sqrt is the processor's, exact in every engine, though the standard would let it be less. */

const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57];
const WEYL = [0x9e3779b9, 0xbb67ae85];
const MAX_64 = 2n ** 64n - 1n;

// AS 241's PPND16, from the constant term up: numerator, denominator.
const CENTER = [
  [3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946,
    45921.95393154987, 67265.7709270087, 33430.57558358813, 2509.0809287301227],
  [1.0, 42.31333070160091, 687.1870074920579, 5394.196021424751,
    21213.794301586597, 39307.89580009271, 28729.085735721943, 5226.495278852854],
];
const NEAR_TAIL = [
  [1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045,
    1.2704582524523684, 0.2417807251774506, 0.022723844989269184, 0.0007745450142783414],
  [1.0, 2.053191626637759, 1.6763848301838038, 0.6897673349851,
    0.14810397642748008, 0.015198666563616457, 0.0005475938084995345, 1.0507500716444169e-9],
];
const LOG_SERIES = Array.from({ length: 11 }, (_, k) => 1 / (2 * k + 1));

/** Latents of images first to first + count - 1 of a seed: a Float32Array of count * latentDim, image after image.
    seed and first are a BigInt, an integer, or its decimal digits, from 0 to 2^64 - 1; temperature is finite and at
    least 0; truncation is above 0, or null for none. Throws RangeError. */
export function standardNormalLatents(seed, first, count, latentDim, { temperature = 1, truncation = null } = {}) {
  const key = words(integer("seed", seed));
  const start = integer("first", first);
  const [images, width] = [size("count", count), size("latentDim", latentDim)];
  if (!(typeof temperature === "number" && temperature >= 0 && Math.fround(temperature) < Infinity)) {
    throw new RangeError(`temperature must be a finite number of at least 0, got ${temperature}`);
  }
  if (truncation !== null && !(typeof truncation === "number" && truncation > 0)) {
    throw new RangeError(`truncation must be a number above 0, or null, got ${truncation}`);
  }
  const mass = truncation === null ? 1 : centralMass(truncation);
  const scale = Math.fround(temperature);
  const blocks = Math.ceil(width / 4);
  const firstCounter = start * BigInt(blocks);
  const counter = [...words(firstCounter), ...words(firstCounter >> 64n)];
  const latents = new Float32Array(images * width);
  for (let image = 0; image < images; image++) {
    for (let block = 0; block < blocks; block++) {
      const random = philox(counter, key);
      for (let k = 4 * block; k < Math.min(4 * block + 4, width); k++) {
        const u = (random[k & 3] + 0.5) * 2 ** -32;
        const z = inverseNormal(mass === 1 ? u : 0.5 + mass * (u - 0.5));
        latents[image * width + k] = Math.fround(z) * scale; // exact in float64, so that storing it rounds once
      }
      increment(counter);
    }
  }
  return latents;
}

/** Philox4x32-10 (Salmon et al. 2011): four words of 32 bits from a counter of four and a key of two, low words first. */
export function philox([c0, c1, c2, c3], [key0, key1]) {
  for (let round = 0; round < 10; round++) {
    const high0 = high(MULTIPLIERS[0], c0);
    const high1 = high(MULTIPLIERS[1], c2);
    const low0 = Math.imul(MULTIPLIERS[0], c0) >>> 0;
    const low1 = Math.imul(MULTIPLIERS[1], c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ key0) >>> 0, low1, (high0 ^ c3 ^ key1) >>> 0, low0];
    key0 = (key0 + WEYL[0]) >>> 0;
    key1 = (key1 + WEYL[1]) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** P(|Z| <= t) of a standard normal Z, for t > 0: cvae_sdk/truncation.py. */
export function centralMass(t) {
  if (t >= 8.5) return 1;
  const q = t * t;
  const halfQ = q / 2;
  let e = 1;
  for (let k = 140; k > 0; k--) e = 1 + (e * halfQ) / k;
  if (t < 3) {
    let s = 1;
    for (let k = 40; k > 0; k--) s = 1 + (s * q) / (2 * k + 1);
    return (0.7978845608028654 * (t * s)) / e;
  }
  let fraction = t;
  for (let k = 60; k > 0; k--) fraction = t + k / fraction;
  return 1 - 0.7978845608028654 / (e * fraction);
}

function inverseNormal(u) {
  const q = u - 0.5;
  if (Math.abs(q) <= 0.425) return q * rational(CENTER, 0.180625 - q * q);
  const r = Math.sqrt(-log(Math.min(u, 1 - u))) - 1.6;
  return q < 0 ? -rational(NEAR_TAIL, r) : rational(NEAR_TAIL, r);
}

function rational([numerator, denominator], x) {
  return horner(numerator, x) / horner(denominator, x);
}

function horner(coefficients, x) {
  let value = coefficients[coefficients.length - 1];
  for (let k = coefficients.length - 2; k >= 0; k--) value = value * x + coefficients[k];
  return value;
}

/* The natural logarithm of x in (0, 1/2]: x = m 2^e, sqrt(1/2) <= m < sqrt(2), and log m = 2 atanh((m - 1) / (m + 1)). */
function log(x) {
  let [m, e] = [x, 0];
  while (m < 0.7071067811865476) [m, e] = [2 * m, e - 1];
  const s = (m - 1) / (m + 1);
  return e * 0.6931471805599453 + 2 * (s * horner(LOG_SERIES, s * s));
}

/* The upper 32 bits of a * b, by halves of 16 bits: no product or sum here reaches 2^53. */
function high(a, b) {
  const [a1, a0, b1, b0] = [a >>> 16, a & 0xffff, b >>> 16, b & 0xffff];
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  return (a1 * b1 + Math.floor(middle / 65536) + Math.floor(((middle % 65536) + a0 * b1) / 65536)) >>> 0;
}

function increment(counter) {
  for (let i = 0; i < 4; i++) {
    counter[i] = (counter[i] + 1) >>> 0;
    if (counter[i] !== 0) return;
  }
}

function words(number) {
  return [Number(number & 0xffffffffn), Number((number >> 32n) & 0xffffffffn)];
}

function integer(name, value) {
  const digits = typeof value === "string" && /^\d{1,20}$/.test(value);
  const exact = typeof value === "bigint" || Number.isSafeInteger(value) || digits;
  if (!exact || BigInt(value) < 0n || BigInt(value) > MAX_64) {
    throw new RangeError(`${name} must be an integer from 0 to 2^64 - 1, got ${String(value)}`);
  }
  return BigInt(value);
}

function size(name, value) {
  if (!Number.isSafeInteger(value) || value < (name === "count" ? 0 : 1)) {
    throw new RangeError(`${name} must be an integer of at least ${name === "count" ? 0 : 1}, got ${String(value)}`);
  }
  return value;
}

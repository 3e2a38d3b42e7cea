/* The page: what its controls say is made into latents and class weights, and what the model makes of them is shown. */

import { choice, of, slider, tell } from "./controls.mjs";
import { standardNormalLatents } from "./latents.mjs";
import { PageError, openModel, readManifest } from "./model.mjs";
import { paint, save } from "./pictures.mjs";
import { pythonLine, pythonProgram } from "./python_line.mjs";

const OFF = 4.1; // the truncation slider's right end
const SAMPLES = 16;
const STRIP = 9; // images of the way from class to class
const LATER = 80; // milliseconds of rest before what is beside the image is drawn

let manifest, model;
// What is drawn: class weights and latents, both float32, and where the latents came from.
const state = { weights: null, z: null, seed: "0", index: 0, temperature: 1, truncation: null, dragged: false };
let playing = null;

function fail(error) {
  const sentence = error instanceof PageError || error instanceof RangeError;
  of("error").textContent = sentence ? error.message : `The page failed: ${error.message}`;
  of("error").hidden = false;
}

// Drawing: the image at once, the rest after a moment without a change

let wanted = false;
let drawing = false;
let rest = null;

/** Draws what the state says by then, at most one image at a time. */
function drawSoon() {
  wanted = true;
  clearTimeout(rest);
  rest = setTimeout(drawRest, LATER);
  if (!drawing) requestAnimationFrame(drawImage);
  drawing = true;
}

async function drawImage() {
  wanted = false;
  try {
    paint(of("image"), await model.mix(state.z.slice(), state.weights.slice()), manifest.image_shape);
    if (of("main").hidden) begin();
    of("image").dispatchEvent(new Event("drawn"));
    of("python").textContent = pythonLine(manifest, state);
  } catch (error) {
    fail(error);
  }
  drawing = wanted;
  if (wanted) requestAnimationFrame(drawImage);
}

function begin() {
  of("main").hidden = of("foot").hidden = false;
  performance.mark("first-image");
}

async function drawRest() {
  try {
    const [height, width] = manifest.image_shape;
    of("status").textContent = described();
    of("image").setAttribute("aria-label", `${manifest.name}, ${described()}, ${width} by ${height} pixels`);
    const classes = manifest.classes.length;
    await drawEach("classes", repeat(state.z, classes), oneHots(classes));
    const z = latents(0, SAMPLES);
    if (state.dragged) z.set(state.z, state.index * manifest.latent_dim);
    await drawEach("samples", z, repeat(state.weights, SAMPLES));
    const way = Array.from({ length: STRIP }, (_, i) => [...between(i / (STRIP - 1))]).flat();
    paint(of("strip"), await model.mix(repeat(state.z, STRIP), Float32Array.from(way)), manifest.image_shape, STRIP);
    of("strip").setAttribute("aria-label", `The way from ${chosen("from")} to ${chosen("to")} in ${STRIP} images`);
  } catch (error) {
    fail(error);
  }
}

async function drawEach(group, z, weights) {
  const levels = await model.mix(z, weights);
  const canvases = of(group).querySelectorAll("canvas");
  const size = levels.length / canvases.length;
  canvases.forEach((canvas, i) => paint(canvas, levels.subarray(i * size, (i + 1) * size), manifest.image_shape));
}

function described() {
  const some = [...state.weights.keys()].filter((k) => state.weights[k] > 0);
  const share = (k) => (some.length > 1 ? `${percent(state.weights[k])} ` : "Class ");
  const called = some.map((k) => share(k) + manifest.classes[k]).join(", ");
  return state.dragged ? `${called}, latents of your own` : `${called}, image ${state.index} of seed ${state.seed}`;
}

const percent = (weight) => `${Number((100 * weight).toFixed(1))} %`;

// The state, and what changes it

function latents(first, count) {
  const { seed, temperature, truncation } = state;
  return standardNormalLatents(seed, first, count, manifest.latent_dim, { temperature, truncation });
}

/** Takes the seed's latents again, whatever was dragged. */
function takeLatents() {
  try {
    state.z = latents(state.index, 1);
  } catch (error) {
    of("seed").setAttribute("aria-invalid", "true");
    return fail(error);
  }
  of("seed").removeAttribute("aria-invalid");
  of("error").hidden = true;
  state.dragged = false;
  of("reset").disabled = true;
  state.z.forEach((value, k) => {
    of(`latent-${k}`).value = value;
    tell(of(`latent-${k}`), value.toFixed(2));
  });
  drawSoon();
}

function dragLatent(k, value) {
  state.z[k] = value;
  state.dragged = true;
  of("reset").disabled = false;
  tell(of(`latent-${k}`), value.toFixed(2));
  drawSoon();
}

/** Takes class weights, or shares that are made to sum to 1, and shows them by all controls. */
function setWeights(shares) {
  const whole = shares.reduce((sum, share) => sum + share, 0);
  if (!(whole > 0)) return;
  state.weights = Float32Array.from(shares, (share) => share / whole);
  const one = state.weights.indexOf(1);
  of("classes").querySelectorAll("input").forEach((input, k) => { input.checked = k === one; });
  state.weights.forEach((weight, k) => tell(of(`weight-${k}`), percent(weight)));
  drawSoon();
}

function showWeights() {
  state.weights.forEach((weight, k) => { of(`weight-${k}`).value = Math.round(100 * weight); });
}

function chooseClass(k) {
  stop();
  setWeights(oneHot(k));
  showWeights();
}

const oneHot = (k) => Array.from(manifest.classes, (_, j) => Number(j === k));
const oneHots = (n) => Float32Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0));
const chosen = (id) => manifest.classes[Number(of(id).value)];

function repeat(row, times) {
  const rows = new Float32Array(row.length * times);
  for (let i = 0; i < times; i++) rows.set(row, i * row.length);
  return rows;
}

/** Class weights on the way of the morph, 0 to 1. */
function between(way) {
  const [from, to] = [Number(of("from").value), Number(of("to").value)];
  const weights = oneHot(from).map((weight) => weight * (1 - way));
  weights[to] += way;
  return weights;
}

function morph() {
  setWeights(between(Number(of("morph").value) / 100));
  showWeights();
  tellMorph();
}

function tellMorph() {
  const way = Number(of("morph").value);
  of("morph").setAttribute("aria-valuetext", `${way} % of the way from ${chosen("from")} to ${chosen("to")}`);
}

function play() {
  of("play").textContent = "Stop";
  const started = performance.now();
  const step = (now) => {
    const way = ((now - started) / 2500) % 2; // there in 2.5 seconds, and back
    of("morph").value = Math.round(100 * (way < 1 ? way : 2 - way));
    morph();
    playing = requestAnimationFrame(step);
  };
  playing = requestAnimationFrame(step);
}

function stop() {
  if (playing === null) return;
  cancelAnimationFrame(playing);
  playing = null;
  of("play").textContent = "Play";
}

// The controls

function build() {
  const { classes, latent_dim, image_shape: [height, width], name, version } = manifest;
  document.title = `${name} · cvae in the browser`;
  of("name").textContent = name;
  of("about").textContent = `${classes.length} classes, ${latent_dim} latents, images of ${width} × ${height} pixels, version ${version}.`;
  of("runtime").textContent = model.runtime;
  of("classes").append(...classes.map((text, k) => choice("class", k, text, true, chooseClass)));
  of("weights").append(...classes.map((text, k) => slider(`weight-${k}`, text, { min: 0, max: 100, value: 0 }, mix)));
  of("weights").classList.toggle("named", classes.some((text) => text.length > 3));
  of("samples").append(...Array.from({ length: SAMPLES }, (_, i) => choice("sample", i, `Image ${i}`, false, chooseImage)));
  const range = { min: -4, max: 4, step: 0.01 };
  of("latents").append(
    ...Array.from({ length: latent_dim }, (_, k) => slider(`latent-${k}`, `z${k}`, range, (value) => dragLatent(k, value))),
  );
  for (const [id, k] of Object.entries({ from: 0, to: classes.length - 1 })) {
    of(id).append(...classes.map((text, j) => new Option(text, j, false, j === k)));
    of(id).addEventListener("change", () => { stop(); of("morph").value = 0; morph(); });
  }
  for (const canvas of of("main").querySelectorAll("canvas")) Object.assign(canvas, { width, height }); // or all would jump later
  of("strip").width = STRIP * width;
  listen();
  of("sample-0").checked = true;
  takeNoise();
  chooseClass(0);
  tellMorph();
}

function mix() {
  stop();
  setWeights([...of("weights").querySelectorAll("input")].map((input) => Number(input.value)));
}

function chooseImage(index) {
  state.index = index;
  takeLatents();
}

function takeNoise() {
  const truncation = Number(of("truncation").value);
  state.seed = of("seed").value.trim();
  state.temperature = Number(of("temperature").value);
  state.truncation = truncation < OFF ? truncation : null;
  tell(of("temperature"), state.temperature.toFixed(2));
  tell(of("truncation"), state.truncation === null ? "none" : `${truncation.toFixed(1)} σ`);
  takeLatents();
}

function listen() {
  of("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["seed", "temperature", "truncation"]) of(id).addEventListener("input", takeNoise);
  of("new-seed").addEventListener("click", () => {
    of("seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
    takeNoise();
  });
  of("reset").addEventListener("click", takeLatents);
  of("morph").addEventListener("input", () => { stop(); morph(); });
  of("play").addEventListener("click", () => (playing === null ? play() : stop()));
  of("save").addEventListener("click", () => save(of("image"), `${manifest.name}-${described().replace(/[^\w.-]+/g, "-")}.png`));
  of("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(pythonProgram(of("python").textContent));
      of("copy").textContent = "Copied";
    } catch {
      of("copy").textContent = "Copy it by hand";
    }
    setTimeout(() => { of("copy").textContent = "Copy Python line"; }, 1500);
  });
}

of("not-started").hidden = true;
try {
  of("about").textContent = "Loading the model";
  manifest = await readManifest();
  model = await openModel(manifest, new URLSearchParams(location.search).get("runtime"));
  build();
} catch (error) {
  of("about").hidden = true;
  fail(error);
}

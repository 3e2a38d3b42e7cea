// The page of `cvae serve`: what its controls say is asked of the server, and what comes is shown.

const of = (id) => document.getElementById(id);
const OFF = 4.1; // the truncation slider's right end

const info = await ask("v1/info").then((answer) => answer.json());
const plain = info.classes.every((name, i) => name === String(i)); // digits are called by their numbers
let z = []; // the latents of the first image

// What is drawn

function shares() {
  const values = [...of("weights").querySelectorAll("input")].map((input) => Number(input.value));
  const whole = values.reduce((sum, value) => sum + value, 0);
  return whole > 0 ? values.map((value) => value / whole) : null;
}

/** A class's number, or the shares of several. */
function label() {
  const weights = shares();
  const some = weights.flatMap((weight, i) => (weight > 0 ? [i] : []));
  return some.length === 1 ? some[0] : Object.fromEntries(some.map((i) => [info.classes[i], weights[i]]));
}

function noise() {
  const truncation = Number(of("truncation").value);
  const values = {};
  if (Number(of("temperature").value) !== 1) values.temperature = Number(of("temperature").value);
  if (truncation < OFF) values.truncation = truncation;
  return values;
}

/** JSON with the seed's digits as they are: JavaScript's numbers end at 2^53, seeds at 2^64. */
const withSeed = (values) => `${JSON.stringify(values).slice(0, -1)},"seed":${of("seed").value}}`;

const query = (values) => new URLSearchParams([...values, ["seed", of("seed").value]]).toString();

function python() {
  const chosen = label();
  const name = info.opened_as === null ? "" : JSON.stringify(info.opened_as);
  const first = typeof chosen !== "number" ? JSON.stringify(chosen).replaceAll(":", ": ").replaceAll(",", ", ")
    : plain ? String(chosen) : JSON.stringify(info.classes[chosen]);
  const rest = Object.entries({ n: of("n").value, seed: of("seed").value, ...noise() });
  return `Sampler(${name}).sample(${[first, ...rest.map(([key, value]) => `${key}=${value}`)].join(", ")})`;
}

// Asking

async function ask(address, options) {
  const answer = await fetch(address, options);
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({ error: { message: `the server answers ${answer.status}` } }));
  throw new Error(error.message);
}

const post = (address, body) => (signal) =>
  ask(address, { method: "POST", headers: { "Content-Type": "application/json" }, body, signal });

/** Shows pictures in one img, the newest asked for; one that is no longer wanted is not waited for. */
function painter(image) {
  let pending = null;
  return async (request, alt) => {
    pending?.abort();
    const mine = (pending = new AbortController());
    try {
      const blob = await request(mine.signal).then((answer) => answer.blob());
      if (mine !== pending) return false;
      const old = image.src;
      image.src = URL.createObjectURL(blob);
      image.alt = alt;
      image.hidden = false;
      await image.decode();
      if (old.startsWith("blob:")) URL.revokeObjectURL(old);
      of("error").hidden = true;
      return true;
    } catch (error) {
      if (error.name !== "AbortError" && error.name !== "EncodingError") fail(error);
      return false;
    }
  };
}

function fail(error) {
  of("error").textContent = error instanceof TypeError ? "The server does not answer: is cvae serve still running?" : error.message;
  of("error").hidden = false;
}

const paint = Object.fromEntries(["samples", "first", "grid", "morph"].map((id) => [id, painter(of(id))]));

function called() {
  const chosen = label();
  if (typeof chosen === "number") return `class ${info.classes[chosen]}`;
  return `${Object.entries(chosen).map(([name, share]) => `${Math.round(100 * share)} % ${name}`).join(", ")}`;
}

async function drawSamples() {
  const n = Number(of("n").value);
  const text = `${n} ${n === 1 ? "image" : "images"} of ${called()}, seed ${of("seed").value}`;
  of("python").textContent = python();
  if (await paint.samples(post("v1/sample", withSeed({ labels: label(), n, ...noise() })), text)) of("status").textContent = text;
}

async function drawFirst() {
  const chosen = label();
  const classes = typeof chosen === "number" ? { label: chosen } : { class_weights: [shares()] };
  await paint.first(post("v1/decode", JSON.stringify({ z: [z], ...classes, scale: 4 })), `An image of ${called()} with these latents`);
}

async function drawGrid() {
  const address = `v1/grid.png?${query([["n", of("grid-n").value], ...Object.entries(noise())])}`;
  await paint.grid((signal) => ask(address, { signal }), `A row of images for each of ${info.classes.join(", ")}`);
}

async function drawMorph() {
  const names = [...of("morph-classes").querySelectorAll("input:checked")].map((input) => info.classes[Number(input.value)]);
  const address = `v1/morph.gif?${query([...names.map((name) => ["label", name]), ["steps", of("steps").value], ["scale", 8]])}`;
  await paint.morph((signal) => ask(address, { signal }), `An animation through the classes ${names.join(", ")}`);
}

async function takeLatents() {
  try {
    const answer = await ask(`v1/latents?${query(Object.entries(noise()))}`).then((given) => given.json());
    z = answer.z[0];
    of("latents").querySelectorAll("input").forEach((input, i) => setSlider(input, z[i], z[i].toFixed(2)));
    await drawFirst();
  } catch (error) {
    fail(error);
  }
}

// Controls

function setSlider(input, value, text) {
  input.value = value;
  tell(input, text);
}

function tell(input, text) {
  input.setAttribute("aria-valuetext", text);
  of(`${input.id}-value`).textContent = text;
}

function slider(id, text, attributes) {
  const box = document.createElement("div");
  const name = Object.assign(document.createElement("label"), { htmlFor: id, textContent: text });
  const input = Object.assign(document.createElement("input"), { type: "range", id, ...attributes });
  const output = Object.assign(document.createElement("output"), { id: `${id}-value` });
  output.setAttribute("for", id);
  box.append(name, input, output);
  return box;
}

function choice(kind, id, value, text, checked) {
  const box = document.createElement("div");
  const input = Object.assign(document.createElement("input"), { type: kind, id, value, checked, name: id.replace(/-\d+$/, "") });
  box.append(input, Object.assign(document.createElement("label"), { htmlFor: id, textContent: text }));
  return box;
}

function showShares() {
  const weights = shares();
  of("weights").querySelectorAll("input").forEach((input, i) => tell(input, `${Math.round(100 * weights[i])} %`));
  const chosen = label();
  of("classes").querySelectorAll("input").forEach((input, i) => (input.checked = chosen === i));
}

let timer = null;
/** Soon, and once for what changes together. */
function soon(...drawings) {
  clearTimeout(timer);
  for (const drawing of drawings) soon.waiting.add(drawing);
  timer = setTimeout(() => {
    const waiting = [...soon.waiting];
    soon.waiting.clear();
    if (of("seed").checkValidity() && of("seed").value) for (const drawing of waiting) drawing();
  }, 40);
}
soon.waiting = new Set();

const all = () => soon(drawSamples, takeLatents, drawGrid);

info.classes.forEach((name, i) => {
  of("classes").append(choice("radio", `class-${i}`, i, name, i === 0));
  of("morph-classes").append(choice("checkbox", `morph-${i}`, i, name, i < 10));
  const row = slider(`weight-${i}`, name, { min: 0, max: 100, value: i === 0 ? 100 : 0 });
  of("weights").append(...row.childNodes);
});
for (let k = 0; k < info.latent_dim; k++) {
  of("latents").append(slider(`latent-${k}`, String(k), { min: -4, max: 4, step: 0.01, value: 0 }));
}

of("classes").addEventListener("change", (event) => {
  of("weights").querySelectorAll("input").forEach((input, i) => (input.value = i === Number(event.target.value) ? 100 : 0));
  showShares();
  soon(drawSamples, drawFirst);
});
of("weights").addEventListener("input", (event) => {
  if (shares() === null) event.target.value = 1;
  showShares();
  soon(drawSamples, drawFirst);
});
of("latents").addEventListener("input", (event) => {
  z[Number(event.target.id.slice("latent-".length))] = Number(event.target.value);
  tell(event.target, Number(event.target.value).toFixed(2));
  soon(drawFirst);
});
of("seed").addEventListener("input", all);
of("new-seed").addEventListener("click", () => {
  of("seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
  all();
});
const texts = {
  n: (value) => value,
  temperature: (value) => Number(value).toFixed(2),
  truncation: (value) => (Number(value) < OFF ? `${Number(value).toFixed(1)} σ` : "off"),
  "grid-n": (value) => value,
  steps: (value) => value,
};
const drawn = { n: [drawSamples], temperature: [drawSamples, takeLatents, drawGrid], "grid-n": [drawGrid], steps: [] };
drawn.truncation = drawn.temperature;
for (const [id, text] of Object.entries(texts)) {
  const show = () => tell(of(id), text(of(id).value));
  of(id).addEventListener("input", () => {
    show();
    soon(...drawn[id]);
  });
  show();
}
of("reset").addEventListener("click", takeLatents);
of("draw-morph").addEventListener("click", drawMorph);
of("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(of("python").textContent);
    of("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(of("python"));
    of("copy").textContent = "Selected: copy it";
  }
  setTimeout(() => (of("copy").textContent = "Copy Python line"), 2000);
});
of("controls").addEventListener("submit", (event) => event.preventDefault());

const [height, width] = info.image_shape;
document.title = `${info.name} · cvae preview`;
of("name").textContent = info.name;
of("about").textContent = `Version ${info.version}: ${info.classes.length} classes, ${info.latent_dim} latents, images of ${height} × ${width}. The same seed draws the same images everywhere.`;
showShares();
all();

/* The artifact's model: fetched, checked against the manifest's SHA-256, and only then opened by ONNX Runtime.

   mix(z, weights), float32 [n, latent_dim] and [n, classes] -> grey levels [n * height * width * channels], as the SDK's. */

const EXTENSIONS = {
  webgpu: { script: "ort.webgpu.min.mjs", loader: "ort-wasm-simd-threaded.asyncify" },
  wasm: { script: "ort.wasm.min.mjs", loader: "ort-wasm-simd-threaded" },
};

/** What went wrong, as a sentence for the person before the page. */
export class PageError extends Error {}

/** The artifact's description; PageError if the server does not give it. */
export async function readManifest() {
  const text = new TextDecoder().decode(await read("manifest.json"));
  try {
    return JSON.parse(text);
  } catch {
    throw new PageError("manifest.json is damaged: copy the page's folder to its server again.");
  }
}

/** A model for one batch at a time, the calls in their order: on the graphics card where the browser has WebGPU for it,
    else, or with `only` "wasm", by WebAssembly. PageError says what stands in the way. */
export async function openModel(manifest, only = null) {
  if (!globalThis.crypto?.subtle) {
    throw new PageError("This page can check its files only over https, or from this very machine: open it so.");
  }
  await checkWebAssembly();
  const model = readChecked("mix.onnx", manifest);
  model.catch(() => {}); // it is awaited below, perhaps after another failure
  let why = "";
  if (only !== "wasm" && (await hasWebGpu())) {
    try {
      return await open("webgpu", await model, manifest);
    } catch (error) {
      if (error instanceof PageError) throw error;
      why = `, since WebGPU failed: ${oneLine(error)}`;
    }
  }
  try {
    return await open("wasm", await model, manifest, why);
  } catch (error) {
    if (error instanceof PageError) throw error;
    throw new PageError(`ONNX Runtime cannot open the model: ${oneLine(error)}`);
  }
}

class Model {
  #ort;
  #session;
  #shape;
  #last = Promise.resolve();

  constructor(ort, session, manifest, runtime) {
    this.#ort = ort;
    this.#session = session;
    this.#shape = [manifest.latent_dim, manifest.classes.length];
    /** What it runs on, in words. */
    this.runtime = runtime;
  }

  /** The grey levels of a batch: a Uint8Array. */
  mix(z, weights) {
    const run = () => this.#run(z, weights);
    const mine = this.#last.then(run, run);
    this.#last = mine;
    return mine;
  }

  async #run(z, weights) {
    const n = z.length / this.#shape[0];
    const tensor = (data, width) => new this.#ort.Tensor("float32", data, [n, width]);
    const inputs = { z: tensor(z, this.#shape[0]), class_weights: tensor(weights, this.#shape[1]) };
    const { image } = await this.#session.run(inputs);
    const levels = toLevels(await image.getData());
    image.dispose();
    return levels;
  }
}

/** The grey level nearest to each pixel in [0, 1], by the SDK's float32 arithmetic. */
export function toLevels(pixels) {
  const levels = new Uint8Array(pixels.length);
  for (let i = 0; i < pixels.length; i++) levels[i] = Math.fround(Math.fround(pixels[i] * 255) + 0.5); // cut off to integers
  return levels;
}

async function open(kind, model, manifest, why = "") {
  const { script, loader } = EXTENSIONS[kind];
  const [ort, wasm] = await Promise.all([
    load(`onnxruntime/${script}`),
    readChecked(`onnxruntime/${loader}.wasm`, manifest),
  ]);
  Object.assign(ort.env.wasm, {
    numThreads: 1, // more need headers that a plain static server does not send
    wasmBinary: wasm,
    wasmPaths: { mjs: new URL(`onnxruntime/${loader}.mjs`, import.meta.url).href },
  });
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: [kind] });
  const opened = new Model(ort, session, manifest, (kind === "webgpu" ? "WebGPU" : "WebAssembly") + why);
  const [latents, classes] = [manifest.latent_dim, manifest.classes.length];
  await opened.mix(new Float32Array(latents), new Float32Array(classes).fill(1 / classes)); // compiles what it will run
  return opened;
}

async function load(path) {
  try {
    return await import(`./${path}`);
  } catch {
    throw new PageError(`${path} is missing from the page's server, or damaged: copy the page's folder there again.`);
  }
}

/** The bytes of a listed file, if they are the listed ones. */
async function readChecked(path, manifest) {
  const content = await read(path);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (sha256 !== manifest.files?.[path]?.sha256) {
    throw new PageError(`${path} is damaged, its SHA-256 is not the listed one: copy the page's folder to its server again.`);
  }
  return content;
}

async function read(path) {
  let answer;
  try {
    answer = await fetch(new URL(path, import.meta.url));
    if (answer.ok) return await answer.arrayBuffer();
  } catch {
    throw new PageError(`The page's server did not give ${path}: is it still running?`);
  }
  if (answer.status === 404) {
    throw new PageError(`${path} is missing from the page's server: copy the page's folder there again.`);
  }
  throw new PageError(`The page's server answers ${answer.status} for ${path}.`);
}

async function checkWebAssembly() {
  try {
    await WebAssembly.compile(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)); // the empty module
  } catch {
    throw new PageError(
      "This browser, or the page's server by its policy, allows no WebAssembly, which the model needs: allow it for this site,"
      + " or use another browser.",
    );
  }
}

async function hasWebGpu() {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
}

const oneLine = (error) => String(error?.message ?? error).split("\n")[0].slice(0, 200);

/* Runs a page's mix.onnx by the page's own ONNX Runtime, as node_session.py asks: node node_session.mjs MODEL RUNTIME.

   Little-endian. In: uint32 n, then float32 z [n, latents] and weights [n, classes]. Out: uint32 length, JSON of that
   many bytes, {latents, classes} once at first, then for each batch {shape} and its float32, or {error} and no more. */

import { readFileSync, readSync, writeSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [model, runtime] = process.argv.slice(2);

function read(size) {
  const content = new Uint8Array(size); // its own buffer, so that floats in it are aligned
  for (let at = 0; at < size; ) {
    const count = readSync(0, content, at, size - at, null);
    if (count === 0) process.exit(0);
    at += count;
  }
  return content.buffer;
}

function write(bytes) {
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

function say(values) {
  const text = new TextEncoder().encode(JSON.stringify(values));
  write(new Uint8Array(Uint32Array.of(text.length).buffer));
  write(text);
}

try {
  const ort = await import(pathToFileURL(`${runtime}/ort.wasm.min.mjs`));
  Object.assign(ort.env.wasm, {
    numThreads: 1, // as in the page
    wasmBinary: readFileSync(`${runtime}/ort-wasm-simd-threaded.wasm`),
    wasmPaths: { mjs: pathToFileURL(`${runtime}/ort-wasm-simd-threaded.mjs`).href },
  });
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(readFileSync(model), { executionProviders: ["wasm"] });
  const [latents, classes] = ["z", "class_weights"].map(
    (name) => session.inputMetadata.find((input) => input.name === name).shape[1],
  );
  say({ latents, classes });
  for (;;) {
    const [n] = new Uint32Array(read(4));
    const z = new ort.Tensor("float32", new Float32Array(read(4 * n * latents)), [n, latents]);
    const weights = new ort.Tensor("float32", new Float32Array(read(4 * n * classes)), [n, classes]);
    const { image } = await session.run({ z, class_weights: weights });
    say({ shape: image.dims });
    write(new Uint8Array(image.data.buffer, image.data.byteOffset, image.data.byteLength));
  }
} catch (error) {
  say({ error: String(error?.message ?? error).split("\n")[0].slice(0, 300) });
}

/* Answers, as bytes on standard output, what standard input asks of latents.mjs, whose address is the first argument:
   the latents of each place, then the mass of each truncation, then the sentences of each refusal as JSON. */

import { readFileSync, writeSync } from "node:fs";

const { centralMass, philox, standardNormalLatents } = await import(process.argv[2]);
const { places, masses, counters, refused } = JSON.parse(readFileSync(0, "utf8"));

function write(bytes) {
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at, bytes.length - at);
}

for (const { seed, first, count, latentDim, temperature, truncation } of places) {
  const latents = standardNormalLatents(seed, first, count, latentDim, { temperature, truncation });
  write(new Uint8Array(latents.buffer));
}
write(new Uint8Array(Float64Array.from(masses, centralMass).buffer));
write(new Uint8Array(Uint32Array.from(counters.flatMap(({ counter, key }) => philox(counter, key))).buffer));

const sentences = refused.map((call) => {
  try {
    standardNormalLatents(...call);
    return "taken without a word";
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
});
write(new TextEncoder().encode(JSON.stringify(sentences)));

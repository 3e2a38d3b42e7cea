/* The line of Python that gives the page's image, as uint8 [height, width, channels], to the last latent. */

/** The line for a state of the page; `digits` says that classes are called by their numbers. */
export function pythonLine(manifest, state) {
  const sampler = `Sampler(${JSON.stringify(manifest.name)})`;
  if (state.dragged) {
    const z = array(state.z);
    const weights = array(state.weights);
    return `(${sampler}.mix(np.float32([${z}]), np.float32([${weights}]))[0] * 255 + 0.5).astype("uint8")`;
  }
  const rest = [`seed=${state.seed}`];
  if (state.index > 0) rest.push(`first=${state.index}`);
  if (state.temperature !== 1) rest.push(`temperature=${state.temperature}`);
  if (state.truncation !== null) rest.push(`truncation=${state.truncation}`);
  return `${sampler}.sample(${label(manifest.classes, state.weights)}, ${rest.join(", ")})[0]`;
}

/** The same with its imports, to be pasted anywhere. */
export function pythonProgram(line) {
  const numpy = line.includes("np.") ? "import numpy as np\n" : "";
  return `${numpy}from cvae_sdk import Sampler\nimage = ${line}\n`;
}

function label(classes, weights) {
  const some = [...weights.keys()].filter((k) => weights[k] > 0);
  if (some.length > 1) {
    return `{${some.map((k) => `${JSON.stringify(classes[k])}: ${decimal(weights[k])}`).join(", ")}}`;
  }
  const plain = classes.every((name, k) => name === String(k)); // digits are called by their numbers
  return plain ? String(some[0]) : JSON.stringify(classes[some[0]]);
}

const array = (numbers) => `[${Array.from(numbers, decimal).join(", ")}]`;

/* The shortest digits that are this float32 and no other. */
function decimal(number) {
  for (let digits = 1; digits < 9; digits++) {
    const text = Number(number.toPrecision(digits));
    if (Math.fround(text) === number) return String(text);
  }
  return String(Number(number.toPrecision(9)));
}

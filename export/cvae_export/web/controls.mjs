/* The page's controls, made of what the manifest says: sliders, and choices that show a picture each. */

export const of = (id) => document.getElementById(id);

/** Tells a slider's value in words: beside it, and to those who hear the page. */
export function tell(input, text) {
  input.setAttribute("aria-valuetext", text);
  const output = of(`${input.id}-value`);
  if (output.textContent !== text) output.textContent = text;
}

/** A name, a slider and its value in words, in a box. */
export function slider(id, text, attributes, onInput) {
  const box = document.createElement("div");
  const name = Object.assign(document.createElement("label"), { htmlFor: id, textContent: text });
  const input = Object.assign(document.createElement("input"), { type: "range", id, ...attributes });
  const output = Object.assign(document.createElement("output"), { id: `${id}-value` });
  output.setAttribute("for", id);
  input.addEventListener("input", () => onInput(Number(input.value)));
  box.append(name, input, output);
  return box;
}

/** A radio button that is a picture, with a name beneath it or only for those who hear the page. */
export function choice(group, number, text, named, onChoice) {
  const box = document.createElement("div");
  const id = `${group}-${number}`;
  const input = Object.assign(document.createElement("input"), { type: "radio", name: group, id, value: number });
  const name = Object.assign(document.createElement("label"), { htmlFor: id });
  const words = Object.assign(document.createElement("span"), { className: named ? "" : "unseen" });
  words.append(...text.split(/(?<=[/_])/).flatMap((part) => [part, document.createElement("wbr")])); // may break there
  const canvas = Object.assign(document.createElement("canvas"), { className: "pixels" });
  canvas.setAttribute("aria-hidden", "true");
  name.append(canvas, words);
  input.addEventListener("change", () => onChoice(number));
  box.append(input, name);
  return box;
}

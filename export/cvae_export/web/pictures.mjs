/* Grey levels, or red, green and blue, on canvases: a pixel of an image is a pixel of its canvas, and CSS makes it large. */

/** Draws images side by side on a canvas, `columns` in a row, as large as they are. */
export function paint(canvas, levels, [height, width, channels], columns = 1) {
  const size = height * width * channels;
  const n = levels.length / size;
  const rows = Math.ceil(n / columns);
  if (canvas.width !== columns * width || canvas.height !== rows * height) {
    Object.assign(canvas, { width: columns * width, height: rows * height });
  }
  const context = canvas.getContext("2d");
  for (let i = 0; i < n; i++) {
    const image = toImageData(levels.subarray(i * size, (i + 1) * size), width, height, channels);
    context.putImageData(image, (i % columns) * width, Math.floor(i / columns) * height);
  }
}

function toImageData(levels, width, height, channels) {
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < 3; c++) image.data[4 * pixel + c] = levels[pixel * channels + (channels === 3 ? c : 0)];
    image.data[4 * pixel + 3] = 255;
  }
  return image;
}

/** Gives the visitor a canvas as a PNG file, pixel for pixel. */
export async function save(canvas, name) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Larger than on the page: for slides and print. */
const SCALE = 2;

/** An SVG of this lab as a PNG. @throws DOMException where the browser cannot draw it */
export async function rasterise(svg: string): Promise<ArrayBuffer> {
  const image = new Image();
  const url = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }));
  try {
    image.src = url;
    await image.decode();
    const canvas = new OffscreenCanvas(image.naturalWidth * SCALE, image.naturalHeight * SCALE);
    const context = canvas.getContext('2d')!;
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await (await canvas.convertToBlob({ type: 'image/png' })).arrayBuffer();
  } finally {
    URL.revokeObjectURL(url);
  }
}

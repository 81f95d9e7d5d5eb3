// Cutting a face out of a photo, upright and in the middle, so that the server can only mean this one.
const SIDE = 2.2; // of the cut, in sides of the face
const MOST_PX = 1600; // finer detail than this is of no use to the network

export async function cutOut(photo, face) {
  const bitmap = await createImageBitmap(photo.file, { imageOrientation: "from-image" });
  const { x, y, width, height } = face.box;
  const side = SIDE * Math.max(width, height);
  const scale = Math.min(1, MOST_PX / side);
  const canvas = new OffscreenCanvas(Math.round(side * scale), Math.round(side * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#808080";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.translate(canvas.width / 2, canvas.height / 2);
  context.rotate((-face.rotation * Math.PI) / 180);
  context.scale(scale, scale);
  context.drawImage(bitmap, -(x + width / 2), -(y + height / 2));
  bitmap.close();
  return canvas.convertToBlob({ type: "image/png" });
}

// One photo as it was given: its file, its picture, the faces found in it, and the one that is meant.

// Read a file; a picture that this browser cannot show has neither width nor height.
export async function openPhoto(file) {
  const url = URL.createObjectURL(file);
  const size = await sizeOf(url);
  return { file, url, ...size, faces: null, chosen: null, cut: null };
}

export const closePhoto = (photo) => photo && URL.revokeObjectURL(photo.url);

// What is sent to be compared, and by which rule a face is taken from it: a cut shows its face in the middle.
export const sent = (photo) => photo.cut ?? photo.file;

async function sizeOf(url) {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
    return { width: image.naturalWidth, height: image.naturalHeight };
  } catch {
    return { width: null, height: null };
  }
}

import type { Storage } from "../storage/storage";
import type { Rendition } from "./picture";

/**
 * Keeps the WebP files of a picture in a folder of their own, all or none: where one cannot be written, as on a full
 * disk, those before it go again.
 */
export async function keepRenditions(
  storage: Storage,
  folder: string,
  renditions: Rendition[],
): Promise<void> {
  try {
    for (const { width, bytes } of renditions)
      await storage.put(`${folder}/${width}.webp`, bytes, "image/webp");
  } catch (error) {
    // Where that fails too, the job that was planned for a crash does it later; the first error is what matters.
    await storage.removeAll(folder).catch(() => undefined);
    throw error;
  }
}

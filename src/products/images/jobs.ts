import type { JobHandler } from "../../jobs/runner";
import { encodeAvif } from "../../media";
import type { ProductDeps } from "../deps";
import { addAvif, folderOf } from "./service";

const idOf = (payload: unknown): string => (payload as { id: string }).id;

/** Removes the files of a picture that has no record: it was removed, or its upload never came to an end. */
const clean =
  (deps: ProductDeps): JobHandler =>
  async ({ job }) => {
    const id = idOf(job.payload);
    if (!(await deps.pictures.findById(id))) await deps.storage.removeAll(folderOf(id));
  };

/** Makes the AVIF files of a picture from its WebP ones; each is recorded when it is there. */
const avif =
  (deps: ProductDeps): JobHandler =>
  async ({ job, signal }) => {
    const id = idOf(job.payload);
    const picture = await deps.pictures.findById(id);
    if (!picture) return;
    for (const width of picture.widths) {
      signal.throwIfAborted();
      if (picture.avifWidths.includes(width)) continue;
      const webp = await deps.storage.get(`${folderOf(id)}/${width}.webp`);
      if (!webp) {
        if (!(await deps.pictures.findById(id))) break; // It was removed meanwhile.
        throw new Error(`the file of the picture ${id} with a width of ${width} is not there`);
      }
      const { bytes } = await encodeAvif(await new Response(webp.body).bytes());
      await deps.storage.put(`${folderOf(id)}/${width}.avif`, bytes, "image/avif");
      await addAvif(deps, picture, width);
    }
    // Removed while this ran: the files that were just written go as well.
    if (!(await deps.pictures.findById(id))) await deps.storage.removeAll(folderOf(id));
  };

export const imageJobs = (deps: ProductDeps): Record<string, JobHandler> => ({
  "images.clean": clean(deps),
  // Encoding is one at a time in any case: what waits for it must not hold the places of mail and imports.
  "images.avif": Object.assign(avif(deps), { atOnce: 1 }),
});

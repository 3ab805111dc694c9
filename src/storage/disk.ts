import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Random } from "../random";
import { checkKey, type Storage } from "./storage";

/** Files in a folder. Written beside their place and moved there, so nobody reads half a file. */
export function createDiskStorage(folder: string, random: Random): Storage {
  const root = resolve(folder);
  const place = (key: string) => join(root, checkKey(key));
  return {
    async put(key, bytes) {
      const path = place(key);
      await mkdir(dirname(path), { recursive: true });
      const draft = join(root, `.draft-${random.id()}`);
      try {
        const file = await open(draft, "wx");
        try {
          await file.writeFile(bytes);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(draft, path);
      } catch (error) {
        await rm(draft, { force: true });
        throw error;
      }
    },
    async get(key) {
      const file = Bun.file(place(key));
      if (!(await file.exists())) return null;
      return { body: file.stream(), size: file.size };
    },
    removeAll: (prefix) => rm(place(prefix), { recursive: true, force: true }),
  };
}

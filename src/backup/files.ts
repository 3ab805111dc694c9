import { constants } from "node:fs";
import { chmod, copyFile, lstat, mkdir, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

/** What a folder may hold that is not of the storage: drafts and the system's own. */
export const isForeign = (name: string): boolean => name.startsWith(".") || name === "lost+found";

const sizeOf = async (path: string): Promise<number | undefined> =>
  (await lstat(path).catch(() => undefined))?.size;

/** Nothing for what is not there, or was removed meanwhile. */
const orGone = (error: NodeJS.ErrnoException): undefined => {
  if (error.code !== "ENOENT") throw error;
};

/** The names of the stored files of a folder, such as `exports/1.zip`, always in the same order. */
export async function* filesIn(folder: string, below = ""): AsyncGenerator<string> {
  const entries = (await readdir(join(folder, below), { withFileTypes: true }).catch(orGone)) ?? [];
  entries.sort((one, other) => (one.name < other.name ? -1 : 1));
  for (const entry of entries) {
    if (isForeign(entry.name)) continue;
    const name = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) yield* filesIn(folder, name);
    else if (entry.isFile()) yield name;
  }
}

/** Copies a file, so that it is there whole or not at all. On a full disk the system leaves one of the full size. */
async function copyWhole(source: string, target: string): Promise<void> {
  const draft = join(dirname(target), ".draft-of-a-copy");
  try {
    await copyFile(source, draft, constants.COPYFILE_FICLONE);
    await chmod(draft, 0o600);
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/**
 * Copies the stored files that are not there yet, each with rights for its owner alone. A stored file never changes, so
 * one of the same size is the same. What is removed meanwhile is left out; drafts are nobody's.
 */
export async function copyFiles(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  for await (const name of filesIn(from)) {
    const [source, target] = [join(from, name), join(to, name)];
    if ((await sizeOf(target)) === (await sizeOf(source))) continue;
    await mkdir(dirname(target), { recursive: true, mode: 0o700 });
    await copyWhole(source, target).catch(orGone);
  }
}

import { constants } from "node:fs";
import { chmod, copyFile, lstat, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";

const sizeOf = async (path: string): Promise<number | undefined> =>
  (await lstat(path).catch(() => undefined))?.size;

/**
 * Copies the stored files that are not there yet, each with rights for its owner alone. A stored file never changes, so
 * one of the same size is the same. What is removed meanwhile is left out; drafts are nobody's.
 * @returns how many files lie in `to` now
 */
export async function copyFiles(from: string, to: string): Promise<number> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  const entries = await readdir(from, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyFiles(source, target);
    else if (entry.isFile() && (await sizeOf(target)) !== (await sizeOf(source))) {
      try {
        await copyFile(source, target, constants.COPYFILE_FICLONE);
        await chmod(target, 0o600);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    }
  }
  return countFiles(to);
}

async function countFiles(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries.filter((entry) => entry.isFile()).length;
}

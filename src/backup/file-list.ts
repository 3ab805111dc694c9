/** The list of the stored files of a backup: a line of JSON each, in the order of `filesIn`. */
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { linesOf } from "../lib/lines";
import { filesIn } from "./files";
import { BackupRefused, checksumOf, type Manifest } from "./manifest";
import { unpacked, writePacked } from "./packed";

/** Name of the list in a backup, and of the folder that it is about. */
export const [FILE_LIST, FILES] = ["files.ndjson.gz", "files"];

const lineSchema = z.object({
  name: z.string(),
  /** Bytes. */
  size: z.int(),
  /** In hex. */
  sha256: z.string(),
});
type Line = z.output<typeof lineSchema>;

const sizeOf = async (path: string): Promise<number> => (await lstat(path)).size;

/** Writes the list of what lies in a backup's folder of files. @returns how many there are */
export async function listFiles(folder: string): Promise<number> {
  let count = 0;
  async function* lines() {
    for await (const name of filesIn(join(folder, FILES))) {
      const path = join(folder, FILES, name);
      const line: Line = { name, size: await sizeOf(path), sha256: await checksumOf(path) };
      yield `${JSON.stringify(line)}\n`;
      count++;
    }
  }
  await writePacked(join(folder, FILE_LIST), lines());
  return count;
}

/**
 * Compares the stored files of a backup with its list, one at a time.
 * @param checksums of the manifest: a backup of before there were lists has none
 * @returns whether they could be compared; those of such a backup are counted only
 * @throws BackupRefused for the first file that is missing, was added or was changed
 */
export async function checkFiles(
  folder: string,
  { files, checksums }: Pick<Manifest, "files" | "checksums">,
): Promise<boolean> {
  if (files === null) return true;
  const refuse = (name: string, what: string) =>
    new BackupRefused(`${FILES}/${name} of ${folder} ${what}. Restore another copy of the backup.`);
  const there = filesIn(join(folder, FILES));
  if (checksums[FILE_LIST] === undefined) {
    let count = 0;
    for await (const _ of there) count++;
    if (count !== files)
      throw new BackupRefused(
        `${folder} has ${count} files in ${FILES}/ and had ${files}. Restore another copy of the backup.`,
      );
    return false;
  }
  for await (const text of linesOf(unpacked(join(folder, FILE_LIST)))) {
    const { name, size, sha256 } = lineSchema.parse(JSON.parse(text));
    const path = join(folder, FILES, name);
    const { value: found } = await there.next();
    if (found !== name) {
      const isThere = await lstat(path).then(
        (entry) => entry.isFile(),
        () => false,
      );
      throw isThere ? refuse(String(found), "was not in it") : refuse(name, "is missing");
    }
    if ((await sizeOf(path)) !== size || (await checksumOf(path)) !== sha256)
      throw refuse(name, "is not as it was written");
  }
  const { value: more } = await there.next();
  if (more !== undefined) throw refuse(String(more), "was not in it");
  return true;
}

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startProgram } from "../../test/processes";
import { checkFiles, FILE_LIST, FILES, listFiles } from "./file-list";
import { copyFiles } from "./files";
import { checksumOf } from "./manifest";

let folder: string;
const place = (...names: string[]) => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "aizy-files-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const NAMES = ["exports/one.zip", "pictures/a/1.webp", "pictures/a.b", "pictures/b/1.webp"];

describe("the stored files of a backup", () => {
  let said: Parameters<typeof checkFiles>[1];
  let round = 0;
  let backup: string;
  const file = (name: string) => join(backup, FILES, name);
  beforeEach(async () => {
    const storage = place("storage");
    backup = place(`backup-${round++}`);
    for (const name of NAMES) {
      await mkdir(join(storage, name, ".."), { recursive: true });
      await writeFile(join(storage, name), `the bytes of ${name}`);
    }
    await writeFile(join(storage, "pictures/.draft-1"), "half");
    await mkdir(join(storage, "lost+found"), { recursive: true });
    await writeFile(join(storage, "lost+found/1"), "the system's");
    await copyFiles(storage, join(backup, FILES));
    const files = await listFiles(backup);
    said = { files, checksums: { [FILE_LIST]: await checksumOf(join(backup, FILE_LIST)) } };
  });
  const refusal = () =>
    checkFiles(backup, said).then(
      () => "nothing was refused",
      (error: Error) => error.message.replaceAll(backup, "BACKUP"),
    );

  test("are all of the storage, without drafts and the system's own, and as they were written", async () => {
    const entries = await readdir(join(backup, FILES), { withFileTypes: true, recursive: true });
    const copied = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    expect(copied.sort()).toEqual(["1.webp", "1.webp", "a.b", "one.zip"]);
    expect(said.files).toBe(NAMES.length);
    expect(await checkFiles(backup, said)).toBe(true);
  });

  const changes: [string, () => Promise<unknown>, string][] = [
    [
      "without its files",
      () => rm(join(backup, FILES), { recursive: true }),
      "exports/one.zip of BACKUP is missing",
    ],
    ["without the last", () => rm(file("pictures/b/1.webp")), "pictures/b/1.webp of BACKUP is missing"],
    ["without one", () => rm(file("pictures/a/1.webp")), "pictures/a/1.webp of BACKUP is missing"],
    ["with one more", () => writeFile(file("pictures/aa"), "new"), "pictures/aa of BACKUP was not in it"],
    ["with one more at the end", () => writeFile(file("z"), "new"), "z of BACKUP was not in it"],
    [
      "with one longer",
      () => appendFile(file("pictures/a.b"), "x"),
      "pictures/a.b of BACKUP is not as it was",
    ],
    [
      "with other bytes of the same size",
      async () => {
        const bytes = await readFile(file("pictures/a.b"));
        bytes[0] = (bytes[0] ?? 0) ^ 1;
        await writeFile(file("pictures/a.b"), bytes);
      },
      "pictures/a.b of BACKUP is not as it was written",
    ],
    [
      "with a link to a file in the stead of one",
      async () => {
        await cp(file("pictures/a.b"), place("elsewhere"));
        await rm(file("pictures/a.b"));
        await symlink(place("elsewhere"), file("pictures/a.b"));
      },
      "pictures/a.b of BACKUP is missing",
    ],
  ];
  for (const [what, change, reason] of changes) {
    test(`a backup ${what} is refused`, async () => {
      await change();
      expect(await refusal()).toStartWith(`${FILES}/${reason}`);
    });
  }

  test("of an earlier version cannot be compared, only counted", async () => {
    const earlier = { ...said, checksums: {} };
    expect(await checkFiles(backup, earlier)).toBe(false);
    await rm(file("pictures/a.b"));
    await expect(checkFiles(backup, earlier)).rejects.toThrow(/has 3 files in files\/ and had 4/);
  });
});

test.skipIf(process.platform !== "linux" || process.getuid?.() !== 0)(
  "on a full disk nothing is left of the file that did not fit (needs Linux and root)",
  async () => {
    await mkdir(place("large"));
    await mkdir(place("full"));
    await writeFile(place("large", "a"), Buffer.alloc(2 ** 20, 1));
    const copy = `import { copyFiles } from ${JSON.stringify(join(import.meta.dir, "files.ts"))};
      await copyFiles(${JSON.stringify(place("large"))}, ${JSON.stringify(place("full"))}).catch((error) => console.log(error.code));`;
    const script = 'mount -t tmpfs -o size=64k none "$1" && "$2" -e "$3" && echo "left: $(ls -A "$1")"';
    const words = ["--mount", "sh", "-c", script, "sh", place("full"), process.execPath, copy];
    const program = startProgram(words, {}, "unshare");
    expect([await program.ended(), program.output()]).toEqual([0, "ENOSPC\nleft: \n"]);
  },
);

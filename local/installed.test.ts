import { afterAll, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unpatched } from "./installed";

const folder = await mkdtemp(join(tmpdir(), "aizy-installed-"));
afterAll(() => rm(folder, { recursive: true }));

test("packages are told apart that were installed with and without the patches", async () => {
  expect(await unpatched()).toEqual([]);
  await cp("patches", join(folder, "patches"), { recursive: true });
  const patches = (await readdir("patches")).filter((name) => name.endsWith(".patch"));
  expect(patches.length).toBeGreaterThan(0);
  const modules = patches.map((name) => name.split("@")[0] ?? "");
  expect(await unpatched(folder)).toEqual(modules);
  await mkdir(join(folder, "node_modules/mongodb/lib/cmap"), { recursive: true });
  await cp(
    "node_modules/mongodb/lib/cmap/connection.js",
    join(folder, "node_modules/mongodb/lib/cmap/connection.js"),
  );
  expect(await unpatched(folder)).toEqual(modules.filter((name) => name !== "mongodb"));
  await writeFile(join(folder, "node_modules/mongodb/lib/cmap/connection.js"), "// as published\n");
  expect(await unpatched(folder)).toEqual(modules);
});

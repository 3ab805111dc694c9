/** What `bun install` alone leaves to do, and what another package manager leaves out. */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { CHECKOUT } from "./paths";

/** Whether Prisma's client has been made. */
export const hasClient = (): boolean => existsSync(join(CHECKOUT, "src/generated/prisma/client.ts"));

/**
 * Packages that `patches/` changes and that are installed as they were published: only Bun reads
 * `patchedDependencies` of package.json.
 * @returns their names
 */
export async function unpatched(checkout = CHECKOUT): Promise<string[]> {
  const names: string[] = [];
  for (const name of (await readdir(join(checkout, "patches"))).filter((file) => file.endsWith(".patch"))) {
    const lines = (await readFile(join(checkout, "patches", name), "utf8")).split("\n");
    const file = lines.find((line) => line.startsWith("+++ b/"))?.slice(6) ?? "";
    const added = lines.filter((line) => /^\+(?!\+)\s*\S/.test(line)).map((line) => line.slice(1));
    const [module = ""] = name.split(/(?<=.)@/);
    const installed = await readFile(join(checkout, "node_modules", module, file), "utf8").catch(() => "");
    if (!added.every((line) => installed.includes(line))) names.push(module);
  }
  return names;
}

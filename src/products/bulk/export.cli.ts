/**
 * bun run export FILE [--force] [--format=ndjson|csv] — writes every product to a file that `bun run import`
 * reads again.
 */

import { open, rename, rm } from "node:fs/promises";
import { readCommandLine } from "../../cli";
import { COMMANDS } from "../../commands";
import { createProgress } from "../../lib/progress";
import { connect, formatOf, lookAt } from "./cli";
import { exportProducts } from "./export";
import { FORMATS } from "./shapes";

async function main(): Promise<number> {
  const { values, positionals } = readCommandLine(COMMANDS.export);
  const [path = ""] = positionals;
  const format = formatOf(path, values.format);
  if (format === undefined) {
    console.error(`The format must be ${FORMATS.join(" or ")}.`);
    return 2;
  }
  if (!values.force && !("wrong" in (await lookAt(path)))) {
    console.error(`${path} is there already. Name another file, or replace it with --force.`);
    return 1;
  }
  const deps = await connect(process.env);
  // Beside its place and moved there, so that nobody takes half a file for a whole one.
  const draft = `${path}.part`;
  try {
    const progress = createProgress("Exporting", await deps.products.count());
    const file = await open(draft, "w", 0o600);
    let products = 0;
    try {
      const chunks = exportProducts(deps, { format }, (count) => {
        products = count;
        progress.update(count, `${count} products`);
      });
      for await (const chunk of chunks) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
    progress.end();
    console.log(`${products} products in ${path}.`);
    return 0;
  } finally {
    await rm(draft, { force: true });
    await deps.close();
  }
}

if (import.meta.main) {
  process.exit(
    await main().catch((error: Error) => {
      console.error(`The export stopped: ${error.message}`);
      return 1;
    }),
  );
}

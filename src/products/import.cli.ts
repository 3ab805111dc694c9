/**
 * bun run import FILE — imports products from NDJSON. Ends with 1 when a line was bad, and names the lines.
 */
import { stat } from "node:fs/promises";
import { parseConfig } from "../config";
import { syncIndexes } from "../db/indexes";
import { migrateMySql } from "../db/migrate";
import { checkMySql } from "../db/prisma";
import { createDeps } from "../deps";
import { createLogger } from "../http/log";
import { createProgress } from "../progress";
import { importProducts } from "./import";

/** How many bad lines are printed; the rest is counted. */
const SHOWN_FAULTS = 50;

async function main(path: string | undefined): Promise<number> {
  if (path === undefined) {
    console.error("Usage: bun run import FILE   (NDJSON, one product a line; see docs/api.md)");
    return 2;
  }
  const info = await stat(path).catch((error: Error) => error);
  if (info instanceof Error || !info.isFile()) {
    console.error(`Cannot read ${path}: ${info instanceof Error ? info.message : "it is not a file"}.`);
    return 1;
  }
  const config = parseConfig({ ...process.env, LOG_LEVEL: "warn" });
  await checkMySql(config.databaseUrl);
  await migrateMySql(config.databaseUrl);
  const deps = createDeps(config, await createLogger(config));
  await deps.mongo.connection.asPromise();
  await syncIndexes(deps.mongo);

  const progress = createProgress("Importing", info.size);
  let read = 0;
  const counted = Bun.file(path)
    .stream()
    .pipeThrough(
      new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
        transform(chunk, controller) {
          read += chunk.length;
          controller.enqueue(chunk);
        },
      }),
    );
  let shown = 0;
  try {
    const summary = await importProducts(deps, counted, (now, fault) => {
      progress.update(read, `${now.lines} lines`);
      if (fault && shown++ < SHOWN_FAULTS) progress.print(`line ${fault.line}: ${fault.message}`);
    });
    progress.end();
    if (shown > SHOWN_FAULTS) console.error(`… and ${shown - SHOWN_FAULTS} more bad lines`);
    console.log(
      `${summary.lines} lines: ${summary.created} created, ${summary.updated} updated, ` +
        `${summary.unchanged} unchanged, ${summary.failed} bad.`,
    );
    if (summary.lines === 0) console.error(`${path} is empty: nothing was imported.`);
    return summary.failed > 0 || summary.lines === 0 ? 1 : 0;
  } finally {
    await deps.close();
  }
}

if (import.meta.main) {
  process.exit(
    await main(process.argv[2]).catch((error: Error) => {
      console.error(
        `The import stopped: ${error.message}\nNothing is lost: run it again, it goes on where it must.`,
      );
      return 1;
    }),
  );
}

/**
 * bun run import FILE [--dry-run] [--from=shopify|woocommerce|medusa] [--allow-rename] [--restart] [--format=ndjson|csv] — imports products from NDJSON or CSV. Ends
 * with 1 when a row was bad, and names the rows. One that was interrupted goes on where it was.
 */
import { createHash } from "node:crypto";
import { basename, resolve } from "node:path";
import { managedEntry } from "../../audit";
import { readCommandLine } from "../../cli";
import { COMMANDS } from "../../commands";
import { after, DAY } from "../../lib/clock";
import { createProgress } from "../../lib/progress";
import type { Deps } from "../../wire";
import { connect, formatOf, lookAt } from "./cli";
import { importFile } from "./import-file";
import { FORMATS, SHOPS } from "./shapes";
import { printResult } from "./summary";

/** How many bad rows are printed; the rest is counted. */
const SHOWN_FAULTS = 50;
/** How long an interrupted import may be gone on with. */
const KEEP = 7 * DAY;

/** Forgets how far an import was, and what it had still to fetch. */
async function forget(deps: Deps, key: string): Promise<void> {
  await deps.importPictures.remove(key);
  await deps.bulk.removeCheckpoint(key);
}

async function main(): Promise<number> {
  const { values, positionals } = readCommandLine(COMMANDS.import);
  const [path = ""] = positionals;
  const format = formatOf(path, values.from === undefined ? values.format : "csv");
  if (format === undefined) {
    console.error(`The format must be ${FORMATS.join(" or ")}.`);
    return 2;
  }
  const file = await lookAt(path);
  if ("wrong" in file) {
    console.error(`Cannot read ${path}: ${file.wrong}.`);
    return 1;
  }
  const from = SHOPS.find((shop) => shop === values.from);
  if (values.from !== undefined && from === undefined) {
    console.error(`--from must be ${SHOPS.join(", ")}.`);
    return 2;
  }
  const dryRun = values["dry-run"] ?? false;
  const allowRename = values["allow-rename"] ?? false;
  const deps = await connect(process.env);
  try {
    const key = createHash("sha256")
      .update(JSON.stringify([resolve(path), file.size, file.changed, format, from ?? null]))
      .digest("hex");
    if (values.restart) await forget(deps, key);
    const resume = dryRun ? undefined : ((await deps.bulk.checkpoint(key)) ?? undefined);
    if (resume) {
      const place = resume.stage === "pictures" ? "with the pictures" : `behind row ${resume.rows}`;
      console.error(
        `Going on ${place}, where an import of this file was interrupted (--restart begins anew).`,
      );
    }
    if (!dryRun) {
      const detail = { file: basename(path), format, allowRename };
      await deps.audit.record(managedEntry(deps, null, "import.started", detail));
    }
    const progress = createProgress(dryRun ? "Checking" : "Importing", file.size);
    let shown = 0;
    const result = await importFile(
      deps,
      key,
      () => Bun.file(path).stream(),
      { format, dryRun, allowRename, from, resume },
      async (now, faults) => {
        const { found = 0, there = 0, added = 0, failed = 0 } = now.pictures ?? {};
        const pictures = now.stage === undefined ? "" : `, ${there + added + failed} of ${found} pictures`;
        progress.update(now.bytes, `${now.rows} rows${pictures}`);
        for (const { row, message } of faults) {
          if (shown++ < SHOWN_FAULTS) progress.print(`row ${row}: ${message}`);
        }
        if (!dryRun) await deps.bulk.saveCheckpoint(key, now, after(deps.clock.now(), KEEP));
      },
    );
    progress.end();
    if (!dryRun) await forget(deps, key);
    if (shown > SHOWN_FAULTS) console.error(`… and ${shown - SHOWN_FAULTS} more bad rows`);
    return printResult(path, result, dryRun);
  } finally {
    await deps.close();
  }
}

if (import.meta.main) {
  process.exit(
    await main().catch((error: Error) => {
      console.error(
        `The import stopped: ${error.message}\nNothing is lost: run it again, it goes on where it was.`,
      );
      return 1;
    }),
  );
}

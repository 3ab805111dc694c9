/**
 * Import: `bun run bench import [--quick] [--check]`, on databases of its own beside those that the environment names.
 *
 * Products are imported as the command line does it, a few hundred at a time; after each, the driver's own `insertMany`
 * writes the very same documents into a collection with the same indexes: first those of the products alone, then with
 * those of the search beside them, which an import writes too. So both work beside the same company, and their ratio
 * is what counts. Quick: 3,000 products, else 20,000.
 */
import { mkdtemp, open, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { type Collection, MongoClient } from "mongodb";
import { parseConfig } from "../src/config";
import { syncIndexes } from "../src/db/indexes";
import { after, DAY } from "../src/lib/clock";
import { importProducts } from "../src/products/bulk/import";
import { silentLogger } from "../src/telemetry/log";
import { createDeps } from "../src/wire";
import { generate, sources } from "./catalogue-file";
import { onThrowAwayDatabases, options, percentile, reportGoals } from "./lib";

const PRODUCTS = options.quick ? 3_000 : 20_000;
/** Products of one round. */
const ROUND = 1000;

/** A collection without documents that has the indexes of another. */
async function twinOf(from: Collection, name: string, client: MongoClient): Promise<Collection> {
  const twin = client.db().collection(name);
  const indexes = (await from.indexes()).filter((index) => index.name !== "_id_");
  await twin.insertOne({ _id: "first" as never });
  for (const { key, name: _, v: _v, ...more } of indexes) await twin.createIndex(key as never, more);
  return twin;
}

process.env.NODE_ENV = "test";
process.exitCode = await onThrowAwayDatabases(async () => {
  const folder = await mkdtemp(join(tmpdir(), "aizy-bench-"));
  process.env.STORAGE_DIR = join(folder, "files");
  const deps = createDeps(parseConfig(process.env), silentLogger());
  const client = await MongoClient.connect(process.env.MONGODB_URI ?? "");
  try {
    await deps.mongo.connection.asPromise();
    await syncIndexes(deps.mongo);
    const { from, list } = await sources();
    const path = join(folder, "products.ndjson");
    const variants = await generate(path, list, PRODUCTS);
    console.log(
      `${PRODUCTS} products with ${variants} variants from ${from}; load average ${loadavg()[0]?.toFixed(1)}`,
    );
    const products = client.db().collection("products");
    const documents = client.db().collection("search_documents");
    const twins = [
      await twinOf(products, "twinProducts", client),
      await twinOf(documents, "twinSearch", client),
    ] as const;
    const file = await open(path);
    const rounds: { ours: number; alone: number; both: number }[] = [];
    let lines: string[] = [];
    let last = "";
    const round = async () => {
      const content = Buffer.from(lines.join("\n"));
      lines = [];
      const read = async function* () {
        yield content;
      };
      const timed = async (work: () => Promise<unknown>) => {
        const start = performance.now();
        await work();
        return performance.now() - start;
      };
      const ours = await timed(async () => {
        const { created } = await importProducts(deps, read, { format: "ndjson" }, (progress) =>
          deps.bulk.saveCheckpoint("bench", progress, after(deps.clock.now(), DAY)),
        );
        if (created !== ROUND) throw new Error(`${created} of ${ROUND} were made`);
      });
      const made = await products
        .find({ _id: { $gt: last as never } })
        .sort({ _id: 1 })
        .toArray();
      const ids = made.map(({ _id }) => _id);
      const indexed = await documents.find({ _id: { $in: ids } }).toArray();
      last = String(ids.at(-1));
      const alone = await timed(() => twins[0].insertMany(made, { ordered: false }));
      const search = await timed(() => twins[1].insertMany(indexed, { ordered: false }));
      rounds.push({ ours, alone, both: alone + search });
    };
    for await (const line of file.readLines()) {
      lines.push(line);
      if (lines.length === ROUND) await round();
    }
    // The first ones find everything cold.
    const settled = rounds.slice(1);
    const per = (pick: (one: (typeof rounds)[number]) => number) =>
      ROUND / (percentile(settled.map(pick), 0.5) / 1000);
    const ratio = percentile(
      settled.map(({ ours, alone }) => alone / ours),
      0.5,
    );
    const whole = percentile(
      settled.map(({ ours, both }) => both / ours),
      0.5,
    );
    const row = (name: string, value: number) =>
      console.log(`  ${name.padEnd(52)}${value.toFixed(0).padStart(6)} products a second`);
    row(
      "import, with checks, search and checkpoints",
      per(({ ours }) => ours),
    );
    row(
      "insertMany of the products",
      per(({ alone }) => alone),
    );
    row(
      "insertMany of the products and what search keeps",
      per(({ both }) => both),
    );
    console.log(`  load average ${loadavg()[0]?.toFixed(1)}`);
    return reportGoals([
      {
        name: "speed of an import to insertMany of the same products",
        measured: ratio,
        unit: "times",
        goal: [">=", 0.5],
      },
      { name: "and to insertMany of all that it writes", measured: whole, unit: "times", goal: [">=", 0.5] },
    ]);
  } finally {
    await client.close();
    await deps.close();
    await rm(folder, { recursive: true, force: true });
  }
});

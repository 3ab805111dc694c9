/**
 * Import: `bun run bench import [--quick] [--command] [--check]`, on databases of its own beside those that the
 * environment names.
 *
 * Each round imports one file into an empty shop, in this process or, with `--command`, by `bun run import` in little
 * memory, from its start to its end; and then has the driver's own
 * `insertMany` write the very same documents into collections with the same indexes: first those of the products
 * alone, then those of the search, which an import writes too. What counts is the ratio within a round. Quick: one
 * round of 3,000 products, else three of 20,000.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { type Collection, MongoClient } from "mongodb";
import { parseConfig } from "../src/config";
import { buildIndexes } from "../src/db/indexes";
import { after, DAY } from "../src/lib/clock";
import { importProducts } from "../src/products/bulk/import";
import { silentLogger } from "../src/telemetry/log";
import { createDeps } from "../src/wire";
import { generate, sources } from "./catalogue-file";
import { type Goal, importByCommand, onThrowAwayDatabases, options, percentile, reportGoals } from "./lib";

const PRODUCTS = options.quick ? 3_000 : 20_000;
const ROUNDS = options.quick ? 1 : 3;
/** Documents that the driver is given at once. */
const AT_ONCE = 1000;

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
    await buildIndexes(deps.mongo);
    const { from, list } = await sources();
    const path = join(folder, "products.ndjson");
    const variants = await generate(path, list, PRODUCTS);
    console.log(
      `${PRODUCTS} products with ${variants} variants from ${from}; load average ${loadavg()[0]?.toFixed(1)}`,
    );
    const collections = ["products", "search_documents"].map((name) => client.db().collection(name));
    const timed = async (work: () => Promise<unknown>) => {
      const start = performance.now();
      await work();
      return performance.now() - start;
    };
    /** Milliseconds that the driver takes to write what a collection holds into another with the same indexes. */
    const insertAgain = async (from: Collection) => {
      const twin = await twinOf(from, `${from.collectionName}_twin`, client);
      let taken = 0;
      let last: unknown = "";
      for (;;) {
        const documents = await from
          .find({ _id: { $gt: last as never } })
          .sort({ _id: 1 })
          .limit(AT_ONCE)
          .toArray();
        if (documents.length === 0) break;
        last = documents.at(-1)?._id;
        taken += await timed(() => twin.insertMany(documents, { ordered: false }));
      }
      await twin.drop();
      return taken;
    };
    /** Most memory of each import by the command, in MB. */
    const memory: number[] = [];
    const rounds: { ours: number; alone: number; both: number }[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (const { collectionName } of await client.db().collections())
        await client.db().collection(collectionName).drop();
      await buildIndexes(deps.mongo);
      const ours = await timed(async () => {
        if (process.argv.includes("--command")) {
          memory.push(await importByCommand(path, PRODUCTS));
          return;
        }
        const { created } = await importProducts(
          deps,
          () => Bun.file(path).stream(),
          { format: "ndjson" },
          (progress) => deps.bulk.saveCheckpoint("bench", progress, after(deps.clock.now(), DAY)),
        );
        if (created !== PRODUCTS) throw new Error(`${created} of ${PRODUCTS} were made`);
      });
      const [alone = 0, search = 0] = [
        await insertAgain(collections[0] as Collection),
        await insertAgain(collections[1] as Collection),
      ];
      rounds.push({ ours, alone, both: alone + search });
      console.log(
        `  round ${round + 1}: import ${(ours / 1000).toFixed(1)} s, insertMany ${(alone / 1000).toFixed(1)} s and ${(search / 1000).toFixed(1)} s`,
      );
    }
    const per = (pick: (one: (typeof rounds)[number]) => number) =>
      PRODUCTS / (percentile(rounds.map(pick), 0.5) / 1000);
    const ratio = percentile(
      rounds.map(({ ours, alone }) => alone / ours),
      0.5,
    );
    const whole = percentile(
      rounds.map(({ ours, both }) => both / ours),
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
      ...(memory.length === 0
        ? []
        : [{ name: "memory at most", measured: Math.max(...memory), unit: "MB", goal: ["<=", 250] } as Goal]),
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

/** kill -9 of what the local document engine is made of, under load. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { type Collection, type Document, MongoClient } from "mongodb";
import { buildIndexes } from "../src/db/indexes";
import { connectMongo } from "../src/db/mongo";
import { checkMySql } from "../src/db/prisma";
import {
  canStart,
  copyCheckout,
  newcomer,
  PATIENCE,
  postgresOf,
  processesOf,
  startIn,
  stillRun,
} from "../test/checkout";
import { eventually } from "../test/processes";
import { type PostgresAddress, PostgresConnection } from "./gateway/postgres";

const WRITERS = 12;
/** Documents of one write of the load, and of the check afterwards. */
const MANY = 25;
/** Documents that the load has written before something is killed. */
const ENOUGH = 4000;

const WORDS = ["lamp", "desk", "oak", "brass", "linen", "kettle", "garden", "winter"];
const chance = <T>(values: T[]): T => values[Math.floor(Math.random() * values.length)] as T;

/** A document that is in every index of its collection. */
function documentFor(indexes: Document[]): Document {
  const made: Document = { _id: crypto.randomUUID() };
  const set = (path: string, value: unknown) => {
    const names = path.split(".");
    const last = names.pop() ?? "";
    let inside = made;
    for (const name of names) inside = inside[name] ??= {};
    inside[last] ??= value;
  };
  for (const { key, weights, expireAfterSeconds, partialFilterExpression } of indexes) {
    for (const [path, value] of Object.entries(partialFilterExpression ?? {})) {
      if (value === null || typeof value !== "object") set(path, value);
    }
    for (const path of Object.keys(weights ?? {}))
      set(path, `${chance(WORDS)} ${chance(WORDS)} ${chance(WORDS)}`);
    for (const path of Object.keys(key)) {
      if (path === "_id" || path.startsWith("_fts")) continue;
      set(
        path,
        expireAfterSeconds === undefined ? `${chance(WORDS)}-${crypto.randomUUID()}` : new Date(4e12),
      );
    }
  }
  return made;
}

interface Target {
  collection: Collection;
  indexes: Document[];
}

async function targetsOf(client: MongoClient, names: string[]): Promise<Target[]> {
  const db = client.db();
  return Promise.all(
    names.map(async (name) => {
      const collection = db.collection(name);
      return { collection, indexes: await collection.indexes() };
    }),
  );
}

/** Writes to every collection until it is told to stop. What fails because the server is gone is its lot. */
function writeUntilStopped(targets: Target[]) {
  let stopped = false;
  let written = 0;
  const kept = new Map<Collection, string[]>(targets.map(({ collection }) => [collection, []]));
  const writers = Array.from({ length: WRITERS }, async () => {
    while (!stopped) {
      const { collection, indexes } = chance(targets);
      const documents = Array.from({ length: MANY }, () => documentFor(indexes));
      try {
        await collection.insertMany(documents);
        kept.get(collection)?.push(...documents.slice(5).map(({ _id }) => _id));
        await collection.deleteMany({ _id: { $in: documents.slice(0, 5).map(({ _id }) => _id) } });
        written += MANY;
      } catch {
        await Bun.sleep(20); // Not a wait for anything: a dead server answers at once.
      }
    }
  });
  return {
    written: () => written,
    /** What was acknowledged and not taken back. */
    kept,
    async stop() {
      stopped = true;
      await Promise.all(writers);
    },
  };
}

/** Every document is there, and is found by its key. */
async function expectKept(kept: Map<Collection, string[]>): Promise<void> {
  for (const [collection, ids] of kept) {
    let found = 0;
    for (let from = 0; from < ids.length; from += 1000) {
      found += await collection.countDocuments({ _id: { $in: ids.slice(from, from + 1000) as never[] } });
    }
    expect([collection.collectionName, found]).toEqual([collection.collectionName, ids.length]);
  }
}

/** Every collection takes documents, into each of its indexes, and gives them back. */
async function expectInsertsEverywhere(targets: Target[]): Promise<void> {
  for (const { collection, indexes } of targets) {
    const documents = Array.from({ length: MANY * 4 }, () => documentFor(indexes));
    for (const document of documents) await collection.insertOne(document);
    const found = await collection.countDocuments({ _id: { $in: documents.map(({ _id }) => _id) } });
    expect([collection.collectionName, found]).toEqual([collection.collectionName, documents.length]);
  }
}

describe.skipIf(!canStart)(
  "kill -9 under load (needs root on Debian and databases that are not given)",
  () => {
    let checkout = "";
    beforeAll(() => {
      checkout = copyCheckout();
    });
    afterAll(() => rmSync(checkout, { recursive: true, force: true }));

    /** Holds databases of the copy, and says where they are; `given` ones are not started. */
    const hold = async (given: Record<string, string>) => {
      const say = 'echo "at $MONGODB_URI $AIZY_LOCAL_POSTGRES $DATABASE_URL."; exec sleep 3600';
      const holder = startIn([process.execPath, "local/run.ts", "sh", "-c", say], checkout, newcomer(given));
      await holder.until(/^at .*\.$/m);
      const [, uri = "", postgres = "", mysql = ""] = /^at (\S+) (\S*) (\S+)\.$/m.exec(holder.output()) ?? [];
      const end = async () => {
        holder.child.kill("SIGTERM");
        await holder.end();
      };
      return { end, uri, postgres, mysql };
    };
    const NO_MYSQL = { DATABASE_URL: "mysql://nobody@127.0.0.1:1/none" };

    /** The document engine with every collection and index of the application, and somebody who writes to them. */
    const underLoad = async () => {
      const held = await hold(NO_MYSQL);
      const mongo = connectMongo(held.uri, 5);
      await mongo.connection.asPromise();
      const names = await buildIndexes(mongo);
      await mongo.close();
      const client = new MongoClient(held.uri, { serverSelectionTimeoutMS: 2000, retryWrites: false });
      const targets = await targetsOf(client, names);
      expect(targets.length).toBeGreaterThan(15);
      const address = JSON.parse(held.postgres) as PostgresAddress;
      return {
        targets,
        /** Ends `victim` under load. @returns what the load had been told is kept, once nothing of PostgreSQL runs */
        async kill(victim: (postmaster: number) => number): Promise<Map<Collection, string[]>> {
          // Something that would go on by itself: it waits for nobody and looks at nothing.
          const busy = await PostgresConnection.open(address);
          busy.run("SELECT count(*) FROM generate_series(1, 1000000000000)").catch(() => undefined);
          const load = writeUntilStopped(targets);
          await eventually(async () => load.written() >= ENOUGH, "the load");
          const { postmaster, all } = postgresOf(checkout);
          expect(all.length).toBeGreaterThan(10);
          process.kill(victim(postmaster), "SIGKILL");
          await eventually(async () => stillRun(all).length === 0, "the end of every backend");
          await load.stop();
          return load.kept;
        },
        answers: () =>
          eventually(
            () =>
              client
                .db()
                .command({ ping: 1 })
                .then(Boolean, () => false),
            "an answer",
          ),
        async end() {
          await client.close();
          await held.end();
        },
      };
    };

    test(
      "of PostgreSQL, again and again: it is back for those who use it, takes inserts everywhere, and no backend is left",
      async () => {
        const engine = await underLoad();
        try {
          for (let round = 1; round <= 3; round++) {
            const kept = await engine.kill((postmaster) => postmaster);
            await engine.answers();
            await expectKept(kept);
            const { postmaster } = postgresOf(checkout);
            await expectInsertsEverywhere(engine.targets);
            // It did not crash once more on the way.
            expect(postgresOf(checkout).postmaster).toBe(postmaster);
          }
        } finally {
          await engine.end();
        }
      },
      PATIENCE * 2,
    );

    test(
      "of the supervisor, in which the gateway runs: nothing is left, and the next command finds everything",
      async () => {
        const engine = await underLoad();
        try {
          const kept = await engine.kill(() => {
            const line = processesOf(checkout).find((one) => one.includes("local/supervisor.ts"));
            return Number.parseInt(line ?? "", 10);
          });
          expect(processesOf(checkout).filter((line) => /mysqld|postgres|supervisor/.test(line))).toEqual([]);
          const next = await hold(NO_MYSQL);
          await engine.answers();
          await expectKept(kept);
          await expectInsertsEverywhere(engine.targets);
          await next.end();
        } finally {
          await engine.end();
        }
      },
      PATIENCE * 2,
    );

    test(
      "of MySQL: it is back for those who use it",
      async () => {
        const { mysql, end } = await hold({ MONGODB_URI: "mongodb://127.0.0.1:1/none" });
        try {
          const { port } = new URL(mysql);
          const pidOf = () => {
            const line = processesOf(checkout).find(
              (one) => /mysqld /.test(one) && one.includes(`--port=${port} `),
            );
            return Number.parseInt(line ?? "", 10);
          };
          const killed = pidOf();
          process.kill(killed, "SIGKILL");
          await eventually(async () => pidOf() > 0 && pidOf() !== killed, "its return");
          await eventually(
            () =>
              checkMySql(mysql).then(
                () => true,
                () => false,
              ),
            "an answer",
          );
        } finally {
          await end();
        }
      },
      PATIENCE * 2,
    );
  },
);

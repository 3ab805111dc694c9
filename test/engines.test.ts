/**
 * What the project may rely on from the engine behind MONGODB_URI, tried through the official driver. The same
 * tests run on MongoDB and on the local engine; docs/engines.md lists each row, and where the two differ the
 * test says so (`local`).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Collection, type Db, type Document, Long, MongoClient, MongoServerError } from "mongodb";
import { eventually, startProgram } from "./processes";
import { startProxy } from "./proxy";

const uri = process.env.MONGODB_URI ?? "";
interface Item extends Document {
  _id: string | number;
}
const client = await MongoClient.connect(uri);
const { aizyGateway: local = false } = await client.db("admin").command({ buildInfo: 1 });
/** For commands that the driver would not send by itself. */
const raw = await MongoClient.connect(uri, { retryWrites: false });
let db: Db;
let items: Collection<Item>;
/** A hang guard, far above what anything here takes. */
const PATIENCE = 60_000;

beforeAll(async () => {
  db = client.db();
  items = db.collection<Item>("engine_items");
  await items.drop().catch(() => {});
  await db.createCollection("engine_items");
});
afterAll(async () => {
  for (const { name } of await db.listCollections({ name: /^engine_/ }, { nameOnly: true }).toArray()) {
    await db.collection(name).drop();
  }
  await client.close();
  await raw.close();
});

/** A fresh collection of its own for a test. */
async function fresh(name: string, documents: Item[] = []): Promise<Collection<Item>> {
  const collection = db.collection<Item>(`engine_${name}`);
  await collection.drop().catch(() => {});
  await db.createCollection(`engine_${name}`);
  if (documents.length > 0) await collection.insertMany(documents);
  return collection;
}

/** The server's error; anything else fails the test. */
async function serverError(work: Promise<unknown>): Promise<MongoServerError> {
  const outcome = await work.then(
    (value) => value,
    (error) => error,
  );
  if (!(outcome instanceof MongoServerError))
    throw new Error(`expected a server error, got ${Bun.inspect(outcome)}`);
  return outcome;
}

const TRANSIENT = "TransientTransactionError";

describe("transactions", () => {
  test("a duplicate key inside a transaction aborts it", async () => {
    const c = await fresh("tx_duplicate", [{ _id: 1 }]);
    await client.withSession(async (session) => {
      session.startTransaction();
      await c.insertOne({ _id: 2 }, { session });
      expect((await serverError(c.insertOne({ _id: 1 }, { session }))).code).toBe(11000);
      const next = await serverError(c.insertOne({ _id: 3 }, { session }));
      expect(next.code).toBe(251);
      expect(next.hasErrorLabel(TRANSIENT)).toBe(true);
      const commit = await serverError(session.commitTransaction());
      expect(commit.code).toBe(251);
      await session.abortTransaction().catch(() => {});
    });
    expect(await c.find().toArray()).toEqual([{ _id: 1 }]);
  });

  test("a statement that failed, then commit: 251 NoSuchTransaction, nothing is written", async () => {
    const c = await fresh("tx_failed", [{ _id: 1, text: "a" }]);
    await client.withSession(async (session) => {
      session.startTransaction();
      await c.insertOne({ _id: 2 }, { session });
      expect((await serverError(c.updateOne({ _id: 1 }, { $inc: { text: 1 } }, { session }))).code).toBe(14);
      const commit = await serverError(session.commitTransaction());
      expect([commit.code, commit.codeName]).toEqual([251, "NoSuchTransaction"]);
    });
    expect(await c.countDocuments()).toBe(1);
  });

  test("commit repeated after a success is a success", async () => {
    const c = await fresh("tx_commit_twice");
    await client.withSession(async (session) => {
      session.startTransaction();
      await c.insertOne({ _id: 1 }, { session });
      await session.commitTransaction();
      await session.commitTransaction();
    });
    expect(await c.countDocuments()).toBe(1);
  });

  test("commit of a transaction that was aborted, and abort of one that was committed, are errors", async () => {
    const c = await fresh("tx_ended");
    await client.withSession(async (session) => {
      session.startTransaction();
      await c.insertOne({ _id: 1 }, { session });
      const txnNumber = Long.fromNumber(session.serverSession.txnNumber);
      await session.commitTransaction();
      const abort = await serverError(
        client
          .db("admin")
          .command({ abortTransaction: 1, txnNumber, autocommit: false } as never, { session }),
      );
      expect(abort.code).toBe(256);
    });
  });

  test("two transactions that take locks in opposite order: at once an error labelled transient", async () => {
    const c = await fresh("tx_order", [
      { _id: "a", n: 0 },
      { _id: "b", n: 0 },
    ]);
    const [first, second] = [client.startSession(), client.startSession()];
    try {
      first.startTransaction();
      second.startTransaction();
      await c.updateOne({ _id: "a" }, { $inc: { n: 1 } }, { session: first });
      await c.updateOne({ _id: "b" }, { $inc: { n: 1 } }, { session: second });
      const outcomes = await Promise.allSettled([
        c.updateOne({ _id: "b" }, { $inc: { n: 1 } }, { session: first }),
        c.updateOne({ _id: "a" }, { $inc: { n: 1 } }, { session: second }),
      ]);
      const errors = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
      expect(errors.length).toBeGreaterThan(0);
      for (const error of errors) {
        expect(error).toBeInstanceOf(MongoServerError);
        expect(error.code).toBe(112);
        expect(error.hasErrorLabel(TRANSIENT)).toBe(true);
      }
    } finally {
      await first.endSession();
      await second.endSession();
    }
    expect(await c.find().sort({ _id: 1 }).toArray()).toEqual([
      { _id: "a", n: 0 },
      { _id: "b", n: 0 },
    ]);
  });

  test("a write conflict is a top-level error with the label, also for bulk writes", async () => {
    const c = await fresh("tx_conflict", [{ _id: 1, n: 0 }]);
    const conflicting: ((session: ReturnType<MongoClient["startSession"]>) => Promise<unknown>)[] = [
      (session) => c.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session }),
      (session) => c.deleteOne({ _id: 1 }, { session }),
      (session) => c.findOneAndUpdate({ _id: 1 }, { $inc: { n: 1 } }, { session }),
      (session) =>
        c.bulkWrite([{ updateOne: { filter: { _id: 1 }, update: { $inc: { n: 1 } } } }], { session }),
    ];
    for (const write of conflicting) {
      await client.withSession(async (session) => {
        session.startTransaction({ readConcern: { level: "snapshot" } });
        await c.findOne({ _id: 1 }, { session });
        await c.updateOne({ _id: 1 }, { $inc: { outside: 1 } });
        const error = await serverError(write(session));
        expect(error.code).toBe(112);
        expect(error.hasErrorLabel(TRANSIENT)).toBe(true);
        await session.abortTransaction();
      });
    }
    expect(await c.findOne({ _id: 1 })).toEqual({ _id: 1, n: 0, outside: conflicting.length });
  });

  test("a read in a transaction sees its start, and what it wrote itself", async () => {
    const c = await fresh("tx_snapshot", [{ _id: 1, n: 0 }]);
    await client.withSession(async (session) => {
      session.startTransaction({ readConcern: { level: "snapshot" } });
      expect(await c.countDocuments({}, { session })).toBe(1);
      await c.insertOne({ _id: 2 });
      expect(await c.countDocuments({}, { session })).toBe(1);
      await c.insertOne({ _id: 3 }, { session });
      expect(await c.countDocuments({}, { session })).toBe(2);
      await session.abortTransaction();
    });
    expect(await c.countDocuments()).toBe(2);
  });

  test("200 callers on one document with the default pool: every one gets through, exactly once", async () => {
    const c = await fresh("tx_many", [{ _id: 1, n: 0, plain: 0 }]);
    const many = await MongoClient.connect(uri);
    try {
      const d = many.db(db.databaseName).collection<Item>(c.collectionName);
      await Promise.all([
        ...Array.from({ length: 100 }, () =>
          many.withSession((session) =>
            session.withTransaction(async () => {
              const found = await d.findOne({ _id: 1 }, { session });
              await d.updateOne({ _id: 1 }, { $set: { n: Number(found?.n) + 1 } }, { session });
            }),
          ),
        ),
        ...Array.from({ length: 100 }, () => d.updateOne({ _id: 1 }, { $inc: { plain: 1 } })),
      ]);
      expect(await d.findOne({ _id: 1 })).toEqual({ _id: 1, n: 100, plain: 100 });
    } finally {
      await many.close();
    }
  }, 120_000);

  test(
    "a client killed in mid-transaction: its locks stay, $currentOp tells of it, and killSessions ends it",
    async () => {
      const c = await fresh("tx_killed", [{ _id: 1, n: 0 }]);
      const appName = `killed ${crypto.randomUUID()}`;
      const holder = startProgram([
        "-e",
        `import { MongoClient } from "mongodb";
         const client = await MongoClient.connect(process.env.MONGODB_URI, { appName: "${appName}" });
         const session = client.startSession();
         session.startTransaction();
         await client.db().collection("${c.collectionName}").updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session });
         console.log("holds the lock");
         setInterval(() => {}, 1000);`,
      ]);
      await holder.line(/holds the lock/);
      const admin = client.db("admin");
      const look = async () => {
        const operations = await admin
          .aggregate([{ $currentOp: { idleConnections: true, idleSessions: true } }])
          .toArray();
        const own = operations.filter((operation) => operation.appName === appName);
        const transaction = own.find(({ type }) => type === "idleSession");
        const connections = own
          .filter(({ type }) => type === "op")
          .map(({ connectionId }) => `${connectionId}`);
        return { transaction, isConnected: connections.includes(`${transaction?.connectionId}`) };
      };
      expect((await look()).isConnected).toBe(true);
      await holder.kill("SIGKILL");
      await eventually(async () => !(await look()).isConnected, "the end of its connection");
      const { transaction } = await look();
      expect(transaction?.transaction.parameters.autocommit).toBe(false);
      expect((await serverError(c.updateOne({ _id: 1 }, { $inc: { n: 10 } }, { maxTimeMS: 200 }))).code).toBe(
        50,
      );
      await admin.command({ killSessions: [{ id: transaction?.lsid.id }] });
      await c.updateOne({ _id: 1 }, { $inc: { n: 10 } }, { maxTimeMS: 5000 });
      expect(await c.findOne({ _id: 1 })).toEqual({ _id: 1, n: 10 });
    },
    PATIENCE,
  );

  test("withTransaction commits what a retry made, and a collection may be made in it", async () => {
    const c = db.collection<Item>("engine_tx_made");
    await c.drop().catch(() => {});
    let runs = 0;
    await client.withSession((session) =>
      session.withTransaction(async () => {
        runs++;
        await c.insertOne({ _id: runs }, { session });
        if (runs === 1) {
          const error = new MongoServerError({ message: "made up", code: 112 });
          error.addErrorLabel(TRANSIENT);
          throw error;
        }
      }),
    );
    expect(await c.find().toArray()).toEqual([{ _id: 2 }]);
  });

  test(
    "a lost answer to commitTransaction: the driver asks again, and it was committed once",
    async () => {
      const c = await fresh("tx_lost_commit", [{ _id: 1, n: 0 }]);
      const proxy = await startProxy(uri);
      const through = await MongoClient.connect(proxy.url(uri));
      try {
        const d = through.db(db.databaseName).collection<Item>(c.collectionName);
        await through.withSession(async (session) => {
          session.startTransaction();
          await d.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session });
          const lost = proxy.loseNextAnswer((bytes) => bytes.includes("commitTransaction"));
          await session.commitTransaction();
          await lost;
        });
        expect(await c.findOne({ _id: 1 })).toEqual({ _id: 1, n: 1 });
      } finally {
        await through.close();
        await proxy.close();
      }
    },
    PATIENCE,
  );
});

describe("retryable writes", () => {
  const writes: Record<string, (c: Collection<Item>) => Promise<unknown>> = {
    update: (c) => c.updateOne({ _id: 1 }, { $inc: { n: 1 } }),
    findAndModify: (c) => c.findOneAndUpdate({ _id: 1 }, { $inc: { n: 1 } }, { returnDocument: "after" }),
    insert: (c) => c.insertMany([{ _id: 10 }, { _id: 11 }]),
    delete: (c) => c.deleteOne({ _id: 2 }),
    "update with an upsert": (c) => c.updateOne({ _id: 3 }, { $inc: { n: 1 } }, { upsert: true }),
  };
  for (const [name, write] of Object.entries(writes)) {
    test(
      `the answer to ${name} is lost and the driver sends it again: applied once, same result`,
      async () => {
        const documents = [
          { _id: 1, n: 0 },
          { _id: 2, n: 0 },
        ];
        const calm = await fresh("retry_calm", documents);
        const expected = await write(calm);
        const c = await fresh("retry", documents);
        const proxy = await startProxy(uri);
        const through = await MongoClient.connect(proxy.url(uri));
        try {
          const command = name.split(" ")[0] ?? "";
          const lost = proxy.loseNextAnswer((bytes) => bytes.includes(`${command}\0`));
          const result = await write(through.db(db.databaseName).collection<Item>(c.collectionName));
          await lost;
          expect(result).toEqual(expected);
        } finally {
          await through.close();
          await proxy.close();
        }
        expect(await c.find().sort({ _id: 1 }).toArray()).toEqual(
          await calm.find().sort({ _id: 1 }).toArray(),
        );
      },
      PATIENCE,
    );
  }

  test(
    "the answer to an insert of a taken key is lost and the driver sends it again: still a duplicate key",
    async () => {
      const c = await fresh("retry_taken", [{ _id: 1 }]);
      const proxy = await startProxy(uri);
      const through = await MongoClient.connect(proxy.url(uri));
      try {
        const lost = proxy.loseNextAnswer((bytes) => bytes.includes("insert\0"));
        const error = await serverError(
          through.db(db.databaseName).collection<Item>(c.collectionName).insertOne({ _id: 1 }),
        );
        await lost;
        expect(error.code).toBe(11000);
        expect(error.message).toContain("_id_");
      } finally {
        await through.close();
        await proxy.close();
      }
    },
    PATIENCE,
  );

  test("a number that was used replays its result, an older one is refused", async () => {
    const c = await fresh("retry_old");
    await raw.withSession(async (session) => {
      const insert = (number: number, _id: number) =>
        raw.db(db.databaseName).command(
          {
            insert: c.collectionName,
            documents: [{ _id }],
            txnNumber: Long.fromNumber(number),
          } as never,
          { session },
        );
      expect(await insert(5, 1)).toMatchObject({ ok: 1, n: 1 });
      expect(await insert(5, 1)).toMatchObject({ ok: 1, n: 1 });
      expect((await serverError(insert(4, 2))).code).toBe(225);
    });
    expect(await c.countDocuments()).toBe(1);
  });
});

describe("cursors", () => {
  const hundred = Array.from({ length: 100 }, (_, n) => ({ _id: n, n }));

  test("pages give every document once; an exhausted cursor has the id 0", async () => {
    const c = await fresh("cursor", hundred);
    const found = await c.find().sort({ n: -1 }).batchSize(7).toArray();
    expect(found.map(({ _id }) => Number(_id))).toEqual(hundred.map(({ _id }) => _id).reverse());
    const one = await db.command({ find: c.collectionName, batchSize: 200 });
    expect(Number(one.cursor.id)).toBe(0);
  });

  test("killCursors closes it; reading on is CursorNotFound", async () => {
    const c = await fresh("cursor_kill", hundred);
    const first = await db.command({ find: c.collectionName, batchSize: 3 });
    const { id } = first.cursor;
    const killed = await db.command({ killCursors: c.collectionName, cursors: [id, Long.fromNumber(12345)] });
    expect(killed.cursorsKilled).toHaveLength(1);
    expect(killed.cursorsNotFound).toHaveLength(1);
    const more = await serverError(db.command({ getMore: Long.fromValue(id), collection: c.collectionName }));
    expect([more.code, more.codeName]).toEqual([43, "CursorNotFound"]);
  });

  test("in a transaction a cursor sees its snapshot and ends with it", async () => {
    const c = await fresh("cursor_tx", hundred);
    await client.withSession(async (session) => {
      session.startTransaction({ readConcern: { level: "snapshot" } });
      const cursor = c.find({}, { session }).batchSize(10);
      await cursor.next();
      await c.insertOne({ _id: 1000 });
      let count = 1;
      while (await cursor.next()) count++;
      expect(count).toBe(100);
      const open = c.find({}, { session }).batchSize(10);
      await open.next();
      await session.commitTransaction();
      await cursor.close();
      await open.close().catch(() => {});
    });
  });

  test("a cursor of one collection cannot be read as another's", async () => {
    const c = await fresh("cursor_other", hundred);
    const first = await db.command({ find: c.collectionName, batchSize: 3 });
    const more = await serverError(
      db.command({ getMore: Long.fromValue(first.cursor.id), collection: "engine_items" }),
    );
    expect(more.code).toBe(13);
  });
});

describe("limits and options", () => {
  test("maxTimeMS ends what takes longer with 50 MaxTimeMSExpired", async () => {
    const c = await fresh(
      "slow",
      Array.from({ length: 3000 }, (_, n) => ({ _id: n, n: n % 7 })),
    );
    const slow = c
      .aggregate(
        [
          { $lookup: { from: c.collectionName, localField: "n", foreignField: "n", as: "same" } },
          { $unwind: "$same" },
          { $group: { _id: "$same.n", sum: { $sum: { $multiply: ["$n", "$same._id"] } } } },
        ],
        { maxTimeMS: 30 },
      )
      .toArray();
    const error = await serverError(slow);
    expect([error.code, error.codeName]).toEqual([50, "MaxTimeMSExpired"]);
    expect(await c.countDocuments({}, { maxTimeMS: 10_000 })).toBe(3000);
  });

  test("a write that waits for a transaction's lock gives up at its maxTimeMS", async () => {
    const c = await fresh("lock_wait", [{ _id: 1, n: 0 }]);
    await client.withSession(async (session) => {
      session.startTransaction();
      await c.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session });
      const error = await serverError(
        db.command({
          update: c.collectionName,
          updates: [{ q: { _id: 1 }, u: { $inc: { n: 5 } } }],
          maxTimeMS: 200,
        }),
      );
      expect(error.code).toBe(50);
      await session.commitTransaction();
    });
    expect(await c.findOne({ _id: 1 })).toEqual({ _id: 1, n: 1 });
  });

  test("a write outside transactions waits for the one that holds the document, as long as it may", async () => {
    const c = await fresh("lock_wait_ok", [{ _id: 1, n: 0 }]);
    await client.withSession(async (session) => {
      session.startTransaction();
      await c.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session });
      const waiting = c.updateOne({ _id: 1 }, { $inc: { n: 10 } });
      await Bun.sleep(300);
      await session.commitTransaction();
      await waiting;
    });
    expect(await c.findOne({ _id: 1 })).toEqual({ _id: 1, n: 11 });
  });

  test(
    "writes outside transactions that meet in opposite order all get through",
    async () => {
      const c = await fresh("crossing", [
        { _id: 1, n: 0 },
        { _id: 2, n: 0 },
      ]);
      const up = (_id: number) => ({ updateOne: { filter: { _id }, update: { $inc: { n: 1 } } } });
      await Promise.all(
        Array.from({ length: 60 }, (_, index) => c.bulkWrite(index % 2 ? [up(1), up(2)] : [up(2), up(1)])),
      );
      expect(await c.find().sort({ _id: 1 }).toArray()).toEqual([
        { _id: 1, n: 60 },
        { _id: 2, n: 60 },
      ]);
    },
    PATIENCE,
  );

  test("a snapshot session reads every collection at one time, over pages", async () => {
    const many = Array.from({ length: 300 }, (_, n) => ({ _id: n, n: 0 }));
    const [first, second] = [await fresh("snapshot_a", many), await fresh("snapshot_b", many)];
    // The end of a connection ends its snapshots; a session that has ended only waits to be used again.
    const reader = await MongoClient.connect(uri);
    try {
      const session = reader.startSession({ snapshot: true });
      const read = (collection: Collection<Item>, filter = {}) =>
        reader.db().collection(collection.collectionName).find(filter, { session, batchSize: 50 });
      const cursor = read(first);
      expect(await cursor.next()).toMatchObject({ n: 0 });
      for (const collection of [first, second]) {
        await collection.updateMany({}, { $set: { n: 1 } });
        await collection.insertOne({ _id: "late", n: 1 });
        await collection.deleteOne({ _id: 299 });
      }
      const rest = await cursor.toArray();
      const other = await read(second).toArray();
      expect([rest.length, other.length]).toEqual([299, 300]);
      expect([...rest, ...other].every(({ n }) => n === 0)).toBe(true);
      await session.endSession();
      const again = reader.startSession({ snapshot: true });
      const now = reader.db().collection(second.collectionName).find({ n: 1 }, { session: again });
      expect(await now.toArray()).toHaveLength(300);
      await again.endSession();
    } finally {
      await reader.close();
    }
  });

  test("write and read concerns are accepted", async () => {
    const c = await fresh("concern");
    for (const writeConcern of [
      { w: 1 },
      { w: "majority" as const },
      { w: 1, journal: true },
      { w: 1, wtimeoutMS: 1000 },
    ]) {
      await c.insertOne({ _id: Bun.randomUUIDv7() }, { writeConcern });
    }
    expect(await c.find({}, { readConcern: { level: "majority" } }).toArray()).toHaveLength(4);
    await c.insertOne({ _id: "unacknowledged" }, { writeConcern: { w: 0 } });
  });

  test("an unknown command is CommandNotFound with its name", async () => {
    const error = await serverError(db.command({ makeCoffee: 1 }));
    expect([error.code, error.codeName]).toEqual([59, "CommandNotFound"]);
    expect(error.message).toContain("makeCoffee");
  });

  test.skipIf(!local)("what the local engine lacks says so", async () => {
    const changes = await serverError(items.aggregate([{ $changeStream: {} }]).toArray());
    expect([changes.code, changes.codeName]).toEqual([59, "CommandNotFound"]);
    expect(changes.message).toContain("change streams");
    const series = await serverError(
      db.createCollection("engine_series", { timeseries: { timeField: "t" } }),
    );
    expect([series.code, series.codeName]).toEqual([59, "CommandNotFound"]);
    expect(series.message).toContain("time-series");
  });

  test("a document of more than 16 MiB is refused, a smaller one is kept whole", async () => {
    const c = await fresh("large");
    const big = "x".repeat(15 * 1024 * 1024);
    await c.insertOne({ _id: 1, big });
    expect((await c.findOne({ _id: 1 }))?.big).toBe(big);
    await expect(
      db.command({ insert: c.collectionName, documents: [{ _id: 2, big: `${big}${big}` }] }),
    ).rejects.toThrow();
    expect(await c.countDocuments()).toBe(1);
  });
});

describe("duplicate keys", () => {
  test("name the index, its pattern and the value", async () => {
    const c = await fresh("duplicate", [{ _id: 1, sku: "a", at: { place: 1 } }]);
    await c.createIndex({ sku: 1 }, { unique: true });
    await c.createIndex({ "at.place": 1, sku: 1 }, { unique: true, name: "place" });
    const error = await serverError(c.insertOne({ _id: 2, sku: "a" }));
    expect(error.code).toBe(11000);
    expect(error.message).toContain("index: sku_1 dup key");
    expect(error.keyPattern).toEqual({ sku: 1 });
    expect(error.keyValue).toEqual({ sku: "a" });
    const id = await serverError(c.insertOne({ _id: 1 }));
    expect(id.keyPattern).toEqual({ _id: 1 });
    const moved = await c.insertOne({ _id: 3, sku: "b" });
    expect(moved.insertedId).toBe(3);
    const update = await serverError(c.updateOne({ _id: 3 }, { $set: { sku: "a" } }));
    expect(update.keyPattern).toEqual({ sku: 1 });
    const modify = await serverError(c.findOneAndUpdate({ _id: 3 }, { $set: { sku: "a" } }));
    expect([modify.code, modify.keyPattern]).toEqual([11000, { sku: 1 }]);
  });

  test("in an unordered bulk only the duplicates fail, each with its place", async () => {
    const c = await fresh("duplicate_bulk", [{ _id: 2 }]);
    const error = await c
      .insertMany([{ _id: 1 }, { _id: 2 }, { _id: 3 }, { _id: 1 }], { ordered: false })
      .catch((thrown) => thrown);
    expect(
      error.writeErrors.map(({ index, code }: { index: number; code: number }) => [index, code]),
    ).toEqual([
      [1, 11000],
      [3, 11000],
    ]);
    expect(await c.countDocuments()).toBe(3);
  });

  test("a partial unique index leaves out what does not match", async () => {
    const c = await fresh("duplicate_partial");
    await c.createIndex({ sku: 1 }, { unique: true, partialFilterExpression: { sku: { $exists: true } } });
    await c.insertMany([{ _id: 1 }, { _id: 2 }, { _id: 3, sku: "a" }]);
    expect((await serverError(c.insertOne({ _id: 4, sku: "a" }))).code).toBe(11000);
    await c.updateOne({ _id: 3 }, { $unset: { sku: "" } });
    await c.insertOne({ _id: 4, sku: "a" });
  });

  test("50 inserts of one key at once: one succeeds", async () => {
    const c = await fresh("duplicate_race");
    await c.createIndex({ sku: 1 }, { unique: true });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, (_, n) => c.insertOne({ _id: n, sku: "one" })),
    );
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const outcome of outcomes)
      if (outcome.status === "rejected") expect(outcome.reason.code).toBe(11000);
  });
});

describe("explain and the use of indexes", () => {
  interface Stage {
    stage: string;
    inputStage?: Stage;
    inputStages?: Stage[];
    indexName?: string;
  }
  const stagesOf = (plan: Stage): string[] => [
    plan.stage,
    ...(plan.inputStage ? stagesOf(plan.inputStage) : []),
    ...(plan.inputStages ?? []).flatMap(stagesOf),
  ];

  test("a page sorted by an index reads the page, not the collection", async () => {
    const c = await fresh(
      "explain",
      Array.from({ length: 2000 }, (_, n) => ({ _id: n, group: n % 10, at: 2000 - n })),
    );
    await c.createIndex({ group: 1, at: -1, _id: -1 });
    const plan = await c.find({ group: 3 }).sort({ at: -1, _id: -1 }).limit(20).explain("executionStats");
    expect(stagesOf(plan.queryPlanner.winningPlan)).toContain("IXSCAN");
    expect(stagesOf(plan.queryPlanner.winningPlan)).not.toContain("SORT");
    expect(plan.executionStats.nReturned).toBe(20);
    expect(plan.executionStats.totalDocsExamined).toBeLessThanOrEqual(40);
    expect(plan.executionStats.totalKeysExamined).toBeLessThanOrEqual(41);
  });

  test("without an index the whole collection is read, and explain says so", async () => {
    const c = await fresh(
      "explain_scan",
      Array.from({ length: 500 }, (_, n) => ({ _id: n, n })),
    );
    const plan = await c.find({ n: 7 }).explain("executionStats");
    expect(stagesOf(plan.queryPlanner.winningPlan)).toContain("COLLSCAN");
    expect(plan.executionStats.totalDocsExamined).toBe(500);
    const planner = await c.find({ n: 7 }).explain("queryPlanner");
    expect(planner.executionStats).toBeUndefined();
  });

  test("each alternative of $or may use its own index", async () => {
    const c = await fresh(
      "explain_or",
      Array.from({ length: 1000 }, (_, n) => ({ _id: n, a: n, b: -n })),
    );
    await c.createIndexes([{ key: { a: 1 } }, { key: { b: 1 } }]);
    const plan = await c.find({ $or: [{ a: 5 }, { b: -6 }] }).explain("executionStats");
    expect(plan.executionStats.nReturned).toBe(2);
    expect(plan.executionStats.totalDocsExamined).toBeLessThanOrEqual(10);
  });
});

describe("text search", () => {
  test("weights, phrases, negation, stemming and scores", async () => {
    const c = await fresh("text", [
      { _id: 1, name: "running shoes", text: "red" },
      { _id: 2, name: "red runner", text: "shoes for a run" },
      { _id: 3, name: "blue hat", text: "wool" },
    ]);
    await c.createIndex(
      { name: "text", text: "text" },
      { weights: { name: 10, text: 1 }, default_language: "english" },
    );
    const search = async (query: string) =>
      (
        await c
          .find({ $text: { $search: query } })
          .project<{ _id: number; score: number }>({ score: { $meta: "textScore" } })
          .sort({ score: { $meta: "textScore" }, _id: 1 })
          .toArray()
      ).map(({ _id }) => _id);
    expect((await search("red"))[0]).toBe(2);
    expect((await search("run")).sort()).toEqual([1, 2]);
    expect(await search('"running shoes"')).toEqual([1]);
    expect(await search("shoes -red")).not.toContain(2);
    expect(await search("nothing")).toEqual([]);
    const counted = await c.aggregate([{ $match: { $text: { $search: "red" } } }, { $count: "n" }]).toArray();
    expect(counted).toEqual([{ n: 2 }]);
  });
});

describe("collations and $graphLookup", () => {
  test("a unique index with a collation (the local engine refuses it)", async () => {
    const c = await fresh("collation");
    const made = c.createIndex({ email: 1 }, { unique: true, collation: { locale: "en", strength: 2 } });
    if (local) {
      const error = await serverError(made);
      expect(error.message).toMatch(/collation/i);
      return;
    }
    await made;
    await c.insertOne({ _id: 1, email: "A@x" });
    expect((await serverError(c.insertOne({ _id: 2, email: "a@x" }))).code).toBe(11000);
  });

  test("$graphLookup finds what lies above", async () => {
    const c = await fresh("graph", [
      { _id: 1, parent: null },
      { _id: 2, parent: 1 },
      { _id: 3, parent: 2 },
    ]);
    const [found] = await c
      .aggregate([
        { $match: { _id: 3 } },
        {
          $graphLookup: {
            from: c.collectionName,
            startWith: "$parent",
            connectFromField: "parent",
            connectToField: "_id",
            as: "above",
          },
        },
      ])
      .toArray();
    expect(found?.above.map(({ _id }: Item) => _id).sort()).toEqual([1, 2]);
  });
});

describe("aggregation that the project builds on", () => {
  test("facets, buckets, windows, dates, percentiles, lookups, merges", async () => {
    const c = await fresh(
      "aggregate",
      Array.from({ length: 50 }, (_, n) => ({
        _id: n,
        price: n % 10,
        tags: [`t${n % 3}`, "all"],
        at: new Date(Date.UTC(2026, 0, 1, n)),
      })),
    );
    const [facets] = await c
      .aggregate([
        {
          $facet: {
            tags: [{ $unwind: "$tags" }, { $sortByCount: "$tags" }, { $limit: 1 }],
            // MongoDB sorts buckets by itself, the local engine does not: code that needs the order asks for it.
            prices: [
              { $bucket: { groupBy: "$price", boundaries: [0, 5, 10], output: { n: { $sum: 1 } } } },
              { $sort: { _id: 1 } },
            ],
          },
        },
      ])
      .toArray();
    expect(facets).toEqual({
      tags: [{ _id: "all", count: 50 }],
      prices: [
        { _id: 0, n: 25 },
        { _id: 5, n: 25 },
      ],
    });
    const days = await c
      .aggregate([
        { $group: { _id: { $dateToString: { date: "$at", format: "%Y-%m-%d" } }, n: { $sum: 1 } } },
        { $sort: { _id: 1 } },
      ])
      .toArray();
    expect(days.map(({ n }) => n)).toEqual([24, 24, 2]);
    const hours = await c
      .aggregate([
        { $group: { _id: { $dateTrunc: { date: "$at", unit: "hour", binSize: 6 } }, n: { $sum: 1 } } },
        { $sort: { _id: 1 } },
      ])
      .toArray();
    expect(hours.map(({ n }) => n)).toEqual([6, 6, 6, 6, 6, 6, 6, 6, 2]);
    const previous = await c
      .aggregate([
        {
          $setWindowFields: {
            sortBy: { _id: 1 },
            output: { before: { $shift: { output: "$_id", by: -1 } } },
          },
        },
        { $match: { _id: 7 } },
      ])
      .toArray();
    expect(previous[0]?.before).toBe(6);
    const target = await fresh("aggregate_target");
    await c
      .aggregate([{ $group: { _id: "$price", n: { $sum: 1 } } }, { $merge: { into: target.collectionName } }])
      .toArray();
    expect(await target.countDocuments({ n: 5 })).toBe(10);
    const joined = await c
      .aggregate([
        { $match: { _id: 3 } },
        { $lookup: { from: target.collectionName, localField: "price", foreignField: "_id", as: "sum" } },
      ])
      .toArray();
    expect(joined[0]?.sum).toEqual([{ _id: 3, n: 5 }]);
    const [percentile] = await c
      .aggregate([
        { $group: { _id: null, p: { $percentile: { input: "$price", p: [0.5], method: "approximate" } } } },
      ])
      .toArray();
    expect(percentile?.p[0]).toBeGreaterThanOrEqual(4);
  });

  test("$dateTrunc by day is right, or refused (the local engine would get it wrong)", async () => {
    const c = await fresh("truncate", [
      { _id: 1, at: new Date("2026-01-01T03:00:00Z") },
      { _id: 2, at: new Date("2026-01-01T15:00:00Z") },
    ]);
    const days = c
      .aggregate([{ $project: { day: { $dateTrunc: { date: "$at", unit: "day" } } } }, { $sort: { _id: 1 } }])
      .toArray();
    if (local) {
      expect((await serverError(days)).message).toContain("truncates to days and weeks wrongly");
    } else {
      const day = new Date("2026-01-01T00:00:00Z");
      expect((await days).map((row) => row.day)).toEqual([day, day]);
    }
  });

  test("updates: array filters, positional, pipelines, upserts", async () => {
    const c = await fresh("updates", [
      {
        _id: 1,
        variants: [
          { sku: "a", n: 1 },
          { sku: "b", n: 1 },
        ],
        price: 5,
      },
    ]);
    await c.updateOne({ _id: 1 }, { $inc: { "variants.$[v].n": 4 } }, { arrayFilters: [{ "v.sku": "b" }] });
    await c.updateOne({ _id: 1, "variants.sku": "a" }, { $set: { "variants.$.n": 9 } });
    await c.updateOne({ _id: 1 }, [{ $set: { price: { $add: ["$price", 10] } } }]);
    expect(await c.findOne({ _id: 1 })).toEqual({
      _id: 1,
      variants: [
        { sku: "a", n: 9 },
        { sku: "b", n: 5 },
      ],
      price: 15,
    });
    const upsert = await c.updateOne({ _id: 2 }, { $setOnInsert: { made: true } }, { upsert: true });
    expect(upsert.upsertedCount).toBe(1);
  });

  test("50 conditional decrements of 10: exactly 10 succeed", async () => {
    const c = await fresh("decrement", [{ _id: 1, left: 10 }]);
    const results = await Promise.all(
      Array.from({ length: 50 }, () => c.updateOne({ _id: 1, left: { $gte: 1 } }, { $inc: { left: -1 } })),
    );
    expect(results.filter(({ modifiedCount }) => modifiedCount === 1)).toHaveLength(10);
    expect(await c.findOne({ _id: 1 })).toEqual({ _id: 1, left: 0 });
  });

  test("wildcard, hashed, sparse and TTL indexes can be made and are listed as they were asked for", async () => {
    const c = await fresh("indexes");
    await c.createIndex({ "attrs.$**": 1 });
    await c.createIndex({ h: "hashed" });
    await c.createIndex({ s: 1 }, { sparse: true });
    await c.createIndex({ at: 1 }, { expireAfterSeconds: 3600 });
    const listed = await c.indexes();
    expect(listed.map(({ name }) => name).sort()).toEqual(["_id_", "at_1", "attrs.$**_1", "h_hashed", "s_1"]);
    expect(listed.find(({ name }) => name === "at_1")?.expireAfterSeconds).toBe(3600);
    expect(listed.find(({ name }) => name === "s_1")?.sparse).toBe(true);
  });

  test.skipIf(!process.env.AIZY_LONG)(
    "TTL: an expired document is gone within three minutes, no other one (long)",
    async () => {
      const c = await fresh("ttl");
      await c.createIndex({ at: 1 }, { expireAfterSeconds: 1 });
      await c.insertMany([
        { _id: 1, at: new Date() },
        { _id: 2, at: new Date(Date.now() + 3_600_000) },
        { _id: 3, at: "no date" },
      ]);
      for (const deadline = Date.now() + 180_000; (await c.countDocuments()) > 2; await Bun.sleep(500)) {
        if (Date.now() > deadline) throw new Error("nothing expired within three minutes");
      }
      expect((await c.find().sort({ _id: 1 }).toArray()).map(({ _id }) => _id)).toEqual([2, 3]);
    },
    200_000,
  );
});

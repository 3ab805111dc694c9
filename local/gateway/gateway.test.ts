/**
 * What only a gateway of one's own can show: short time limits, raw bytes, its bounds. Behaviour that MongoDB
 * shares is in test/engines.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { deserialize, serialize, UUID } from "bson";
import fc from "fast-check";
import { type Document, Long, MongoClient, MongoServerError } from "mongodb";
import { databaseOf } from "../../test/addresses";
import { eventually, startProgram } from "../../test/processes";
import { type Gateway, startGateway } from "./index.ts";
import { type PostgresAddress, PostgresConnection } from "./postgres.ts";
import { FrameReader } from "./wire.ts";

const given = process.env.AIZY_LOCAL_POSTGRES;
const database = `${databaseOf(process.env.MONGODB_URI ?? "")}_gateway`;
/** A hang guard, far above what anything here takes. */
const PATIENCE = 60_000;

interface Item extends Document {
  _id: number;
}

/** A frame of OP_MSG with one body and, when given, a document sequence. */
function message(
  body: Document,
  options: { id?: number; flags?: number; sequence?: [string, Document[]] } = {},
): Buffer {
  const parts = [Buffer.from([0]), serialize(body)];
  if (options.sequence) {
    const [name, documents] = options.sequence;
    const content = Buffer.concat([
      Buffer.from(`${name}\0`),
      ...documents.map((document) => serialize(document)),
    ]);
    const size = Buffer.alloc(4);
    size.writeInt32LE(content.length + 4);
    parts.push(Buffer.from([1]), size, content);
  }
  const content = Buffer.concat(parts);
  const header = Buffer.alloc(20);
  header.writeInt32LE(20 + content.length, 0);
  header.writeInt32LE(options.id ?? 1, 4);
  header.writeInt32LE(2013, 12);
  header.writeUInt32LE(options.flags ?? 0, 16);
  return Buffer.concat([header, content]);
}

/** A bare connection. */
async function dial(port: number): Promise<{
  socket: Socket;
  send(bytes: Buffer): void;
  /** The next answer. */
  answer(): Promise<{ to: number; document: Document }>;
  closed: Promise<void>;
}> {
  const socket = connect(port, "127.0.0.1");
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  socket.on("error", () => {});
  const frames = new FrameReader();
  const arrived: Buffer[] = [];
  let wake = () => {};
  socket.on("data", (bytes) => {
    arrived.push(...frames.push(bytes as Buffer));
    wake();
  });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return {
    socket,
    send: (bytes) => void socket.write(bytes),
    closed,
    async answer() {
      for (;;) {
        const frame = arrived.shift();
        if (frame) return { to: frame.readInt32LE(8), document: deserialize(frame.subarray(21)) };
        const came = new Promise<void>((resolve) => {
          wake = resolve;
        });
        await Promise.race([
          came,
          closed.then(() => {
            throw new Error("the gateway closed the connection");
          }),
        ]);
      }
    },
  };
}

const PING = { ping: 1, $db: "admin" };

describe.skipIf(!given)("a gateway of one's own (needs the local engine: AIZY_LOCAL_POSTGRES)", () => {
  const postgres = JSON.parse(given ?? "{}") as PostgresAddress;
  const started: Gateway[] = [];
  const clients: MongoClient[] = [];
  let gateway: Gateway;
  let client: MongoClient;

  const start = async (options: Partial<Parameters<typeof startGateway>[0]> = {}) => {
    const made = await startGateway({ postgres, ...options });
    started.push(made);
    return made;
  };
  const connectTo = async (to: Gateway, options = {}) => {
    const made = await MongoClient.connect(to.uri(database), options);
    clients.push(made);
    return made;
  };
  const items = (from: MongoClient, name: string) => from.db(database).collection<Item>(name);

  beforeAll(async () => {
    gateway = await start();
    client = await connectTo(gateway);
  });
  afterAll(async () => {
    await client.db(database).dropDatabase();
    for (const one of clients) await one.close();
    for (const one of started) await one.stop();
  });

  const serverError = (work: Promise<unknown>): Promise<MongoServerError> =>
    work.then(
      (value) => {
        throw new Error(`expected an error, got ${Bun.inspect(value)}`);
      },
      (error) => {
        if (error instanceof MongoServerError) return error;
        throw error;
      },
    );

  describe("bounds", () => {
    test("it listens on 127.0.0.1 alone", async () => {
      const others = Object.values(networkInterfaces())
        .flat()
        .flatMap((address) =>
          address && !address.internal && address.family === "IPv4" ? [address.address] : [],
        );
      for (const host of others) {
        const refused = await new Promise<boolean>((resolve) => {
          const socket = connect(gateway.port, host);
          socket.once("connect", () => resolve(false));
          socket.once("error", () => resolve(true));
        });
        expect(refused).toBe(true);
      }
    });

    test("authentication is off: no user is known and none is asked for", async () => {
      const status = await client.db("admin").command({ connectionStatus: 1 });
      expect(status.authInfo.authenticatedUsers).toEqual([]);
      const hello = await client.db("admin").command({ hello: 1 });
      expect(hello).toMatchObject({
        isWritablePrimary: true,
        setName: expect.any(String),
        maxBsonObjectSize: 16_777_216,
      });
    });

    test("200 connections are served at once", async () => {
      const dialled = await Promise.all(Array.from({ length: 200 }, () => dial(gateway.port)));
      for (const [index, { send }] of dialled.entries())
        send(message({ find: "none", $db: database }, { id: index + 1 }));
      const answers = await Promise.all(dialled.map(({ answer }) => answer()));
      expect(answers.map(({ to }) => to)).toEqual(dialled.map((_, index) => index + 1));
      expect(answers.every(({ document }) => document.ok === 1)).toBe(true);
      for (const { socket } of dialled) socket.destroy();
    });

    test(
      "more open transactions than it has connections: the next gets a labelled error at once, commits go on",
      async () => {
        const narrow = await start({ maxConnections: 12 });
        const many = await connectTo(narrow, { maxPoolSize: 50 });
        const c = items(many, "narrow");
        await c.insertMany(Array.from({ length: 30 }, (_, _id) => ({ _id, n: 0 })));
        const sessions = Array.from({ length: 30 }, () => many.startSession());
        const outcomes = await Promise.allSettled(
          sessions.map((session, _id) => {
            session.startTransaction();
            return c.updateOne({ _id }, { $inc: { n: 1 } }, { session });
          }),
        );
        const refused = outcomes.flatMap((outcome) =>
          outcome.status === "rejected" ? [outcome.reason] : [],
        );
        expect(refused.length).toBeGreaterThan(0);
        for (const error of refused) expect(error.hasErrorLabel("TransientTransactionError")).toBe(true);
        expect(await c.countDocuments()).toBe(30);
        const opened = sessions.filter((_, index) => outcomes[index]?.status === "fulfilled");
        await Promise.all(opened.map((session) => session.commitTransaction()));
        expect(await c.countDocuments({ n: 1 })).toBe(opened.length);
        for (const session of sessions) await session.endSession();
      },
      PATIENCE,
    );
  });

  describe("time limits", () => {
    test(
      "a transaction older than its limit is rolled back, its lock freed, its commit refused",
      async () => {
        const hasty = await start({ transactionLifetimeMs: 2000 });
        const impatient = await connectTo(hasty);
        const c = items(impatient, "lifetime");
        await c.insertOne({ _id: 1, n: 0 });
        await impatient.withSession(async (session) => {
          session.startTransaction();
          await c.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session });
          await c.updateOne({ _id: 1 }, { $inc: { n: 10 } });
          const error = await serverError(session.commitTransaction());
          expect(error.code).toBe(251);
        });
        expect(await c.findOne({ _id: 1 })).toEqual({ _id: 1, n: 10 });
      },
      PATIENCE,
    );

    test(
      "connections that go leave their transaction: another continues it, and else it ends at its limit",
      async () => {
        const hasty = await start({ transactionLifetimeMs: 3000 });
        const c = items(await connectTo(hasty), "gone");
        await c.insertOne({ _id: 1, n: 0 });
        const lsid = { id: new UUID() };
        const transaction = { lsid, txnNumber: Long.fromNumber(1), autocommit: false, $db: database };
        const [first, second] = [await dial(hasty.port), await dial(hasty.port)];
        const update = { update: "gone", updates: [{ q: { _id: 1 }, u: { $inc: { n: 1 } } }] };
        first.send(message({ ...update, ...transaction, startTransaction: true }));
        expect((await first.answer()).document.ok).toBe(1);
        first.socket.destroy();
        await first.closed;
        second.send(message({ find: "gone", ...transaction }));
        expect((await second.answer()).document.cursor.firstBatch).toEqual([{ _id: 1, n: 1 }]);
        second.socket.destroy();
        const began = performance.now();
        await c.updateOne({ _id: 1 }, { $inc: { n: 100 } }, { maxTimeMS: 30_000 });
        expect(performance.now() - began).toBeGreaterThan(500);
        expect(await c.findOne({ _id: 1 })).toEqual({ _id: 1, n: 100 });
      },
      PATIENCE,
    );

    test(
      "a connection that goes while its transaction commits leaves no connection to the engine with two users",
      async () => {
        const own = await start({ transactionLifetimeMs: 5000 });
        const visitor = await connectTo(own);
        const c = items(visitor, "shared");
        await c.insertOne({ _id: -1 });
        const count = 20;
        for (let _id = 0; _id < count; _id++) {
          const { socket, send, answer, closed } = await dial(own.port);
          const transaction = {
            lsid: { id: new UUID() },
            txnNumber: Long.fromNumber(1),
            autocommit: false,
          };
          send(
            message({
              insert: "shared",
              documents: [{ _id }],
              ...transaction,
              startTransaction: true,
              $db: database,
            }),
          );
          expect((await answer()).document.ok).toBe(1);
          socket.end(message({ commitTransaction: 1, ...transaction, $db: "admin" }));
          await closed;
        }
        // A write by itself must not be part of a transaction that is open beside it, and undone with it.
        const sessions = Array.from({ length: count }, () => visitor.startSession());
        for (const [n, session] of sessions.entries()) {
          session.startTransaction();
          await c.insertOne({ _id: 1000 + n }, { session });
          await c.insertOne({ _id: 2000 + n });
        }
        for (const session of sessions) {
          await session.abortTransaction();
          await session.endSession();
        }
        expect(await c.countDocuments({ _id: { $gte: 1000, $lt: 2000 } })).toBe(0);
        expect(await c.countDocuments({ _id: { $gte: 2000 } })).toBe(count);
        // Those whose connection went before they were committed end at their limit.
        await eventually(
          async () => (await visitor.db("admin").command({ serverStatus: 1 })).transactions.currentOpen === 0,
          "the end of all transactions",
        );
      },
      PATIENCE,
    );

    test(
      "a wait for a lock that PostgreSQL says was cancelled is repeated: it reports some lock timeouts so",
      async () => {
        const c = items(client, "cancelled");
        await c.insertOne({ _id: 1, n: 0 });
        const engine = await PostgresConnection.open(postgres);
        const cancelWaiting = async () => {
          const { rows } = await engine.execute(
            {
              name: "cancel",
              sql: `select count(pg_cancel_backend(waiting.pid))::int8 from pg_locks waiting where not granted and pid in (
                select held.pid from pg_locks held join documentdb_api_catalog.collections c
                on held.relation = to_regclass('documentdb_data.documents_' || c.collection_id)
                where c.database_name = '${database}' and c.collection_name = 'cancelled')`,
            },
            [],
          );
          return Number(rows[0]?.[0]?.readBigInt64BE() ?? 0n);
        };
        const session = client.startSession();
        session.startTransaction();
        await c.updateOne({ _id: 1 }, { $inc: { n: 1 } }, { session });
        const waiting = c.updateOne({ _id: 1 }, { $inc: { n: 10 } });
        let failed = false;
        waiting.catch(() => {
          failed = true;
        });
        for (let cancelled = 0; cancelled < 5 && !failed; ) cancelled += await cancelWaiting();
        await session.commitTransaction();
        await session.endSession();
        await waiting;
        engine.close();
        expect(await c.findOne({ _id: 1 })).toEqual({ _id: 1, n: 11 });
      },
      PATIENCE,
    );

    test(
      "a cursor that nobody reads expires",
      async () => {
        const hasty = await start({ cursorIdleMs: 50 });
        const reader = await connectTo(hasty);
        const c = items(reader, "expiry");
        await c.insertMany(Array.from({ length: 50 }, (_, _id) => ({ _id })));
        const first = await reader.db(database).command({ find: "expiry", batchSize: 5 });
        const keep = await reader
          .db(database)
          .command({ find: "expiry", batchSize: 5, noCursorTimeout: true });
        const getMore = (id: Long | number) =>
          reader.db(database).command({ getMore: Long.fromValue(id), collection: "expiry", batchSize: 5 });
        // Expired cursors are looked for every five seconds.
        for (const deadline = Date.now() + PATIENCE; ; await Bun.sleep(6000)) {
          const outcome = await getMore(first.cursor.id).catch((error) => error);
          if (outcome instanceof MongoServerError) {
            expect(outcome.code).toBe(43);
            break;
          }
          if (Date.now() > deadline) throw new Error("the cursor did not expire");
        }
        expect((await getMore(keep.cursor.id)).ok).toBe(1);
      },
      PATIENCE * 2,
    );
  });

  test(
    "kill -9 of a gateway ends what it had running in the engine; the next one has all connections",
    async () => {
      const own = startProgram([
        "local/gateway/main.ts",
        ...["--postgres", postgres.host, "--postgres-port", String(postgres.port)],
        ...["--user", postgres.user, "--database", postgres.database],
      ]);
      const [address] = await own.line(/mongodb:\/\/\S+/);
      // It looks for another server when this one is gone, half a minute unless it is told otherwise.
      const visitor = await MongoClient.connect(address, { serverSelectionTimeoutMS: 1000 });
      clients.push(visitor);
      const slow = visitor.db(database).collection<Item>("endless");
      await slow.insertMany(Array.from({ length: 2000 }, (_, _id) => ({ _id, n: 1 })));
      const running = async () => {
        const engine = await PostgresConnection.open(postgres);
        try {
          const { rows } = await engine.execute(
            {
              name: "running",
              sql: "select count(*)::int8 from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and query like '%aggregate_cursor_first_page%'",
            },
            [],
          );
          return Number(rows[0]?.[0]?.readBigInt64BE() ?? 0n);
        } finally {
          engine.close();
        }
      };
      // Each joins with all: eight thousand million rows, which no machine is done with in this test's time.
      const join = { $lookup: { from: "endless", localField: "n", foreignField: "n", as: "all" } };
      const outcome = slow
        .aggregate([join, { $unwind: "$all" }, join, { $unwind: "$all" }, { $count: "rows" }])
        .toArray()
        .catch((error) => error);
      await eventually(async () => (await running()) > 0, "the start of the slow statement");
      await own.kill("SIGKILL");
      await eventually(async () => (await running()) === 0, "the end of the slow statement");
      expect(await outcome).toBeInstanceOf(Error);
    },
    PATIENCE * 2,
  );

  describe("bytes", () => {
    test("answers come in the order of the requests that one connection sent without waiting", async () => {
      const { send, answer, socket } = await dial(gateway.port);
      const requests = Array.from({ length: 40 }, (_, index) =>
        index % 3 === 0
          ? message(PING, { id: index + 1 })
          : message({ find: "none", $db: database }, { id: index + 1 }),
      );
      send(Buffer.concat(requests));
      for (const [index] of requests.entries()) expect((await answer()).to).toBe(index + 1);
      socket.destroy();
    });

    test("a request cut into single bytes, a checksum, a document sequence, and one without an answer", async () => {
      const { send, answer, socket } = await dial(gateway.port);
      for (const byte of message(PING, { id: 7 })) send(Buffer.from([byte]));
      expect((await answer()).to).toBe(7);
      const summed = message(PING, { id: 8, flags: 1 });
      const withSum = Buffer.concat([summed, Buffer.alloc(4)]);
      withSum.writeInt32LE(withSum.length, 0);
      send(withSum);
      expect((await answer()).to).toBe(8);
      const insert = { insert: "bytes", $db: database };
      send(message(insert, { id: 9, flags: 2, sequence: ["documents", [{ _id: 1 }]] }));
      send(message(insert, { id: 10, sequence: ["documents", [{ _id: 2 }, { _id: 3 }]] }));
      expect(await answer()).toMatchObject({ to: 10, document: { ok: 1, n: 2 } });
      expect(await items(client, "bytes").countDocuments()).toBe(3);
      socket.destroy();
    });

    const hostile: Record<string, Buffer> = {
      "a length below the header's": Buffer.from([5, 0, 0, 0, ...new Array(12).fill(0)]),
      "a negative length": Buffer.from([255, 255, 255, 255, ...new Array(12).fill(0)]),
      "a length above 48 MB": Buffer.from([0, 0, 0, 4, ...new Array(12).fill(0)]),
      "an unknown opcode": (() => {
        const frame = message(PING);
        frame.writeInt32LE(2012, 12);
        return frame;
      })(),
      "unknown required flags": message(PING, { flags: 0x4000 }),
      "no body": (() => {
        const frame = Buffer.alloc(26);
        frame.writeInt32LE(26, 0);
        frame.writeInt32LE(2013, 12);
        frame[20] = 9;
        return frame;
      })(),
      "a document longer than its frame": (() => {
        const frame = message(PING);
        frame.writeInt32LE(1_000_000, 21);
        return frame;
      })(),
    };
    for (const [name, bytes] of Object.entries(hostile)) {
      test(
        `${name} closes that connection and no other`,
        async () => {
          const [bad, good] = [await dial(gateway.port), await dial(gateway.port)];
          bad.send(bytes);
          await bad.closed;
          good.send(message(PING, { id: 3 }));
          expect(await good.answer()).toMatchObject({ to: 3, document: { ok: 1 } });
          good.socket.destroy();
        },
        PATIENCE,
      );
    }

    test(
      "no bytes whatever end the gateway",
      async () => {
        const valid = message({ find: "none", filter: { a: [1, { b: "text" }] }, $db: database });
        const mutated = fc
          .array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
          .map((changes) => {
            const copy = Buffer.from(valid);
            for (const [place, value] of changes) copy[place] = value;
            // Most mutations should get past the length, or nothing behind it is tried.
            copy.writeInt32LE(copy.length, 0);
            return copy;
          });
        const bytes = fc.oneof(
          mutated,
          fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
        );
        await fc.assert(
          fc.asyncProperty(bytes, async (sent) => {
            const { send, socket, answer, closed } = await dial(gateway.port);
            send(sent);
            socket.end();
            await Promise.race([answer().catch(() => {}), closed]);
            socket.destroy();
          }),
          { numRuns: 150 },
        );
        const { send, answer, socket } = await dial(gateway.port);
        send(message(PING));
        expect((await answer()).document.ok).toBe(1);
        socket.destroy();
      },
      PATIENCE,
    );

    test("a body without $db, with a wrong type for the collection, or with no command is an error, not an end", async () => {
      const { send, answer, socket } = await dial(gateway.port);
      for (const body of [{ ping: 1 }, { find: { $ne: 1 }, $db: database }, {}, { "": 1, $db: database }]) {
        send(message(body));
        expect((await answer()).document).toMatchObject({
          ok: 0,
          code: expect.any(Number),
          errmsg: expect.any(String),
        });
      }
      socket.destroy();
    });
  });

  test(
    "transactions and connections to the engine do not pile up while clients come and go",
    async () => {
      const c = items(client, "flat");
      await c.insertMany(Array.from({ length: 200 }, (_, _id) => ({ _id, text: "x".repeat(200) })));
      const round = async () => {
        const visitor = await MongoClient.connect(gateway.uri(database), { maxPoolSize: 4 });
        const v = items(visitor, "flat");
        for (let n = 0; n < 20; n++) {
          const cursor = v.find().batchSize(10);
          await cursor.next();
          if (n % 2 === 0) await cursor.close();
          await visitor.withSession(async (session) => {
            session.startTransaction();
            await v.updateOne({ _id: n }, { $inc: { n: 1 } }, { session });
            if (n % 3 === 0) await session.commitTransaction();
          });
        }
        await visitor.close();
      };
      for (let n = 0; n < 5; n++) await round();
      const status = () => client.db("admin").command({ serverStatus: 1 });
      const before = await status();
      for (let n = 0; n < 20; n++) await round();
      const after = await status();
      expect(after.transactions.currentOpen).toBe(0);
      expect(after.localEngine.postgresConnections).toBeLessThanOrEqual(
        before.localEngine.postgresConnections,
      );
    },
    PATIENCE,
  );
});

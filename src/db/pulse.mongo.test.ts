import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../../test/processes";
import { isMongoWrite, startProxy } from "../../test/proxy";
import { connectMongo, type Mongo, type MongoTx } from "./mongo";
import { isUnavailable } from "./unavailable";

const uri = process.env.MONGODB_URI ?? "";
let proxy: Awaited<ReturnType<typeof startProxy>>;
let mongo: Mongo;
/** Past the proxy. */
let direct: Mongo;
beforeAll(async () => {
  proxy = await startProxy(uri);
  mongo = connectMongo(proxy.url(uri), 4);
  direct = connectMongo(uri, 2);
  await Promise.all([mongo.connection.asPromise(), direct.connection.asPromise()]);
});
afterAll(async () => {
  await mongo.close();
  await direct.close();
  await proxy.close();
});

const things = ({ connection }: Mongo) => connection.collection<{ _id: string; n: number }>("pulse_things");
const ask = () => things(mongo).findOne({});
const outcomeOf = (work: Promise<unknown>) =>
  work.then(
    () => "answered",
    // The driver's own limits have other texts.
    (error: Error) =>
      isUnavailable(error) && error.message === "MongoDB does not answer" ? "refused" : error.message,
  );
const recovered = async () => {
  while ((await outcomeOf(ask())) !== "answered") await Bun.sleep(50);
};
/** A transaction that has written to a document, and goes on when it is told to. */
function openTransaction(id: string) {
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const outcome = outcomeOf(
    mongo.transaction(async (tx) => {
      await things(mongo).updateOne({ _id: id }, { $inc: { n: 1 } }, { upsert: true, ...mongo.in(tx) });
      begun.resolve();
      await go.promise;
      await things(mongo).updateOne({ _id: id }, { $inc: { n: 1 } }, mongo.in(tx));
    }),
  );
  return { begun: begun.promise, go: go.resolve, outcome };
}

for (const [fault, breakIt, mendIt] of [
  ["falls silent", async () => proxy.pause(), async () => proxy.resume()],
  ["refuses connections", () => proxy.stop(), () => proxy.start()],
] as const) {
  test(`a MongoDB that ${fault}: who waits is refused, who comes later at once; nothing is left behind`, async () => {
    const id = crypto.randomUUID();
    const transaction = openTransaction(id);
    await transaction.begun;
    const cursor = things(mongo).find({});
    await breakIt();
    transaction.go();
    const waiting = [
      outcomeOf(ask()),
      outcomeOf(cursor.toArray()),
      outcomeOf(things(mongo).insertOne({ _id: crypto.randomUUID(), n: 0 })),
    ];
    await Promise.all(waiting);
    expect(await outcomeOf(ask())).toBe("refused");
    expect(await outcomeOf(mongo.transaction((tx) => things(mongo).findOne({}, mongo.in(tx))))).toBe(
      "refused",
    );
    expect(await transaction.outcome).not.toBe("answered");
    await mendIt();
    await recovered();
    // Neither the half of the transaction is there nor its lock.
    await direct.transaction((tx) =>
      things(direct).updateOne({ _id: id }, { $inc: { n: 10 } }, { upsert: true, ...direct.in(tx) }),
    );
    expect(await things(direct).findOne({ _id: id })).toMatchObject({ n: 10 });
  }, 60_000);
}

test("who waits for a MongoDB that fell silent is told by its pulse, in a transaction too", async () => {
  const transaction = openTransaction(crypto.randomUUID());
  await transaction.begun;
  proxy.pause();
  transaction.go();
  expect(await Promise.all([outcomeOf(ask()), transaction.outcome])).toEqual(["refused", "refused"]);
  proxy.resume();
  await recovered();
}, 60_000);

const add = (from: Mongo, _id: string, tx?: MongoTx) =>
  things(from).updateOne({ _id }, { $inc: { n: 1 } }, { upsert: true, ...from.in(tx) });

test("a MongoDB that takes no writes: who writes is refused, and later at once; reads go on", async () => {
  const id = crypto.randomUUID();
  const transaction = openTransaction(id);
  await transaction.begun;
  const end = proxy.swallow(isMongoWrite);
  try {
    transaction.go();
    // More than the pool has connections.
    const writing = Array.from({ length: 8 }, () => outcomeOf(add(mongo, crypto.randomUUID())));
    expect(new Set(await Promise.all([...writing, transaction.outcome]))).toEqual(new Set(["refused"]));
    expect(await outcomeOf(ask())).toBe("answered");
    await eventually(async () => (await mongo.ping()) === "read_only", "knowing that writes do not go");
    const known = performance.now();
    for (let n = 0; n < 10; n++) expect(await outcomeOf(add(mongo, id))).toBe("refused");
    expect(await outcomeOf(mongo.transaction((tx) => things(mongo).findOne({}, mongo.in(tx))))).toBe(
      "refused",
    );
    // Each would wait for two seconds and more.
    expect(performance.now() - known).toBeLessThan(10_000);
    expect(await outcomeOf(ask())).toBe("answered");
    // The transaction that was given up holds no lock, nor did it leave anything.
    await direct.transaction((tx) => add(direct, id, tx));
    expect(await things(direct).findOne({ _id: id })).toMatchObject({ n: 1 });
  } finally {
    end();
  }
  await eventually(async () => (await outcomeOf(add(mongo, id))) === "answered", "the return of writes");
  expect(await things(direct).findOne({ _id: id })).toMatchObject({ n: 2 });
  expect(await mongo.ping()).toBe("up");
}, 60_000);

test("one commit that is never answered: a refusal within seconds, no lock, and others are answered", async () => {
  const id = crypto.randomUUID();
  const end = proxy.swallow((bytes) => bytes.includes("commitTransaction"));
  try {
    const began = performance.now();
    expect(await outcomeOf(mongo.transaction((tx) => add(mongo, id, tx)))).toBe("refused");
    // The driver's own limit is 15 s.
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(await outcomeOf(add(mongo, crypto.randomUUID()))).toBe("answered");
    expect(await mongo.ping()).toBe("up");
    await direct.transaction((tx) => add(direct, id, tx));
    expect(await things(direct).findOne({ _id: id })).toMatchObject({ n: 1 });
  } finally {
    end();
  }
}, 60_000);

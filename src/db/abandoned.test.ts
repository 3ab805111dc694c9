import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually, startProgram } from "../../test/processes";
import { AppError } from "../lib/errors";
import { connectMongo, type Mongo } from "./mongo";
import { isUnavailable } from "./unavailable";

const uri = process.env.MONGODB_URI ?? "";
let mongo: Mongo;
beforeAll(async () => {
  mongo = connectMongo(uri, 8);
  await mongo.connection.asPromise();
});
afterAll(() => mongo.close());

const things = () => mongo.connection.collection<{ _id: string; n: number }>("abandoned_things");
const add = { $inc: { n: 1 } };

/** A process that is killed while it holds the lock of a document in a transaction. */
async function killedWithLock(id: string): Promise<void> {
  const holder = startProgram([
    "-e",
    `import { connectMongo } from "./src/db/mongo";
     const mongo = connectMongo(process.env.MONGODB_URI, 4);
     await mongo.connection.asPromise();
     await mongo.transaction(async (tx) => {
       const things = mongo.connection.collection("abandoned_things");
       await things.updateOne({ _id: "${id}" }, { $inc: { n: 100 } }, mongo.in(tx));
       console.log("holds the lock");
       await Bun.sleep(60_000);
     });`,
  ]);
  await holder.line(/holds the lock/);
  await holder.kill("SIGKILL");
}

for (const [what, write] of [
  [
    "in a transaction",
    (id: string) => mongo.transaction((tx) => things().updateOne({ _id: id }, add, mongo.in(tx))),
  ],
  ["alone", (id: string) => things().updateOne({ _id: id }, add)],
] as const) {
  test(`a process is killed in a transaction: who writes to the same document ${what} gets through within seconds`, async () => {
    const id = crypto.randomUUID();
    await things().insertOne({ _id: id, n: 0 });
    await killedWithLock(id);
    const began = performance.now();
    // Whoever is refused meanwhile asks again, as callers do.
    const persist = () =>
      eventually(
        () =>
          write(id).then(
            () => true,
            (error) => {
              if (error instanceof AppError || isUnavailable(error)) return false;
              throw error;
            },
          ),
        "the end of the lock",
      );
    await Promise.all(Array.from({ length: 6 }, persist));
    // It takes about a second; MongoDB alone would keep the lock for a minute.
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(await things().findOne({ _id: id })).toEqual({ _id: id, n: 6 });
  }, 120_000);
}

test("a transaction of a process that lives is not ended, however long others wait for it", async () => {
  const id = crypto.randomUUID();
  await things().insertOne({ _id: id, n: 0 });
  const other = connectMongo(uri, 2);
  await other.connection.asPromise();
  await other.transaction(async (tx) => {
    await other.connection
      .collection<{ _id: string }>("abandoned_things")
      .updateOne({ _id: id }, add, other.in(tx));
    await expect(
      mongo.transaction((own) => things().updateOne({ _id: id }, add, mongo.in(own))),
    ).rejects.toMatchObject({ code: "service_unavailable" });
  });
  await other.close();
  expect(await things().findOne({ _id: id })).toEqual({ _id: id, n: 1 });
}, 60_000);

import { expect, setDefaultTimeout, test } from "bun:test";
import { MongoClient } from "mongodb";
import { startProgram } from "../../test/processes";
import { startProxy } from "../../test/proxy";
import { withDeployLock } from "./deploy-lock";
import { connectMongo } from "./mongo";
import { isUnavailable } from "./unavailable";

/** A hang guard, above what a long one takes on a busy machine. */
setDefaultTimeout(180_000);

const databaseUrl = process.env.DATABASE_URL ?? "";
const uri = process.env.MONGODB_URI ?? "";

/** Whether somebody works on the database now. */
const isTaken = (): Promise<boolean> =>
  withDeployLock(databaseUrl, async () => false, { atMost: 0 }).catch((error: Error) => {
    if (!error.message.includes("has worked on this database")) throw error;
    return true;
  });

test("a step waits until the one before has ended, and says so; with --wait it gives up", async () => {
  expect(await isTaken()).toBe(false);
  const end = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const backup = withDeployLock(databaseUrl, () => {
    begun.resolve();
    return end.promise;
  });
  await begun.promise;
  expect(await isTaken()).toBe(true);
  const [patient, hasty] = [[], ["--wait", "1"]].map((words) =>
    startProgram(["src/db/migrate.ts", ...words]),
  );
  expect(await hasty?.ended()).toBe(1);
  expect(hasty?.output()).toMatch(/Nothing was done: .* \(MySQL's connection \d+\) has worked .* for 1 s/);
  await patient?.line(/Waiting since \d+ s for another backup, .* \(MySQL's connection \d+\)/);
  end.resolve();
  await backup;
  expect(await patient?.ended()).toBe(0);
});

test("it covers MongoDB, which may take longer than any limit of the server's (with --long)", async () => {
  const client = await MongoClient.connect(uri);
  // The driver does not ask again for an index, as it does for what only reads.
  await client.db().collection("jobs").dropIndexes();
  await client.close();
  const proxy = await startProxy(uri);
  try {
    const held = proxy.hold((bytes) => bytes.includes("createIndexes"));
    const program = startProgram(["src/db/migrate.ts"], { MONGODB_URI: proxy.url(uri) });
    const release = await held;
    expect(await isTaken()).toBe(true);
    // The server's driver ends a socket that says nothing for 15 s.
    if (process.env.AIZY_LONG === "1") await Bun.sleep(17_000);
    release();
    expect([await program.ended(), program.output()]).toEqual([0, expect.stringContaining("indexes of")]);
    expect(await isTaken()).toBe(false);
  } finally {
    await proxy.close();
  }
});

test("a command waits for a database that says nothing for longer than a server does", async () => {
  const proxy = await startProxy(uri);
  const [server, command] = [false, true].map((patient) => connectMongo(proxy.url(uri), 2, { patient }));
  try {
    await Promise.all([server?.connection.asPromise(), command?.connection.asPromise()]);
    const ask = (mongo = server) => mongo?.connection.collection("jobs").findOne({}) ?? Promise.reject();
    await Promise.all([ask(), ask(command)]);
    proxy.pause();
    const waiting = ask(command).then(() => "answered");
    const refused = await ask().then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(isUnavailable(refused)).toBe(true);
    proxy.resume();
    expect(await waiting).toBe("answered");
  } finally {
    await Promise.all([server?.close(), command?.close()]);
    await proxy.close();
  }
});

import { expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { emptyDatabases } from "../../test/databases";
import { startProxy } from "../../test/proxy";
import { runRaces } from "../../test/race";

const t = useTestApp();

const ROUNDS = process.env.AIZY_LONG === "1" ? 50 : 4;

test(`two processes, 200 reservations of the last 10 units: 10 × 201, 190 × 409, ${ROUNDS} times (50 with AIZY_LONG=1)`, async () => {
  let done = 0;
  await runRaces(ROUNDS, (round) => {
    done = round;
  });
  expect(done).toBe(ROUNDS);
}, 180_000);

test("the same with the database away for a moment in the middle, as while a leader is elected", async () => {
  const { databaseUrl, mongodbUri: uri } = t.deps.config;
  // The administrator of the races before has another password.
  await emptyDatabases({ databaseUrl, mongodbUri: uri });
  const proxy = await startProxy(uri);
  let back = Promise.resolve();
  const interrupt = async () => {
    await proxy.stop();
    // Long enough that it is known to be down, and callers are refused.
    await Bun.sleep(4000);
    await proxy.start();
  };
  try {
    let done = 0;
    const onRound = (round: number) => {
      done = round;
      // The next round begins at once.
      if (round === 1) back = Bun.sleep(200).then(interrupt);
    };
    await runRaces(2, onRound, { MONGODB_URI: proxy.url(uri) });
    expect(done).toBe(2);
  } finally {
    await back;
    await proxy.close();
  }
}, 180_000);

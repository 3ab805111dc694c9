import { expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { runRaces } from "../../test/race";

useTestApp();

const ROUNDS = process.env.AIZY_LONG === "1" ? 50 : 4;

test(`two processes, 200 reservations of the last 10 units: 10 × 201, 190 × 409, ${ROUNDS} times (50 with AIZY_LONG=1)`, async () => {
  let done = 0;
  await runRaces(ROUNDS, (round) => {
    done = round;
  });
  expect(done).toBe(ROUNDS);
}, 180_000);

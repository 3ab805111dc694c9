/**
 * Every operation of the document is driven to a success, and the client's types must say of each answer what it is.
 * The last test names a new route that no line in `people.ts` or `goods.ts` calls.
 */
import { beforeAll, expect, test } from "bun:test";
import { useTestApp } from "../app";
import { createWorld, type World } from "./drive";
import { catalogue, reporting, stock } from "./goods";
import { nameOf, operationsOf } from "./operations";
import { otherPeople, ownAccount, signingIn } from "./people";
import { type Taken, typeFaults } from "./typed";

const t = useTestApp(() => ({
  shopperReservations: { on: true, units: 5, addressUnits: 8, minutes: 1 },
}));

const taken: Taken[] = [];
let world: World;
beforeAll(async () => {
  world = await createWorld(t, taken);
});

for (const drive of [signingIn, ownAccount, otherPeople, catalogue, stock, reporting])
  test(drive.name, () => drive(world));

test("the client's types say of each answer what it is, and no operation is without one", async () => {
  const driven = new Set(taken.map(({ operation }) => operation));
  const missing = (await operationsOf(t)).map(nameOf).filter((name) => !driven.has(name));
  expect(missing).toEqual([]);
  expect(await typeFaults(taken)).toEqual([]);
});

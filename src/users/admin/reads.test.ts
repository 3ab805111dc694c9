/** A page of people reads no more rows than a few pages' worth, however many there are. */
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { after } from "../../lib/clock";
import { WINDOW } from "../../lib/paging";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(120_000);

// One connection, so that its own counters are the application's.
const t = useTestApp(() => ({ databasePool: 1 }));
const PEOPLE = 6000;
const PAGE = 20;
let admin: SignedInPerson;

beforeAll(async () => {
  admin = await t.signIn({ roles: ["admin"] });
  const role = await t.deps.mysql.on().role.findUniqueOrThrow({ where: { name: "customer" } });
  const start = t.clock.now();
  const ids = Array.from({ length: PEOPLE }, () => {
    t.clock.advance(1);
    return t.deps.random.id();
  });
  // Of ten, eight are active, one is not verified, one is banned; all have one of two names.
  await t.deps.mysql.on().user.createMany({
    data: ids.map((id, n) => ({
      id,
      email: `reads-${n}@example.com`,
      emailCanonical: `reads-${n}@example.com`,
      name: n % 2 === 0 ? "Reads Anna" : "Reads Bert",
      createdAt: after(start, n),
      updatedAt: start,
      emailVerifiedAt: n % 10 === 8 ? null : start,
      bannedAt: n % 10 === 9 ? start : null,
    })),
  });
  await t.deps.mysql.on().userRole.createMany({
    data: ids.flatMap((userId, n) => (n % 10 === 8 ? [] : [{ userId, roleId: role.id }])),
  });
  await t.deps.mysql.on().$executeRaw`ANALYZE TABLE users, user_roles`;
});

/** Rows that the connection read from indexes and tables so far. */
async function rowsRead(): Promise<number> {
  const rows = await t.deps.mysql.on().$queryRaw<{ Value: string }[]>`
    SHOW SESSION STATUS WHERE Variable_name IN
      ('Handler_read_first', 'Handler_read_key', 'Handler_read_last', 'Handler_read_next',
       'Handler_read_prev', 'Handler_read_rnd', 'Handler_read_rnd_next')`;
  return rows.reduce((sum, { Value }) => sum + Number(Value), 0);
}

/** The rows that a page and the one behind it read. */
async function cost(query: string): Promise<{ found: number; read: number }> {
  let found = 0;
  let read = 0;
  let cursor = "";
  for (let page = 0; page < 3; page++) {
    const before = await rowsRead();
    // What the question about the counters reads itself.
    const own = (await rowsRead()) - before;
    const start = await rowsRead();
    const answer = await t.request(`/api/users?limit=${PAGE}&${query}${cursor}`, {
      token: admin.accessToken,
    });
    if (answer.status !== 200) throw new Error(await answer.text());
    read = Math.max(read, (await rowsRead()) - start - own);
    const body = await answer.json();
    found += body.data.length;
    if (body.page.nextCursor === null) break;
    cursor = `&cursor=${body.page.nextCursor}`;
  }
  return { found, read };
}

describe("a page of 20 among 6,000 people", () => {
  // The page, one more, the people and their roles with a look-up each, and the guard.
  const FEW = 12 * PAGE;
  test.each([
    "sort=-createdAt",
    "sort=createdAt",
    "sort=name",
    "sort=-name",
    "sort=email",
    "filter[status]=banned",
    "filter[status]=unverified&sort=name",
    "filter[status]=active&sort=-email",
    "filter[role]=customer",
    "filter[role]=admin",
    "filter[role]=admin&filter[status]=active",
    "q=reads-",
    "q=reads-59",
    "q=reads%20b",
    "q=nobody-at-all",
    "q=reads&filter[status]=banned",
  ])("%s reads few rows", async (query) => {
    const { read } = await cost(query);
    expect(read).toBeLessThan(FEW);
  });

  test.each([
    "filter[role]=customer&filter[status]=banned",
    "filter[role]=customer&sort=name",
    "filter[role]=customer&filter[status]=unverified",
    "filter[role]=admin&sort=email",
    "q=reads&filter[role]=admin",
  ])("%s, which no index serves, reads a bounded number", async (query) => {
    const { read } = await cost(query);
    expect(read).toBeLessThan(4 * WINDOW);
  });
});

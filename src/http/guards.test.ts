import { expect, test } from "bun:test";
import { useTestApp } from "../../test/app";

// One connection, so that its own counter of statements is the application's.
const t = useTestApp(() => ({ databasePool: 1 }));

/** Statements that the server has had from this connection. */
async function statements(): Promise<number> {
  const rows = await t.deps.mysql.on().$queryRaw<{ Value: string }[]>`SHOW SESSION STATUS LIKE 'Questions'`;
  return Number(rows[0]?.Value);
}

test.each([
  ["a guarded read", "/api/products/inventory/locations"],
  ["one's own account, with roles and permissions,", "/api/users/me"],
])("%s costs one round trip to MySQL", async (_, path) => {
  const person = await t.signIn({ roles: ["manager"] });
  const read = () => t.request(path, { token: person.accessToken });
  expect((await read()).status).toBe(200);
  const before = await statements();
  for (let i = 0; i < 20; i++) expect((await read()).status).toBe(200);
  // The question itself is one statement too.
  expect((await statements()) - before - 1).toBe(20);
});

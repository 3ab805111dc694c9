/** The last administrator stays, also when two try to remove each other on two processes. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { type ServerProcess, startServer } from "../../../test/processes";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(120_000);

const t = useTestApp();
let servers: ServerProcess[] = [];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "aizy-admins-"));
  const env = { STORAGE_DIR: join(folder, "files"), LOG_LEVEL: "info" };
  servers = await Promise.all([startServer(env), startServer(env)]);
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.kill("SIGTERM")));
  await rm(folder, { recursive: true, force: true });
});

const call = async (process: number, method: string, path: string, by: SignedInPerson, json?: unknown) =>
  (
    await fetch(`${servers[process]?.address}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${by.accessToken}`,
        "if-match": "*",
        ...(json === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    })
  ).status;
const change = (process: number, by: SignedInPerson, target: SignedInPerson, json: unknown) =>
  call(process, "PATCH", `/api/users/${target.id}`, by, json);

/** Administrators in good standing. */
async function administrators(): Promise<string[]> {
  const rows = await t.deps.mysql.on().user.findMany({
    where: { status: "active", roles: { some: { role: { name: "admin" } } } },
  });
  return rows.map(({ id }) => id);
}
/** No administrator but these. */
async function only(...people: SignedInPerson[]): Promise<void> {
  const others = { userId: { notIn: people.map(({ id }) => id) }, role: { name: "admin" } };
  await t.deps.mysql.on().userRole.deleteMany({ where: others });
}

describe("the last administrator", () => {
  test("is not demoted, banned or deleted; a second one frees the first", async () => {
    const admin = await t.signIn({ roles: ["admin"] });
    await only(admin);
    const refused = t.deps.mysql.transaction((tx) => t.deps.roles.assertOtherAdministrator(tx, admin.id));
    await expect(refused).rejects.toThrow("last administrator");
    expect(await change(0, admin, admin, { roles: ["customer"] })).toBe(409);
    // Another with every permission, but not the role: they do not count.
    const all = await t.deps.roles.permissionNamesOf(admin.id);
    const id = t.deps.random.id();
    const now = t.clock.now();
    await t.deps.mysql.transaction((tx) =>
      t.deps.roles.create({ id, name: "nearly", description: "", permissions: all, now }, tx),
    );
    const nearly = await t.signIn({ roles: ["nearly"] });
    expect(await change(1, nearly, admin, { roles: [] })).toBe(409);
    expect(await change(1, nearly, admin, { ban: { reason: "x" } })).toBe(409);
    // One who is banned does not count either.
    const banned = await t.signIn({ roles: ["admin"] });
    expect(await change(1, admin, banned, { ban: { reason: "x" } })).toBe(200);
    expect(await change(0, nearly, admin, { ban: { reason: "x" } })).toBe(409);
    expect(await change(0, admin, banned, { ban: null })).toBe(200);
    expect(await change(0, nearly, admin, { ban: { reason: "x" } })).toBe(200);
    expect(await administrators()).toEqual([banned.id]);
  });

  const removals: [string, unknown][] = [
    ["demote", { roles: ["customer"] }],
    ["ban", { ban: { reason: "race" } }],
  ];
  test.each(removals)("is left when two %s each other on two processes", async (_, json) => {
    for (let round = 0; round < 6; round++) {
      const [a, b] = [await t.signIn({ roles: ["admin"] }), await t.signIn({ roles: ["admin"] })];
      await only(a, b);
      const statuses = await Promise.all([
        change(0, a, b, json),
        change(1, b, a, json),
        change(1, a, b, json),
        change(0, b, a, json),
      ]);
      expect(await administrators()).toHaveLength(1);
      // Whoever was faster; the other has lost the right to it, or would have taken the last one.
      expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(1);
      expect(statuses.every((status) => [200, 401, 403, 409].includes(status))).toBe(true);
    }
  });

  test("is left when three demote themselves at once", async () => {
    const people = [];
    for (let n = 0; n < 3; n++) people.push(await t.signIn({ roles: ["admin"] }));
    await only(...people);
    const statuses = await Promise.all(
      people.map((person, index) => change(index % 2, person, person, { roles: [] })),
    );
    expect(statuses.sort()).toEqual([200, 200, 409]);
    expect(await administrators()).toHaveLength(1);
  });
});

test("a ban and a role count on the next request of the other process", async () => {
  const admin = await t.signIn({ roles: ["admin"] });
  for (let round = 0; round < 3; round++) {
    const person = await t.signIn();
    expect(await call(1, "GET", "/api/users", person)).toBe(403);
    expect(await change(0, admin, person, { roles: ["admin"] })).toBe(200);
    expect(await call(1, "GET", "/api/users", person)).toBe(200);
    expect(await change(0, admin, person, { roles: ["customer"] })).toBe(200);
    expect(await call(1, "GET", "/api/users", person)).toBe(403);
    expect(await call(1, "GET", "/api/users/me", person)).toBe(200);
    expect(await change(0, admin, person, { ban: { reason: "x" } })).toBe(200);
    expect(await call(1, "GET", "/api/users/me", person)).toBe(401);
  }
});

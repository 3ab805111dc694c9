import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { ALL_PERMISSIONS } from "../../lib/permissions";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp();
let admin: SignedInPerson;
/** Holds users:read, roles:write and analytics:read. */
let granter: SignedInPerson;

const send = (
  method: string,
  path: string,
  {
    json,
    by = admin,
    headers = {},
  }: { json?: unknown; by?: SignedInPerson; headers?: Record<string, string> },
) => t.request(`/api/users${path}`, { method, json, token: by.accessToken, headers });
const create = (json: unknown, by = admin, headers = {}) => send("POST", "/roles", { json, by, headers });
async function made(json: object) {
  const answer = await create(json);
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()).data as { id: string; version: number; name: string };
}
const change = (
  id: string,
  json: unknown,
  by = admin,
  headers: Record<string, string> = { "if-match": "*" },
) => send("PATCH", `/roles/${id}`, { json, by, headers });
const remove = (id: string, by = admin, headers = {}) => send("DELETE", `/roles/${id}`, { by, headers });
const setRoles = (id: string, roles: string[]) =>
  send("PATCH", `/${id}`, { json: { roles }, headers: { "if-match": "*" } });
const list = async () =>
  (await (await send("GET", "/roles", {})).json()).data as {
    id: string;
    name: string;
    permissions: string[];
  }[];
const named = async (name: string) => (await list()).find((role) => role.name === name)?.id ?? "";
const problem = async (answer: Response) => [answer.status, (await answer.json()).code];
const recorded = async () =>
  (
    await t.deps.mysql.on().auditEntry.findMany({
      where: { action: { startsWith: "role." } },
      orderBy: [{ at: "asc" }, { id: "asc" }],
    })
  ).map(({ action, actorId, detail }) => [action, actorId, detail]);

beforeAll(async () => {
  admin = await t.signIn({ roles: ["admin"] });
  await made({ name: "granter", permissions: ["users:read", "roles:write", "analytics:read"] });
  granter = await t.signIn({ roles: ["granter"] });
});

test("permissions are listed with what they allow", async () => {
  const { data } = await (await send("GET", "/permissions", {})).json();
  expect(data.map(({ name }: { name: string }) => name)).toEqual(ALL_PERMISSIONS);
  expect(data[0].description).toBeString();
});

describe("a role", () => {
  test("is made, read, changed and deleted, each time recorded", async () => {
    const before = (await recorded()).length;
    const answer = await create({ name: "reader", description: " Reads ", permissions: ["users:read"] });
    const role = (await answer.json()).data;
    expect(role).toEqual({
      id: expect.any(String),
      name: "reader",
      description: "Reads",
      permissions: ["users:read"],
      requiresSecondFactor: false,
      builtIn: false,
      version: 1,
      createdAt: t.clock.now().toISOString(),
    });
    expect((await (await send("GET", `/roles/${role.id}`, {})).json()).data).toEqual(role);
    const person = await t.signIn({ roles: ["reader"] });
    const reads = async () => (await send("GET", "/roles", { by: person })).status;
    expect(await reads()).toBe(200);
    const changed = await change(role.id, { permissions: ["audit:read", "audit:read"] }, admin, {
      "if-match": '"v1"',
    });
    expect(changed.headers.get("etag")).toBe('"v2"');
    expect((await changed.json()).data).toMatchObject({ permissions: ["audit:read"], version: 2 });
    expect(await reads()).toBe(403);
    expect(await problem(await remove(role.id))).toEqual([409, "conflict"]);
    await setRoles(person.id, ["customer"]);
    expect((await remove(role.id, admin, { "if-match": '"v1"' })).status).toBe(412);
    expect((await remove(role.id, admin, { "if-match": '"v2"' })).status).toBe(204);
    expect((await remove(role.id)).status).toBe(404);
    expect((await recorded()).slice(before)).toEqual([
      ["role.created", admin.id, { roleId: role.id, name: "reader", permissions: ["users:read"] }],
      [
        "role.changed",
        admin.id,
        { roleId: role.id, name: "reader", added: ["audit:read"], removed: ["users:read"] },
      ],
      ["role.deleted", admin.id, { roleId: role.id, name: "reader", permissions: ["audit:read"] }],
    ]);
  });

  test("exists once, however many make it at the same time, and a repeated request is answered again", async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => create({ name: "at-once", permissions: [] })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(7).fill(409)]);
    const key = { "idempotency-key": "once" };
    const json = { name: "repeated", permissions: [] };
    const [first, second] = [await create(json, admin, key), await create(json, admin, key)];
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(await second.json()).toEqual(await first.json());
    expect((await create({ ...json, name: "other" }, admin, key)).status).toBe(422);
  });

  test("is changed by one of many who read the same version", async () => {
    const { id } = await made({ name: "contended", permissions: [] });
    const answers = await Promise.all(
      ALL_PERMISSIONS.map((name) => change(id, { permissions: [name] }, admin, { "if-match": '"v1"' })),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([200, ...Array(ALL_PERMISSIONS.length - 1).fill(412)]);
    const { data } = await (await send("GET", `/roles/${id}`, {})).json();
    expect(data).toMatchObject({ version: 2, permissions: [expect.any(String)] });
  });

  test("grants nobody what its maker does not hold, neither when made nor when changed", async () => {
    const count = (await list()).length;
    expect(await problem(await create({ name: "up", permissions: ["users:write"] }, granter))).toEqual([
      403,
      "forbidden",
    ]);
    expect((await list()).length).toBe(count);
    const own = await named("granter");
    // A role that the caller has, with more than they hold.
    expect(
      await problem(await change(own, { permissions: ["roles:write", "users:write"] }, granter)),
    ).toEqual([403, "forbidden"]);
    // A role that holds more than they do, also to take from it.
    const manager = await named("manager");
    for (const json of [{ permissions: [] }, { description: "mine" }]) {
      expect(await problem(await change(manager, json, granter))).toEqual([403, "forbidden"]);
    }
    const { id } = await made({ name: "more", permissions: ["users:write"] });
    expect(await problem(await remove(id, granter))).toEqual([403, "forbidden"]);
    expect((await create({ name: "down", permissions: ["analytics:read"] }, granter)).status).toBe(201);
  });

  test("that is built in stays: admin as it is, customer at all", async () => {
    const [administrators, customers] = [await named("admin"), await named("customer")];
    for (const json of [{ permissions: [] }, { permissions: ALL_PERMISSIONS }, { description: "x" }]) {
      expect(await problem(await change(administrators, json))).toEqual([409, "conflict"]);
    }
    for (const id of [administrators, customers]) {
      expect(await problem(await remove(id))).toEqual([409, "conflict"]);
    }
    expect((await list()).find(({ id }) => id === administrators)?.permissions).toEqual(
      [...ALL_PERMISSIONS].sort(),
    );
  });

  test("needs roles:write, If-Match for a change, and nothing unknown in the body", async () => {
    const person = await t.signIn({ roles: ["manager"] });
    const { id } = await made({ name: "plain", permissions: [] });
    expect((await create({ name: "mine", permissions: [] }, person)).status).toBe(403);
    expect((await change(id, { permissions: [] }, person)).status).toBe(403);
    expect((await remove(id, person)).status).toBe(403);
    expect((await change(id, { permissions: [] }, admin, {})).status).toBe(428);
    const bodies = [
      {},
      { name: "x2" },
      { name: "Root", permissions: [] },
      { name: "x y", permissions: [] },
      { name: { $ne: null }, permissions: [] },
      { name: "good", permissions: ["root"] },
      { name: "good", permissions: ["__proto__"] },
      { name: "good", permissions: "users:read" },
      { name: "good", permissions: [], builtIn: true },
      { name: "good", permissions: [], id: t.deps.random.id() },
      { name: "good", description: "a\nb", permissions: [] },
      { name: "good", description: "x".repeat(256), permissions: [] },
    ];
    for (const body of bodies) expect([body, (await create(body)).status]).toEqual([body, 422]);
    for (const body of [{}, { name: "renamed" }, { version: 9 }, { permissions: [null] }]) {
      expect([body, (await change(id, body)).status]).toEqual([body, 422]);
    }
    expect((await change("nonsense", { permissions: [] })).status).toBe(422);
    expect((await change(t.deps.random.id(), { permissions: [] })).status).toBe(404);
  });
});

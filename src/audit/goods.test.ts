/** Categories, locations, levels and quantities in the audit log: who, what, and nothing where nothing changed. */
import { beforeAll, describe, expect, test } from "bun:test";
import sharp from "sharp";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { mutate, newAuditEntry, SYSTEM } from ".";
import { auditJobOf } from "./jobs";

const t = useTestApp();
let manager: SignedInPerson;
beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
});

async function send(method: string, path: string, json?: unknown, headers: Record<string, string> = {}) {
  const response = await t.request(`/api/products${path}`, {
    method,
    token: manager.accessToken,
    json,
    headers: { "user-agent": "office", ...headers },
  });
  // biome-ignore lint/suspicious/noExplicitAny: answers of several routes, refusals too.
  return { status: response.status, data: ((await response.json().catch(() => null)) as any)?.data };
}

let seen = new Set<string>();
/** What came into the log since the last call, in the order of the changes. */
async function news() {
  await t.runner.runDue();
  const rows = await t.deps.mysql.on().auditEntry.findMany({ where: { actorId: manager.id } });
  const added = rows.filter(({ id, action }) => !seen.has(id) && !action.startsWith("sign_in"));
  seen = new Set(rows.map(({ id }) => id));
  added.sort((a, b) => (a.id < b.id ? -1 : 1));
  for (const { userAgent, subjectUserId } of added)
    expect([userAgent, subjectUserId]).toEqual(["office", null]);
  return added.map(({ action, detail }) => [action, detail]);
}

describe("the audit log", () => {
  test("says who made, changed, moved, merged and deleted a category", async () => {
    await news();
    const { data: garden } = await send("POST", "/categories", { name: "Garden" });
    const { data: tools } = await send("POST", "/categories", { name: "Tools", parentId: garden.id });
    const { data: spare } = await send("POST", "/categories", { name: "Spare" });
    const { data: last } = await send("POST", "/categories", { name: "Last" });
    await send("PATCH", `/categories/${tools.id}`, {
      name: "Hand tools",
      slug: "hand",
      position: tools.position,
    });
    await send("POST", `/categories/${tools.id}/move`, { parentId: null });
    await send("POST", `/categories/${spare.id}/merge`, { into: garden.id });
    await send("DELETE", `/categories/${last.id}`);
    const made = ({ id, name, path }: Record<string, string>) => ["category.created", { id, name, path }];
    const ofTools = { id: tools.id, name: "Hand tools" };
    expect(await news()).toEqual([
      ...[garden, tools, spare, last].map(made),
      ["category.changed", { ...ofTools, path: "garden/hand", fields: ["name", "slug"] }],
      ["category.moved", { ...ofTools, from: "garden/hand", path: "hand" }],
      [
        "category.merged",
        { id: spare.id, name: "Spare", path: "spare", into: garden.id, intoPath: "garden" },
      ],
      ["category.deleted", { id: last.id, name: "Last", path: "last" }],
    ]);
  });

  test("says who changed a location, a level's settings and what is on hand", async () => {
    const inventory = (method: string, path: string, json?: object, headers = {}) =>
      send(method, `/inventory${path}`, json, headers);
    await send("POST", "", { name: "Lamp", status: "active", variants: [{ sku: "AUDIT-1", price: 100 }] });
    await news();
    const { data: one } = await inventory("POST", "/locations", { code: "ONE", name: "One" });
    const { data: two } = await inventory("POST", "/locations", { code: "TWO", name: "Two" });
    await inventory("PATCH", `/locations/${two.id}`, { name: "Second" }, { "if-match": '"v1"' });
    const at = { sku: "AUDIT-1", locationId: one.id };
    const { data: level } = await inventory("POST", "/levels", { ...at, safetyThreshold: 2 });
    await inventory("PATCH", `/levels/${level.id}`, { safetyThreshold: 3 }, { "if-match": "*" });
    await inventory("POST", "/adjust", { ...at, delta: 5, kind: "receive", reason: "delivery" });
    await inventory("POST", "/set", { ...at, expected: 5, quantity: 7, reason: "counted" });
    const lines = [{ sku: "AUDIT-1", quantity: 1 }];
    const between = { fromLocationId: one.id, toLocationId: two.id };
    const { data: moved } = await inventory("POST", "/transfers", { ...between, lines });
    const { data: empty } = await inventory("POST", "/locations", { code: "NIL", name: "Nil" });
    expect((await inventory("DELETE", `/locations/${empty.id}`, undefined, { "if-match": "*" })).status).toBe(
      204,
    );
    const location = ({ id, code, name }: Record<string, string>) => ({ id, code, name });
    expect(await news()).toMatchObject([
      ["stock_location.created", location(one)],
      ["stock_location.created", location(two)],
      ["stock_location.changed", { id: two.id, code: "TWO", name: "Second", changed: { name: "Second" } }],
      ["stock_level.created", { id: level.id, ...at, safetyThreshold: 2 }],
      ["stock_level.changed", { id: level.id, ...at, changed: { safetyThreshold: 3 } }],
      ["stock.adjusted", { ...at, delta: 5, kind: "receive", onHand: 5, reason: "delivery" }],
      ["stock.set", { ...at, from: 5, onHand: 7, reason: "counted" }],
      ["stock.transferred", { id: moved.id, ...between, lines }],
      ["stock_location.created", location(empty)],
      ["stock_location.deleted", location(empty)],
    ]);
  });

  test("has one entry of a request that is repeated, and none of what is refused or changes nothing", async () => {
    await send("POST", "/categories", { name: "Shed" });
    const variants = [{ sku: "AUDIT-2", price: 100 }];
    await send("POST", "", { name: "Spade", status: "active", variants });
    await news();
    const key = { "idempotency-key": "a-location-once" };
    const json = { code: "ONCE", name: "Once" };
    for (let i = 0; i < 3; i++) {
      expect((await send("POST", "/inventory/locations", json, key)).status).toBe(201);
    }
    expect(await news()).toHaveLength(1);
    const { data: locations } = await send("GET", "/inventory/locations");
    const [{ id: locationId }] = locations;
    await send("POST", "/inventory/adjust", {
      sku: "AUDIT-2",
      locationId,
      delta: 2,
      kind: "receive",
      reason: "delivery",
    });
    await news();
    for (const [method, path, body, status] of [
      ["POST", "/inventory/locations", json, 409],
      ["PATCH", `/inventory/locations/${locationId}`, { name: "Late" }, 412],
      ["DELETE", `/inventory/locations/${locationId}`, undefined, 412],
      ["POST", "/categories", { name: "Shed" }, 409],
      [
        "POST",
        "/inventory/adjust",
        { sku: "AUDIT-2", locationId, delta: -99, kind: "adjust", reason: "x" },
        409,
      ],
    ] as const) {
      expect([path, (await send(method, path, body, { "if-match": '"v99"' })).status]).toEqual([
        path,
        status,
      ]);
    }
    const { data: levels } = await send("GET", "/inventory/levels?sku=AUDIT-2");
    const [{ onHand, locationId: there }] = levels;
    const same = { sku: "AUDIT-2", locationId: there, expected: onHand, quantity: onHand, reason: "counted" };
    expect((await send("POST", "/inventory/set", same)).status).toBe(200);
    expect(await news()).toEqual([]);
  });

  test("says who added, changed and removed a picture, once", async () => {
    const { data: lamp } = await send("POST", "", {
      name: "Lamp",
      variants: [{ sku: "AUDIT-P", price: 100 }],
    });
    await news();
    const image = { width: 20, height: 20, channels: 3, background: "#888" } as const;
    const form = new FormData();
    form.set("file", new File([await sharp({ create: image }).png().toBuffer()], "lamp.png"));
    form.set("alt", "A lamp");
    const path = `/api/products/${lamp.id}/images`;
    const added = await t.request(path, {
      method: "POST",
      token: manager.accessToken,
      headers: { "user-agent": "office" },
      body: form,
    });
    const { data: picture } = (await added.json()) as { data: { id: string } };
    const one = `/${lamp.id}/images/${picture.id}`;
    await send("PATCH", one, { alt: "The lamp" });
    const deletions = await Promise.all([send("DELETE", one), send("DELETE", one)]);
    expect(deletions.map(({ status }) => status)).toContain(204);
    const about = { id: picture.id, productId: lamp.id };
    expect(await news()).toEqual([
      ["picture.added", { ...about, alt: "A lamp" }],
      ["picture.changed", { ...about, fields: ["alt"] }],
      ["picture.removed", { ...about, alt: "The lamp" }],
    ]);
  });

  test("says who started an import and an export, and nothing of a dry run", async () => {
    await news();
    const started = async (path: string, body: string, type: string) => {
      const response = await t.request(`/api/products/${path}`, {
        method: "POST",
        token: manager.accessToken,
        headers: { "user-agent": "office", "content-type": type },
        body,
      });
      expect(response.status).toBe(202);
      return ((await response.json()) as { data: { id: string } }).data.id;
    };
    const line = JSON.stringify({ name: "Import me", sku: "AUDIT-I", price: "1.00" });
    await started("import?dryRun=true", line, "application/x-ndjson");
    const id = await started("import", line, "application/x-ndjson");
    const other = await started("export", JSON.stringify({ format: "csv" }), "application/json");
    expect(await news()).toEqual([
      ["import.started", { id, format: "ndjson" }],
      ["export.started", { id: other, format: "csv" }],
    ]);
  });
});

describe.each(["mysql", "mongo"] as const)("mutate in %s", (where) => {
  const audit = () =>
    newAuditEntry(t.deps, "role.created", { actor: SYSTEM, origin: null, detail: { first: 1 } });
  const found = async (id: string) => {
    await t.runner.runDue();
    return t.deps.mysql.on().auditEntry.findUnique({ where: { id } });
  };

  test("writes the entry with what the change tells, and hands its answer to be recorded", async () => {
    const entry = audit();
    const recorded: unknown[] = [];
    const change = { audit: entry, record: async (_: unknown, data: unknown) => void recorded.push(data) };
    const answer = await mutate(t.deps, where, change, async (_, { tell }) => {
      tell({ second: 2 });
      return { done: true };
    });
    expect([answer, recorded]).toEqual([{ done: true }, [{ done: true }]]);
    expect((await found(entry.id))?.detail).toEqual({ first: 1, second: 2 });
  });

  test("says whose account it was; writes no entry where nothing changed or none was given", async () => {
    const [told, omitted] = [audit(), audit()];
    const id = t.deps.random.id();
    await mutate(t.deps, where, { audit: told }, async (_, { about }) => about(id));
    await mutate(t.deps, where, { audit: omitted }, async (_, { omit, tell }) => {
      omit();
      tell({ second: 2 });
    });
    await mutate(t.deps, where, {}, async (_, { tell }) => tell({ second: 2 }));
    expect(await found(told.id)).toMatchObject({ subjectUserId: id, detail: { first: 1 } });
    expect(await found(omitted.id)).toBeNull();
  });

  test("wakes whoever runs jobs, where it enqueued one", async () => {
    let woken = 0;
    t.deps.jobs.onWake(() => woken++);
    await mutate(t.deps, where, {}, async () => undefined);
    expect(woken).toBe(0);
    const job = auditJobOf(audit());
    await mutate(t.deps, where, {}, (tx) => t.deps.jobs[where].enqueue(job, tx as never));
    expect(woken).toBe(1);
  });

  test("writes no entry when the change or its answer fails", async () => {
    for (const failing of ["work", "record"]) {
      const entry = audit();
      const fail = async (at: string) => {
        if (at === failing) throw new Error(`no ${at}`);
      };
      const made = mutate(t.deps, where, { audit: entry, record: () => fail("record") }, () => fail("work"));
      await expect(made).rejects.toThrow(`no ${failing}`);
      expect(await found(entry.id)).toBeNull();
    }
  });
});

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { ANONYMOUS, newAuditEntry, person } from "./entry";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp();

/** Every entry about an account or by its owner, the oldest first. */
const entriesOf = (id: string) =>
  t.deps.mysql.on().auditEntry.findMany({
    where: { OR: [{ subjectUserId: id }, { actorId: id }] },
    orderBy: [{ at: "asc" }, { id: "asc" }],
  });

describe("the log", () => {
  test("is written with the change or not at all", async () => {
    const id = t.deps.random.id();
    const entry = newAuditEntry(t.deps, "password.changed", {
      actor: person(id),
      origin: { ip: "192.0.2.1", userAgent: "x".repeat(2000) },
      detail: { text: "é ☃ 𝒳" },
    });
    const undone = t.deps.mysql.transaction(async (tx) => {
      await t.deps.audit.record(entry, tx);
      throw new Error("undone");
    });
    await expect(undone).rejects.toThrow("undone");
    expect(await entriesOf(id)).toEqual([]);
    await t.deps.mysql.transaction((tx) => t.deps.audit.record(entry, tx));
    expect(await entriesOf(id)).toEqual([
      {
        id: entry.id,
        at: t.clock.now(),
        action: "password.changed",
        actorKind: "user",
        actorId: id,
        subjectUserId: id,
        ip: "192.0.2.1",
        userAgent: "x".repeat(500),
        detail: { text: "é ☃ 𝒳" },
      },
    ]);
  });

  test("forgets what tells of a deleted person, and keeps who did what to whom", async () => {
    const [gone, admin] = [t.deps.random.id(), t.deps.random.id()];
    const origin = { ip: "192.0.2.7", userAgent: "Firefox" };
    const detail = { email: "gone@example.com" };
    for (const entry of [
      { actor: person(gone), origin, detail },
      { actor: person(gone), subjectUserId: admin, origin, detail },
      { actor: ANONYMOUS, subjectUserId: gone, origin, detail },
      { actor: person(admin), subjectUserId: gone, origin, detail },
      { actor: person(admin), origin, detail },
    ]) {
      t.clock.advance(1);
      await t.deps.audit.record(newAuditEntry(t.deps, "sign_in.failed", entry));
    }
    expect(await t.deps.audit.anonymise(gone)).toBe(4);
    expect(await t.deps.audit.anonymise(gone)).toBe(0);
    const left = await t.deps.mysql.on().auditEntry.findMany({
      where: { OR: [{ subjectUserId: { in: [gone, admin] } }, { actorId: { in: [gone, admin] } }] },
      orderBy: { at: "asc" },
    });
    expect(left.map(({ ip, userAgent, detail, actorId }) => [actorId, ip, userAgent, detail])).toEqual([
      [gone, null, null, {}],
      [gone, null, null, {}],
      [null, null, null, {}],
      [admin, origin.ip, origin.userAgent, {}],
      [admin, origin.ip, origin.userAgent, detail],
    ]);
  });
});

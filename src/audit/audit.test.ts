import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { ANONYMOUS, newAuditEntry, person } from "./entry";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp(() => ({ trustedProxies: ["127.0.0.1"] }));

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

const AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
const from = (ip: string) => ({ "x-forwarded-for": ip, "user-agent": AGENT });
const send = (method: string, path: string, json?: unknown, token?: string, ip = "192.0.2.1") =>
  t.request(path, { method, json, token, headers: from(ip) });
const post = (path: string, json?: unknown, token?: string, ip?: string) =>
  send("POST", `/auth/${path}`, json, token, ip);
/** What happened to an account: action, actor's kind and id, detail. */
const acts = async (id: string) =>
  (await entriesOf(id)).map(({ action, actorKind, actorId, detail }) => [action, actorKind, actorId, detail]);
const all = () => t.deps.mysql.on().auditEntry.findMany();

describe("what /auth does is recorded", () => {
  test("registration, once for a code submitted twenty times", async () => {
    const email = "registered@example.com";
    const registered = await post("register", { email, password: "correct horse battery", name: "Ann" });
    const { registrationId } = (await registered.json()).data;
    await t.runner.runDue();
    const otp = /^\d{6}$/m.exec(t.mails.at(-1)?.text ?? "")?.[0];
    const proofs = await Promise.all(
      Array.from({ length: 20 }, () => post("verify-otp", { registrationId, email, otp })),
    );
    const done = proofs.filter(({ status }) => status === 200);
    expect(done).toHaveLength(1);
    const id = (await done[0]?.json())?.data.id;
    expect(await entriesOf(id)).toEqual([
      expect.objectContaining({
        action: "account.verified",
        actorKind: "user",
        actorId: id,
        subjectUserId: id,
        ip: "192.0.2.1",
        userAgent: AGENT,
      }),
    ]);
  });

  test("sign-ins, and why others were refused, without anything that was typed", async () => {
    const user = await t.signIn();
    const secret = "hunter2-in-the-wrong-field";
    await post("login", { email: user.email, password: secret });
    await post("login", { email: `${secret}@example.com`, password: secret });
    await t.deps.mysql.on().user.update({ where: { id: user.id }, data: { bannedAt: t.clock.now() } });
    await post("login", { email: user.email, password: user.password });
    const failed = (reason: string) => ["sign_in.failed", "anonymous", null, { method: "password", reason }];
    const sessionId = user.refreshToken.split(".")[0];
    expect(await acts(user.id)).toEqual([
      ["sign_in.succeeded", "user", user.id, { method: "password", sessionId, knownDevice: false }],
      failed("wrong_password"),
      failed("banned"),
    ]);
    const unknown = (await all()).filter(({ subjectUserId }) => subjectUserId === null);
    expect(unknown.map(({ action, detail }) => [action, detail])).toEqual([
      ["sign_in.failed", { method: "password", reason: "no_account" }],
    ]);
    expect(JSON.stringify(await all())).not.toContain(secret);
  });

  test("a lock once, however many guess at the same time", async () => {
    const user = await t.signIn();
    await Promise.all(
      Array.from({ length: 30 }, () => post("login", { email: user.email, password: "wrong password" })),
    );
    const locks = (await acts(user.id)).filter(([action]) => action === "sign_in.locked_out");
    expect(locks).toEqual([
      ["sign_in.locked_out", "anonymous", null, { kind: "password", scopes: ["source"] }],
    ]);
  });

  test("sign-out, the end of sessions and the second use of a refresh token", async () => {
    const user = await t.signIn();
    const again = async () =>
      (await (await post("login", { email: user.email, password: user.password })).json()).data;
    const sidOf = ({ refreshToken }: { refreshToken: string }) => refreshToken.split(".")[0] ?? "";
    const [a, b] = [await again(), await again()];
    const stranger = await t.signIn();
    expect((await send("DELETE", `/auth/sessions/${sidOf(a)}`, undefined, stranger.accessToken)).status).toBe(
      404,
    );
    await send("DELETE", `/auth/sessions/${sidOf(a)}`, undefined, user.accessToken);
    await send("DELETE", `/auth/sessions/${sidOf(a)}`, undefined, user.accessToken);
    await send("DELETE", "/auth/sessions", undefined, user.accessToken);
    const c = await again();
    const successor = (await (await post("refresh", { refreshToken: c.refreshToken })).json()).data;
    await post("refresh", { refreshToken: successor.refreshToken });
    t.clock.advance(60_000);
    await Promise.all(
      [0, 1, 2].map(() => post("refresh", { refreshToken: c.refreshToken }, undefined, "203.0.113.9")),
    );
    await post("logout", undefined, user.accessToken);
    const later = (await acts(user.id)).filter(([action]) => action !== "sign_in.succeeded");
    expect(later).toEqual([
      ["session.ended", "user", user.id, { sessionId: sidOf(a) }],
      ["session.others_ended", "user", user.id, { ended: 1 }],
      ["session.token_reused", "anonymous", null, { sessionId: sidOf(c) }],
      ["session.signed_out", "user", user.id, { sessionId: sidOf(user) }],
    ]);
    expect(sidOf(b)).not.toBe(sidOf(a));
    const reuse = (await entriesOf(user.id)).find(({ action }) => action === "session.token_reused");
    expect(reuse?.ip).toBe("203.0.113.9");
    expect(await acts(stranger.id)).toHaveLength(1);
  });

  test("passwords: asked for, reset, changed, not changed", async () => {
    const user = await t.signIn();
    await post("forgot-password", { email: user.email });
    await post("forgot-password", { email: "nobody@example.com" });
    await t.runner.runDue();
    const token = /#token=(\S+)/.exec(t.mails.findLast(({ to }) => to === user.email)?.text ?? "")?.[1];
    const reset = () => post("reset-password", { token, password: "the new password" });
    expect([(await reset()).status, (await reset()).status]).toEqual([204, 422]);
    const login = await post("login", { email: user.email, password: "the new password" });
    const { accessToken } = (await login.json()).data;
    const change = (currentPassword: string) =>
      post("change-password", { currentPassword, newPassword: "another password" }, accessToken);
    await change("not the password");
    await change("the new password");
    const seen = (await acts(user.id)).filter(([action]) => action !== "sign_in.succeeded");
    expect(seen).toEqual([
      ["password.reset_requested", "anonymous", null, {}],
      ["password.reset", "user", user.id, {}],
      ["password.change_failed", "user", user.id, {}],
      ["password.changed", "user", user.id, {}],
    ]);
    const text = JSON.stringify(await all());
    for (const secret of ["the new password", "another password", token, "nobody@"]) {
      expect(text).not.toContain(secret);
    }
  });

  test("API keys, without the key", async () => {
    const user = await t.signIn({ roles: ["manager"] });
    const json = { name: "Till", permissions: ["products:write"] };
    const { id, key } = (
      await (await post("api-keys", { ...json, password: user.password }, user.accessToken)).json()
    ).data;
    const revoke = () => send("DELETE", `/auth/api-keys/${id}`, undefined, user.accessToken);
    expect([(await revoke()).status, (await revoke()).status]).toEqual([204, 404]);
    expect((await acts(user.id)).slice(1)).toEqual([
      ["api_key.created", "user", user.id, { keyId: id, ...json }],
      ["api_key.revoked", "user", user.id, { keyId: id }],
    ]);
    expect(JSON.stringify(await all())).not.toContain(key.split("_").slice(2).join("_"));
  });
});

/** What making and ending a key asks for, how many there may be, and what becomes of keys when sessions end. */
import { beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { around, gate } from "../../../test/interleave";
import { codeOf, enrolled } from "../../../test/second-factor";
import { DAY, MINUTE } from "../../lib/clock";
import { deriveKey, macOf } from "../../lib/crypto";
import { MAX_KEYS } from "./create";
import { parseKey } from "./form";

const t = useTestApp();
beforeEach(() => {
  t.mails.length = 0;
});

const send = (method: string, path: string, json?: unknown, token?: string) =>
  t.request(`/auth/${path}`, { method, token, ...(json === undefined ? {} : { json }) });
const make = (person: SignedInPerson, json: object = { password: person.password }) =>
  send("POST", "api-keys", { name: "Till", permissions: ["inventory:read"], ...json }, person.accessToken);
interface Made {
  id: string;
  name: string;
  key: string;
}
async function made(person: SignedInPerson, json: object = {}): Promise<Made> {
  const answer = await make(person, { password: person.password, ...json });
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()).data;
}
const works = async ({ key }: Made) =>
  (await t.request("/api/products/inventory/levels", { token: key })).status === 200;
const manager = () => t.signIn({ roles: ["manager"] });
const code = async (answer: Response) => [answer.status, (await answer.json()).code];
const keysIn = async (person: SignedInPerson) =>
  t.deps.mysql.on().apiKey.findMany({ where: { userId: person.id, revokedAt: null } });
async function mailsTo({ email }: SignedInPerson) {
  await t.runner.runDue();
  return t.mails.filter(({ to }) => to === email);
}
const acts = async (person: SignedInPerson, action: string) =>
  (await t.deps.mysql.on().auditEntry.findMany({ where: { subjectUserId: person.id, action } })).map(
    ({ detail }) => detail,
  );
/** As if the person had signed in with a passkey at this time, which is proof enough and costs no hash. */
const byPasskey = (person: SignedInPerson, createdAt = t.clock.now()) =>
  t.deps.mysql.on().session.updateMany({
    where: { userId: person.id },
    data: { method: "passkey", createdAt },
  });
/** A link for a new password, as it was mailed. */
async function resetToken(person: SignedInPerson): Promise<string> {
  await send("POST", "forgot-password", { email: person.email });
  const mail = (await mailsTo(person)).findLast(({ subject }) => subject === "Set a new password");
  t.mails.length = 0;
  return /#token=(\S+)/.exec(mail?.text ?? "")?.[1] ?? "";
}

describe("making a key", () => {
  test("asks for the password, and for the second factor of whoever has one", async () => {
    const person = await manager();
    const missing = await make(person, {});
    expect(missing.status).toBe(422);
    expect((await missing.json()).errors).toEqual([expect.objectContaining({ path: "password" })]);
    expect(await code(await make(person, { password: "not the password" }))).toEqual([
      401,
      "invalid_credentials",
    ]);
    expect(await acts(person, "second_factor.change_refused")).toHaveLength(1);
    const { secret } = await enrolled(t, person);
    expect((await make(person)).status).toBe(422);
    const factor = { method: "totp", code: "000000" };
    expect(await code(await make(person, { password: person.password, factor }))).toEqual([
      422,
      "invalid_code",
    ]);
    expect(await keysIn(person)).toEqual([]);
    const right = { method: "totp", code: codeOf(secret, t.clock.now()) };
    expect((await make(person, { password: person.password, factor: right })).status).toBe(201);
  });

  test("takes a sign-in with a passkey in the last ten minutes instead, and no older one", async () => {
    const person = await manager();
    await byPasskey(person);
    expect((await make(person, {})).status).toBe(201);
    t.clock.advance(10 * MINUTE);
    expect((await make(person, {})).status).toBe(422);
  });

  test("counts wrong passwords", async () => {
    const person = await manager();
    const wrong = () => make(person, { password: "not the password" });
    for (let i = 0; i < 10; i++) expect((await wrong()).status).toBe(401);
    const answer = await make(person);
    expect([answer.status, answer.headers.has("retry-after")]).toEqual([429, true]);
  });

  test("tells its owner by mail, with its name and nothing of the key", async () => {
    const person = await manager();
    const { key, id } = await made(person, { name: "Till <b>1</b>" });
    const [mail, ...others] = await mailsTo(person);
    expect(others).toEqual([]);
    expect(mail?.subject).toBe("An API key was made");
    expect(mail?.text).toContain("“Till <b>1</b>”");
    expect(mail?.html).toContain("Till &lt;b&gt;1&lt;/b&gt;");
    const secret = key.split("_").slice(2).join("_");
    const jobs = JSON.stringify(await t.deps.mysql.on().job.findMany());
    for (const text of [mail?.text, mail?.html, jobs]) expect(text).not.toContain(secret);
    expect((await send("DELETE", `api-keys/${id}`, undefined, person.accessToken)).status).toBe(204);
    const [, revoked] = await mailsTo(person);
    expect(revoked?.subject).toBe("An API key was revoked");
    expect(revoked?.text).toContain("“Till <b>1</b>”");
    expect((await send("DELETE", `api-keys/${id}`, undefined, person.accessToken)).status).toBe(404);
    expect(await mailsTo(person)).toHaveLength(2);
  });

  test("a name that turns text around is refused", async () => {
    const person = await manager();
    expect((await make(person, { name: "a\u202Eb", password: person.password })).status).toBe(422);
  });

  test.each(["a reset of the password", "a ban"])(
    "does not get past %s that comes in between",
    async (what) => {
      const person = await manager();
      const token = await resetToken(person);
      const { reached, wait, open } = gate();
      const undo = around(t.deps.users, "lockActive", { before: wait });
      try {
        const making = make(person);
        await reached;
        if (what === "a ban") {
          await t.deps.mysql
            .on()
            .user.update({ where: { id: person.id }, data: { bannedAt: t.clock.now() } });
        } else {
          const reset = { token, password: "another password", revokeApiKeys: false };
          expect((await send("POST", "reset-password", reset)).status).toBe(204);
        }
        open();
        expect(await code(await making)).toEqual([401, "unauthenticated"]);
      } finally {
        open();
        undo();
      }
      expect(await keysIn(person)).toEqual([]);
    },
  );
});

describe("how many", () => {
  test("of a hundred callers at once exactly fifty get a key, and the list shows all of them", async () => {
    const person = await manager();
    await byPasskey(person);
    /** Whoever had to wait too long for the others asks again. */
    const insist = async (): Promise<number> => {
      const { status } = await make(person, {});
      return status === 503 ? insist() : status;
    };
    const statuses = await Promise.all(Array.from({ length: 100 }, insist));
    expect(statuses.filter((status) => status === 201)).toHaveLength(MAX_KEYS);
    expect(statuses.filter((status) => status === 409)).toHaveLength(100 - MAX_KEYS);
    expect(await keysIn(person)).toHaveLength(MAX_KEYS);
    const answer = await (await send("GET", "api-keys", undefined, person.accessToken)).json();
    expect(answer.data).toHaveLength(MAX_KEYS);
    expect(answer.page).toEqual({ nextCursor: null, hasMore: false });
    expect(await acts(person, "api_key.created")).toHaveLength(MAX_KEYS);
  }, 120_000);

  test("the list goes on in pages, also over more keys than there may be, and ends with each once", async () => {
    const person = await manager();
    const now = t.clock.now();
    await t.deps.mysql.on().apiKey.createMany({
      data: Array.from({ length: 72 }, (_, i) => ({
        id: t.deps.random.id(),
        userId: person.id,
        name: `Key ${i}`,
        secretHash: t.deps.random.bytes(32),
        permissions: [],
        // Many of one moment, so that the id decides.
        createdAt: new Date(now.getTime() - (i % 3)),
        expiresAt: new Date(now.getTime() + DAY),
      })),
    });
    const names: string[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const query: string = `api-keys?limit=10${cursor === "" ? "" : `&cursor=${cursor}`}`;
      const answer = await (await send("GET", query, undefined, person.accessToken)).json();
      names.push(...answer.data.map(({ name }: Made) => name));
      cursor = answer.page.nextCursor;
    }
    expect(names).toHaveLength(72);
    expect(new Set(names).size).toBe(72);
    const whole = await (await send("GET", "api-keys", undefined, person.accessToken)).json();
    expect(whole.data).toHaveLength(72);
    expect((await make(person)).status).toBe(409);
    const other = await manager();
    const first = await (await send("GET", "api-keys?limit=1", undefined, person.accessToken)).json();
    const foreign = await send(
      "GET",
      `api-keys?cursor=${first.page.nextCursor}`,
      undefined,
      other.accessToken,
    );
    expect(await code(foreign)).toEqual([400, "invalid_cursor"]);
  });

  test("expired keys take no place, and are still listed until they are revoked", async () => {
    const person = await manager();
    const { id } = await made(person, { expiresInDays: 1 });
    await t.deps.mysql.on().apiKey.createMany({
      data: Array.from({ length: MAX_KEYS - 1 }, () => ({
        id: t.deps.random.id(),
        userId: person.id,
        name: "Row",
        secretHash: t.deps.random.bytes(32),
        permissions: [],
        createdAt: t.clock.now(),
        expiresAt: new Date(t.clock.now().getTime() + 2 * DAY),
      })),
    });
    expect((await make(person)).status).toBe(409);
    await t.deps.mysql.on().apiKey.update({ where: { id }, data: { expiresAt: t.clock.now() } });
    expect((await make(person)).status).toBe(201);
    expect((await make(person)).status).toBe(409);
    const { data } = await (await send("GET", "api-keys", undefined, person.accessToken)).json();
    expect(data).toHaveLength(MAX_KEYS + 1);
    expect((await send("DELETE", `api-keys/${id}`, undefined, person.accessToken)).status).toBe(204);
  });
});

describe("when sessions end", () => {
  const cases = [
    ["reset", undefined, false],
    ["reset", true, false],
    ["reset", false, true],
    ["change", undefined, true],
    ["change", true, false],
    ["change", false, true],
  ] as const;
  test.each(cases)(
    "by a %s of the password with revokeApiKeys %p: a key works: %p",
    async (how, choice, stays) => {
      const person = await manager();
      const keys = [await made(person, { name: "Till" }), await made(person, { name: "Mirror" })];
      const stranger = await made(await manager());
      const extra = choice === undefined ? {} : { revokeApiKeys: choice };
      const token = how === "reset" ? await resetToken(person) : "";
      await mailsTo(person);
      t.mails.length = 0;
      const answer = await (how === "reset"
        ? send("POST", "reset-password", { token, password: "another password", ...extra })
        : send(
            "POST",
            "change-password",
            { currentPassword: person.password, newPassword: "another password", ...extra },
            person.accessToken,
          ));
      expect(answer.status).toBe(204);
      for (const key of keys) expect(await works(key)).toBe(stays);
      expect(await works(stranger)).toBe(true);
      const [mail] = await mailsTo(person);
      expect(mail?.text).toContain(stays ? "go on working" : "were revoked");
      for (const { name } of keys) expect(mail?.text).toContain(`“${name}”`);
      const reason = how === "reset" ? "password_reset" : "password_changed";
      const keyIds = expect.arrayContaining(keys.map(({ id }) => id));
      expect(await acts(person, "api_key.revoked")).toEqual(stays ? [] : [{ reason, keyIds }]);
    },
  );

  test("by their owner: the answer says which keys go on, or were revoked when that was asked", async () => {
    const person = await manager();
    const { id, name, ...key } = await made(person);
    const end = async (query = "") =>
      (await (await send("DELETE", `sessions${query}`, undefined, person.accessToken)).json()).data;
    expect(await end()).toEqual({ ended: 0, apiKeys: { revoked: [], working: [{ id, name }] } });
    expect(await works({ id, name, ...key })).toBe(true);
    expect(await mailsTo(person)).toHaveLength(1);
    const ended = await end("?revokeApiKeys=true");
    expect(ended).toEqual({ ended: 0, apiKeys: { revoked: [{ id, name }], working: [] } });
    expect(await works({ id, name, ...key })).toBe(false);
    expect((await mailsTo(person)).at(-1)?.subject).toBe("An API key was revoked");
    expect(await end("?revokeApiKeys=true")).toEqual({ ended: 0 });
    expect((await send("DELETE", "sessions?revokeApiKeys=yes", undefined, person.accessToken)).status).toBe(
      422,
    );
  });
});

describe("what is kept", () => {
  test("a plain digest, and for copies of the version before what they look at", async () => {
    const person = await manager();
    const { id, key } = await made(person);
    const secret = parseKey(key)?.secret ?? new Uint8Array();
    const row = await t.deps.mysql.on().apiKey.findUniqueOrThrow({ where: { id } });
    expect(Buffer.from(row.secretDigest ?? []).equals(createHash("sha256").update(secret).digest())).toBe(
      true,
    );
    const former = macOf(deriveKey(t.deps.config.jwtSecret, "api-key"), secret);
    expect(Buffer.from(row.secretHash).equals(former)).toBe(true);
  });
});

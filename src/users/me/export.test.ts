import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { anEvent, eventsOf, STORED_EVENT, sent } from "../../../test/analytics";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { unzip } from "../../../test/archive";
import { eventually, startProgram } from "../../../test/processes";
import { enrolled } from "../../../test/second-factor";
import { settle } from "../../analytics/settle";
import { DAY, HOUR, MINUTE } from "../../lib/clock";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(120_000);

const t = useTestApp(() => ({ appUrl: "https://shop.example" }));
beforeEach(async () => {
  await t.runner.runDue();
  t.mails.length = 0;
});

const call = (
  method: string,
  path: string,
  token: string | undefined,
  headers: Record<string, string> = {},
) => t.request(`/api/users/me/export${path}`, { method, headers, ...(token === undefined ? {} : { token }) });
const ask = async (person: SignedInPerson, headers: Record<string, string> = {}) => {
  const answer = await call("POST", "", person.accessToken, headers);
  expect(answer.status).toBe(202);
  return (await answer.json()).data as { id: string; status: string };
};
const state = async (person: SignedInPerson, id: string) =>
  (await (await call("GET", `/${id}`, person.accessToken)).json()).data;
const download = (person: SignedInPerson, id: string) => call("GET", `/${id}/download`, person.accessToken);
const archive = async (person: SignedInPerson, id: string) => {
  const answer = await download(person, id);
  expect(answer.status).toBe(200);
  const bytes = await answer.bytes();
  expect(bytes.length).toBe(Number(answer.headers.get("content-length")));
  const files = await unzip(bytes);
  const text = (name: string) => files.get(name)?.toString() ?? "";
  const lines = (name: string) =>
    text(name)
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  return { files, text, json: (name: string) => JSON.parse(text(name)), lines };
};
const again = async ({ email, password }: SignedInPerson) =>
  (await (await t.request("/auth/login", { method: "POST", json: { email, password } })).json()).data
    .accessToken as string;
const stored = async (folder = t.deps.config.storageDir) =>
  (await readdir(join(folder, "exports"), { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
/** Events straight into the collection: many at once, of one visitor, a second apart. */
const insertEvents = async (userId: string, count: number, more: object = {}) => {
  const at = t.clock.now().getTime() - HOUR;
  for (let from = 0; from < count; from += 10_000) {
    await eventsOf(t).insertMany(
      Array.from({ length: Math.min(10_000, count - from) }, (_, n) => ({
        ...STORED_EVENT,
        _id: `${userId}-${String(from + n).padStart(7, "0")}`,
        name: "Product Viewed",
        kind: "view" as const,
        at: new Date(at - (from + n) * 1000),
        receivedAt: new Date(at),
        userId,
        visitor: `u:${userId}`,
        address: "192.0.2.0",
        userAgent: "x",
        properties: { text: "é ☃ 𝒳".repeat(10), n: from + n },
        ...more,
      })) as never,
    );
  }
};

describe("an archive of one's data", () => {
  test("holds what is known of a person in both databases, and no secret", async () => {
    const person = await t.signIn({ name: "Zoë ☃", roles: ["manager"] });
    const { secret, backupCodes } = await enrolled(t, person);
    const made = await t.request("/auth/api-keys", {
      method: "POST",
      json: {
        name: "My server",
        permissions: ["products:write"],
        password: person.password,
        factor: { method: "backup_code", code: backupCodes[1] },
      },
      token: person.accessToken,
    });
    const { key } = (await made.json()).data;
    const { id: keyId } = await t.deps.mysql.on().apiKey.findFirstOrThrow({ where: { userId: person.id } });
    await t.request(`/auth/api-keys/${keyId}`, { method: "DELETE", token: person.accessToken });
    for (const email of [true, false, true]) {
      t.clock.advance(1000);
      await t.request("/api/users/me/preferences", {
        method: "PATCH",
        json: { timeZone: "Europe/Paris", marketing: { email } },
        token: person.accessToken,
      });
    }
    const form = new FormData();
    form.set(
      "file",
      new File(
        [
          new Uint8Array(
            await sharp({ create: { width: 40, height: 40, channels: 3, background: "red" } })
              .png()
              .toBuffer(),
          ),
        ],
        "a.png",
      ),
    );
    await t.request("/api/users/me/avatar", { method: "PUT", body: form, token: person.accessToken });
    await sent(
      t,
      { batch: [anEvent({ anonymousId: "their-own" }), anEvent({ anonymousId: "their-own" })] },
      { token: person.accessToken },
    );
    await sent(t, { batch: [anEvent({ anonymousId: "their-own" })] });
    await sent(t, { batch: [anEvent({ anonymousId: "a-stranger" })] });
    await settle(t.deps);
    const { id } = await ask(person);
    expect(await state(person, id)).toMatchObject({ status: "waiting", progress: { done: 0 }, size: null });
    expect((await download(person, id)).status).toBe(409);
    await t.runner.runDue();
    const ready = await state(person, id);
    expect(ready).toMatchObject({ status: "ready", progress: null });
    const answer = await download(person, id);
    expect(answer.headers.get("content-type")).toBe("application/zip");
    expect(answer.headers.get("content-disposition")).toMatch(
      /^attachment; filename="aizy-\d{4}-\d\d-\d\d\.zip"$/,
    );
    expect(answer.headers.get("cache-control")).toBe("no-store");
    await answer.body?.cancel();
    const { files, text, json, lines } = await archive(person, id);
    expect([...files.keys()]).toEqual(["contents.json", ...Object.keys(json("contents.json").files)]);
    expect(json("account.json")).toMatchObject({
      id: person.id,
      email: person.email,
      name: "Zoë ☃",
      roles: ["customer", "manager"],
    });
    expect((await sharp(files.get("picture.webp")).metadata()).width).toBe(40);
    expect(json("preferences.json")).toMatchObject({ timeZone: "Europe/Paris", marketing: { email: true } });
    expect(json("consent.json").map(({ email }: { email: boolean }) => email)).toEqual([true, false, true]);
    expect(json("api-keys.json")).toEqual([
      expect.objectContaining({ name: "My server", revokedAt: expect.any(String) }),
    ]);
    expect(json("second-factors.json")).toMatchObject({ methods: ["totp", "backup_code"], passkeys: [] });
    expect(lines("sessions.ndjson")).toEqual([expect.objectContaining({ method: "totp", ip: "127.0.0.1" })]);
    expect(lines("audit.ndjson").map(({ action }) => action)).toEqual(
      expect.arrayContaining(["sign_in.succeeded", "preferences.changed", "export.requested"]),
    );
    expect(lines("events.ndjson").map(({ anonymousId, userId }) => [anonymousId, userId])).toEqual(
      expect.arrayContaining([
        ["their-own", person.id],
        ["their-own", null],
      ]),
    );
    expect(lines("events.ndjson")).toHaveLength(3);
    expect(lines("visits.ndjson").length).toBeGreaterThan(0);
    const all = [...files.keys()].map(text).join("\n");
    const row = await t.deps.mysql.on().user.findUniqueOrThrow({ where: { id: person.id } });
    for (const hidden of [
      secret,
      // An underscore may be in it too.
      key.split("_").slice(2).join("_"),
      row.hashedPassword ?? "",
      "a-stranger",
      "argon2",
      ...backupCodes,
    ]) {
      expect(all).not.toContain(hidden);
    }
  });

  test("of others it tells nothing: where an administrator acted from, whom the person acted on", async () => {
    const [person, admin] = [await t.signIn(), await t.signIn({ roles: ["admin"] })];
    const at = t.clock.now();
    const entry = { at, subjectUserId: person.id, userAgent: "Secret/1", detail: { reason: "spam" } };
    await t.deps.audit.record({
      ...entry,
      id: t.deps.random.id(),
      action: "profile.changed",
      actor: { kind: "user", id: admin.id },
      ip: "203.0.113.9",
    });
    await t.deps.audit.record({
      ...entry,
      id: t.deps.random.id(),
      action: "notices.changed",
      actor: { kind: "user", id: person.id },
      subjectUserId: admin.id,
      ip: "192.0.2.1",
      detail: { email: admin.email },
    });
    const { id } = await ask(person);
    await t.runner.runDue();
    const { lines, text } = await archive(person, id);
    expect(lines("audit.ndjson")).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ action: "profile.changed", by: "user", ip: null, userAgent: null }),
        expect.objectContaining({ action: "notices.changed", by: "you", ip: "192.0.2.1", detail: {} }),
      ]),
    );
    for (const hidden of ["203.0.113.9", admin.id, admin.email]) {
      expect(text("audit.ndjson")).not.toContain(hidden);
    }
  });

  test("is its owner's alone, who is signed in", async () => {
    const [person, other, admin] = [await t.signIn(), await t.signIn(), await t.signIn({ roles: ["admin"] })];
    const { id } = await ask(person);
    await t.runner.runDue();
    for (const someone of [other, admin]) {
      expect((await call("GET", `/${id}`, someone.accessToken)).status).toBe(404);
      expect((await download(someone, id)).status).toBe(404);
      expect((await (await call("GET", "", someone.accessToken)).json()).data).toEqual([]);
    }
    expect((await call("GET", `/${id}/download`, undefined)).status).toBe(401);
    expect((await call("GET", `/${t.deps.random.id()}`, person.accessToken)).status).toBe(404);
    expect((await call("GET", "/..%2f..%2fetc", person.accessToken)).status).toBe(422);
    const manager = await t.signIn({ roles: ["manager"] });
    const made = await t.request("/auth/api-keys", {
      method: "POST",
      json: { name: "Server", permissions: ["products:write"], password: manager.password },
      token: manager.accessToken,
    });
    const { key } = (await made.json()).data;
    for (const [method, path] of [
      ["POST", ""],
      ["GET", ""],
      ["GET", `/${id}/download`],
    ] as const) {
      expect((await call(method, path, key)).status).toBe(403);
    }
  });

  test("the owner is told when it is ready, unless they do not want to be", async () => {
    const [person, silent] = [await t.signIn(), await t.signIn()];
    await t.request("/api/users/me/settings", {
      method: "PATCH",
      json: { notices: { exportReady: false } },
      token: silent.accessToken,
    });
    for (const someone of [person, silent]) await ask(someone);
    await t.runner.runDue();
    expect(t.mails.map(({ to, subject }) => [to, subject])).toEqual([[person.email, "Your data is ready"]]);
    expect(t.mails[0]?.text).toContain("https://shop.example/account/export");
  });

  test("ends after seven days, and its files are gone", async () => {
    const person = await t.signIn();
    const { id } = await ask(person);
    await t.runner.runDue();
    const before = await stored();
    t.clock.advance(7 * DAY - HOUR);
    await t.runner.runDue();
    const token = await again(person);
    expect((await call("GET", `/${id}/download`, token)).status).toBe(200);
    t.clock.advance(HOUR);
    const late = await again(person);
    expect((await call("GET", `/${id}/download`, late)).status).toBe(410);
    await t.runner.runDue();
    expect((await stored()).length).toBeLessThan(before.length);
    expect((await (await call("GET", `/${id}`, late)).json()).data.status).toBe("expired");
  });

  test("one is made at a time; one that failed makes way; five in a day", async () => {
    const person = await t.signIn();
    const answers = await Promise.all(Array.from({ length: 6 }, () => call("POST", "", person.accessToken)));
    expect(answers.map(({ status }) => status).sort()).toEqual([202, 409, 409, 409, 409, 409]);
    const [{ id }] = (await (await call("GET", "", person.accessToken)).json()).data;
    const refused = await answers.find(({ status }) => status === 409)?.json();
    expect(refused.exportId).toBe(id);
    await t.deps.mysql.on().job.update({ where: { id }, data: { status: "failed" } });
    expect((await state(person, id)).status).toBe("failed");
    for (let n = 0; n < 4; n++) {
      await ask(person);
      await t.runner.runDue();
    }
    const many = await call("POST", "", person.accessToken);
    expect(many.status).toBe(429);
    expect(many.headers.get("retry-after")).toBe("86400");
    const list = (await (await call("GET", "", person.accessToken)).json()).data;
    expect(list.map(({ status }: { status: string }) => status)).toEqual([
      ...Array(4).fill("ready"),
      "failed",
    ]);
  });

  test("asked for twice with one Idempotency-Key it is one", async () => {
    const person = await t.signIn();
    const first = await ask(person, { "idempotency-key": "export-1" });
    const second = await call("POST", "", person.accessToken, { "idempotency-key": "export-1" });
    expect(second.headers.get("idempotency-replayed")).toBe("true");
    expect((await second.json()).data).toEqual(first);
    await t.runner.runDue();
  });
});

describe("many events", () => {
  // Other processes go by the real time.
  beforeEach(() => t.clock.set(new Date()));

  test("each is there once, whether it names the person or a device of theirs", async () => {
    const person = await t.signIn();
    const device = `device-of-${person.id}`;
    await insertEvents(person.id, 1234, { device });
    await insertEvents(`${person.id}-own`, 2345, { device, userId: null, visitor: `d:${device}` });
    await insertEvents(`${person.id}-moved`, 777, { device, userId: null, visitor: `u:${person.id}` });
    await insertEvents(`${person.id}-else`, 50, {
      device: "elsewhere",
      userId: null,
      visitor: "d:elsewhere",
    });
    const { id } = await ask(person);
    await t.runner.runDue();
    const { lines } = await archive(person, id);
    const ids = lines("events.ndjson").map((event) => event.id);
    expect(ids).toHaveLength(1234 + 2345 + 777);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.some((event) => event.includes("-else"))).toBe(false);
  });

  test.each([1, 3, 9, 12])(
    "a process that is killed before its write %i to storage: another one goes on, nothing is lost or twice",
    async (nth) => {
      const person = await t.signIn();
      await insertEvents(person.id, 1600);
      const { id } = await ask(person);
      const env = { STORAGE_DIR: t.deps.config.storageDir };
      const killed = startProgram(["test/programs/accounts.ts", "storage.put", String(nth)], env);
      await killed.line(/killed/);
      expect(await killed.ended()).not.toBe(0);
      // This process is the other one; the lease of the killed one is over.
      t.clock.set(new Date(Date.now() + MINUTE));
      await t.runner.runDue();
      expect((await state(person, id)).status).toBe("ready");
      const { lines, json } = await archive(person, id);
      expect(json("account.json").id).toBe(person.id);
      const ids = lines("events.ndjson").map((event) => event.id);
      expect([ids.length, new Set(ids).size]).toEqual([1600, 1600]);
      expect((await stored()).every((name) => !/^\d+-\d+$/.test(name))).toBe(true);
    },
  );

  test("killed while it packs, or just before it is ready", async () => {
    for (const where of ["storage.putStream", "exports.finish"]) {
      // The other process asks by the real time: what the clock below was set to would be a minute ahead of it.
      t.clock.set(new Date());
      const person = await t.signIn();
      await insertEvents(person.id, 700);
      const { id } = await ask(person);
      const env = { STORAGE_DIR: t.deps.config.storageDir };
      const killed = startProgram(["test/programs/accounts.ts", where], env);
      await killed.line(/killed/);
      await killed.ended();
      expect((await state(person, id)).status).toBe("waiting");
      // This process is the other one; the lease of the killed one is over.
      t.clock.set(new Date(Date.now() + MINUTE));
      await t.runner.runDue();
      expect((await state(person, id)).status).toBe("ready");
      expect((await archive(person, id)).lines("events.ndjson")).toHaveLength(700);
    }
  });

  test.skipIf(process.env.AIZY_LONG !== "1")(
    "100,000 events of one visitor take no more memory than 5,000, though they are 150 MB",
    async () => {
      const most: number[] = [];
      for (const count of [5_000, 100_000]) {
        const person = await t.signIn();
        await insertEvents(person.id, count, { properties: { text: "é ☃ 𝒳 ".repeat(100) } });
        const { id } = await ask(person);
        const started = performance.now();
        const program = startProgram(["test/programs/accounts.ts"], {
          STORAGE_DIR: t.deps.config.storageDir,
        });
        await eventually(
          async () => (await state(person, id)).status === "ready",
          "the archive",
          10 * MINUTE,
        );
        await program.kill("SIGTERM");
        const [, held = "", peak] = /held (\d+) peak (\d+)/.exec(program.output()) ?? [];
        const { size } = await state(person, id);
        console.log(
          `${count} events: ${Math.round(performance.now() - started)} ms, ${held} MB held, ${peak} MB at most, zip ${size} bytes`,
        );
        most.push(Number(held));
      }
      const [few = 0, many = 0] = most;
      expect(few).toBeGreaterThan(0);
      expect(many - few).toBeLessThan(30);
    },
    15 * MINUTE,
  );
});

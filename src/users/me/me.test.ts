import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { MINUTE } from "../../lib/clock";
import type { PreferencesResponse } from "../preferences";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp();
beforeEach(() => {
  t.mails.length = 0;
});

const call = (
  person: SignedInPerson | undefined,
  method: string,
  path: string,
  json?: unknown,
  ifMatch?: string,
) =>
  t.request(`/api/users/me${path}`, {
    method,
    ...(json === undefined ? {} : { json }),
    ...(person === undefined ? {} : { token: person.accessToken }),
    headers: ifMatch === undefined ? {} : { "if-match": ifMatch },
  });
const rowOf = (person: SignedInPerson) =>
  t.deps.mysql.on().user.findUniqueOrThrow({ where: { id: person.id } });
const entriesOf = (person: SignedInPerson, action: string) =>
  t.deps.mysql.on().auditEntry.findMany({ where: { actorId: person.id, action }, orderBy: { at: "asc" } });

describe("the account", () => {
  test("is shown as its row has it, whatever the name holds", async () => {
    const person = await t.signIn({ roles: ["manager"] });
    for (const name of ['"quoted" \\ {}', "𠀀 😀 é", "a\tb\n'c'", "null", "\u2028\u{1F468}\u200D"]) {
      const row = await t.deps.mysql.on().user.update({
        where: { id: person.id },
        data: { name, avatarId: t.deps.random.id(), avatarWidths: [64, 256] },
      });
      const { data } = await (await call(person, "GET", "")).json();
      expect(data).toMatchObject({
        id: row.id,
        email: row.email,
        name,
        roles: ["customer", "manager"],
        createdAt: row.createdAt.toISOString(),
      });
      expect(data.avatar.sources.map(({ width }: { width: number }) => width)).toEqual([64, 256]);
    }
    for (const roles of [["manager"], ["customer"]]) {
      const ids = (await t.deps.roles.byNames(roles)).map(({ id }) => id);
      await t.deps.mysql.transaction((tx) => t.deps.roles.revoke(person.id, ids, tx));
    }
    expect((await (await call(person, "GET", "")).json()).data).toMatchObject({ roles: [], permissions: [] });
  });

  test("says what the caller may, and its tag changes with that", async () => {
    const person = await t.signIn({ roles: ["manager"] });
    const ask = (etag?: string) =>
      t.request("/api/users/me", {
        token: person.accessToken,
        ...(etag === undefined ? {} : { headers: { "if-none-match": etag } }),
      });
    const read = await ask();
    const { data } = await read.json();
    expect(data.roles).toEqual(["customer", "manager"]);
    expect(data.permissions).toContain("products:write");
    expect(data.permissions).not.toContain("users:write");
    const etag = read.headers.get("etag") ?? "";
    const again = await ask(etag);
    expect([again.status, again.headers.get("content-type"), await again.text()]).toEqual([304, null, ""]);
    // What the role may changes for everyone who has it, without a change of their rows.
    const [role] = await t.deps.roles.byNames(["manager"]);
    const permissions = role?.permissions ?? [];
    await t.deps.mysql.transaction((tx) =>
      t.deps.roles.change(role?.id ?? "", { permissions: ["inventory:read"] }, tx),
    );
    const after = await ask(etag);
    expect([after.status, (await after.json()).data.permissions]).toEqual([200, ["inventory:read"]]);
    expect((await call(person, "PATCH", "", { name: "Zoe" }, etag)).status).toBe(200);
    await t.deps.mysql.transaction((tx) => t.deps.roles.change(role?.id ?? "", { permissions }, tx));
  });

  test("is read with its tag, and the name changed with it", async () => {
    const person = await t.signIn({ name: "Ann" });
    const read = await call(person, "GET", "");
    const etag = read.headers.get("etag") ?? "";
    expect(read.status).toBe(200);
    expect((await read.json()).data).toMatchObject({
      id: person.id,
      name: "Ann",
      roles: ["customer"],
      permissions: [],
    });
    const changed = await call(person, "PATCH", "", { name: " Zoe\u0308 " }, etag);
    expect(changed.status).toBe(200);
    expect((await changed.json()).data.name).toBe("Zoë");
    expect(changed.headers.get("etag")).not.toBe(etag);
    const stale = await call(person, "PATCH", "", { name: "Eve" }, etag);
    expect(stale.status).toBe(412);
    expect(stale.headers.get("content-type")).toContain("problem+json");
    expect((await rowOf(person)).name).toBe("Zoë");
    expect(await entriesOf(person, "profile.changed")).toEqual([
      expect.objectContaining({ subjectUserId: person.id, ip: "127.0.0.1", detail: { fields: ["name"] } }),
    ]);
  });

  test("of two changes at once with one tag, one wins", async () => {
    const person = await t.signIn();
    const etag = (await call(person, "GET", "")).headers.get("etag") ?? "";
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, n) => call(person, "PATCH", "", { name: `Name ${n}` }, etag)),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([200, ...Array(7).fill(412)]);
    expect(await entriesOf(person, "profile.changed")).toHaveLength(1);
  });

  const hostile: [string, string][] = [
    ["a role", '{"name":"x","roles":["admin"]}'],
    ["an id", '{"name":"x","id":"00000000-0000-7000-8000-000000000000"}'],
    ["a proved address", '{"name":"x","emailVerified":true}'],
    ["an address", '{"name":"x","email":"eve@example.com"}'],
    ["a hash", '{"name":"x","hashedPassword":"x"}'],
    ["a prototype", '{"name":"x","__proto__":{"roles":["admin"]}}'],
    ["a constructor", '{"name":"x","constructor":{"prototype":{"a":1}}}'],
    ["an operator for a name", '{"name":{"$ne":null}}'],
    ["a list for a name", '{"name":["x"]}'],
    ["null for a name", '{"name":null}'],
    ["an empty name", '{"name":"  "}'],
    ["a name with a line break", '{"name":"a\\nb"}'],
    ["a name with NUL", '{"name":"a\\u0000b"}'],
    ["a name that turns text around", '{"name":"a\\u202eb"}'],
    ["a long name", JSON.stringify({ name: "é".repeat(201) })],
    ["nothing", "{}"],
    ["a list", "[]"],
    ["null", "null"],
  ];
  test.each(hostile)("%s in the body is refused and the row unchanged", async (_, body) => {
    const person = await t.signIn();
    const before = await rowOf(person);
    const answer = await t.request("/api/users/me", {
      method: "PATCH",
      body,
      token: person.accessToken,
      headers: { "content-type": "application/json" },
    });
    expect(answer.status).toBe(422);
    expect(await rowOf(person)).toEqual(before);
    expect(await t.deps.roles.namesOf(person.id)).toEqual(["customer"]);
  });

  test("names of any script are kept; half a surrogate pair is refused", async () => {
    const person = await t.signIn();
    for (const name of ["Ωμέγα", "王小明", "👩‍👩‍👧 Ann", "O'Brien; DROP TABLE users", "é".repeat(200)]) {
      expect((await (await call(person, "PATCH", "", { name })).json()).data.name).toBe(name);
    }
    const half = await t.request("/api/users/me", {
      method: "PATCH",
      body: '{"name":"a\\ud800b"}',
      token: person.accessToken,
      headers: { "content-type": "application/json" },
    });
    expect(half.status).toBe(422);
  });

  test("a tag that was never ours is 412, any tag will do for *", async () => {
    const person = await t.signIn();
    expect((await call(person, "PATCH", "", { name: "x" }, '"other"')).status).toBe(412);
    expect((await call(person, "PATCH", "", { name: "x" }, 'W/"v1"')).status).toBe(412);
    expect((await call(person, "PATCH", "", { name: "x" }, "*")).status).toBe(200);
  });

  const routes: [string, string, unknown][] = [
    ["GET", "", undefined],
    ["PATCH", "", { name: "x" }],
    ["GET", "/preferences", undefined],
    ["PUT", "/preferences", {}],
    ["PATCH", "/preferences", { theme: "dark" }],
    ["GET", "/settings", undefined],
    ["PATCH", "/settings", { notices: { newDevice: false } }],
  ];
  test.each(routes)("%s %s is for people who signed in alone", async (method, path, json) => {
    expect((await call(undefined, method, path, json)).status).toBe(401);
    const owner = await t.signIn({ roles: ["manager"] });
    const made = await t.request("/auth/api-keys", {
      method: "POST",
      json: { name: "Server", permissions: ["products:write"], password: owner.password },
      token: owner.accessToken,
    });
    const { key } = (await made.json()).data;
    expect((await call({ ...owner, accessToken: key }, method, path, json)).status).toBe(403);
  });
});

describe("preferences", () => {
  const DEFAULTS: PreferencesResponse = {
    language: "en",
    timeZone: "UTC",
    currency: "USD",
    theme: "system",
    marketing: { email: false, decidedAt: null },
    version: 0,
  };
  const read = async (person: SignedInPerson): Promise<PreferencesResponse> =>
    (await (await call(person, "GET", "/preferences")).json()).data;
  const store = (person: SignedInPerson, shape: number, data: object) =>
    t.deps.mysql.on().userSetting.create({
      data: { userId: person.id, kind: "preferences", shape, data, version: 3, updatedAt: t.clock.now() },
    });

  test("are defaults until something is chosen; PUT replaces, PATCH changes a part, null takes back", async () => {
    const person = await t.signIn();
    const first = await call(person, "GET", "/preferences");
    expect(first.headers.get("etag")).toBe('"v0"');
    expect((await first.json()).data).toEqual(DEFAULTS);
    const put = await call(
      person,
      "PUT",
      "/preferences",
      { language: "de-de", timeZone: "europe/berlin", currency: "EUR", theme: "dark" },
      '"v0"',
    );
    expect(put.headers.get("etag")).toBe('"v1"');
    const chosen = { language: "de-DE", timeZone: "Europe/Berlin", currency: "EUR", theme: "dark" };
    expect((await put.json()).data).toEqual({ ...DEFAULTS, ...chosen, version: 1 });
    const patch = await call(person, "PATCH", "/preferences", { language: null, theme: "light" }, '"v1"');
    expect((await patch.json()).data).toEqual({
      ...DEFAULTS,
      ...chosen,
      language: "en",
      theme: "light",
      version: 2,
    });
    const replaced = await call(person, "PUT", "/preferences", { currency: "JPY" }, '"v2"');
    expect((await replaced.json()).data).toEqual({ ...DEFAULTS, currency: "JPY", version: 3 });
    expect(await read(person)).toEqual({ ...DEFAULTS, currency: "JPY", version: 3 });
    expect((await entriesOf(person, "preferences.changed")).map(({ detail }) => detail)).toEqual([
      { fields: ["language", "timeZone", "currency", "theme"] },
      { fields: ["language", "theme"] },
      { fields: ["currency"] },
    ]);
  });

  test("a replacement needs the tag: missing 428, stale 412; at once one wins", async () => {
    const person = await t.signIn();
    expect((await call(person, "PUT", "/preferences", { theme: "dark" })).status).toBe(428);
    expect((await call(person, "PUT", "/preferences", { theme: "dark" }, '"v1"')).status).toBe(412);
    expect(await read(person)).toEqual(DEFAULTS);
    const answers = await Promise.all(
      (["dark", "light", "system", "dark", "light"] as const).map((theme) =>
        call(person, "PUT", "/preferences", { theme }, '"v0"'),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412, 412, 412]);
    const stale = await call(person, "PATCH", "/preferences", { theme: "dark" }, '"v0"');
    expect(stale.status).toBe(412);
    expect((await stale.json()).currentVersion).toBe(1);
  });

  test("changes at once of different parts are all kept", async () => {
    const person = await t.signIn();
    const parts = [{ language: "fr" }, { timeZone: "Asia/Tokyo" }, { currency: "CHF" }, { theme: "dark" }];
    const answers = await Promise.all(parts.map((part) => call(person, "PATCH", "/preferences", part)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(await read(person)).toMatchObject({ ...Object.assign({}, ...parts), version: 4 });
  });

  test("consent to marketing keeps the time of the decision", async () => {
    const person = await t.signIn();
    const consent = (email: boolean) => call(person, "PATCH", "/preferences", { marketing: { email } });
    const decidedAt = t.clock.now().toISOString();
    expect((await (await consent(true)).json()).data.marketing).toEqual({ email: true, decidedAt });
    t.clock.advance(10 * MINUTE);
    expect((await (await consent(true)).json()).data.marketing).toEqual({ email: true, decidedAt });
    const withdrawnAt = t.clock.now().toISOString();
    expect((await (await consent(false)).json()).data.marketing).toEqual({
      email: false,
      decidedAt: withdrawnAt,
    });
    const forged = { marketing: { email: true, decidedAt: "2020-01-01T00:00:00.000Z" } };
    expect((await call(person, "PATCH", "/preferences", forged)).status).toBe(422);
  });

  const zones = [
    ["Europe/Berlin", "Europe/Berlin"],
    ["america/new_york", "America/New_York"],
    ["Asia/Kolkata", "Asia/Kolkata"],
    ["Pacific/Apia", "Pacific/Apia"],
    ["Etc/GMT+5", "Etc/GMT+5"],
    ["UTC", "UTC"],
  ];
  test.each(zones)("the time zone %s is %s", async (timeZone, canonical) => {
    const person = await t.signIn();
    const answer = await call(person, "PATCH", "/preferences", { timeZone });
    expect((await answer.json()).data.timeZone).toBe(canonical);
  });

  const refused: [string, object][] = [
    ["a zone that is nowhere", { timeZone: "Mars/Olympus" }],
    ["an offset for a zone", { timeZone: "+02:00" }],
    ["a path for a zone", { timeZone: "../../etc/passwd" }],
    ["a zone with a line break", { timeZone: "Europe/Berlin\n" }],
    ["a language that is none", { language: "de_DE" }],
    ["a language with a header", { language: "de\r\nX: y" }],
    ["a currency that is none", { currency: "EUX" }],
    ["a currency in lower case", { currency: "eur" }],
    ["another theme", { theme: "pink" }],
    ["marketing as a bare truth", { marketing: true }],
    ["an unknown key", { colour: "red" }],
    ["a role", { theme: "dark", roles: ["admin"] }],
    ["an operator", { theme: { $ne: null } }],
    ["nothing", {}],
  ];
  test.each(refused)("%s is refused and nothing stored", async (_, json) => {
    const person = await t.signIn();
    const answer = await call(person, "PATCH", "/preferences", json);
    expect(answer.status).toBe(422);
    expect((await answer.json()).errors.length).toBeGreaterThan(0);
    expect(await read(person)).toEqual(DEFAULTS);
  });

  test("__proto__ in the body is refused", async () => {
    const person = await t.signIn();
    const answer = await t.request("/api/users/me/preferences", {
      method: "PATCH",
      body: '{"theme":"dark","__proto__":{"currency":"EUR"}}',
      token: person.accessToken,
      headers: { "content-type": "application/json" },
    });
    expect(answer.status).toBe(422);
    expect(await read(person)).toEqual(DEFAULTS);
  });

  test("an older form is upgraded when it is read, and written in the present one", async () => {
    const person = await t.signIn();
    await store(person, 1, { timeZone: "Europe/Rome", marketingEmails: true });
    const upgraded = {
      ...DEFAULTS,
      timeZone: "Europe/Rome",
      marketing: { email: true, decidedAt: t.clock.now().toISOString() },
    };
    expect(await read(person)).toEqual({ ...upgraded, version: 3 });
    await call(person, "PATCH", "/preferences", { theme: "dark" }, '"v3"');
    expect(await read(person)).toEqual({ ...upgraded, theme: "dark", version: 4 });
    const row = await t.deps.settings.find(person.id, "preferences");
    expect(row).toMatchObject({
      shape: 2,
      data: { timeZone: "Europe/Rome", theme: "dark", marketing: { email: true } },
    });
    expect(row?.data).not.toHaveProperty("marketingEmails");
  });

  test("what is stored and no longer valid is the default again", async () => {
    const person = await t.signIn();
    await store(person, 2, { timeZone: "Europe/Atlantis", currency: "ZZZ", theme: "dark", marketing: "yes" });
    expect(await read(person)).toEqual({ ...DEFAULTS, theme: "dark", version: 3 });
    const other = await t.signIn();
    await store(other, 2, ["not", "an", "object"]);
    expect(await read(other)).toEqual({ ...DEFAULTS, version: 3 });
  });

  test("what a newer release wrote is read as far as it is understood, and never overwritten", async () => {
    const person = await t.signIn();
    await store(person, 3, { theme: "dark", density: "compact" });
    expect(await read(person)).toMatchObject({ theme: "dark", version: 3 });
    const answer = await call(person, "PATCH", "/preferences", { theme: "light" });
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).toBe("60");
    expect((await t.deps.settings.find(person.id, "preferences"))?.data).toEqual({
      theme: "dark",
      density: "compact",
    });
  });
});

describe("notices", () => {
  test("are on until they are switched off, one by one", async () => {
    const person = await t.signIn();
    const read = await call(person, "GET", "/settings");
    expect(read.headers.get("etag")).toBe('"v0"');
    expect((await read.json()).data.notices).toEqual({ newDevice: true, lowStock: true, exportReady: true });
    const changed = await call(person, "PATCH", "/settings", { notices: { newDevice: false } }, '"v0"');
    expect((await changed.json()).data).toMatchObject({
      notices: { newDevice: false, lowStock: true, exportReady: true },
      version: 1,
    });
    expect((await call(person, "PATCH", "/settings", { notices: { lowStock: false } }, '"v0"')).status).toBe(
      412,
    );
    for (const json of [{}, { notices: {} }, { notices: { passwordChanged: false } }, { email: "x@y.de" }]) {
      expect((await call(person, "PATCH", "/settings", json)).status).toBe(422);
    }
  });

  test("a sign-in from a new device is not told to who does not want it, a new password is", async () => {
    const person = await t.signIn();
    await call(person, "PATCH", "/settings", { notices: { newDevice: false } });
    const elsewhere = await t.request("/auth/login", {
      method: "POST",
      json: { email: person.email, password: person.password },
      headers: { "user-agent": "Elsewhere/1" },
    });
    expect(elsewhere.status).toBe(200);
    // Other tests of the file leave mails of their own.
    const subjects = async () => {
      await t.runner.runDue();
      return t.mails.filter(({ to }) => to === person.email).map(({ subject }) => subject);
    };
    expect(await subjects()).toEqual([]);
    await t.request("/auth/change-password", {
      method: "POST",
      json: { currentPassword: person.password, newPassword: "quite another password" },
      token: person.accessToken,
    });
    expect(await subjects()).toEqual(["Your password was changed"]);
  });
});

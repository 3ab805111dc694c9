import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type SignedInPerson, useTestApp } from "../../../test/app";
import { Authenticator, type Lies } from "../../../test/authenticator";
import { codeOf, enrolled } from "../../../test/second-factor";
import { MINUTE } from "../../lib/clock";
import { relyingParty } from "./webauthn";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp(() => ({
  trustedProxies: ["127.0.0.1"],
  corsOrigins: ["http://localhost:3000", "http://shop.localhost:8080", "https://elsewhere.example"],
}));
beforeEach(() => {
  t.mails.length = 0;
});

let addresses = 0;
const send = (method: string, path: string, json?: unknown, token?: string, ip?: string) =>
  t.request(`/auth/${path}`, {
    method,
    ...(json === undefined ? {} : { json }),
    token,
    headers: { "x-forwarded-for": ip ?? `10.2.${addresses >> 8}.${addresses++ & 255}` },
  });
const post = (path: string, json?: unknown, token?: string, ip?: string) =>
  send("POST", path, json, token, ip);
const data = async (answer: Response | Promise<Response>) => (await (await answer).json()).data;
const me = async (token: string) => (await t.request("/api/users/me", { token })).status;

const registerOptions = (person: SignedInPerson, proof: object = { password: person.password }) =>
  post("passkeys/register/options", proof, person.accessToken);
const register = async (
  person: SignedInPerson,
  device: Authenticator,
  lies: Lies = {},
  change: object = {},
): Promise<Response> => {
  const { challengeId, options } = await data(registerOptions(person));
  const json = { challengeId, response: device.create(options, lies), ...change };
  return post("passkeys/register/verify", json, person.accessToken);
};
/** A person with a passkey. */
const withPasskey = async () => {
  const person = await t.signIn();
  const device = new Authenticator();
  const added = await register(person, device);
  expect(added.status).toBe(201);
  return { person, device, passkey: await data(added) };
};
const signInOptions = () => data(post("passkeys/sign-in/options"));
const signIn = async (device: Authenticator, lies: Lies = {}, extra: object = {}, ip?: string) => {
  const { challengeId, options } = await signInOptions();
  return post(
    "passkeys/sign-in/verify",
    { challengeId, response: device.get(options, lies), ...extra },
    undefined,
    ip,
  );
};
const list = async (person: SignedInPerson) =>
  data(t.request("/auth/passkeys", { token: person.accessToken }));
const acts = async (person: SignedInPerson) =>
  (
    await t.deps.mysql.on().auditEntry.findMany({
      where: { subjectUserId: person.id },
      orderBy: [{ at: "asc" }, { id: "asc" }],
    })
  ).map(({ action, detail }) => [action, detail]);

describe("adding a passkey", () => {
  test("asks the browser for one that is found by itself and checks its user", async () => {
    const person = await t.signIn();
    const answer = await registerOptions(person);
    expect([answer.status, answer.headers.get("cache-control")]).toEqual([200, "no-store"]);
    const { options, expiresIn } = await data(answer);
    expect(expiresIn).toBe(300);
    expect(options).toMatchObject({
      rp: { id: "localhost", name: "Aizy" },
      user: { id: Buffer.from(person.id).toString("base64url"), name: person.email, displayName: "Test" },
      attestation: "none",
      authenticatorSelection: { residentKey: "required", userVerification: "required" },
      excludeCredentials: [],
    });
    expect(Buffer.from(options.challenge, "base64url")).toHaveLength(32);
    const device = new Authenticator();
    expect((await register(person, device)).status).toBe(201);
    const again = await data(registerOptions(person));
    expect(again.options.excludeCredentials).toEqual([
      {
        id: device.credentials[0]?.id.toString("base64url"),
        type: "public-key",
        transports: ["internal"],
      },
    ]);
  });

  test("it is listed, renamed under its version and removed; its owner is told and the log has it", async () => {
    const person = await t.signIn();
    const device = new Authenticator();
    const added = await register(person, device, {}, { name: " Ann's phone " });
    const passkey = await data(added);
    expect([added.status, added.headers.get("etag")]).toEqual([201, '"v1"']);
    expect(passkey).toEqual({
      id: expect.any(String),
      name: "Ann's phone",
      synced: false,
      aaguid: "00000000-0000-0000-0000-000000000000",
      version: 1,
      createdAt: t.clock.now().toISOString(),
      lastUsedAt: null,
    });
    expect(await list(person)).toEqual([passkey]);
    const stranger = await t.signIn();
    const rename = (name: string, etag: string, who = person) =>
      t.request(`/auth/passkeys/${passkey.id}`, {
        method: "PATCH",
        json: { name },
        token: who.accessToken,
        headers: { "if-match": etag },
      });
    const renamed = await rename("Old phone ☎", '"v1"');
    expect([renamed.status, renamed.headers.get("etag"), (await data(renamed)).name]).toEqual([
      200,
      '"v2"',
      "Old phone ☎",
    ]);
    expect((await rename("New", '"v1"')).status).toBe(412);
    expect((await rename("Mine", '"v2"', stranger)).status).toBe(404);
    const remove = (who: SignedInPerson) =>
      send("DELETE", `passkeys/${passkey.id}`, undefined, who.accessToken);
    expect((await remove(stranger)).status).toBe(404);
    expect((await remove(person)).status).toBe(204);
    expect((await remove(person)).status).toBe(404);
    expect(await list(person)).toEqual([]);
    expect((await signIn(device)).status).toBe(401);
    await t.runner.runDue();
    const told = t.mails.filter(
      ({ to, subject }) => to === person.email && subject === "Your second factor was changed",
    );
    expect(told).toHaveLength(2);
    expect((await acts(person)).filter(([action]) => String(action).startsWith("passkey"))).toEqual([
      ["passkey.added", { passkeyId: passkey.id, name: "Ann's phone" }],
      ["passkey.removed", { passkeyId: passkey.id }],
    ]);
    expect((await acts(stranger)).map(([action]) => action)).toEqual(["sign_in.succeeded"]);
  });

  test("asks for the password, and for the second factor of whoever has one", async () => {
    const person = await t.signIn();
    expect((await registerOptions(person, {})).status).toBe(422);
    expect((await registerOptions(person, { password: "wrong password" })).status).toBe(401);
    const { secret, backupCodes } = await enrolled(t, person);
    expect((await registerOptions(person)).status).toBe(422);
    const factor = { method: "backup_code", code: backupCodes[0] };
    expect((await registerOptions(person, { password: person.password, factor })).status).toBe(200);
    const wrong = { method: "backup_code", code: backupCodes[0] };
    expect((await registerOptions(person, { password: person.password, factor: wrong })).status).toBe(422);
    const totp = { method: "totp", code: codeOf(secret, t.clock.now()) };
    expect((await registerOptions(person, { password: person.password, factor: totp })).status).toBe(200);
  });

  test("what is not right is refused", async () => {
    const person = await t.signIn();
    const x5c = new Map<string, number | Buffer | Buffer[]>([
      ["alg", -7],
      ["sig", Buffer.alloc(8)],
      ["x5c", [Buffer.alloc(8)]],
    ]);
    const lies: Record<string, Lies> = {
      "another origin": { origin: "https://evil.example" },
      "an allowed origin of another site": { origin: "https://elsewhere.example" },
      "a longer host": { origin: "http://localhost:3000.evil.example" },
      "another relying party": { rpId: "evil.example" },
      "another ceremony": { type: "webauthn.get" },
      "another challenge": { challenge: Buffer.alloc(32).toString("base64url") },
      "nobody recognised": { verified: false },
      "nobody there": { present: false },
      "certificates to be looked up": { attestation: { fmt: "packed", attStmt: x5c } },
      "an attestation nobody asked for": { attestation: { fmt: "android-safetynet", attStmt: new Map() } },
      "an unknown attestation": { attestation: { fmt: "mine", attStmt: new Map() } },
    };
    for (const [name, lie] of Object.entries(lies)) {
      const answer = await register(person, new Authenticator(), lie);
      expect([name, answer.status, (await answer.json()).code]).toEqual([name, 422, "invalid_code"]);
    }
    expect(await list(person)).toEqual([]);
    expect((await register(person, new Authenticator("http://shop.localhost:8080"))).status).toBe(201);
  });

  test("a challenge serves once, for five minutes, for its person and its purpose", async () => {
    const [person, other] = [await t.signIn(), await t.signIn()];
    const device = new Authenticator();
    const verify = async (challengeId: string, response: unknown, who = person) =>
      (await post("passkeys/register/verify", { challengeId, response }, who.accessToken)).status;
    const begun = await data(registerOptions(person));
    expect(await verify(begun.challengeId, device.create(begun.options), other)).toBe(422);
    expect(await verify(begun.challengeId, device.create(begun.options))).toBe(201);
    expect(await verify(begun.challengeId, device.create(begun.options))).toBe(422);
    const wrong = await data(registerOptions(person));
    expect(await verify(wrong.challengeId, device.create(wrong.options, { verified: false }))).toBe(422);
    expect(await verify(wrong.challengeId, device.create(wrong.options))).toBe(422);
    const foreign = await signInOptions();
    const options = { ...begun.options, challenge: foreign.options.challenge };
    expect(await verify(foreign.challengeId, device.create(options))).toBe(422);
    const late = await data(registerOptions(person));
    t.clock.advance(5 * MINUTE);
    expect(await verify(late.challengeId, device.create(late.options))).toBe(422);
    expect(await verify(t.deps.random.id(), device.create(late.options))).toBe(422);
    expect(await list(person)).toHaveLength(1);
  });

  test("20 answers at once to one challenge: one passkey; one credential is one person's", async () => {
    const [person, other] = [await t.signIn(), await t.signIn()];
    const device = new Authenticator();
    const { challengeId, options } = await data(registerOptions(person));
    const response = device.create(options);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        post("passkeys/register/verify", { challengeId, response }, person.accessToken),
      ),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(await list(person)).toHaveLength(1);
    const begun = await data(registerOptions(other));
    const made = device.create(begun.options);
    const [mine] = device.credentials;
    // The same credential once more: the id of the first in what the second would register.
    const first = mine?.id ?? Buffer.alloc(0);
    const second = device.credentials[1]?.id ?? Buffer.alloc(0);
    const object = Buffer.from(made.response.attestationObject, "base64url");
    first.copy(object, object.indexOf(second));
    made.response.attestationObject = object.toString("base64url");
    const json = { challengeId: begun.challengeId, response: made };
    expect((await post("passkeys/register/verify", json, other.accessToken)).status).toBe(409);
    expect(await list(other)).toEqual([]);
  });

  test("twenty are the most, also at once", async () => {
    const person = await t.signIn();
    const row = (await t.deps.users.findById(person.id)) as { id: string };
    for (let i = 0; i < 18; i++) {
      await t.deps.mysql.on().passkey.create({
        data: {
          id: t.deps.random.id(),
          userId: row.id,
          name: `${i}`,
          credentialId: t.deps.random.bytes(16),
          publicKey: t.deps.random.bytes(77),
          transports: [],
          aaguid: t.deps.random.id(),
          synced: false,
          createdAt: t.clock.now(),
        },
      });
    }
    const begun = await Promise.all(Array.from({ length: 5 }, () => data(registerOptions(person))));
    const answers = await Promise.all(
      begun.map(({ challengeId, options }) =>
        post(
          "passkeys/register/verify",
          { challengeId, response: new Authenticator().create(options) },
          person.accessToken,
        ),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 409, 409, 409]);
    expect((await registerOptions(person)).status).toBe(409);
  });
});

describe("signing in with a passkey", () => {
  test("needs no address and no other factor", async () => {
    const { person, device, passkey } = await withPasskey();
    await enrolled(t, person);
    const answer = await signIn(device);
    expect(answer.status).toBe(200);
    const { accessToken, refreshToken, deviceToken, user } = await data(answer);
    expect(user.id).toBe(person.id);
    expect(await me(accessToken)).toBe(200);
    expect((await post("refresh", { refreshToken })).status).toBe(200);
    const sessions = await data(t.request("/auth/sessions", { token: accessToken }));
    expect(sessions[0].method).toBe("passkey");
    const [used] = await list(person);
    expect(used).toEqual({ ...passkey, lastUsedAt: t.clock.now().toISOString() });
    // A known device stays the same one.
    expect((await signIn(device, {}, { deviceToken })).status).toBe(200);
    const ids = await t.deps.mysql.on().session.findMany({ where: { userId: person.id, method: "passkey" } });
    expect(new Set(ids.map(({ deviceId }) => deviceId)).size).toBe(1);
  });

  test("the options are the same for everybody, but for the challenge", async () => {
    const [first, second] = [await signInOptions(), await signInOptions()];
    const { challenge: a, ...options } = first.options;
    const { challenge: b, ...others } = second.options;
    expect(options).toEqual({
      rpId: "localhost",
      timeout: 300_000,
      userVerification: "required",
    });
    expect(others).toEqual(options);
    expect(a).not.toBe(b);
  });

  test("whatever is wrong: one and the same 401", async () => {
    const { person, device } = await withPasskey();
    const other = await withPasskey();
    const bodies = new Set<string>();
    const refused = async (name: string, answer: Response) => {
      expect([name, answer.status]).toEqual([name, 401]);
      const { requestId: _, ...body } = await answer.json();
      bodies.add(JSON.stringify(body));
    };
    const lies: Record<string, Lies> = {
      "another origin": { origin: "https://evil.example" },
      "an allowed origin of another site": { origin: "https://elsewhere.example" },
      "another relying party": { rpId: "evil.example" },
      "another ceremony": { type: "webauthn.create" },
      "another challenge": { challenge: Buffer.alloc(32).toString("base64url") },
      "nobody recognised": { verified: false },
      "nobody there": { present: false },
      "a forged signature": { forged: true },
      "no user handle": { userHandle: undefined },
      "another's user handle": { userHandle: Buffer.from(other.person.id).toString("base64url") },
      "a page of ours inside a foreign one": {
        extra: { crossOrigin: true, topOrigin: "https://evil.example" },
      },
      "client data without an origin": { extra: { origin: null } },
    };
    for (const [name, lie] of Object.entries(lies)) await refused(name, await signIn(device, lie));
    const { challengeId, options } = await signInOptions();
    const swapped = { ...device.get(options), id: other.device.get(options).id };
    await refused(
      "another's credential",
      await post("passkeys/sign-in/verify", { challengeId, response: { ...swapped, rawId: swapped.id } }),
    );
    const unknown = new Authenticator();
    unknown.create({
      challenge: "",
      rp: { id: "localhost" },
      user: { id: Buffer.from(person.id).toString("base64url") },
    });
    await refused("an unknown credential", await signIn(unknown));
    const garbage = { ...device.get(options).response, authenticatorData: "AAAA", clientDataJSON: "bnVsbA" };
    const begun = await signInOptions();
    await refused(
      "client data null",
      await post("passkeys/sign-in/verify", {
        challengeId: begun.challengeId,
        response: { ...device.get(begun.options), response: garbage },
      }),
    );
    expect(bodies.size).toBe(1);
    expect((await signIn(device)).status).toBe(200);
  });

  test("a challenge serves once, also when twenty answer it at once, and for five minutes", async () => {
    const { device } = await withPasskey();
    const { challengeId, options } = await signInOptions();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        post("passkeys/sign-in/verify", { challengeId, response: device.get(options) }),
      ),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(19);
    const wrong = await signInOptions();
    const response = device.get(wrong.options, { forged: true });
    expect((await post("passkeys/sign-in/verify", { challengeId: wrong.challengeId, response })).status).toBe(
      401,
    );
    const right = { challengeId: wrong.challengeId, response: device.get(wrong.options) };
    expect((await post("passkeys/sign-in/verify", right)).status).toBe(401);
    const late = await signInOptions();
    t.clock.advance(5 * MINUTE);
    const json = { challengeId: late.challengeId, response: device.get(late.options) };
    expect((await post("passkeys/sign-in/verify", json)).status).toBe(401);
    // What nobody answered does not stay for ever.
    await signInOptions();
    t.clock.advance(5 * MINUTE + 1);
    await signInOptions();
    expect(await t.deps.mysql.on().webauthnChallenge.count()).toBe(1);
  });

  test("a count that does not grow is another authenticator with the same key: refused and recorded", async () => {
    const { person, device } = await withPasskey();
    expect((await signIn(device, { count: 7 })).status).toBe(200);
    for (const count of [7, 3, 0]) expect((await signIn(device, { count })).status).toBe(401);
    expect((await signIn(device, { count: 8 })).status).toBe(200);
    const failed = (await acts(person)).filter(([action]) => action === "sign_in.failed");
    expect(failed).toEqual(
      Array(3).fill(["sign_in.failed", { method: "passkey", reason: "count_did_not_grow" }]),
    );
    // Most synced passkeys do not count.
    const still = await withPasskey();
    for (let i = 0; i < 2; i++) expect((await signIn(still.device, { count: 0 })).status).toBe(200);
  });

  test("a count of 4,294,967,295 is kept", async () => {
    const { device } = await withPasskey();
    expect((await signIn(device, { count: 0xffffffff })).status).toBe(200);
    expect((await signIn(device, { count: 0xffffffff })).status).toBe(401);
  });

  test("not when banned or deleted, nor when a ban comes between the signature and the session", async () => {
    const { person, device } = await withPasskey();
    const set = (change: { bannedAt?: Date | null; deletedAt?: Date | null }) =>
      t.deps.mysql.on().user.update({ where: { id: person.id }, data: change });
    await set({ bannedAt: t.clock.now() });
    expect((await signIn(device)).status).toBe(401);
    await set({ bannedAt: null, deletedAt: t.clock.now() });
    expect((await signIn(device)).status).toBe(401);
    await set({ deletedAt: null });
    const { use } = t.deps.passkeys;
    try {
      t.deps.passkeys.use = async (...args) => {
        await t.deps.mysql.transaction((tx) =>
          t.deps.sessions.endAll(person.id, { reason: "password_reset", now: t.clock.now() }, tx),
        );
        return use(...args);
      };
      expect((await signIn(device)).status).toBe(401);
    } finally {
      t.deps.passkeys.use = use;
    }
    expect((await signIn(device)).status).toBe(200);
  });

  test("strangers' failures at the account do not stand in its way", async () => {
    const { person, device } = await withPasskey();
    for (let i = 0; i < 100; i++) {
      const guesser = { account: person.email, ip: `198.51.100.${i % 10}` };
      await t.deps.throttle.guess("password", guesser, async () => null);
    }
    const login = { email: person.email, password: person.password };
    expect((await post("login", login)).status).toBe(429);
    expect((await signIn(device)).status).toBe(200);
  });

  test("requests are limited by address", async () => {
    const ip = "192.0.2.77";
    expect((await post("passkeys/sign-in/options", undefined, undefined, ip)).status).toBe(200);
    await t.deps.mysql
      .on()
      .rateLimit.updateMany({ where: { key: { startsWith: "requests:" } }, data: { points: 500 } });
    expect((await post("passkeys/sign-in/options", undefined, undefined, ip)).status).toBe(429);
    const device = new Authenticator();
    device.create({ challenge: "", rp: { id: "localhost" }, user: { id: "" } });
    expect((await signIn(device, {}, {}, ip)).status).toBe(429);
    expect((await signIn(device)).status).toBe(401);
  });

  test("refuses hostile input, never 500", async () => {
    const { device, person } = await withPasskey();
    const { challengeId, options } = await signInOptions();
    const response = device.get(options);
    const hostile: unknown[] = [
      null,
      {},
      { challengeId },
      { challengeId, response: null },
      { challengeId: { $ne: null }, response },
      { challengeId: "1", response },
      { challengeId, response: { ...response, id: { $ne: null } } },
      { challengeId, response: { ...response, type: "password" } },
      { challengeId, response: { ...response, response: "x" } },
      {
        challengeId,
        response: { ...response, response: { ...response.response, signature: "A".repeat(500_000) } },
      },
      { challengeId, response: { ...response, response: { ...response.response, signature: "*" } } },
      { challengeId, response: { ...response, response: { ...response.response, userHandle: ["x"] } } },
      { challengeId, response, userId: person.id },
    ];
    for (const json of hostile) {
      expect([json, (await post("passkeys/sign-in/verify", json)).status]).toEqual([json, 422]);
    }
    for (const id of ["x", "%00", "é", `${person.id}é`]) {
      expect((await send("DELETE", `passkeys/${id}`, undefined, person.accessToken)).status).toBe(422);
    }
    for (const name of [{}, "", "  ", "a\nb", "a".repeat(101)]) {
      const [passkey] = await list(person);
      expect((await send("PATCH", `passkeys/${passkey.id}`, { name }, person.accessToken)).status).toBe(422);
    }
    const broken: [string, string][] = [
      ["empty", ""],
      ["not CBOR", Buffer.from("nonsense").toString("base64url")],
      [
        "cut",
        device.create({ challenge: "", rp: {}, user: { id: "" } }).response.attestationObject.slice(0, 60),
      ],
      ["a number", Buffer.from([1]).toString("base64url")],
      ["nested", Buffer.alloc(10_000, 0x81).toString("base64url")],
    ];
    for (const [name, attestationObject] of broken) {
      const begun = await data(registerOptions(person));
      const made = device.create(begun.options);
      const json = {
        challengeId: begun.challengeId,
        response: { ...made, response: { ...made.response, attestationObject } },
      };
      expect([name, (await post("passkeys/register/verify", json, person.accessToken)).status]).toEqual([
        name,
        422,
      ]);
    }
  });
});

describe("a sign-in with a passkey just now", () => {
  test("shows who is asking for ten minutes: no password, no code", async () => {
    const { person, device } = await withPasskey();
    await enrolled(t, person);
    const fresh = async () => (await data(signIn(device))).accessToken as string;
    const token = await fresh();
    expect((await post("mfa/backup-codes", {}, token)).status).toBe(200);
    t.clock.advance(10 * MINUTE);
    expect((await post("mfa/backup-codes", {}, token)).status).toBe(422);
    expect((await post("mfa/disable", {}, await fresh())).status).toBe(204);
    const again = await post("login", { email: person.email, password: person.password });
    expect(again.status).toBe(200);
    // Not so a sign-in by password.
    expect((await post("mfa/enrol", {}, (await data(again)).accessToken)).status).toBe(422);
  });
});

describe("nobody is left without a way to sign in", () => {
  test("the last passkey of somebody without a password stays, also when two go at once", async () => {
    const { person, device, passkey } = await withPasskey();
    const second = await data(register(person, device));
    await t.deps.mysql.on().user.update({ where: { id: person.id }, data: { hashedPassword: null } });
    const remove = (id: string) => send("DELETE", `passkeys/${id}`, undefined, person.accessToken);
    const answers = await Promise.all([remove(passkey.id), remove(second.id)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 409]);
    const [left] = await list(person);
    expect((await remove(left.id)).status).toBe(409);
  });

  test("the rows of a person go with them", async () => {
    const { person, device } = await withPasskey();
    await registerOptions(person);
    await t.deps.mysql.on().user.delete({ where: { id: person.id } });
    expect(await t.deps.mysql.on().passkey.count({ where: { userId: person.id } })).toBe(0);
    expect(await t.deps.mysql.on().webauthnChallenge.count({ where: { userId: person.id } })).toBe(0);
    expect((await signIn(device)).status).toBe(401);
  });
});

test("the relying party is the host of APP_URL, and origins are those on it or below it", () => {
  const of = (appUrl: string, ...corsOrigins: string[]) => relyingParty({ appUrl, corsOrigins });
  expect(of("https://shop.example", "https://shop.example", "https://www.shop.example")).toEqual({
    id: "shop.example",
    origins: ["https://shop.example", "https://www.shop.example"],
  });
  expect(
    of("https://app.shop.example:8443", "https://shop.example", "https://evilapp.shop.example").origins,
  ).toEqual(["https://app.shop.example:8443"]);
});

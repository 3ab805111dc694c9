/** What must hold once for all processes that share a port: limits, codes, sessions, idempotency keys. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { freePort } from "../local/processes";
import { insist, type SignedInPerson, useTestApp } from "./app";
import { Authenticator } from "./authenticator";
import { eventually, type Program, startProgram } from "./processes";
import { codeOf, enrolled, wrongCode } from "./second-factor";
import { startSmtpServer } from "./smtp";
import { createStock, type TestStock } from "./stock";

const t = useTestApp();
let program: Program;
let address: string;
let smtp: Awaited<ReturnType<typeof startSmtpServer>>;
let admin: SignedInPerson;
let stock: TestStock;
beforeAll(async () => {
  smtp = await startSmtpServer();
  const port = await freePort();
  program = startProgram(["src/index.ts"], {
    PORT: String(port),
    WEB_CONCURRENCY: "3",
    LOG_LEVEL: "info",
    TRUSTED_PROXIES: "127.0.0.1",
    SMTP_URL: smtp.url,
    SHOPPER_RESERVATIONS: "true",
    SHOPPER_RESERVATION_UNITS: "5",
    SHOPPER_RESERVATION_ADDRESS_UNITS: "8",
  });
  admin = await t.signIn({ roles: ["admin", "manager"] });
  stock = await createStock(t, admin);
  await program.line(/all processes listen on/);
  address = `http://127.0.0.1:${port}`;
});
afterAll(async () => {
  await program.kill("SIGTERM");
  await smtp.close();
});

interface Call {
  token?: string | undefined;
  from?: string;
  key?: string;
}
let addresses = 0;
/** An address that nobody asked from before. */
const somewhere = () => `10.3.${addresses >> 8}.${addresses++ & 255}`;

/** Asks over a connection of its own, so that the kernel chooses the process anew. */
async function call(method: string, path: string, json?: unknown, { token, from, key }: Call = {}) {
  const headers = {
    ...(json === undefined ? {} : { "content-type": "application/json" }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(key === undefined ? {} : { "idempotency-key": key }),
    "x-forwarded-for": from ?? somewhere(),
  };
  const body = json === undefined ? {} : { body: JSON.stringify(json) };
  const answer = await insist(() => fetch(address + path, { method, keepalive: false, headers, ...body }));
  const text = await answer.text();
  return { status: answer.status, data: text === "" ? undefined : JSON.parse(text).data };
}
type Answered = Awaited<ReturnType<typeof call>>;

/** Three processes' worth of callers at once. */
const CALLERS = 12;
/** Guesses at once where ten are answered. */
const GUESSES = 18;
const many = (times: number, ask: (n: number) => Promise<Answered>) =>
  Promise.all(Array.from({ length: times }, (_, n) => ask(n)));
/** How often each status came. */
const counted = (answers: Answered[]) => {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};
async function done(asked: Promise<Answered>, status = 200) {
  const { status: got, data } = await asked;
  expect(got).toBe(status);
  return data;
}

/** The text of the last mail to an address, without the line breaks that transport adds. */
async function mailTo(email: string, pattern: RegExp): Promise<string> {
  let found: string | undefined;
  await eventually(async () => {
    for (const { to, source } of smtp.mails)
      if (to.includes(email)) found = pattern.exec(source.replace(/=\r?\n/g, "").replace(/=3D/g, "="))?.[1];
    return found !== undefined;
  }, `the mail to ${email}`);
  return found ?? "";
}
const CODE = /^(\d{6})\s*$/m;
const LINK = /#token=([\w.-]+)/;
const fresh = () => `three-${crypto.randomUUID()}@example.com`;
const login = ({ email, password }: SignedInPerson, from?: string) =>
  call("POST", "/auth/login", { email, password }, from === undefined ? {} : { from });
const challengeOf = async (person: SignedInPerson) => (await done(login(person), 202)).challenge as string;
const answer = (challenge: string, method: string, code: string, from?: string) =>
  call("POST", "/auth/mfa/challenge", { challenge, method, code }, from === undefined ? {} : { from });
const withFactor = async () => {
  // Codes of the app are of the servers' time, which goes on.
  t.clock.set(new Date());
  const person = await t.signIn();
  return { person, ...(await enrolled(t, person)) };
};

test("each of the three serves", async () => {
  await many(30, () => call("GET", "/health/live"));
  const seen = async () =>
    [1, 2, 3].every((worker) =>
      new RegExp(`"worker":${worker},[^\\n]*"path":"/health/live"`).test(program.output()),
    );
  await eventually(async () => {
    await call("GET", "/health/live");
    return seen();
  }, "an answer of each process");
});

describe("a limit is one limit", () => {
  test("ten wrong passwords of one place, and then the right one is refused", async () => {
    const person = await t.signIn();
    const from = somewhere();
    const guesses = await many(GUESSES, () => login({ ...person, password: "a wrong one" }, from));
    // Ten from one place in 15 minutes: see src/auth/throttle.ts.
    expect(counted(guesses)).toEqual({ 401: 10, 429: GUESSES - 10 });
    expect(counted(await many(CALLERS, () => login(person, from)))).toEqual({ 429: CALLERS });
  });

  test("ten wrong passwords of who is signed in, by whatever way they are asked for", async () => {
    const { accessToken: token } = await t.signIn();
    const change = { currentPassword: "a wrong one", newPassword: "another password of three" };
    const guesses = await many(GUESSES, (n) =>
      n % 2 === 0
        ? call("POST", "/auth/mfa/enrol", { password: "a wrong one" }, { token })
        : call("POST", "/auth/change-password", change, { token }),
    );
    expect(counted(guesses)).toEqual({ 401: 10, 429: GUESSES - 10 });
  });

  test.each(["totp", "backup_code"] as const)("ten wrong second factors: %s", async (method) => {
    const { person, secret } = await withFactor();
    const from = somewhere();
    const challenges = await Promise.all(Array.from({ length: 10 }, () => challengeOf(person)));
    const wrong = method === "totp" ? wrongCode(secret, new Date()) : "0000-0000-0000";
    const guesses = await many(GUESSES, (n) => answer(challenges[n % 10] ?? "", method, wrong, from));
    expect(counted(guesses)).toEqual({ 422: 10, 429: GUESSES - 10 });
  });

  test("five tries of a mailed code", async () => {
    const email = fresh();
    const asked = { email, password: "a password of three", name: "Three" };
    const { registrationId } = await done(call("POST", "/auth/register", asked), 202);
    const otp = await mailTo(email, CODE);
    const wrong = otp === "000000" ? "000001" : "000000";
    const tries = await many(CALLERS, () =>
      call("POST", "/auth/verify-otp", { registrationId, email, otp: wrong }),
    );
    expect(counted(tries)).toEqual({ 422: CALLERS });
    expect((await t.deps.codes.find(registrationId))?.failures).toBe(5);
    expect((await call("POST", "/auth/verify-otp", { registrationId, email, otp })).status).toBe(422);
  });

  test("requests that cost a mail, of one address: 500 in 15 minutes", async () => {
    const from = somewhere();
    const ask = () => call("POST", "/auth/forgot-password", { email: fresh() }, { from });
    await t.deps.mysql.on().rateLimit.deleteMany({ where: { key: { startsWith: "requests:" } } });
    await done(ask(), 202);
    await t.deps.mysql.on().rateLimit.updateMany({
      where: { key: { startsWith: "requests:" } },
      data: { points: 490 },
    });
    expect(counted(await many(GUESSES, ask))).toEqual({ 202: 10, 429: GUESSES - 10 });
  });

  test("mails to one mailbox: 20 an hour that one network asks for", async () => {
    const { email } = await t.signIn();
    const from = somewhere();
    const answers = await many(23, () => call("POST", "/auth/forgot-password", { email }, { from }));
    expect(counted(answers)).toEqual({ 202: 23 });
    const open = () =>
      t.deps.mysql.on().job.count({ where: { kind: "mail.reset_password", status: "waiting" } });
    await eventually(async () => (await open()) === 0, "the mails");
    expect(smtp.mails.filter(({ to }) => to.includes(email))).toHaveLength(20);
  });

  test("events of one address: 30,000 a minute", async () => {
    t.clock.set(new Date());
    const from = somewhere();
    await t.deps.intakeLimits.spend({ address: from }, 27_000);
    const batch = (n: number) =>
      Array.from({ length: 100 }, () => ({
        type: "track",
        event: "Looked",
        anonymousId: `three-${n}`,
        messageId: crypto.randomUUID(),
      }));
    const answers = await many(36, (n) =>
      call("POST", "/api/analytics/events", { batch: batch(n) }, { from }),
    );
    expect(counted(answers)).toEqual({ 202: 30, 429: 6 });
  });

  test("units that one shopper holds, and all of one address", async () => {
    const sku = await stock.sku(1000);
    const hold = ({ accessToken: token }: SignedInPerson, from: string) =>
      call(
        "POST",
        "/api/products/inventory/own-reservations",
        { lines: [{ sku, quantity: 1 }] },
        { token, from, key: crypto.randomUUID() },
      );
    const [first, ...others] = await Promise.all(Array.from({ length: 4 }, () => t.signIn()));
    const away = somewhere();
    const own = await many(8, () => hold(first as SignedInPerson, away));
    expect(counted(own)).toEqual({ 201: 5, 409: 3 });
    const from = somewhere();
    const all = await many(12, (n) => hold(others[n % 3] as SignedInPerson, from));
    expect(counted(all)).toEqual({ 201: 8, 409: 4 });
  });

  test("one export of one's own data at a time", async () => {
    const { accessToken: token } = await t.signIn();
    const answers = await many(CALLERS, () => call("POST", "/api/users/me/export", undefined, { token }));
    expect(counted(answers)).toEqual({ 202: 1, 409: CALLERS - 1 });
  });
});

/** A code, as a request that uses it; it is sent many times at once. */
const CODES: [string, () => Promise<(n: number) => Promise<Answered>>][] = [
  [
    "the mailed code of a registration",
    async () => {
      const email = fresh();
      const asked = { email, password: "a password of three", name: "Three" };
      const { registrationId } = await done(call("POST", "/auth/register", asked), 202);
      const proof = { registrationId, email, otp: await mailTo(email, CODE) };
      return () => call("POST", "/auth/verify-otp", proof);
    },
  ],
  [
    "the mailed link for a new password",
    async () => {
      const { email } = await t.signIn();
      await done(call("POST", "/auth/forgot-password", { email }), 202);
      const token = await mailTo(email, LINK);
      return (n) => call("POST", "/auth/reset-password", { token, password: `a new password ${n}` });
    },
  ],
  ...(["old", "new"] as const).map((side): [string, () => Promise<(n: number) => Promise<Answered>>] => [
    `the link to the ${side} address of a change of address`,
    async () => {
      const { email, password, accessToken } = await t.signIn();
      const newEmail = fresh();
      const asked = { newEmail, password };
      const path = "/api/users/me/settings/email-change";
      await done(call("POST", path, asked, { token: accessToken }), 202);
      const [old, own] = [await mailTo(email, LINK), await mailTo(newEmail, LINK)];
      // The second link makes the change.
      if (side === "new") await done(call("POST", `${path}/confirm`, { token: old }));
      return () => call("POST", `${path}/confirm`, { token: side === "old" ? old : own });
    },
  ]),
  [
    "the first code of an authenticator app",
    async () => {
      const { accessToken: token, password } = await t.signIn();
      const { secret } = await done(call("POST", "/auth/mfa/enrol", { password }, { token }), 201);
      const code = codeOf(secret, new Date());
      return () => call("POST", "/auth/mfa/confirm", { code }, { token });
    },
  ],
  [
    "a code of the app at sign-in, for many who are half signed in",
    async () => {
      const { person, secret } = await withFactor();
      const challenges = await Promise.all(Array.from({ length: CALLERS }, () => challengeOf(person)));
      // The step of now was used at the enrolment.
      const code = codeOf(secret, new Date(), 1);
      return (n) => answer(challenges[n] ?? "", "totp", code);
    },
  ],
  [
    "a backup code, for many who are half signed in",
    async () => {
      const { person, backupCodes } = await withFactor();
      const challenges = await Promise.all(Array.from({ length: CALLERS }, () => challengeOf(person)));
      return (n) => answer(challenges[n] ?? "", "backup_code", backupCodes[0] ?? "");
    },
  ],
  [
    "one half-done sign-in, with ten right backup codes",
    async () => {
      const { person, backupCodes } = await withFactor();
      const challenge = await challengeOf(person);
      return (n) => answer(challenge, "backup_code", backupCodes[n % 10] ?? "");
    },
  ],
  [
    "the answer of a passkey",
    async () => {
      const { accessToken: token, password } = await t.signIn();
      const device = new Authenticator();
      const begun = await done(call("POST", "/auth/passkeys/register/options", { password }, { token }));
      const response = device.create(begun.options);
      const made = { challengeId: begun.challengeId, response };
      await done(call("POST", "/auth/passkeys/register/verify", made, { token }), 201);
      const { challengeId, options } = await done(call("POST", "/auth/passkeys/sign-in/options", {}));
      const proof = { challengeId, response: device.get(options) };
      return () => call("POST", "/auth/passkeys/sign-in/verify", proof);
    },
  ],
];

test.each(CODES)("works once, wherever it is sent: %s", async (_, prepare) => {
  const answers = await many(CALLERS, await prepare());
  const { 200: right, 201: created, 204: silent, ...refused } = counted(answers);
  expect([right ?? created ?? silent, refused]).toEqual([1, expect.anything()]);
  // Refused for what it is, and not as a failure of ours.
  for (const status of Object.keys(refused)) expect(["401", "409", "422"]).toContain(status);
});

/** What ends a session. @returns the token that is no good any more */
const ENDS: [string, (person: SignedInPerson) => Promise<string>][] = [
  [
    "signed out",
    async ({ accessToken, refreshToken }) => {
      await done(call("POST", "/auth/logout", { refreshToken }), 204);
      return accessToken;
    },
  ],
  [
    "ended from another session",
    async (person) => {
      const { accessToken: token } = await done(login(person));
      const list = await done(call("GET", "/auth/sessions", undefined, { token }));
      const { id } = list.find(({ current }: { current: boolean }) => !current);
      await done(call("DELETE", `/auth/sessions/${id}`, undefined, { token }), 204);
      return person.accessToken;
    },
  ],
  [
    "ended with all others",
    async (person) => {
      const { accessToken: token } = await done(login(person));
      expect((await call("DELETE", "/auth/sessions", undefined, { token })).status).toBeLessThan(300);
      return person.accessToken;
    },
  ],
  [
    "the password changed from another session",
    async (person) => {
      const { accessToken: token } = await done(login(person));
      const change = { currentPassword: person.password, newPassword: "another password of three" };
      expect((await call("POST", "/auth/change-password", change, { token })).status).toBeLessThan(300);
      return person.accessToken;
    },
  ],
  [
    "banned",
    async ({ id, accessToken }) => {
      const answer = await fetch(`${address}/api/users/${id}`, {
        method: "PATCH",
        headers: {
          "content-type": "application/json",
          authorization: `Bearer ${admin.accessToken}`,
          "if-match": "*",
        },
        body: JSON.stringify({ ban: { reason: "three" } }),
      });
      expect(answer.status).toBe(200);
      return accessToken;
    },
  ],
  [
    "the account erased",
    async ({ accessToken: token, password }) => {
      expect((await call("DELETE", "/api/users/me", { password }, { token })).status).toBeLessThan(300);
      return token;
    },
  ],
  [
    "a refresh token used again after its successor was",
    async ({ accessToken, refreshToken }) => {
      const next = await done(call("POST", "/auth/refresh", { refreshToken }));
      await done(call("POST", "/auth/refresh", { refreshToken: next.refreshToken }));
      const again = await many(CALLERS, () => call("POST", "/auth/refresh", { refreshToken }));
      expect(counted(again)).toEqual({ 401: CALLERS });
      return accessToken;
    },
  ],
];

test.each(ENDS)("a session is over for all processes at once: %s", async (_, end) => {
  const person = await t.signIn();
  const me = (token: string) => many(CALLERS, () => call("GET", "/api/users/me", undefined, { token }));
  expect(counted(await me(person.accessToken))).toEqual({ 200: CALLERS });
  expect(counted(await me(await end(person)))).toEqual({ 401: CALLERS });
});

test("many that refresh with the same token at once are given the same successor, and go on", async () => {
  const { refreshToken } = await t.signIn();
  const answers = await many(CALLERS, () => call("POST", "/auth/refresh", { refreshToken }));
  expect(counted(answers)).toEqual({ 200: CALLERS });
  const [next, ...others] = new Set(answers.map(({ data }) => data.refreshToken as string));
  expect(others).toEqual([]);
  await done(call("POST", "/auth/refresh", { refreshToken: next }));
});

test("an API key that was revoked, and a right that was taken away, are gone for all processes at once", async () => {
  const person = await t.signIn({ roles: ["manager"] });
  const asked = { name: "Till", permissions: ["inventory:read"], password: person.password };
  const { id, key } = await done(call("POST", "/auth/api-keys", asked, { token: person.accessToken }), 201);
  const ask = (token: string) =>
    many(CALLERS, () => call("GET", "/api/products/inventory/levels", undefined, { token }));
  expect(counted(await ask(key))).toEqual({ 200: CALLERS });
  await done(call("DELETE", `/auth/api-keys/${id}`, undefined, { token: person.accessToken }), 204);
  expect(counted(await ask(key))).toEqual({ 401: CALLERS });
  expect(counted(await ask(person.accessToken))).toEqual({ 200: CALLERS });
  await t.deps.mysql.on().userRole.deleteMany({ where: { userId: person.id, role: { name: "manager" } } });
  expect(counted(await ask(person.accessToken))).toEqual({ 403: CALLERS });
});

/** Changes that take a key: what is sent, and how often it was done. */
const CHANGES: [
  string,
  () => Promise<{ path: string; json?: unknown; status: number; times: () => Promise<number> }>,
][] = [
  [
    "a product",
    async () => {
      const name = `Three ${crypto.randomUUID()}`;
      const times = () => t.deps.mongo.connection.collection("products").countDocuments({ name });
      return { path: "/api/products", json: { name, price: 100 }, status: 201, times };
    },
  ],
  [
    "stock that is received",
    async () => {
      const sku = await stock.sku(1);
      const json = { sku, locationId: stock.locationId, delta: 1, kind: "receive", reason: "three" };
      const times = async () => (await stock.level(sku)).onHand - 1;
      return { path: "/api/products/inventory/adjust", json, status: 200, times };
    },
  ],
  [
    "a reservation",
    async () => {
      const sku = await stock.sku(100);
      const times = async () => (await stock.level(sku)).reserved;
      return {
        path: "/api/products/inventory/reservations",
        json: { lines: [{ sku, quantity: 1 }] },
        status: 201,
        times,
      };
    },
  ],
  [
    "an export of one's own data, in MySQL",
    async () => {
      const times = () => t.deps.mysql.on().userExport.count({ where: { userId: admin.id } });
      return { path: "/api/users/me/export", status: 202, times };
    },
  ],
];

test.each(CHANGES)(
  "one key makes one change, however often and wherever it is sent: %s",
  async (_, prepare) => {
    const { path, json, status, times } = await prepare();
    const key = crypto.randomUUID();
    const ask = () => call("POST", path, json, { token: admin.accessToken, key });
    // The first one is under way while others come: those are told to come again.
    const first = await many(CALLERS, ask);
    const { [status]: right = 0, 409: early = 0 } = counted(first);
    expect([right > 0, right + early]).toEqual([true, CALLERS]);
    const again = await many(CALLERS, ask);
    expect(counted(again)).toEqual({ [status]: CALLERS });
    const answers = [...first, ...again].filter((one) => one.status === status).map(({ data }) => data);
    for (const data of answers) expect(data).toEqual(answers[0]);
    expect(await times()).toBe(1);
  },
);

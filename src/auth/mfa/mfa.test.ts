import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { admin, type SignedInPerson, useTestApp } from "../../../test/app";
import { codeOf, enrolled, wrongCode } from "../../../test/second-factor";
import { DAY, HOUR, MINUTE, SECOND } from "../../lib/clock";
import { createVault } from "../vault";
import { stepOfCode } from "./totp";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp(() => ({ trustedProxies: ["127.0.0.1"] }));
beforeEach(() => {
  t.mails.length = 0;
});

const STEP = 30 * SECOND;
let addresses = 0;
/** A request from an address of its own, or from a given one. */
const post = (
  path: string,
  json: unknown,
  token?: string,
  ip = `10.1.${addresses >> 8}.${addresses++ & 255}`,
) => t.request(`/auth/${path}`, { method: "POST", json, token, headers: { "x-forwarded-for": ip } });
const me = async (token: string) => (await t.request("/api/users/me", { token })).status;
const begin = async ({ email, password }: Pick<SignedInPerson, "email" | "password">, extra = {}) => {
  const answer = await post("login", { email, password, ...extra });
  expect(answer.status).toBe(202);
  return (await answer.json()).data as { challenge: string; methods: string[]; expiresIn: number };
};
const answer = (challenge: string, code: unknown, method = "totp", ip?: string) =>
  post("mfa/challenge", { challenge, method, code }, undefined, ip);
const status = async (person: SignedInPerson) =>
  (await (await t.request("/auth/mfa", { token: person.accessToken })).json()).data;
const noticesTo = async (person: SignedInPerson) => {
  await t.runner.runDue();
  return t.mails.filter(({ to }) => to === person.email).map(({ subject }) => subject);
};

describe("enrolment", () => {
  test("a secret of 160 bits and its URI once; it counts from its first code on; other sessions go on", async () => {
    const person = await t.signIn();
    const other = await post("login", { email: person.email, password: person.password });
    const { accessToken } = (await other.json()).data;
    const enrolment = await post("mfa/enrol", { password: person.password }, person.accessToken);
    expect([enrolment.status, enrolment.headers.get("cache-control")]).toEqual([201, "no-store"]);
    const { secret, uri, expiresIn } = (await enrolment.json()).data;
    expect(secret).toMatch(/^[A-Z2-7]{32}$/);
    const parsed = new URL(uri);
    expect([parsed.protocol, parsed.host, decodeURIComponent(parsed.pathname)]).toEqual([
      "otpauth:",
      "totp",
      `/Aizy:${person.email}`,
    ]);
    expect(Object.fromEntries(parsed.searchParams)).toEqual({
      issuer: "Aizy",
      secret,
      algorithm: "SHA1",
      digits: "6",
      period: "30",
    });
    expect(expiresIn).toBe(900);
    expect(await status(person)).toEqual({ methods: [], totp: null, backupCodes: null });
    expect((await post("login", { email: person.email, password: person.password })).status).toBe(200);

    const code = codeOf(secret, t.clock.now());
    const confirmed = await post(
      "mfa/confirm",
      { code: `${code.slice(0, 3)} ${code.slice(3)}` },
      person.accessToken,
    );
    expect(confirmed.status).toBe(200);
    const { backupCodes } = (await confirmed.json()).data;
    expect(new Set(backupCodes).size).toBe(10);
    for (const backup of backupCodes)
      expect(backup).toMatch(/^([0-9a-hjkmnp-tv-z]{4}-){2}[0-9a-hjkmnp-tv-z]{4}$/);
    expect(await status(person)).toEqual({
      methods: ["totp", "backup_code"],
      totp: { confirmedAt: t.clock.now().toISOString(), lastUsedAt: null },
      backupCodes: { left: 10, createdAt: t.clock.now().toISOString() },
    });
    expect(await noticesTo(person)).toContain("Your second factor was changed");
    expect([await me(person.accessToken), await me(accessToken)]).toEqual([200, 200]);
    const { challenge, methods, expiresIn: seconds } = await begin(person);
    expect([methods, seconds]).toEqual([["totp", "backup_code"], 300]);
    // The code that confirmed it is used up.
    expect((await answer(challenge, code)).status).toBe(422);
    t.clock.advance(STEP);
    const signedIn = await answer(challenge, codeOf(secret, t.clock.now()));
    expect(signedIn.status).toBe(200);
    const tokens = (await signedIn.json()).data;
    expect(await me(tokens.accessToken)).toBe(200);
    const list = await t.request("/auth/sessions", { token: tokens.accessToken });
    expect((await list.json()).data[0].method).toBe("totp");
  });

  test("asks for the password, and counts wrong ones", async () => {
    const person = await t.signIn();
    expect((await post("mfa/enrol", {}, person.accessToken)).status).toBe(422);
    for (let i = 0; i < 10; i++) {
      expect((await post("mfa/enrol", { password: "wrong password" }, person.accessToken)).status).toBe(401);
    }
    expect((await post("mfa/enrol", { password: person.password }, person.accessToken)).status).toBe(429);
    expect((await post("mfa/confirm", { code: "123456" }, person.accessToken)).status).toBe(422);
    expect((await post("mfa/enrol", { password: person.password })).status).toBe(401);
  });

  test("ends after 15 minutes, and a second one replaces the first", async () => {
    const person = await t.signIn();
    const enrol = async () =>
      (await (await post("mfa/enrol", { password: person.password }, person.accessToken)).json()).data.secret;
    const confirm = async (secret: string) =>
      (await post("mfa/confirm", { code: codeOf(secret, t.clock.now()) }, person.accessToken)).status;
    const [first, second] = [await enrol(), await enrol()];
    expect(await confirm(first)).toBe(422);
    t.clock.advance(15 * MINUTE - 1);
    const late = (await (await post("login", { email: person.email, password: person.password })).json())
      .data;
    t.clock.advance(1);
    const code = codeOf(second, t.clock.now());
    expect((await post("mfa/confirm", { code }, late.accessToken)).status).toBe(422);
    expect((await status({ ...person, accessToken: late.accessToken })).methods).toEqual([]);
  });

  test("20 confirmations at once: one wins, and its ten codes are the ones that count", async () => {
    const person = await t.signIn();
    const { secret } = (
      await (await post("mfa/enrol", { password: person.password }, person.accessToken)).json()
    ).data;
    const code = codeOf(secret, t.clock.now());
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post("mfa/confirm", { code }, person.accessToken)),
    );
    const won = answers.filter(({ status }) => status === 200);
    expect([won.length, answers.filter(({ status }) => status === 422).length]).toEqual([1, 19]);
    const { backupCodes } = (await (won[0] as Response).json()).data;
    expect((await answer((await begin(person)).challenge, backupCodes[9], "backup_code")).status).toBe(200);
  });

  test("a new app replaces the old one only with its own first code, and asks for the old factor", async () => {
    const person = await t.signIn();
    const { secret, backupCodes } = await enrolled(t, person);
    const enrol = (factor?: object) =>
      post("mfa/enrol", { password: person.password, ...(factor && { factor }) }, person.accessToken);
    expect((await enrol()).status).toBe(422);
    expect((await enrol({ method: "totp", code: wrongCode(secret, t.clock.now()) })).status).toBe(422);
    const enrolment = await enrol({ method: "totp", code: codeOf(secret, t.clock.now()) });
    const next = (await enrolment.json()).data.secret as string;
    t.clock.advance(STEP);
    expect((await answer((await begin(person)).challenge, codeOf(secret, t.clock.now()))).status).toBe(200);
    const { challenge } = await begin(person);
    expect(
      (await post("mfa/confirm", { code: codeOf(next, t.clock.now()) }, person.accessToken)).status,
    ).toBe(200);
    t.clock.advance(STEP);
    expect((await answer(challenge, codeOf(secret, t.clock.now()))).status).toBe(422);
    expect((await answer(challenge, backupCodes[0], "backup_code")).status).toBe(422);
    expect((await answer(challenge, codeOf(next, t.clock.now()))).status).toBe(200);
  });
});

describe("codes", () => {
  test("of RFC 6238, appendix B", () => {
    const secret = new Uint8Array(Buffer.from("12345678901234567890"));
    for (const [seconds, code] of [
      [59, "287082"],
      [1111111109, "081804"],
      [1111111111, "050471"],
      [1234567890, "005924"],
      [2000000000, "279037"],
      [20000000000, "353130"],
    ] as const) {
      expect(stepOfCode(secret, code, new Date(seconds * 1000))).toBe(Math.floor(seconds / 30));
    }
  });

  test("one step early or late is taken, two are not", async () => {
    const person = await t.signIn();
    const { secret } = await enrolled(t, person);
    const codes = [-2, 2, 0, -1, 1].map((steps) => codeOf(secret, t.clock.now(), steps));
    const statuses = [];
    // The one before comes after the present one was used: an older step is none any more.
    for (const code of codes) statuses.push((await answer((await begin(person)).challenge, code)).status);
    expect(statuses).toEqual([422, 422, 200, 422, 200]);
    t.clock.advance(3 * STEP);
    expect((await answer((await begin(person)).challenge, codeOf(secret, t.clock.now(), -1))).status).toBe(
      200,
    );
  });

  test("each is taken once, also after the clock was set back", async () => {
    const person = await t.signIn();
    const { secret } = await enrolled(t, person);
    const attempt = async (code: string) => (await answer((await begin(person)).challenge, code)).status;
    const code = codeOf(secret, t.clock.now());
    expect(await attempt(code)).toBe(200);
    expect(await attempt(code)).toBe(422);
    t.clock.advance(-STEP);
    for (const steps of [0, 1]) {
      expect(await attempt(codeOf(secret, t.clock.now(), steps))).toBe(422);
    }
    t.clock.advance(2 * STEP);
    expect(await attempt(codeOf(secret, t.clock.now()))).toBe(200);
  });

  test("20 at once with one code, to one challenge or to twenty: one session", async () => {
    for (const challenges of [1, 20]) {
      const person = await t.signIn();
      const { secret } = await enrolled(t, person);
      const begun: string[] = [];
      for (let i = 0; i < challenges; i++) begun.push((await begin(person)).challenge);
      const code = codeOf(secret, t.clock.now());
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, i) => answer(begun[i % challenges] ?? "", code)),
      );
      const statuses = answers.map(({ status }) => status);
      expect(statuses.filter((status) => status === 200)).toHaveLength(1);
      expect(statuses.every((status) => [200, 401, 422].includes(status))).toBe(true);
      const where = { userId: person.id, id: { not: person.refreshToken.split(".")[0] ?? "" } };
      expect(await t.deps.mysql.on().session.count({ where })).toBe(1);
    }
  });

  test("another person's code, and a code of an app that was only enrolled, are none", async () => {
    const [ann, bob] = [await t.signIn(), await t.signIn()];
    const [, other] = [await enrolled(t, ann), await enrolled(t, bob)];
    const { challenge } = await begin(ann);
    expect((await answer(challenge, codeOf(other.secret, t.clock.now()))).status).toBe(422);
    expect((await answer(challenge, other.backupCodes[0], "backup_code")).status).toBe(422);
  });
});

describe("backup codes", () => {
  test("each works once, typed in any way, and its owner is told", async () => {
    const person = await t.signIn();
    const { backupCodes } = await enrolled(t, person);
    const [first = "", second = ""] = backupCodes;
    const typed = ` ${first.toUpperCase().replaceAll("-", " ").replaceAll("0", "O").replaceAll("1", "l")} `;
    const signedIn = await answer((await begin(person)).challenge, typed, "backup_code");
    expect(signedIn.status).toBe(200);
    expect((await answer((await begin(person)).challenge, first, "backup_code")).status).toBe(422);
    expect(
      (await answer((await begin(person)).challenge, `${second.slice(0, -1)}u`, "backup_code")).status,
    ).toBe(422);
    expect((await status(person)).backupCodes.left).toBe(9);
    expect(await noticesTo(person)).toContain("A backup code was used");
    const list = await t.request("/auth/sessions", { token: (await signedIn.json()).data.accessToken });
    expect((await list.json()).data[0].method).toBe("backup_code");
  });

  test("20 at once with one code: one session", async () => {
    const person = await t.signIn();
    const { backupCodes } = await enrolled(t, person);
    const { challenge } = await begin(person);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => answer(challenge, backupCodes[3], "backup_code")),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect((await status(person)).backupCodes.left).toBe(9);
  });

  test("new ones replace the old ones, for the password and a factor", async () => {
    const person = await t.signIn();
    const renew = (json: object) => post("mfa/backup-codes", json, person.accessToken);
    expect((await renew({ password: person.password })).status).toBe(409);
    const { secret, backupCodes } = await enrolled(t, person);
    expect((await renew({ password: person.password })).status).toBe(422);
    const factor = { method: "totp", code: codeOf(secret, t.clock.now()) };
    expect((await renew({ password: "wrong password", factor })).status).toBe(401);
    const renewed = await renew({ password: person.password, factor });
    expect([renewed.status, renewed.headers.get("cache-control")]).toEqual([200, "no-store"]);
    const next = (await renewed.json()).data.backupCodes;
    const { challenge } = await begin(person);
    expect((await answer(challenge, backupCodes[0], "backup_code")).status).toBe(422);
    expect((await answer(challenge, next[0], "backup_code")).status).toBe(200);
  });

  test("when all are used, the app is all there is", async () => {
    const person = await t.signIn();
    const { backupCodes } = await enrolled(t, person);
    for (const code of backupCodes) {
      expect((await answer((await begin(person)).challenge, code, "backup_code")).status).toBe(200);
    }
    expect((await begin(person)).methods).toEqual(["totp"]);
    expect((await status(person)).backupCodes.left).toBe(0);
  });
});

describe("a challenge", () => {
  test("opens one session, also after that was signed out, and takes no other factor then", async () => {
    const person = await t.signIn();
    const { secret, backupCodes } = await enrolled(t, person);
    const { challenge } = await begin(person);
    const first = await answer(challenge, codeOf(secret, t.clock.now()));
    expect(first.status).toBe(200);
    const { accessToken } = (await first.json()).data;
    t.clock.advance(STEP);
    expect((await answer(challenge, codeOf(secret, t.clock.now()))).status).toBe(401);
    expect((await post("logout", undefined, accessToken)).status).toBe(204);
    expect((await answer(challenge, codeOf(secret, t.clock.now()))).status).toBe(401);
    expect((await answer(challenge, backupCodes[0], "backup_code")).status).toBe(401);
    // What was refused is not used up.
    expect((await answer((await begin(person)).challenge, backupCodes[0], "backup_code")).status).toBe(200);
    expect((await answer((await begin(person)).challenge, codeOf(secret, t.clock.now()))).status).toBe(200);
  });

  test("answered by an app's code and a backup code at once opens one", async () => {
    for (let round = 0; round < 5; round++) {
      const person = await t.signIn();
      const { secret, backupCodes } = await enrolled(t, person);
      const { challenge } = await begin(person);
      const answers = await Promise.all([
        answer(challenge, codeOf(secret, t.clock.now())),
        answer(challenge, backupCodes[0], "backup_code"),
        answer(challenge, backupCodes[1], "backup_code"),
      ]);
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
      expect(answers.every(({ status }) => [200, 401].includes(status))).toBe(true);
    }
  });

  test("is over after five wrong codes, one after the other or at once, for the right one too", async () => {
    for (const atOnce of [false, true]) {
      const person = await t.signIn();
      const { secret, backupCodes } = await enrolled(t, person);
      const { challenge } = await begin(person);
      const wrong = wrongCode(secret, t.clock.now());
      const statuses = [];
      if (atOnce) {
        const answers = await Promise.all(Array.from({ length: 9 }, () => answer(challenge, wrong)));
        statuses.push(...answers.map(({ status }) => status).sort());
      } else for (let i = 0; i < 9; i++) statuses.push((await answer(challenge, wrong)).status);
      expect(statuses.filter((status) => status === 422)).toHaveLength(5);
      expect(statuses.filter((status) => status === 401)).toHaveLength(4);
      expect((await answer(challenge, codeOf(secret, t.clock.now()))).status).toBe(401);
      expect((await answer(challenge, backupCodes[0], "backup_code")).status).toBe(401);
      expect((await answer((await begin(person)).challenge, codeOf(secret, t.clock.now()))).status).toBe(200);
    }
  });

  test("ends with a ban, a reset, the end of all sessions, and five minutes", async () => {
    const cases: Record<string, (person: SignedInPerson) => Promise<unknown>> = {
      ban: (person) =>
        t.deps.mysql.on().user.update({ where: { id: person.id }, data: { bannedAt: t.clock.now() } }),
      deletion: (person) =>
        t.deps.mysql.on().user.update({ where: { id: person.id }, data: { deletedAt: t.clock.now() } }),
      "end of the other sessions": (person) =>
        t.request("/auth/sessions", { method: "DELETE", token: person.accessToken }),
      time: async () => t.clock.advance(5 * MINUTE),
      async reset(person) {
        await post("forgot-password", { email: person.email });
        await t.runner.runDue();
        const token = /#token=(\S+)/.exec(t.mails.findLast(({ to }) => to === person.email)?.text ?? "")?.[1];
        expect((await post("reset-password", { token, password: "the new password" })).status).toBe(204);
      },
    };
    for (const [name, change] of Object.entries(cases)) {
      const person = await t.signIn();
      const { secret, backupCodes } = await enrolled(t, person);
      const { challenge } = await begin(person);
      await change(person);
      const statuses = [
        (await answer(challenge, codeOf(secret, t.clock.now()))).status,
        (await answer(challenge, backupCodes[0], "backup_code")).status,
      ];
      expect([name, ...statuses]).toEqual([name, 401, 401]);
      const left = await t.deps.mfa.backupCodes(person.id);
      expect(left?.left).toBe(10);
    }
  });

  test("after a reset the second factor is still asked for", async () => {
    const person = await t.signIn();
    const { secret } = await enrolled(t, person);
    await post("forgot-password", { email: person.email });
    await t.runner.runDue();
    const token = /#token=(\S+)/.exec(t.mails.findLast(({ to }) => to === person.email)?.text ?? "")?.[1];
    await post("reset-password", { token, password: "the new password" });
    const { challenge } = await begin({ email: person.email, password: "the new password" });
    expect((await answer(challenge, codeOf(secret, t.clock.now()))).status).toBe(200);
  });

  test("is none of the other tokens, and they are none of it", async () => {
    const person = await t.signIn();
    const { secret } = await enrolled(t, person);
    const { challenge } = await begin(person);
    expect(await me(challenge)).toBe(401);
    expect((await post("refresh", { refreshToken: challenge })).status).toBe(401);
    const code = codeOf(secret, t.clock.now());
    const device = t.deps.tokens.device(person.id, t.deps.random.id());
    for (const text of [person.accessToken, person.refreshToken, device, `${challenge}=`, "", "null"]) {
      expect((await answer(text, code)).status).toBe(401);
    }
    expect((await answer(challenge, code)).status).toBe(200);
  });

  test("refuses hostile input, never 500", async () => {
    const person = await t.signIn();
    await enrolled(t, person);
    const { challenge } = await begin(person);
    const hostile: unknown[] = [
      null,
      [],
      {},
      { challenge, method: "totp" },
      { challenge, method: "totp", code: null },
      { challenge, method: "totp", code: 123456 },
      { challenge, method: "totp", code: { $ne: null } },
      { challenge, method: "totp", code: ["123456"] },
      { challenge, method: "totp", code: "12345" },
      { challenge, method: "totp", code: "１２３４５６" },
      { challenge, method: "totp", code: "1e5   " },
      { challenge, method: "totp", code: "1".repeat(1_000_000) },
      { challenge, method: "backup_code", code: "0".repeat(1_000_000) },
      { challenge, method: "backup_code", code: "0000-0000-000\u0000" },
      { challenge, method: "password", code: "123456" },
      { challenge, method: "__proto__", code: "123456" },
      { challenge: { $ne: null }, method: "totp", code: "123456" },
      { challenge: "A".repeat(500_000), method: "totp", code: "123456" },
      { challenge, method: "totp", code: "123456", userId: person.id },
    ];
    for (const json of hostile) {
      const { status } = await post("mfa/challenge", json);
      expect([JSON.stringify(json)?.slice(0, 60), status]).toEqual([JSON.stringify(json)?.slice(0, 60), 422]);
    }
    for (const json of [null, { code: {} }, { code: "123456", id: "x" }]) {
      expect((await post("mfa/confirm", json, person.accessToken)).status).toBe(422);
    }
    expect((await post("mfa/enrol", { password: { $ne: null } }, person.accessToken)).status).toBe(422);
    expect((await post("mfa/disable", { password: "x", factor: "totp" }, person.accessToken)).status).toBe(
      422,
    );
    expect((await post("mfa/challenge", { code: "1".repeat(2_000_000) })).status).toBe(413);
  });

  test("gives a browser its refresh token as a cookie, and refuses a foreign page", async () => {
    const person = await t.signIn();
    const { secret } = await enrolled(t, person);
    const { challenge } = await begin(person);
    const json = { challenge, method: "totp", code: codeOf(secret, t.clock.now()) };
    const from = (origin: string) =>
      t.request("/auth/mfa/challenge", { method: "POST", json, headers: { origin } });
    expect((await from("https://evil.example")).status).toBe(403);
    const signedIn = await from("http://localhost:3000");
    expect(signedIn.headers.getSetCookie().join()).toContain("aizy_refresh=");
    expect((await signedIn.json()).data.refreshToken).toBeUndefined();
  });
});

describe("disabling", () => {
  test("needs the password and a factor; then the password alone signs in, and nothing is left", async () => {
    const person = await t.signIn();
    const off = (json: object) => post("mfa/disable", json, person.accessToken);
    expect((await off({ password: person.password })).status).toBe(409);
    const { secret, backupCodes } = await enrolled(t, person);
    const { challenge } = await begin(person);
    const factor = { method: "backup_code", code: backupCodes[5] };
    expect((await off({ password: person.password })).status).toBe(422);
    expect((await off({ factor })).status).toBe(422);
    expect((await off({ password: "wrong password", factor })).status).toBe(401);
    const wrong = { method: "totp", code: wrongCode(secret, t.clock.now()) };
    expect((await off({ password: person.password, factor: wrong })).status).toBe(422);
    expect((await status(person)).totp).not.toBeNull();
    expect((await off({ password: person.password, factor })).status).toBe(204);
    expect(await noticesTo(person)).toContain("Your second factor was changed");
    expect(await status(person)).toEqual({ methods: [], totp: null, backupCodes: null });
    expect((await answer(challenge, codeOf(secret, t.clock.now()))).status).toBe(422);
    expect((await post("login", { email: person.email, password: person.password })).status).toBe(200);
    expect(await me(person.accessToken)).toBe(200);
  });

  test("the rows of a person go with them", async () => {
    const person = await t.signIn();
    await enrolled(t, person);
    await t.deps.mysql.on().user.delete({ where: { id: person.id } });
    expect(await t.deps.mysql.on().totpFactor.count({ where: { userId: person.id } })).toBe(0);
    expect(await t.deps.mysql.on().backupCode.count({ where: { userId: person.id } })).toBe(0);
  });
});

describe("a lost app", () => {
  const take = (id: string, by: SignedInPerson) =>
    t.request(`/api/users/${id}/second-factor`, { method: "DELETE", token: by.accessToken });

  test("is taken away by an administrator: sessions end, its owner is told, the password signs in", async () => {
    const admin = await t.signIn({ roles: ["admin"] });
    const person = await t.signIn();
    expect((await take(person.id, admin)).status).toBe(409);
    const { secret } = await enrolled(t, person);
    const { challenge } = await begin(person);
    expect((await take(person.id, await t.signIn())).status).toBe(403);
    expect((await take(t.deps.random.id(), admin)).status).toBe(404);
    expect((await take("nonsense", admin)).status).toBe(422);
    expect((await take(person.id, admin)).status).toBe(204);
    expect(await me(person.accessToken)).toBe(401);
    expect((await answer(challenge, codeOf(secret, t.clock.now()))).status).toBe(401);
    expect(await noticesTo(person)).toContain("Your second factor was changed");
    expect(t.mails.findLast(({ to }) => to === person.email)?.text).toContain("by an administrator");
    expect((await post("login", { email: person.email, password: person.password })).status).toBe(200);
    const [entry] = await t.deps.mysql.on().auditEntry.findMany({
      where: { subjectUserId: person.id, action: "user.second_factor_removed" },
    });
    expect(entry?.actorId).toBe(admin.id);
  });

  test("not of somebody who holds more, and not one's own without a proof", async () => {
    const admin = await t.signIn({ roles: ["admin"] });
    await enrolled(t, admin);
    const role = { name: "helpdesk", permissions: ["users:write"] };
    const made = await t.request("/api/users/roles", {
      method: "POST",
      json: role,
      token: admin.accessToken,
    });
    expect(made.status).toBe(201);
    const helper = await t.signIn({ roles: ["helpdesk"] });
    expect((await take(admin.id, helper)).status).toBe(403);
    expect((await take(admin.id, admin)).status).toBe(409);
    expect((await status(admin)).totp).not.toBeNull();
  });

  test("of the only administrator, from the server", async () => {
    const person = await t.signIn({ roles: ["admin"] });
    await enrolled(t, person);
    const run = (email: string) => admin(t, ["remove-second-factor", email]);
    expect((await run(person.email)).code).toBe(0);
    expect(await me(person.accessToken)).toBe(401);
    expect((await post("login", { email: person.email, password: person.password })).status).toBe(200);
    const again = await run(person.email);
    expect([again.code, again.err]).toEqual([1, "They have no second factor.\n"]);
    expect((await run("nobody@example.com")).code).toBe(1);
  });

  test("a server's key sees and changes nobody's second factor", async () => {
    const person = await t.signIn({ roles: ["manager"] });
    const json = { name: "Till", permissions: ["products:write"], password: person.password };
    const { key } = (await (await post("api-keys", json, person.accessToken)).json()).data;
    expect((await t.request("/auth/mfa", { token: key })).status).toBe(403);
    expect((await t.request("/auth/passkeys", { token: key })).status).toBe(403);
    for (const path of ["mfa/enrol", "mfa/confirm", "mfa/disable", "passkeys/register/options"]) {
      expect((await post(path, { password: person.password }, key)).status).toBe(403);
    }
  });
});

describe("guesses", () => {
  test("are counted apart from passwords, by source", async () => {
    const person = await t.signIn();
    const { secret, backupCodes } = await enrolled(t, person);
    const { challenge } = await begin(person);
    const wrong = () => wrongCode(secret, t.clock.now());
    const ip = "192.0.2.1";
    for (let i = 0; i < 10; i++) {
      expect((await answer((await begin(person)).challenge, wrong(), "totp", ip)).status).toBe(422);
    }
    const right = codeOf(secret, t.clock.now());
    const refused = await answer(challenge, right, "totp", ip);
    expect([refused.status, refused.headers.get("ratelimit-policy")]).toEqual([429, '"totp";q=10;w=900']);
    expect(
      (await post("login", { email: person.email, password: person.password }, undefined, ip)).status,
    ).toBe(202);
    expect((await answer(challenge, backupCodes[0], "backup_code", ip)).status).toBe(200);
    // What was refused was not even looked at.
    const other = await begin(person);
    expect((await answer(other.challenge, right, "totp", "192.0.2.2")).status).toBe(200);
    // And who has shown both is stopped no more by what was wrong from there.
    t.clock.advance(STEP);
    const again = await begin(person);
    expect((await answer(again.challenge, codeOf(secret, t.clock.now()), "totp", ip)).status).toBe(200);
  });

  test("from everywhere reach a ceiling for a day; a known device and a backup code pass, a reset does not", async () => {
    const person = await t.signIn();
    const { secret, backupCodes } = await enrolled(t, person);
    const deviceToken = t.deps.tokens.device(person.id, t.deps.random.id());
    const guesser = (i: number) => ({ account: person.email, ip: `198.51.100.${i % 10}`, deviceId: null });
    for (let i = 0; i < 50; i++) await t.deps.throttle.guess("totp", guesser(i), async () => null);
    const { challenge } = await begin(person);
    const code = () => codeOf(secret, t.clock.now());
    expect((await answer(challenge, code())).status).toBe(429);
    const known = await begin(person, { deviceToken });
    expect((await answer(known.challenge, code())).status).toBe(200);
    expect((await answer(challenge, backupCodes[0], "backup_code")).status).toBe(200);
    await t.deps.throttle.forgive(person.email, "198.51.100.1");
    expect((await answer(challenge, code())).status).toBe(429);
    t.clock.advance(HOUR);
    expect((await answer((await begin(person)).challenge, code())).status).toBe(429);
    t.clock.advance(DAY);
    expect((await answer((await begin(person)).challenge, code())).status).toBe(200);
  });

  test("30 at once are ten answers at most", async () => {
    const person = await t.signIn();
    const { secret } = await enrolled(t, person);
    const begun: string[] = [];
    for (let i = 0; i < 10; i++) begun.push((await begin(person)).challenge);
    const wrong = wrongCode(secret, t.clock.now());
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) => answer(begun[i % 10] ?? "", wrong, "totp", "192.0.2.9")),
    );
    expect(answers.filter(({ status }) => status === 422)).toHaveLength(10);
    const { challenge } = await begin(person);
    expect((await answer(challenge, codeOf(secret, t.clock.now()), "totp", "192.0.2.9")).status).toBe(429);
  });
});

describe("what is recorded", () => {
  const acts = async (person: SignedInPerson) => {
    const rows = await t.deps.mysql.on().auditEntry.findMany({
      where: { subjectUserId: person.id, action: { not: "sign_in.succeeded" } },
      orderBy: [{ at: "asc" }, { id: "asc" }],
    });
    return rows.map(({ action, actorKind, detail }) => [action, actorKind, detail]);
  };

  test("every change and every wrong code, each with its change, without a code", async () => {
    const person = await t.signIn();
    await post("mfa/enrol", { password: "wrong password" }, person.accessToken);
    const { secret, backupCodes } = await enrolled(t, person);
    const { challenge } = await begin(person);
    const wrong = wrongCode(secret, t.clock.now());
    await answer(challenge, wrong);
    const other = await begin(person);
    await Promise.all(
      Array.from({ length: 5 }, () => answer(other.challenge, backupCodes[0], "backup_code")),
    );
    const proof = () => ({
      password: person.password,
      factor: { method: "totp", code: codeOf(secret, t.clock.now()) },
    });
    await post("mfa/backup-codes", proof(), person.accessToken);
    t.clock.advance(STEP);
    await post("mfa/disable", { ...proof(), factor: { method: "totp", code: wrong } }, person.accessToken);
    await post("mfa/disable", proof(), person.accessToken);
    const all = await acts(person);
    expect(all).toEqual([
      ["second_factor.change_refused", "user", {}],
      ["second_factor.enrolled", "user", {}],
      ["second_factor.failed", "anonymous", { method: "totp" }],
      ["backup_code.used", "user", {}],
      ...Array(4).fill(["second_factor.failed", "anonymous", { method: "backup_code" }]),
      ["backup_codes.renewed", "user", {}],
      ["second_factor.failed", "user", { method: "totp" }],
      ["second_factor.disabled", "user", {}],
    ]);
    const rows = JSON.stringify(await t.deps.mysql.on().auditEntry.findMany());
    for (const code of [secret, wrong, ...backupCodes]) expect(rows).not.toContain(code);
  });

  test("of a right password and a wrong code on a new device its owner is told, once a day", async () => {
    const person = await t.signIn();
    const { secret } = await enrolled(t, person);
    const subject = "Someone has your password";
    const told = async () => (await noticesTo(person)).filter((text) => text === subject).length;
    const deviceToken = t.deps.tokens.device(person.id, t.deps.random.id());
    const fail = async (extra = {}) =>
      (await answer((await begin(person, extra)).challenge, wrongCode(secret, t.clock.now()))).status;
    expect(await fail({ deviceToken })).toBe(422);
    expect(await told()).toBe(0);
    for (let i = 0; i < 3; i++) expect(await fail()).toBe(422);
    expect(await told()).toBe(1);
    t.clock.advance(DAY);
    expect(await fail()).toBe(422);
    expect(await told()).toBe(2);
  });
});

describe("what is kept", () => {
  test("no secret and no code stands readable in the database", async () => {
    const person = await t.signIn();
    const { secret, backupCodes } = await enrolled(t, person);
    const factor = await t.deps.mfa.findTotp(person.id, "confirmed");
    const codes = await t.deps.mysql.on().backupCode.findMany({ where: { userId: person.id } });
    const { Secret } = await import("otpauth");
    const bytes = Buffer.from(Secret.fromBase32(secret).bytes);
    expect(Buffer.from(factor?.secret ?? []).includes(bytes)).toBe(false);
    const text = JSON.stringify([factor, codes]);
    for (const code of [secret, ...backupCodes, ...backupCodes.map((c) => c.replaceAll("-", ""))]) {
      expect(text).not.toContain(code);
    }
    for (const { codeHash } of codes) expect(codeHash).toStartWith("$argon2id$");
  });

  test("a secret moved to another row cannot be read", async () => {
    const [ann, bob] = [await t.signIn(), await t.signIn()];
    const mine = await enrolled(t, ann);
    await enrolled(t, bob);
    const own = await t.deps.mfa.findTotp(ann.id, "confirmed");
    await t.deps.mysql.on().totpFactor.updateMany({
      where: { userId: bob.id },
      data: { secret: own?.secret ?? new Uint8Array() },
    });
    const { challenge } = await begin(bob);
    expect((await answer(challenge, codeOf(mine.secret, t.clock.now()))).status).toBe(500);
  });

  test("DATA_KEY may be changed: old secrets are read, and sealed anew when they are used", async () => {
    const person = await t.signIn();
    const { secret } = await enrolled(t, person);
    const before = t.deps.vault;
    const [oldKey] = [...t.deps.config.dataKeys.values()];
    if (!oldKey) throw new Error("no DATA_KEY");
    try {
      const newKey = t.deps.random.bytes(32);
      t.deps.vault = createVault(
        new Map([
          ["v2", newKey],
          ["v1", oldKey],
        ]),
        t.deps.random,
      );
      const version = async () => (await t.deps.mfa.findTotp(person.id, "confirmed"))?.keyVersion;
      expect(await version()).toBe("v1");
      expect((await answer((await begin(person)).challenge, codeOf(secret, t.clock.now()))).status).toBe(200);
      expect(await version()).toBe("v2");
      t.deps.vault = createVault(new Map([["v2", newKey]]), t.deps.random);
      t.clock.advance(STEP);
      expect((await answer((await begin(person)).challenge, codeOf(secret, t.clock.now()))).status).toBe(200);
      t.deps.vault = createVault(new Map([["v3", newKey]]), t.deps.random);
      t.clock.advance(STEP);
      const withoutKey = await answer((await begin(person)).challenge, codeOf(secret, t.clock.now()));
      expect([withoutKey.status, withoutKey.headers.get("retry-after")]).toEqual([503, "10"]);
      expect((await withoutKey.json()).code).toBe("service_unavailable");
    } finally {
      t.deps.vault = before;
    }
  });
});

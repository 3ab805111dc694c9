import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { useTestApp } from "../../test/app";
import { createMySqlLimiters } from "../db/limiter";
import { sourceOf } from "../http/address";
import { HOUR, MINUTE } from "../lib/clock";
import { createThrottle } from "./throttle";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp(() => ({ trustedProxies: ["127.0.0.1"] }));

const from = (ip: string) => ({ "x-forwarded-for": ip });
const post = (path: string, json: unknown, ip: string) =>
  t.request(`/auth/${path}`, { method: "POST", json, headers: from(ip) });
const login = async (email: string, password: string, ip = "192.0.2.1", extra = {}) =>
  (await post("login", { email, password, ...extra }, ip)).status;
const fail = async (times: number, email: string, ip = "192.0.2.1") => {
  for (let i = 0; i < times; i++) expect(await login(email, "wrong password", ip)).toBe(401);
};
/** A hundred failures from ten addresses, counted without hashing. */
const failEverywhere = async (account: string, times = 100) => {
  for (let i = 0; i < times; i++) {
    await t.deps.throttle.guess("password", { account, ip: `198.51.100.${i % 10}` }, async () => null);
  }
};

describe("failed sign-ins", () => {
  test("ten of one source at one account lock it for 15 minutes, others not", async () => {
    const [person, other] = [await t.signIn(), await t.signIn()];
    await fail(10, person.email);
    const locked = await post("login", { email: person.email, password: person.password }, "192.0.2.1");
    expect(locked.status).toBe(429);
    expect(locked.headers.get("retry-after")).toBe("900");
    expect(locked.headers.get("ratelimit-policy")).toBe('"password";q=10;w=900');
    expect(locked.headers.get("ratelimit")).toBe('"password";r=0;t=900');
    expect((await locked.json()).code).toBe("too_many_requests");
    expect(await login(person.email, person.password, "192.0.2.2")).toBe(200);
    expect(await login(other.email, other.password)).toBe(200);
    t.clock.advance(15 * MINUTE - 1000);
    expect(await login(person.email, person.password)).toBe(429);
    t.clock.advance(1000);
    expect(await login(person.email, person.password)).toBe(200);
  });

  test("an unknown address is locked the same, headers and body too", async () => {
    const person = await t.signIn();
    const answers = async (email: string, ip: string) => {
      const all = [];
      for (let i = 0; i < 12; i++) {
        const answer = await post("login", { email, password: "wrong password" }, ip);
        const { requestId: _, ...body } = await answer.json();
        const headers = Object.fromEntries([...answer.headers].filter(([name]) => name !== "x-request-id"));
        all.push([answer.status, headers, body]);
      }
      return all;
    };
    expect(await answers(person.email, "192.0.2.10")).toEqual(
      await answers("nobody@example.com", "192.0.2.11"),
    );
  });

  test("a success forgets the source's failures", async () => {
    const person = await t.signIn();
    for (let round = 0; round < 3; round++) {
      await fail(9, person.email, "192.0.2.20");
      expect(await login(person.email, person.password, "192.0.2.20")).toBe(200);
    }
  });

  test("30 guesses at once get ten answers at most, and the right one among them does not slip through", async () => {
    const person = await t.signIn();
    await fail(9, person.email, "192.0.2.30");
    const statuses = await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        login(person.email, i === 29 ? person.password : "wrong password", "192.0.2.30"),
      ),
    );
    expect(statuses.filter((status) => status === 401).length).toBe(1);
    expect(statuses.filter((status) => status === 200).length).toBeLessThanOrEqual(1);
    expect(await login(person.email, person.password, "192.0.2.30")).toBe(429);
  });

  test("20 right ones at once are 20 sign-ins", async () => {
    const person = await t.signIn();
    const statuses = await Promise.all(
      Array.from({ length: 20 }, () => login(person.email, person.password, "192.0.2.40")),
    );
    expect(statuses).toEqual(Array(20).fill(200));
  });

  test("strangers from everywhere reach a ceiling that a known device and a reset pass", async () => {
    const person = await t.signIn();
    const { deviceToken } = (
      await (await post("login", { email: person.email, password: person.password }, "192.0.2.50")).json()
    ).data;
    await failEverywhere(person.email);
    const stranger = "203.0.113.1";
    expect(await login(person.email, person.password, stranger)).toBe(429);
    expect(await login(person.email, person.password, stranger, { deviceToken })).toBe(200);
    expect(await login(person.email, person.password, stranger, { deviceToken: `${deviceToken}x` })).toBe(
      429,
    );
    const other = await t.signIn();
    const foreign = t.deps.tokens.device(other.id, t.deps.random.id());
    expect(await login(person.email, person.password, stranger, { deviceToken: foreign })).toBe(429);
    await post("forgot-password", { email: person.email }, stranger);
    await t.runner.runDue();
    const token = /#token=(\S+)/.exec(t.mails.at(-1)?.text ?? "")?.[1];
    expect((await post("reset-password", { token, password: "the new password" }, stranger)).status).toBe(
      204,
    );
    expect(await login(person.email, "the new password", stranger)).toBe(200);
  });

  test("a known device has ten failures of its own", async () => {
    const person = await t.signIn();
    const deviceToken = t.deps.tokens.device(person.id, t.deps.random.id());
    for (let i = 0; i < 10; i++) {
      expect(await login(person.email, "wrong password", `198.51.100.${i}`, { deviceToken })).toBe(401);
    }
    expect(await login(person.email, person.password, "198.51.100.99", { deviceToken })).toBe(429);
    expect(await login(person.email, person.password, "198.51.100.99")).toBe(200);
  });

  test("the ceiling ends after an hour", async () => {
    const person = await t.signIn();
    await failEverywhere(person.email);
    expect(await login(person.email, person.password, "203.0.113.2")).toBe(429);
    t.clock.advance(HOUR);
    expect(await login(person.email, person.password, "203.0.113.2")).toBe(200);
  });

  test("neighbours in one IPv6 network of 64 bits are one source, the next network is another", async () => {
    const person = await t.signIn();
    for (let i = 0; i < 10; i++) await fail(1, person.email, `2001:db8:0:1::${i + 1}`);
    expect(await login(person.email, person.password, "2001:db8:0:1:ffff:ffff:ffff:ffff")).toBe(429);
    expect(await login(person.email, person.password, "2001:db8:0:2::1")).toBe(200);
  });

  test("what anyone writes before a trusted proxy's own entry counts for nothing", async () => {
    const person = await t.signIn();
    for (let i = 0; i < 10; i++) await fail(1, person.email, `10.9.8.${i}, 192.0.2.70`);
    expect(await login(person.email, person.password, "10.1.1.1, 192.0.2.70")).toBe(429);
  });

  test("are counted by every process: another instance on the same database refuses too", async () => {
    const person = await t.signIn();
    await fail(10, person.email, "192.0.2.80");
    const other = createThrottle(createMySqlLimiters(t.deps.mysql, t.clock));
    const guess = (kind: "password" | "code") =>
      other.guess(kind, { account: person.email, ip: "192.0.2.80" }, async () => true);
    expect(guess("password")).rejects.toThrow("too_many_requests");
    expect(await guess("code")).toBe(true);
  });

  test("a change of the password counts failures too, and strangers' failures do not stop it", async () => {
    const person = await t.signIn();
    await failEverywhere(person.email);
    const change = async (currentPassword: string) =>
      (
        await t.request("/auth/change-password", {
          method: "POST",
          json: { currentPassword, newPassword: "the new password" },
          token: person.accessToken,
        })
      ).status;
    for (let i = 0; i < 9; i++) expect(await change("wrong password")).toBe(401);
    expect(await change(person.password)).toBe(204);
    for (let i = 0; i < 10; i++) expect(await change("wrong password")).toBe(401);
    expect(await change("the new password")).toBe(429);
  });
});

describe("a proof of ownership", () => {
  const reset = async (email: string, ip: string, extra: object = {}) => {
    await post("forgot-password", { email }, ip);
    await t.runner.runDue();
    const token = /#token=(\S+)/.exec(t.mails.findLast(({ to }) => to === email)?.text ?? "")?.[1];
    return (await post("reset-password", { token, password: "the new password", ...extra }, ip)).status;
  };
  const known = async (person: { email: string; password: string }, ip: string) =>
    (await (await post("login", { email: person.email, password: person.password }, ip)).json()).data
      .deviceToken as string;

  test("a reset unlocks the known device that was locked, with its token and without, and the place", async () => {
    const ip = "192.0.2.120";
    for (const told of [true, false]) {
      const person = await t.signIn();
      const deviceToken = await known(person, ip);
      for (let i = 0; i < 10; i++) {
        expect(await login(person.email, "wrong password", ip, { deviceToken })).toBe(401);
        expect(await login(person.email, "wrong password", ip)).toBe(401);
      }
      expect(await login(person.email, person.password, ip, { deviceToken })).toBe(429);
      expect(await reset(person.email, ip, told ? { deviceToken } : {})).toBe(204);
      expect(await login(person.email, "the new password", ip, { deviceToken })).toBe(200);
      expect(await login(person.email, "the new password", ip)).toBe(200);
    }
  });

  test("forgives nothing of an attacker: neither their source nor the ceiling for other strangers", async () => {
    const person = await t.signIn();
    const [own, attacker] = ["192.0.2.121", "192.0.2.122"];
    await fail(10, person.email, attacker);
    await failEverywhere(person.email, 90);
    expect(await reset(person.email, own)).toBe(204);
    expect(await login(person.email, "the new password", own)).toBe(200);
    expect(await login(person.email, "the new password", attacker)).toBe(429);
    expect(await login(person.email, "the new password", "192.0.2.123")).toBe(429);
    // Neither does an attack that goes on, nor one from behind the same address at other accounts.
    await fail(9, person.email, own);
    expect(await login(person.email, "the new password", own)).toBe(200);
    for (let i = 0; i < 500; i++) {
      const guesser = { account: `victim-${i}@example.com`, ip: own };
      await t.deps.throttle.guess("password", guesser, async () => null);
    }
    expect(await login("somebody-else@example.com", "any password", own)).toBe(429);
    expect(await login(person.email, "the new password", own)).toBe(200);
    t.clock.advance(HOUR);
    await failEverywhere(person.email);
    expect(await login(person.email, "the new password", own)).toBe(429);
  });

  test("the password, given once more while signed in, unlocks the place too", async () => {
    const person = await t.signIn();
    const ip = "192.0.2.124";
    await fail(10, person.email, ip);
    const json = { currentPassword: person.password, newPassword: "the new password" };
    const init = { method: "POST", json, token: person.accessToken, headers: from(ip) };
    expect((await t.request("/auth/change-password", init)).status).toBe(204);
    expect(await login(person.email, "the new password", ip)).toBe(200);
    await fail(10, person.email, ip);
    const enrol = { ...init, json: { password: "the new password" } };
    expect((await t.request("/auth/mfa/enrol", enrol)).status).toBe(201);
    expect(await login(person.email, "the new password", ip)).toBe(200);
  });

  test("a mailbox alone forgives no wrong second factor, a whole proof does", async () => {
    const guesser = { account: "factors@example.com", ip: "192.0.2.125", deviceId: "phone" };
    const guess = (kind: "totp" | "backup_code" | "code", right: boolean) =>
      t.deps.throttle.guess(kind, guesser, async () => right || null).catch((error) => error.code);
    for (const kind of ["totp", "backup_code", "code"] as const) {
      for (let i = 0; i < 10; i++) expect(await guess(kind, false)).toBeNull();
      expect(await guess(kind, true)).toBe("too_many_requests");
    }
    await t.deps.throttle.forgive(guesser.account, guesser.ip, { deviceIds: ["phone"], proof: "mailbox" });
    expect(await guess("code", true)).toBe(true);
    expect(await guess("totp", true)).toBe("too_many_requests");
    await t.deps.throttle.forgive(guesser.account, guesser.ip, { deviceIds: ["phone"], proof: "whole" });
    expect(await guess("totp", true)).toBe(true);
    expect(await guess("backup_code", true)).toBe(true);
  });
});

describe("an attack on somebody's recovery", () => {
  const ASKERS = ["192.0.2.101", "192.0.2.102", "192.0.2.103"];
  const mailsTo = (email: string, subject: string) =>
    t.mails.filter((mail) => mail.to === email && mail.subject === subject).length;
  const forget = (email: string, ip: string, extra: object = {}, headers: Record<string, string> = {}) =>
    t.request("/auth/forgot-password", {
      method: "POST",
      json: { email, ...extra },
      headers: { ...from(ip), ...headers },
    });
  const LINK = "Set a new password";
  /** Twenty requests of each, of the kind that the issue names. */
  const attack = async (path: string, json: object) => {
    for (const ip of ASKERS) for (let i = 0; i < 20; i++) await post(path, json, ip);
    await t.runner.runDue();
  };
  const sentAfter = async (act: () => Promise<unknown>, email: string, subject: string) => {
    const before = mailsTo(email, subject);
    await act();
    await t.runner.runDue();
    return mailsTo(email, subject) - before;
  };

  test("leaves a link for a network not seen before, for a known device and a cookie, in the same answer", async () => {
    const person = await t.signIn();
    const answer = await post("login", { email: person.email, password: person.password }, "192.0.2.1");
    const { deviceToken } = (await answer.json()).data;
    await attack("forgot-password", { email: person.email });
    expect(mailsTo(person.email, LINK)).toBeLessThanOrEqual(60);
    const again = () => forget(person.email, ASKERS[0] ?? "");
    expect(await sentAfter(again, person.email, LINK)).toBe(0);
    expect(await sentAfter(() => forget(person.email, "203.0.113.7"), person.email, LINK)).toBe(1);
    const known = () => forget(person.email, ASKERS[0] ?? "", { deviceToken });
    expect(await sentAfter(known, person.email, LINK)).toBe(1);
    const cookie = { origin: "http://localhost:3000", cookie: `aizy_device=${deviceToken}` };
    const browser = () => forget(person.email, ASKERS[1] ?? "", {}, cookie);
    expect(await sentAfter(browser, person.email, LINK)).toBe(1);
    const other = await t.signIn();
    const foreign = t.deps.tokens.device(other.id, t.deps.random.id());
    const stranger = () => forget(person.email, ASKERS[0] ?? "", { deviceToken: foreign });
    expect(await sentAfter(stranger, person.email, LINK)).toBe(0);
    const answers = await Promise.all([
      forget(person.email, ASKERS[0] ?? ""),
      forget("nobody-at-all@example.com", ASKERS[0] ?? ""),
      forget(person.email, ASKERS[0] ?? "", { deviceToken }),
    ]);
    const told = await Promise.all(answers.map(async (one) => [one.status, await one.json()]));
    expect(told).toEqual(Array(3).fill([202, { data: { expiresIn: 1800 } }]));
  });

  test("uses up nothing of other purposes: notices, a change of address, and what sends no mail", async () => {
    const person = await t.signIn();
    await attack("forgot-password", { email: person.email });
    const change = () =>
      t.request("/auth/change-password", {
        method: "POST",
        json: { currentPassword: person.password, newPassword: "the new password" },
        token: person.accessToken,
        headers: from(ASKERS[0] ?? ""),
      });
    expect(await sentAfter(change, person.email, "Your password was changed")).toBe(1);
    const move = () =>
      t.request("/api/users/me/settings/email-change", {
        method: "POST",
        json: { newEmail: `moved-${person.email}`, password: "the new password" },
        token: person.accessToken,
        headers: from(ASKERS[0] ?? ""),
      });
    expect(await sentAfter(move, person.email, "Confirm your new address")).toBe(1);
    expect(mailsTo(`moved-${person.email}`, "Confirm your new address")).toBe(1);
    const banned = await t.signIn();
    const byId = { where: { id: banned.id } };
    await t.deps.mysql.on().user.update({ ...byId, data: { bannedAt: t.clock.now() } });
    await attack("forgot-password", { email: banned.email });
    await t.deps.mysql.on().user.update({ ...byId, data: { bannedAt: null } });
    expect(mailsTo(banned.email, LINK)).toBe(0);
    for (let i = 0; i < 20; i++) {
      expect(await sentAfter(() => forget(banned.email, ASKERS[0] ?? ""), banned.email, LINK)).toBe(1);
    }
  });

  test("on a registration leaves a code for its owner, and a resend counts for whoever asked for it", async () => {
    const email = "attacked-registration@example.com";
    const json = { email, password: "a password of tests", name: "Ann" };
    await attack("register", json);
    let registrationId = "";
    const own = async () => {
      registrationId = (await (await post("register", json, "203.0.113.8")).json()).data.registrationId;
    };
    expect(await sentAfter(own, email, "Your code")).toBe(1);
    t.clock.advance(MINUTE);
    const resend = () => post("resend-otp", { registrationId, email }, "203.0.113.9");
    expect(await sentAfter(resend, email, "Your code")).toBe(1);
  });

  test("a mail server that is away uses up no budget, and the mail comes when it is back", async () => {
    const person = await t.signIn();
    const { send } = t.deps.mail;
    let failures = 0;
    t.deps.mail.send = async () => {
      failures++;
      throw new Error("the mail server is away");
    };
    for (let i = 0; i < 25; i++) await forget(person.email, "192.0.2.110");
    while (failures < 60) {
      await t.runner.runDue();
      t.clock.advance(MINUTE);
    }
    t.deps.mail.send = send;
    await t.deps.mysql.on().job.deleteMany({ where: { kind: "mail.reset_password" } });
    for (let i = 0; i < 20; i++) {
      expect(await sentAfter(() => forget(person.email, "192.0.2.110"), person.email, LINK)).toBe(1);
    }
    expect(await sentAfter(() => forget(person.email, "192.0.2.110"), person.email, LINK)).toBe(0);
  });
});

describe("addresses", () => {
  test("requests that send mail are limited by address", async () => {
    const ip = "192.0.2.90";
    expect((await post("forgot-password", { email: "nobody@example.com" }, ip)).status).toBe(202);
    await t.deps.mysql.on().rateLimit.updateMany({
      where: { key: { startsWith: "requests:" } },
      data: { points: 500 },
    });
    const answer = await post("forgot-password", { email: "nobody@example.com" }, ip);
    expect([answer.status, answer.headers.get("ratelimit-policy")]).toEqual([429, '"forgot";q=500;w=900']);
    expect((await post("forgot-password", { email: "nobody@example.com" }, "192.0.2.91")).status).toBe(202);
    // Nobody waits for those behind the same proxy on a device that is known, up to an allowance of its own.
    const person = await t.signIn();
    const signedIn = await post("login", { email: person.email, password: person.password }, ip);
    const { deviceToken } = (await signedIn.json()).data;
    const statuses = [];
    for (let i = 0; i < 22; i++) {
      const { status } = await post("forgot-password", { email: person.email, deviceToken }, ip);
      statuses.push(status);
    }
    expect(statuses).toEqual([...Array(20).fill(202), 429, 429]);
  });

  test("as proxies write them, ten strangers behind one do not lock the owner out", async () => {
    const person = await t.signIn();
    const ports = [":4711", ":4712"].map((port) => `192.0.2.70${port}`);
    for (let i = 0; i < 5; i++) for (const ip of ports) await fail(1, person.email, ip);
    // One source, whatever its port; another, whatever its spelling, is another.
    expect(await login(person.email, person.password, "192.0.2.70:4713")).toBe(429);
    for (const ip of ["[2001:db8::1]:443", "::ffff:192.0.2.71", "192.0.2.72:80"]) {
      expect([ip, await login(person.email, person.password, ip)]).toEqual([ip, 200]);
    }
  });

  test("sources of all spellings", () => {
    expect(sourceOf("192.0.2.1")).toBe("192.0.2.1");
    expect(sourceOf("::1")).toBe("0:0:0:0::/64");
    expect(sourceOf("2001:db8::1")).toBe("2001:db8:0:0::/64");
    expect(sourceOf("2001:0DB8:0000:0000:1:2:3:4")).toBe("2001:db8:0:0::/64");
    expect(sourceOf("fe80::1%eth0")).toBe("fe80:0:0:0::/64");
    const group = fc.nat(0xffff).map((n) => n.toString(16));
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        expect(sourceOf(groups.join(":"))).toBe(`${groups.slice(0, 4).join(":")}::/64`);
      }),
    );
  });

  test("no email stands readable among the counters", async () => {
    await fail(1, "secret.person@example.com", "192.0.2.95");
    const keys = await t.deps.mysql.on().rateLimit.findMany();
    expect(JSON.stringify(keys)).not.toContain("secret");
  });
});

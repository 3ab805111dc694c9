import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { MINUTE } from "../lib/clock";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

const t = useTestApp();
beforeEach(() => {
  t.mails.length = 0;
});

let count = 0;
const newEmail = () => `person${++count}@example.com`;
const post = (path: string, json: unknown) => t.request(`/auth/${path}`, { method: "POST", json });
const register = async (email: string, password = "correct horse", name = "Ann") => {
  const answer = await post("register", { email, password, name });
  expect(answer.status).toBe(202);
  return (await answer.json()).data.registrationId as string;
};
const mailedCodes = async (email: string): Promise<string[]> => {
  await t.runner.runDue();
  return t.mails.filter(({ to }) => to === email).flatMap(({ text }) => /^\d{6}$/m.exec(text)?.[0] ?? []);
};
const verify = async (registrationId: string, email: string, otp: string) =>
  (await post("verify-otp", { registrationId, email, otp })).status;
const login = async (email: string, password: string) => (await post("login", { email, password })).status;
const wrong = (code: string) => String((Number(code) + 1) % 1_000_000).padStart(6, "0");

describe("registration", () => {
  test("20 at once for one address: one row, and any one attempt's code gives that attempt's password", async () => {
    const email = newEmail();
    const attempts = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => ({ i, id: await register(email, `password number ${i}`) })),
    );
    expect(await t.deps.mysql.on().user.count({ where: { emailCanonical: email } })).toBe(1);
    const codes = await mailedCodes(email);
    expect(codes).toHaveLength(20);
    const chosen = attempts[7];
    if (!chosen) throw new Error("no attempt");
    // Mails leave in no certain order: five tries of one attempt are not enough, so the hash says which it is.
    const row = await t.deps.codes.find(chosen.id);
    const code = codes.find((otp) => t.deps.otp.matches(otp, chosen.id, row?.codeHash ?? null)) ?? "";
    expect(await verify(chosen.id, email, code)).toBe(200);
    expect(await login(email, "password number 7")).toBe(200);
    expect(await login(email, "password number 8")).toBe(401);
  });

  test("nobody plants a password for another: who verifies owns, earlier attempts die", async () => {
    const email = newEmail();
    const planted = await register(email, "the planted one");
    const [plantedCode = ""] = await mailedCodes(email);
    const own = await register(email, "the owner's own", "Owner");
    const ownCode = (await mailedCodes(email)).at(-1) ?? "";
    expect(await login(email, "the planted one")).toBe(401);
    expect(await verify(own, email, ownCode)).toBe(200);
    expect(await verify(planted, email, plantedCode)).toBe(422);
    expect(await login(email, "the planted one")).toBe(401);
    expect(await login(email, "the owner's own")).toBe(200);
    expect((await t.deps.users.findByEmail(email))?.name).toBe("Owner");
  });

  test("a code of one attempt is none for another, nor for another address", async () => {
    const [a, b] = [newEmail(), newEmail()];
    const [first, second] = [await register(a), await register(a)];
    const other = await register(b);
    const [code = ""] = await mailedCodes(a);
    const firstRow = await t.deps.codes.find(first);
    const [mine, not] = t.deps.otp.matches(code, first, firstRow?.codeHash ?? null)
      ? [first, second]
      : [second, first];
    expect(await verify(not, a, code)).toBe(422);
    expect(await verify(other, b, code)).toBe(422);
    expect(await verify(mine, b, code)).toBe(422);
    expect(await verify(mine, a, code)).toBe(200);
  });

  test("a verified account is never changed by a registration, and its owner is told", async () => {
    const person = await t.signIn({ name: "Before" });
    const before = await t.deps.users.findById(person.id);
    await register(person.email, "another password", "After");
    expect(await mailedCodes(person.email)).toEqual([]);
    expect(t.mails.at(-1)).toMatchObject({ to: person.email, subject: "You already have an account" });
    expect(await t.deps.users.findById(person.id)).toEqual(before);
    expect(await login(person.email, "another password")).toBe(401);
    expect(await login(person.email, person.password)).toBe(200);
  });

  test("roles, ids, verification and __proto__ in the body are refused and nothing is written", async () => {
    const email = newEmail();
    const body = { email, password: "correct horse", name: "Ann" };
    const hostile = [
      { ...body, role: "admin" },
      { ...body, roles: ["admin"] },
      { ...body, id: t.deps.random.id() },
      { ...body, emailVerified: true },
      { ...body, emailVerifiedAt: "2020-01-01T00:00:00Z" },
      { ...body, email: { $ne: null } },
      { ...body, password: { $gt: "" } },
      { ...body, name: ["Ann"] },
      { ...body, name: null },
    ];
    for (const json of hostile) expect((await post("register", json)).status).toBe(422);
    for (const key of ["__proto__", "constructor", "prototype"]) {
      const text = `{"${key}":{"isAdmin":true},${JSON.stringify(body).slice(1)}`;
      const answer = await t.request("/auth/register", {
        method: "POST",
        body: text,
        headers: { "content-type": "application/json" },
      });
      expect([key, answer.status]).toEqual([key, 422]);
    }
    expect(await t.deps.users.findByEmail(email)).toBeNull();
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  });

  test("line breaks, two addresses, look-alikes and oversize in an email are refused", async () => {
    const refused = [
      "ann@example.com\r\nBcc: bob@example.com",
      "ann@example.com\n",
      "\tann@example.com",
      "ann@example.com,bob@example.com",
      "ann@example.com;bob@example.com",
      "ann@example.com bob@example.com",
      "<ann@example.com>",
      "Ann <ann@example.com>",
      "ann＠example.com",
      "ann@exam\u200bple.com",
      "\u202eann@example.com",
      "аnn@example.com",
      "ann@example",
      "ann@@example.com",
      "ann@example..com",
      ".ann@example.com",
      "ann@[127.0.0.1]",
      "",
      `${"a".repeat(250)}@example.com`,
      `${"a@".repeat(500_000)}`,
    ];
    for (const email of refused) {
      const answer = await post("register", { email, password: "correct horse", name: "Ann" });
      expect([email.slice(0, 40), answer.status]).toEqual([email.slice(0, 40), 422]);
    }
  });

  test("upper and lower case of an address are one account", async () => {
    const email = newEmail();
    const id = await register(email.toUpperCase());
    const [code = ""] = await mailedCodes(email.toUpperCase());
    expect(await verify(id, email, code)).toBe(200);
    expect(await login(`  ${email} `, "correct horse")).toBe(200);
  });
});

describe("codes", () => {
  test("five wrong tries end an attempt, even for the right code; a new code does not reset them", async () => {
    const email = newEmail();
    const id = await register(email);
    const [code = ""] = await mailedCodes(email);
    for (let i = 0; i < 3; i++) expect(await verify(id, email, wrong(code))).toBe(422);
    t.clock.advance(MINUTE);
    expect((await post("resend-otp", { registrationId: id, email })).status).toBe(202);
    const second = (await mailedCodes(email)).at(-1) ?? "";
    expect(await verify(id, email, code)).toBe(second === code ? 200 : 422);
    expect(await verify(id, email, wrong(second))).toBe(422);
    expect(await verify(id, email, second)).toBe(422);
  });

  test("the fifth try may be the right one", async () => {
    const email = newEmail();
    const id = await register(email);
    const [code = ""] = await mailedCodes(email);
    for (let i = 0; i < 4; i++) expect(await verify(id, email, wrong(code))).toBe(422);
    expect(await verify(id, email, code)).toBe(200);
  });

  test("submitted 20 times at once it works once", async () => {
    const email = newEmail();
    const id = await register(email);
    const [code = ""] = await mailedCodes(email);
    const statuses = await Promise.all(Array.from({ length: 20 }, () => verify(id, email, code)));
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(statuses.filter((status) => status === 422)).toHaveLength(19);
  });

  test("20 wrong ones at once count as five, and ten lock the code, not the password", async () => {
    const email = newEmail();
    const person = await t.signIn({ email });
    const id = await register(person.email);
    const statuses = await Promise.all(Array.from({ length: 20 }, () => verify(id, email, "000000")));
    expect(new Set(statuses)).toEqual(new Set([422]));
    expect((await t.deps.codes.find(id))?.failures).toBe(5);
    const another = await register(person.email);
    for (let i = 0; i < 5; i++) await verify(another, email, "000000");
    const third = await register(person.email);
    expect(await verify(third, email, "000000")).toBe(429);
    expect(await login(email, person.password)).toBe(200);
  });

  test("good for five minutes from the mail, by our clock", async () => {
    const email = newEmail();
    const id = await register(email);
    t.clock.advance(10 * MINUTE);
    const [code = ""] = await mailedCodes(email);
    t.clock.advance(5 * MINUTE - 1);
    const late = await register(email);
    const lateCode = (await mailedCodes(email)).at(-1) ?? "";
    t.clock.advance(1);
    expect(await verify(id, email, code)).toBe(422);
    expect(await verify(late, email, lateCode)).toBe(200);
  });

  test("another one after 60 seconds, asked for 20 times at once: one mail", async () => {
    const email = newEmail();
    const id = await register(email);
    expect(await mailedCodes(email)).toHaveLength(1);
    const resend = () => post("resend-otp", { registrationId: id, email });
    t.clock.advance(MINUTE - 1);
    expect((await resend()).status).toBe(202);
    expect(await mailedCodes(email)).toHaveLength(1);
    t.clock.advance(1);
    const answers = await Promise.all(Array.from({ length: 20 }, resend));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(202));
    expect(await mailedCodes(email)).toHaveLength(2);
  });

  test("lie nowhere readable: a job holds the row's id, the row a keyed hash; leading zeros occur", async () => {
    const email = newEmail();
    const id = await register(email);
    const jobs = await t.deps.mysql.on().job.findMany({ where: { status: "waiting" } });
    expect(jobs.map(({ payload }) => payload)).toEqual([{ codeId: id }]);
    const [code = ""] = await mailedCodes(email);
    const row = await t.deps.codes.find(id);
    expect(row?.codeHash).toHaveLength(32);
    expect(JSON.stringify(await t.deps.mysql.on().job.findMany())).not.toContain(code);
    expect(t.deps.otp.hash(code, id)).not.toEqual(t.deps.otp.hash(code, t.deps.random.id()));
    const codes = Array.from({ length: 2000 }, () => t.deps.otp.generate());
    expect(codes.every((text) => /^\d{6}$/.test(text))).toBe(true);
    expect(codes.some((text) => text.startsWith("0"))).toBe(true);
  });

  test("mails to one address are limited, and no answer shows it", async () => {
    const email = newEmail();
    for (let i = 0; i < 22; i++) await register(email);
    expect(await mailedCodes(email)).toHaveLength(20);
  });

  test("malformed ones are 422", async () => {
    const id = await register(newEmail());
    for (const otp of [
      "12345",
      "1234567",
      "abcdef",
      "١٢٣٤٥٦",
      "",
      " 123456",
      123456,
      { $ne: null },
      ["123456"],
    ]) {
      expect((await post("verify-otp", { registrationId: id, email: newEmail(), otp })).status).toBe(422);
    }
    for (const registrationId of ["x", { $ne: null }, null, 1]) {
      const json = { registrationId, email: newEmail(), otp: "123456" };
      expect((await post("verify-otp", json)).status).toBe(422);
    }
  });
});

describe("addresses", () => {
  test.each([
    ["a&b/c=d@example.com", "A&B/C=D@EXAMPLE.com"],
    ["ann@b\u00fccher.example", "Ann@xn--bcher-kva.example"],
    ["ann@xn--e1afmkfd.example", "ann@\u043f\u0440\u0438\u043c\u0435\u0440.example"],
  ])("%s registers and signs in, also as %s", async (email, other) => {
    const id = await register(email);
    const [code = ""] = await mailedCodes(email);
    expect(await verify(id, other, code)).toBe(200);
    expect(await login(other, "correct horse")).toBe(200);
    // The other spelling is no second account.
    await register(other);
    expect(await mailedCodes(other)).toEqual([]);
  });

  test("a local part of more than 64 octets is refused", async () => {
    const json = { email: `${"a".repeat(65)}@example.com`, password: "correct horse", name: "Ann" };
    expect((await post("register", json)).status).toBe(422);
  });

  test("who registers right after deleting their account gets a code; the old account gets nothing of it", async () => {
    const person = await t.signIn();
    const gone = await t.request("/api/users/me", {
      method: "DELETE",
      json: { password: person.password },
      token: person.accessToken,
    });
    expect(gone.status).toBe(204);
    // Before the erasure has run.
    const id = await register(person.email);
    const [code = ""] = await mailedCodes(person.email);
    expect(await verify(id, person.email, code)).toBe(200);
    expect(await login(person.email, "correct horse")).toBe(200);
    expect((await t.deps.users.findByEmail(person.email))?.id).not.toBe(person.id);
    expect(t.mails.map(({ subject }) => subject)).toContain("Your account was deleted");
  });

  test("a resend does not extend the life of the code that was sent before", async () => {
    const email = newEmail();
    const id = await register(email);
    const [code = ""] = await mailedCodes(email);
    t.clock.advance(4 * MINUTE);
    expect((await post("resend-otp", { registrationId: id, email })).status).toBe(202);
    // The new mail waits: only the first code is out there.
    t.clock.advance(MINUTE + 1);
    expect(await verify(id, email, code)).toBe(422);
  });

  test("nothing that was typed at a registration is in the mail to an address that nobody proved", async () => {
    const email = newEmail();
    await register(email, "correct horse", "Call 555 or see evil.example");
    await mailedCodes(email);
    const mails = t.mails.filter(({ to }) => to === email);
    expect(mails).toHaveLength(1);
    expect(JSON.stringify(mails)).not.toContain("evil.example");
  });
});

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import argon2 from "argon2";
import fc from "fast-check";
import { useTestApp } from "../../test/app";
import { isCommonPassword } from "./common";
import { createPasswords } from "./passwords";
import { newPasswordSchema } from "./schema";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(60_000);

/** As production has it. */
const MEMORY = 19456;
const t = useTestApp(() => ({ passwordMemory: MEMORY }));
const post = (path: string, json: unknown) => t.request(`/auth/${path}`, { method: "POST", json });
const accepts = (password: string) => newPasswordSchema.safeParse(password).success;

describe("passwords", () => {
  test("argon2id with 19 MiB, two passes, one lane; a weaker hash is renewed at the next sign-in", async () => {
    const person = await t.signIn();
    const hash = async () => (await t.deps.users.findById(person.id))?.hashedPassword ?? "";
    expect(await hash()).toStartWith("$argon2id$v=19$m=19456,t=2,p=1$");
    const weak = await argon2.hash(person.password, { memoryCost: 8192, timeCost: 1, parallelism: 1 });
    await t.deps.mysql.on().user.update({ where: { id: person.id }, data: { hashedPassword: weak } });
    expect((await post("login", { email: person.email, password: "wrong password" })).status).toBe(401);
    expect(await hash()).toBe(weak);
    expect((await post("login", person)).status).toBe(422);
    expect((await post("login", { email: person.email, password: person.password })).status).toBe(200);
    expect(await hash()).toStartWith("$argon2id$v=19$m=19456,t=2,p=1$");
    expect((await post("login", { email: person.email, password: person.password })).status).toBe(200);
  });

  test("forms of Unicode are one password, and none is cut at 72 bytes", async () => {
    const nfd = "Cafe\u0301 Zu\u0308rich 12";
    const person = await t.signIn({ password: nfd });
    const status = async (password: string) =>
      (await post("login", { email: person.email, password })).status;
    for (const password of [nfd, nfd.normalize("NFC"), nfd.normalize("NFKD"), "Ｃafé Zürich １２"]) {
      expect(await status(password)).toBe(200);
    }
    const long = "x".repeat(100);
    const other = await t.signIn({ password: `${long} one` });
    const answer = await post("login", { email: other.email, password: `${long} two` });
    expect(answer.status).toBe(401);
  });

  test("8 to 128 code points after NFKC, whatever they are", () => {
    expect(accepts("1234567")).toBe(false);
    expect(accepts("🦊".repeat(7))).toBe(false);
    expect(accepts("🦊".repeat(8))).toBe(true);
    expect(accepts("🦊".repeat(128))).toBe(true);
    expect(accepts("🦊".repeat(129))).toBe(false);
    // One ligature of three letters: its length counts after NFKC.
    expect(accepts("ﬃﬃﬃ")).toBe(true);
    expect(accepts("        ")).toBe(true);
    const words = fc.string({ unit: "binary", minLength: 8, maxLength: 40 });
    fc.assert(
      fc.property(words, (text) => {
        const length = [...text.normalize("NFKC")].length;
        expect(accepts(text)).toBe(length >= 8 && length <= 128 && !isCommonPassword(text));
      }),
    );
  });

  test("the commonest are refused, in any case and width", async () => {
    for (const password of [
      "password",
      "PASSWORD1",
      "12345678",
      "qwertyuiop",
      "iloveyou",
      "１２３４５６７８９",
    ]) {
      expect([password, accepts(password)]).toEqual([password, false]);
    }
    expect(accepts("correct horse")).toBe(true);
    const own = [
      "mine@example.com",
      "MINE@example.com",
      "Somebody",
      "somebody2026!",
      "Administrator1",
      "aizy-2026",
    ];
    for (const password of own) {
      const json = { email: "mine@example.com", password, name: "somebody" };
      expect((await post("register", json)).status).toBe(422);
    }
  });

  test("a megabyte is refused before anything is hashed", async () => {
    const megabyte = "x".repeat(1024 * 1024);
    const hashed: string[] = [];
    const { hash, verify } = t.deps.passwords;
    t.deps.passwords.hash = async (password) => {
      hashed.push(password);
      return hash(password);
    };
    t.deps.passwords.verify = async (stored, password) => {
      hashed.push(password);
      return verify(stored, password);
    };
    try {
      for (const password of [megabyte, megabyte.slice(0, 900_000), "x".repeat(1025)]) {
        const status = (await post("login", { email: "a@example.com", password })).status;
        expect([413, 422]).toContain(status);
        const register = await post("register", { email: "a@example.com", password, name: "A" });
        expect([413, 422]).toContain(register.status);
      }
    } finally {
      Object.assign(t.deps.passwords, { hash, verify });
    }
    expect(hashed).toEqual([]);
  });

  test("objects, lists and numbers where a text belongs are 422", async () => {
    for (const bad of [{ $ne: null }, ["x"], 12345678, null, true, undefined]) {
      expect((await post("login", { email: "a@example.com", password: bad })).status).toBe(422);
      expect((await post("login", { email: bad, password: "correct horse" })).status).toBe(422);
      expect((await post("refresh", { refreshToken: bad ?? null })).status).toBe(422);
      expect((await post("forgot-password", { email: bad })).status).toBe(422);
      expect((await post("reset-password", { token: "x", password: bad })).status).toBe(422);
    }
  });
});

describe("the bound on hashing", () => {
  test("so many at once, so many wait in order, the next is told to come back", async () => {
    const passwords = createPasswords(MEMORY, 1, 3);
    const done: number[] = [];
    const work = Array.from({ length: 6 }, (_, i) =>
      passwords.hash(`password ${i}`).then(
        () => done.push(i),
        (error) => error,
      ),
    );
    const results = await Promise.all(work);
    expect(done).toEqual([0, 1, 2, 3]);
    for (const error of results.slice(4)) {
      expect(error).toMatchObject({ code: "service_unavailable", retryAfter: 2 });
    }
    expect(await passwords.verify(await passwords.hash("again and again"), "again and again")).toBe(true);
  });

  test("is a 503 with Retry-After at the edge, for known and unknown addresses, and does not count", async () => {
    const person = await t.signIn();
    const { passwords } = t.deps;
    t.deps.passwords = createPasswords(MEMORY, 1, 0);
    try {
      const answers = await Promise.all(
        [person.email, "nobody@example.com", person.email, "nobody@example.com"].flatMap((email) =>
          Array.from({ length: 4 }, () => post("login", { email, password: "wrong password" })),
        ),
      );
      const busy = answers.filter(({ status }) => status === 503);
      expect(busy.length).toBeGreaterThan(0);
      expect(busy.every(({ headers }) => headers.get("retry-after") === "2")).toBe(true);
      expect(answers.every(({ status }) => status === 503 || status === 401)).toBe(true);
    } finally {
      t.deps.passwords = passwords;
    }
    expect((await post("login", { email: person.email, password: person.password })).status).toBe(200);
  });

  test("leaves the event loop free", async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await Promise.all(Array.from({ length: 8 }, (_, i) => t.deps.passwords.hash(`password ${i}`)));
    clearInterval(timer);
    expect(turns).toBeGreaterThan(8);
  });
});

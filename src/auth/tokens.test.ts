import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { useTestApp } from "../../test/app";
import { MINUTE } from "../lib/clock";
import { createKeyRing, deriveKey, isMac, macOf } from "../lib/crypto";
import { createCursors } from "../lib/cursor";
import { createOtp } from "./otp";
import { createTokens } from "./tokens";

const t = useTestApp();

const base64 = (value: unknown) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const part = (token: string, index: number) =>
  JSON.parse(Buffer.from(token.split(".")[index] ?? "", "base64url").toString());
/** A token with the server's own key, whatever it says. */
const forge = (header: unknown, payload: unknown, hash = "sha256") => {
  const signed = `${base64(header)}.${base64(payload)}`;
  const mac = createHmac(hash, deriveKey(t.deps.config.jwtSecret, "access-token")).update(signed);
  return `${signed}.${mac.digest("base64url")}`;
};
const me = (token: string) => t.request("/api/users/me", { token });

describe("access tokens", () => {
  test("hold iss, aud, sub, sid, jti, iat, exp and purpose, and name their key", async () => {
    const person = await t.signIn();
    expect(Object.keys(part(person.accessToken, 1)).sort()).toEqual(
      ["aud", "exp", "iat", "iss", "jti", "purpose", "sid", "sub"].sort(),
    );
    expect(part(person.accessToken, 0)).toEqual({ alg: "HS256", typ: "JWT", kid: expect.any(String) });
    expect((await me(person.accessToken)).status).toBe(200);
  });

  test("hostile ones are 401 with the same body, never 500", async () => {
    const person = await t.signIn();
    const header = part(person.accessToken, 0);
    const claims = part(person.accessToken, 1);
    expect((await me(forge(header, claims))).status).toBe(200);
    const without = (name: string) =>
      Object.fromEntries(Object.entries(claims).filter(([key]) => key !== name));
    const [h = "", p = "", s = ""] = person.accessToken.split(".");
    const last = s.at(-1) ?? "";
    const spare = s.slice(0, -1) + String.fromCharCode(last.charCodeAt(0) + 1);
    const hostile: [string, string][] = [
      ["alg none", `${base64({ ...header, alg: "none" })}.${p}.`],
      ["alg none with a signature", `${base64({ ...header, alg: "none" })}.${p}.${s}`],
      ["alg None", forge({ ...header, alg: "None" }, claims)],
      ["swapped for HS512", forge({ ...header, alg: "HS512" }, claims, "sha512")],
      ["swapped for RS256", forge({ ...header, alg: "RS256" }, claims)],
      ["no kid", forge({ alg: "HS256", typ: "JWT" }, claims)],
      ["another kid", forge({ ...header, kid: "../../dev/null" }, claims)],
      ["kid is an object", forge({ ...header, kid: { $ne: null } }, claims)],
      ["header is null", forge(null, claims)],
      ["payload is null", forge(header, null)],
      ["payload is a number", forge(header, 1)],
      ["payload is a list", forge(header, [claims])],
      ["payload is not JSON", forge(header, "{")],
      ...["exp", "iat", "aud", "iss", "sub", "sid", "jti", "purpose"].map((name): [string, string] => [
        `without ${name}`,
        forge(header, without(name)),
      ]),
      ["another aud", forge(header, { ...claims, aud: "someone-else" })],
      ["aud is a list", forge(header, { ...claims, aud: [claims.aud] })],
      ["another iss", forge(header, { ...claims, iss: "someone-else" })],
      ["another purpose", forge(header, { ...claims, purpose: "refresh" })],
      ["exp is a text", forge(header, { ...claims, exp: String(claims.exp) })],
      ["exp is past", forge(header, { ...claims, exp: 1 })],
      ["sid is an object", forge(header, { ...claims, sid: { $ne: null } })],
      ["sid of nobody", forge(header, { ...claims, sid: t.deps.random.id() })],
      ["sub of nobody", forge(header, { ...claims, sub: t.deps.random.id() })],
      ["padded", `${h}.${p}.${s}=`],
      ["payload padded", `${h}.${p}=.${s}`],
      ["spare bits of the signature", `${h}.${p}.${spare}`],
      ["cut", person.accessToken.slice(0, -1)],
      ["four parts", `${person.accessToken}.${s}`],
      ["two parts", `${h}.${p}`],
      [
        "a challenge",
        t.deps.tokens.challenge({ id: "challenge", userId: person.id, epoch: 0, deviceId: null }),
      ],
      ["the refresh token", person.refreshToken],
      ["very long", `${h}.${"A".repeat(100_000)}.${s}`],
      ["empty", ""],
    ];
    for (const [name, token] of hostile) {
      const answer = await me(token);
      expect([name, answer.status, answer.headers.get("www-authenticate")]).toEqual([name, 401, "Bearer"]);
      expect((await answer.json()).code).toBe("unauthenticated");
    }
    for (const authorization of ["Basic YTpi", "Bearer", `bearer  ${person.accessToken}`, "Bearer a b"]) {
      expect((await t.request("/api/users/me", { headers: { authorization } })).status).toBe(401);
    }
  });

  test("another person's session id in a token of one's own is refused", async () => {
    const [ann, bob] = [await t.signIn(), await t.signIn()];
    const mixed = { ...part(ann.accessToken, 1), sid: part(bob.accessToken, 1).sid };
    expect((await me(forge(part(ann.accessToken, 0), mixed))).status).toBe(401);
  });

  test("end after 15 minutes, by our clock", async () => {
    const person = await t.signIn();
    t.clock.advance(15 * MINUTE - 1000);
    expect((await me(person.accessToken)).status).toBe(200);
    t.clock.advance(1000);
    expect((await me(person.accessToken)).status).toBe(401);
  });
});

interface Made {
  otp: ReturnType<typeof createOtp>;
  cursors: ReturnType<typeof createCursors>;
}

describe("keys", () => {
  const [first, second, third] = ["1", "2", "3"].map((digit) => digit.repeat(40)) as [string, string, string];

  test.each(["jwtSecretNext", "jwtSecretPrevious"])(
    "%s signs nobody out; without it they are",
    async (other) => {
      const maker = createTokens(createKeyRing({ jwtSecret: first }), t.clock);
      const reader = createTokens(createKeyRing({ jwtSecret: second, [other]: first }), t.clock);
      const stranger = createTokens(createKeyRing({ jwtSecret: third, [other]: second }), t.clock);
      const id = t.deps.random.id();
      const { token } = await maker.access("user", id, "jti");
      expect((await reader.verifyAccess(token)).sid).toBe(id);
      expect(stranger.verifyAccess(token)).rejects.toThrow("unauthenticated");
      expect(reader.readRefresh(maker.refresh(id, 3))).toEqual({ sessionId: id, counter: 3 });
      expect(stranger.readRefresh(maker.refresh(id, 3))).toBeNull();
      expect(reader.readDevice(maker.device("user", id), "user")).toBe(id);
      expect(stranger.readDevice(maker.device("user", id), "user")).toBeNull();
      const challenge = { id: "challenge", userId: "user", epoch: 2, deviceId: null };
      expect(reader.readChallenge(maker.challenge(challenge))).toEqual(challenge);
      expect(stranger.readChallenge(maker.challenge(challenge))).toBeNull();
    },
  );

  test.each(["jwtSecretNext", "jwtSecretPrevious"])(
    "%s: a mailed code and a cursor are read too",
    (other) => {
      const rings = [
        createKeyRing({ jwtSecret: first }),
        createKeyRing({ jwtSecret: second, [other]: first }),
        createKeyRing({ jwtSecret: third, [other]: second }),
      ] as const;
      const [maker, reader, stranger] = rings.map((ring) => ({
        otp: createOtp(ring("verification-code")),
        cursors: createCursors(ring("cursor")),
      })) as [Made, Made, Made];
      const hash = maker.otp.hash("123456", "row");
      expect([maker, reader, stranger].map(({ otp }) => otp.matches("123456", "row", hash))).toEqual([
        true,
        true,
        false,
      ]);
      expect(reader.otp.matches("123457", "row", hash)).toBe(false);
      expect(reader.otp.matches("123456", "another", hash)).toBe(false);
      expect(reader.otp.hash("123456", "row")).not.toEqual(hash);
      const cursor = maker.cursors.encode([1, "id"], { list: "x" });
      expect(reader.cursors.decode(cursor, { list: "x" })).toEqual([1, "id"]);
      expect(() => reader.cursors.decode(cursor, { list: "y" })).toThrow("invalid_cursor");
      expect(() => stranger.cursors.decode(cursor, { list: "x" })).toThrow("invalid_cursor");
    },
  );

  test("a MAC shorter than 16 bytes is none", () => {
    const key = deriveKey(first, "cursor");
    const mac = macOf(key, "text");
    expect([0, 15, 16, 32].map((length) => isMac([key], "text", mac.subarray(0, length)))).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });

  test("a token of one kind is none of another", async () => {
    const tokens = createTokens(createKeyRing({ jwtSecret: first }), t.clock);
    const challenge = tokens.challenge({ id: "challenge", userId: "user", epoch: 0, deviceId: null });
    expect(tokens.readDevice(challenge, "user")).toBeNull();
    expect(tokens.readChallenge(tokens.device("user", t.deps.random.id()))).toBeNull();
    expect(tokens.readDevice(tokens.device("user", t.deps.random.id()), "another")).toBeNull();
    for (const text of ["", ".", "a.b", "bnVsbA.AAAA", `${"A".repeat(500)}.${"A".repeat(43)}`]) {
      expect(tokens.readChallenge(text)).toBeNull();
      expect(tokens.readRefresh(text)).toBeNull();
    }
  });

  test("a challenge ends after five minutes", () => {
    const tokens = createTokens(createKeyRing({ jwtSecret: first }), t.clock);
    const challenge = tokens.challenge({ id: "challenge", userId: "user", epoch: 0, deviceId: null });
    t.clock.advance(5 * MINUTE);
    expect(tokens.readChallenge(challenge)).toBeNull();
  });
});

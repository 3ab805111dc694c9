import { expect, test } from "bun:test";
import fc from "fast-check";
import { systemClock } from "../lib/clock";
import type { AppError } from "../lib/errors";
import { createRandom } from "../lib/random";
import { createVault } from "./vault";

const random = createRandom(systemClock);
const [old, newer] = [random.bytes(32), random.bytes(32)];
const before = createVault(new Map([["v1", old]]), random);
const rotated = createVault(
  new Map([
    ["v2", newer],
    ["v1", old],
  ]),
  random,
);

test("what is sealed comes back, under the first key and whichever sealed it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.string(), (bytes, place) => {
      const plain = new Uint8Array(bytes);
      const sealed = before.seal(plain, place);
      expect(rotated.open(sealed, place)).toEqual(plain);
      expect([before.isCurrent(sealed), rotated.isCurrent(sealed)]).toEqual([true, false]);
      const anew = rotated.seal(plain, place);
      expect(anew.keyVersion).toBe("v2");
      expect(rotated.open(anew, place)).toEqual(plain);
      expect(() => before.open(anew, place)).toThrow("service_unavailable");
    }),
  );
});

test("a copy may know a key before it encrypts under it, and says which one it lacks", () => {
  const prepared = createVault(
    new Map([
      ["v1", old],
      ["v2", newer],
    ]),
    random,
  );
  const plain = random.bytes(20);
  expect(prepared.seal(plain, "here").keyVersion).toBe("v1");
  const anew = rotated.seal(plain, "here");
  expect(prepared.open(anew, "here")).toEqual(plain);
  expect(before.open(prepared.seal(plain, "here"), "here")).toEqual(plain);
  try {
    before.open(anew, "here");
    throw new Error("it was read");
  } catch (error) {
    const { status, retryAfter, cause } = error as AppError;
    expect([status, retryAfter]).toEqual([503, 10]);
    expect(String(cause)).toContain("DATA_KEY holds no key v2");
  }
});

test("a changed byte, another place, another key's version and a cut one are refused", () => {
  const sealed = rotated.seal(random.bytes(20), "here");
  for (let i = 0; i < sealed.bytes.length; i++) {
    const bytes = sealed.bytes.slice();
    bytes[i] = (bytes[i] ?? 0) ^ 1;
    expect(() => rotated.open({ ...sealed, bytes }, "here")).toThrow();
  }
  expect(() => rotated.open(sealed, "there")).toThrow();
  expect(() => rotated.open({ ...sealed, keyVersion: "v1" }, "here")).toThrow();
  for (const length of [0, 1, 12, 27, sealed.bytes.length - 1]) {
    expect(() => rotated.open({ ...sealed, bytes: sealed.bytes.slice(0, length) }, "here")).toThrow();
  }
});

test("the same text is never sealed to the same bytes", () => {
  const plain = random.bytes(20);
  const seen = new Set(
    Array.from({ length: 100 }, () => Buffer.from(before.seal(plain, "x").bytes).toString("hex")),
  );
  expect(seen.size).toBe(100);
});

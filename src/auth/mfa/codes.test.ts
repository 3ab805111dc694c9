import { expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { systemClock } from "../../lib/clock";
import { createRandom } from "../../lib/random";
import { BACKUP_CODE, canonicalBackupCode, newBackupCodes } from "./backup-codes";
import { stepOfCode } from "./totp";

/** RFC 4226 §5.3, written out once more. */
function hotp(secret: Uint8Array, counter: number): string {
  const message = Buffer.alloc(8);
  message.writeBigUInt64BE(BigInt(counter));
  const mac = createHmac("sha1", secret).update(message).digest();
  const offset = (mac.at(-1) ?? 0) & 15;
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

const secrets = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => new Uint8Array(bytes));
/** To the year 4000. */
const times = fc.integer({ min: 100_000, max: 64_060_588_800_000 });

test("a code belongs to its own step, and counts from one step before it to one after", () => {
  fc.assert(
    fc.property(secrets, times, fc.integer({ min: -3, max: 3 }), (secret, time, distance) => {
      const step = Math.floor(time / 30_000);
      const near = [-1, 0, 1].map((d) => hotp(secret, step + d));
      const code = hotp(secret, step + distance);
      const taken = stepOfCode(secret, code, new Date(time));
      // Now and then two steps have one code.
      if (taken === null) expect(near).not.toContain(code);
      else expect([Math.abs(taken - step) <= 1, hotp(secret, taken)]).toEqual([true, code]);
      if (Math.abs(distance) <= 1) expect(taken).not.toBeNull();
    }),
    { numRuns: 500 },
  );
});

test("any other text is no code", () => {
  fc.assert(
    fc.property(secrets, times, fc.string(), (secret, time, text) => {
      fc.pre(!/^\d{6}$/.test(text));
      expect(stepOfCode(secret, text, new Date(time))).toBeNull();
    }),
  );
});

test("backup codes: ten, each numbered, none alike; read back however they were typed", () => {
  const random = createRandom(systemClock);
  const all = Array.from({ length: 200 }, () => newBackupCodes(random)).flat();
  expect(new Set(all).size).toBe(2000);
  for (const [i, code] of all.entries()) {
    expect(code).toMatch(/^.{4}-.{4}-.{4}$/);
    expect(code[0]).toBe(String(i % 10));
    const canonical = canonicalBackupCode(code);
    expect(canonical).toMatch(BACKUP_CODE);
    const typed = code.toUpperCase().replaceAll("-", " - ").replaceAll("1", "I").replaceAll("0", "o");
    expect(canonicalBackupCode(typed)).toBe(canonical);
  }
  // Every character in every place but the first: none is left out.
  for (let place = 1; place < 12; place++) {
    expect(new Set(all.map((code) => canonicalBackupCode(code)[place])).size).toBe(32);
  }
});

test("any text: a canonical code is its own", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      const once = canonicalBackupCode(text);
      expect(canonicalBackupCode(once)).toBe(once);
    }),
  );
});

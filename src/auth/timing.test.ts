/**
 * Known and unknown addresses: the same status, body and headers, and times that cannot be told apart over 200
 * interleaved tries (with AIZY_LONG=1; 30 without) while mail goes to a slow server. The times of the two are compared by the Mann-Whitney U
 * test, which asks whether one tends to be larger; that is not an assertion about how long anything takes.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { useTestApp } from "../../test/app";
import { startSmtpServer } from "../../test/smtp";
import { createSmtpMailer } from "../mail/smtp";

// Hashes cost what they do in production.
const t = useTestApp(() => ({ trustedProxies: ["127.0.0.1"], passwordMemory: 19456 }));
const TRIES = process.env.AIZY_LONG === "1" ? 200 : 30;
/** Above it (six standard deviations, one in 500 million by chance) times tell the two apart. */
const LIMIT = 6;

let stop: () => Promise<void>;
beforeAll(async () => {
  const smtp = await startSmtpServer({ delayMs: 300 });
  const mailer = createSmtpMailer(smtp.url, "no-reply@example.com");
  t.deps.mail = mailer;
  t.runner.start();
  stop = async () => {
    await t.runner.stop();
    mailer.close();
    await smtp.close();
  };
});
afterAll(() => stop());

/** The standardised U of two samples: how many standard deviations their order is away from chance. */
function separation(a: number[], b: number[]): number {
  const all = [...a.map((value) => ({ value, own: 1 })), ...b.map((value) => ({ value, own: 0 }))];
  all.sort((x, y) => x.value - y.value);
  const ranks = all.reduce((sum, { own }, index) => sum + own * (index + 1), 0);
  const u = ranks - (a.length * (a.length + 1)) / 2;
  const mean = (a.length * b.length) / 2;
  const deviation = Math.sqrt((a.length * b.length * (a.length + b.length + 1)) / 12);
  return Math.abs(u - mean) / deviation;
}

async function timed(path: string, json: unknown, i: number) {
  const ip = `192.0.${Math.floor(i / 200)}.${i % 200}`;
  const start = performance.now();
  const answer = await t.request(`/auth/${path}`, {
    method: "POST",
    json,
    headers: { "x-forwarded-for": ip },
  });
  const body = await answer.text();
  const ms = performance.now() - start;
  const headers = [...answer.headers].filter(([name]) => name !== "x-request-id");
  const shape = body.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "ID");
  return { ms, seen: JSON.stringify([answer.status, headers, shape]) };
}

describe("known and unknown addresses", () => {
  const bodies: [string, number, (email: string) => unknown][] = [
    ["login", 401, (email) => ({ email, password: "wrong password" })],
    ["register", 202, (email) => ({ email, password: "correct horse", name: "Ann" })],
    ["forgot-password", 202, (email) => ({ email })],
  ];
  for (const [path, status, bodyOf] of bodies) {
    test(`${path}: the same answer in the same time`, async () => {
      // Several of each, so that neither locks of one row nor its place in a cache tell.
      const known = await Promise.all(Array.from({ length: 5 }, async () => (await t.signIn()).email));
      const unknown = (i: number) => `unknown-${path}-${String(i).padStart(30, "0")}@example.com`;
      const times = { known: [] as number[], unknown: [] as number[] };
      const seen = new Set<string>();
      for (let i = -10; i < TRIES; i++) {
        const one = () => timed(path, bodyOf(known[Math.abs(i) % 5] ?? ""), i + 20);
        const two = () => timed(path, bodyOf(unknown(i + 20)), i + 20);
        // Which comes first changes, so that what one leaves behind burdens both alike.
        const first = i % 2 === 0 ? await one() : await two();
        const second = i % 2 === 0 ? await two() : await one();
        const [ofKnown, ofUnknown] = i % 2 === 0 ? [first, second] : [second, first];
        seen.add(ofKnown.seen).add(ofUnknown.seen);
        if (i < 0) continue;
        times.known.push(ofKnown.ms);
        times.unknown.push(ofUnknown.ms);
      }
      expect([...seen]).toHaveLength(1);
      expect([...seen][0]).toStartWith(`[${status},`);
      expect(separation(times.known, times.unknown)).toBeLessThan(LIMIT);
    }, 120_000);
  }
});

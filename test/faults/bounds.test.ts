import { expect, test } from "bun:test";
import { type Allowed, missedBounds, type Outcome } from "./bounds";
import type { Call } from "./load";

const call = (status: number, seconds = 0.1, retryAfter: string | null = "1"): Call => ({
  kind: "read",
  began: 0,
  ended: seconds * 1000,
  status,
  retryAfter: status === 503 ? retryAfter : null,
});
const GOOD: Outcome = {
  calls: [call(200), call(503), call(409)],
  recovered: 0.5,
  lost: [],
  doubled: [],
  mailsDoubled: [],
  differences: 0,
};

test("a row within every bound is right", () => {
  expect(missedBounds(GOOD, {})).toEqual([]);
});

test.each<[string, Partial<Outcome>, string]>([
  ["anything lost", { lost: ["product A"] }, "1 lost"],
  ["anything doubled", { doubled: ["product A: 2"] }, "1 doubled"],
  ["a mail that came twice", { mailsDoubled: ["the mail to a: 2"] }, "1 mails doubled"],
  ["stock that does not add up", { differences: 2 }, "the stock of 2 SKUs differs"],
  ["a 500", { calls: [call(500), call(500)] }, "2 answers of 500"],
  ["no answer", { calls: [call(0)] }, "1 calls without an answer"],
  ["a 503 without Retry-After", { calls: [call(503, 0.1, null)] }, "1 refusals without Retry-After"],
  ["a late 503", { calls: [call(503, 3.4)] }, "a refusal took 3.4 s"],
  ["a recovery of 90 s", { recovered: 90 }, "recovered after 90.0 s"],
])("%s fails it", (_, change, words) => {
  expect(missedBounds({ ...GOOD, ...change }, {})).toEqual([words]);
});

test.each<[Allowed, Partial<Outcome>]>([
  [{ slow: true }, { calls: [call(503, 6)] }],
  [{ ends: true }, { calls: [call(0)] }],
  [{ mailsTwice: true }, { mailsDoubled: ["the mail to a: 2"] }],
])("what a fault brings about by its nature is allowed it alone: %p", (allowed, change) => {
  expect(missedBounds({ ...GOOD, ...change }, allowed)).toEqual([]);
  expect(missedBounds({ ...GOOD, ...change, recovered: 6 }, allowed)).toHaveLength(1);
});

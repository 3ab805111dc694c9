import { expect, test } from "bun:test";
import { isGuessable } from "./guessable";

test.each([
  "x".repeat(48),
  "changemechangemechangemechangeme",
  "change-me-please-before-production-1",
  "your-secret-goes-here-0123456789abcdef",
  "my super secret key that nobody knows",
  "abcdefghijklmnopqrstuvwxyz0123456789",
  "0123456789abcdef0123456789abcdef",
  "98765432109876543210987654321098",
  "kX9mB2pQkX9mB2pQkX9mB2pQkX9mB2pQ",
  "P@ssw0rd-P@ssw0rd-P@ssw0rd-123!",
])("%s is guessable", (text) => expect(isGuessable(text)).toBe(true));

test("what openssl rand makes is not, in hexadecimal and in base64", () => {
  for (let n = 0; n < 2000; n++) {
    const bytes = Buffer.from(crypto.getRandomValues(new Uint8Array(48)));
    const made = [bytes.subarray(0, 16).toString("hex"), bytes.toString("base64"), bytes.toString("latin1")];
    expect(made.filter(isGuessable)).toEqual([]);
  }
});

test("nor is a sentence of one's own", () => {
  expect(isGuessable("correct horse battery staple, and a lamp")).toBe(false);
});

import { expect, test } from "bun:test";
import { emailKey, isEmail } from "./email";

test.each([
  "ann@example.com",
  "a&b@example.com",
  "a/b=c@example.com",
  "ann+shop@b\u00fccher.example",
  "ann@\u4f8b\u3048.\u30c6\u30b9\u30c8",
  "o'brien@sub.example.co.uk",
  `${"a".repeat(64)}@example.com`,
  "ann@xn--bcher-kva.example",
])("%s is an address", (text) => {
  expect(isEmail(text)).toBe(true);
});

test.each([
  `${"a".repeat(65)}@example.com`,
  "ann@localhost",
  "ann@1.2.3.4",
  "ann@[1.2.3.4]",
  ".ann@example.com",
  "a..b@example.com",
  "ann@-example.com",
  "ann@a..b",
  "ann@a_b.com",
  "ann@example.com/x",
  "ann@ex ample.com",
  "a@b@example.com",
  "\u00e4nn@example.com",
  '"ann x"@example.com',
  `ann@${"a".repeat(64)}.com`,
  `ann@${"a.".repeat(126)}com`,
  "ann",
  "@example.com",
])("%s is none", (text) => {
  expect(isEmail(text)).toBe(false);
});

test("one mailbox has one key, whatever case and script it is typed in", () => {
  const keys = ["Ann@B\u00dcCHER.example", "ann@b\u00fccher.example", "ANN@xn--bcher-KVA.example"].map(
    emailKey,
  );
  expect(new Set(keys)).toEqual(new Set(["ann@xn--bcher-kva.example"]));
  expect(emailKey("nothing")).toBe("nothing");
});

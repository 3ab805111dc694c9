import { expect, test } from "bun:test";
import fc from "fast-check";
import { cleanAddresses } from "./intake/privacy";
import { maskPath } from "./live";

test("every kind of address in a text loses its query, its fragment and who signs in", () => {
  for (const [text, clean] of [
    ["HTTPS://ann:pw@Shop.example/r?token=1#x", "https://shop.example/r"],
    ["https://shop.example/?utm_source=a&token=1", "https://shop.example/?utm_source=a"],
    ["/reset?token=1", "/reset"],
    ["/reset#access_token=1", "/reset"],
    ["see /reset?token=1, then (/a?b=c)", "see /reset, then (/a)"],
    ["//cdn.example/a?token=1", "//cdn.example/a"],
    ["www.shop.example/r?token=1", "www.shop.example/r"],
    ["shop.example?token=1", "shop.example"],
    ["shop.example:8080/r?token=1", "shop.example:8080/r"],
    ["myapp://reset?token=1", "myapp://reset"],
    ["ftp://ann:pw@files.example/a", "ftp://files.example/a"],
    ["a/b?token=1", "a/b"],
    ["https%3A%2F%2Fshop.example%2Fr%3Ftoken%3D1", "https%3A%2F%2Fshop.example%2Fr"],
    [
      '{"next":"/r?token=1","to":"https://shop.example/r?token=1"}',
      '{"next":"/r","to":"https://shop.example/r"}',
    ],
    // What is no address stays.
    ["tv/radio? and/or?", "tv/radio? and/or?"],
    ["what? C# a=b?c=d", "what? C# a=b?c=d"],
    ["ann@shop.example", "ann@shop.example"],
    ["50% off?", "50% off?"],
  ] as const) {
    expect([text, cleanAddresses(text)]).toEqual([text, clean]);
    expect(cleanAddresses({ list: [{ text }] })).toEqual({ list: [{ text: clean }] });
  }
});

test("what was cleaned stays as it is, whatever it was", () => {
  const part = fc.constantFrom(
    "https://",
    "a.example",
    "/",
    "?",
    "#",
    "=",
    "@",
    ":",
    " ",
    "x",
    "%3A%2F%2F",
    "%3f",
    '"',
    "\\",
  );
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 12 }).map((parts) => parts.join("")),
      (text) => {
        const clean = cleanAddresses(text);
        expect(cleanAddresses(clean)).toEqual(clean);
      },
    ),
    { numRuns: 500 },
  );
});

test("long hostile texts take no time to speak of", () => {
  for (const one of ["a", "a.", "/", "?", "a/", "%3a%2f%2f", "https%3A%2F%2F", "https://", "://", "@:"])
    expect(typeof cleanAddresses(one.repeat(200_000))).toBe("string");
});

test("paths of the live view name nobody", () => {
  for (const section of ["team", "friends", "wishlist", "registry", "gift-for", "reviewers", "Users", "m"])
    expect(maskPath(`/${section}/ann/lamps`)).not.toContain("ann");
  expect(maskPath("/lamps/desk-lamps")).toBe("/lamps/desk-lamps");
});

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { canonicalKey, cleanText, slugify } from "./text";

const text = fc.string({
  unit: fc.oneof(fc.constantFrom(..."aAßẞſKÅéİıΣςǅŉ-_ \u0301\u0345"), fc.string({ unit: "binary" })),
});
const anyText = fc.oneof(text, fc.string({ unit: "grapheme" }), fc.string({ unit: "binary" }));

/** Every letter there is. */
function* characters(): Generator<string> {
  for (let code = 0; code < 0x110000; code++) {
    if (code < 0xd800 || code > 0xdfff) yield String.fromCodePoint(code);
  }
}

describe("canonicalKey", () => {
  test.each([
    ["Ann@Example.COM", "ann@example.com"],
    ["  x \u00a0", "x"],
    ["STRASSE", "straße"],
    ["ﬁn", "FIN"],
    ["e\u0301", "É"],
    ["\u212a", "k"],
    ["\u017f", "S"],
    ["ΟΔΟΣ", "οδοσ"],
    ["ΟΔΟΣ", "οδος"],
    ["Å", "\u212b"],
    ["MUG  BLUE", "mug blue"],
    ["mug\u00a0blue", "mug\u2009\u3000blue"],
  ])("%p and %p are one key", (one, other) => {
    expect(canonicalKey(one)).toBe(canonicalKey(other));
  });

  test.each([
    ["e", "é"],
    ["1", "１"],
    ["a-b", "a_b"],
    ["a b", "ab"],
    ["i", "ı\u0307\u0323"],
  ])("%p and %p are two", (one, other) => {
    expect(canonicalKey(one)).not.toBe(canonicalKey(other));
  });

  test("every character: a key is its own key; spelling and case make no other", () => {
    const wrong: string[] = [];
    for (const character of characters()) {
      const key = canonicalKey(character);
      const same = [key, character.toUpperCase(), character.toLowerCase(), character.normalize("NFD")];
      if (same.some((other) => canonicalKey(other) !== key)) wrong.push(character);
    }
    expect(wrong).toEqual([]);
    // A hang guard: more than a million characters, on a machine that does other things as well.
  }, 120_000);

  test("any text: a key is its own key, normal and well-formed", () => {
    fc.assert(
      fc.property(anyText, (value) => {
        const key = canonicalKey(value);
        expect(canonicalKey(key)).toBe(key);
        expect(key.normalize("NFC")).toBe(key);
        expect(key.isWellFormed()).toBe(true);
        expect(canonicalKey(value.normalize("NFD"))).toBe(key);
      }),
    );
  });

  test("half of a surrogate pair is what the database would make of it", () => {
    expect(canonicalKey("a\ud800")).toBe("a\ufffd");
    expect(cleanText("\udc00b")).toBe("\ufffdb");
  });
});

describe("slugify", () => {
  test.each([
    ["Crème Brûlée", "creme-brulee"],
    ["  --A  &  B!! ", "a-b"],
    ["Größe 10½", "grosse-101-2"],
    ["日本 茶", "日本-茶"],
    ["ᴬ ϒ", "a-υ"],
    ["../../etc", "etc"],
    ["<script>", "script"],
    ["!!!", ""],
    ["👩‍👩‍👧", ""],
  ])("%p gives %p", (name, slug) => {
    expect(slugify(name)).toBe(slug);
  });

  test("any text: a slug is its own slug, at most 120 long, of letters, digits and single hyphens", () => {
    fc.assert(
      fc.property(
        fc.oneof(anyText, fc.string({ minLength: 200, unit: fc.constantFrom(..."a-𐐀é日 ") })),
        (name) => {
          const slug = slugify(name);
          expect(slugify(slug)).toBe(slug);
          expect(slug.length).toBeLessThanOrEqual(120);
          expect(slug.isWellFormed()).toBe(true);
          expect(slug).toMatch(/^([\p{L}\p{N}\p{M}]+(-[\p{L}\p{N}\p{M}]+)*)?$/u);
        },
      ),
    );
  });
});

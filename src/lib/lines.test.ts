import { expect, test } from "bun:test";
import fc from "fast-check";
import { linesOf } from "./lines";

/** What other readers of lines take for the end of one. */
const ENDS_ELSEWHERE = ["\r", "\u2028", "\u2029", "\u0085", "\v", "\f"];

test("only \\n ends a line, wherever the bytes are cut", async () => {
  const line = fc.string({
    unit: fc.oneof(
      fc.constantFrom(...ENDS_ELSEWHERE, "\0", "é"),
      fc.string({ unit: "grapheme", maxLength: 1 }),
    ),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(line), fc.integer({ min: 1, max: 9 }), async (drawn, size) => {
      const lines = drawn.map((text) => text.replaceAll("\n", ""));
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""));
      async function* chunks() {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      }
      expect(await Array.fromAsync(linesOf(chunks()))).toEqual(lines);
    }),
  );
});

test("the last line needs no end", async () => {
  async function* bytes() {
    yield Buffer.from("a\n\nb");
  }
  expect(await Array.fromAsync(linesOf(bytes()))).toEqual(["a", "", "b"]);
});

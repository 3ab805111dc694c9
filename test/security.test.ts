import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";

/** Requirements of each section of ASVS 5.0.0, chapters V6 to V9. */
const SECTIONS: Record<string, number[]> = {
  V6: [3, 12, 8, 6, 8, 4, 2, 4],
  V7: [3, 4, 2, 5, 3, 2],
  V8: [4, 4, 3, 2],
  V9: [3, 4],
};
const page = await readFile("docs/security.md", "utf8");
const rows = page.split("\n").flatMap((line) => {
  const [, id, met, text, tests] =
    /^\| (V\d+\.\d+\.\d+) \| ([^|]+) \| ([^|]+) \| ([^|]*) ?\|$/.exec(line) ?? [];
  return id && met && text && tests !== undefined ? [{ id, met, text, tests }] : [];
});

test("docs/security.md has one row for each requirement of ASVS 5.0, chapters V6 to V9", () => {
  const expected = Object.entries(SECTIONS).flatMap(([chapter, counts]) =>
    counts.flatMap((count, section) =>
      Array.from({ length: count }, (_, index) => `${chapter}.${section + 1}.${index + 1}`),
    ),
  );
  expect(rows.map(({ id }) => id)).toEqual(expected);
});

test("each row says whether it is met and why, and each test that it names exists", async () => {
  const missing: string[] = [];
  for (const { id, met, text, tests } of rows) {
    expect([id, met]).toEqual([id, expect.stringMatching(/^(yes|in part|no|n\/a)$/)]);
    expect([id, text.length > 3]).toEqual([id, true]);
    for (const [, file = "", name = ""] of tests.matchAll(/`(\S+) › ([^`]+)`/g)) {
      const source = await readFile(file, "utf8").catch(() => "");
      // A name in the source may have its quotes escaped.
      if (!source.replaceAll("\\", "").includes(name)) missing.push(`${id}: ${file} › ${name}`);
    }
    expect([id, tests.split("›").length - 1]).toEqual([id, [...tests.matchAll(/`\S+ › [^`]+`/g)].length]);
  }
  expect(missing).toEqual([]);
});

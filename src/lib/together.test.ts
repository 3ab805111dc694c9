import { expect, test } from "bun:test";
import { sameAtOnce } from "./together";

test("one answer serves all who ask the same in one turn, and begins after the last of them has asked", async () => {
  const begun: string[] = [];
  let state = "old";
  const read = sameAtOnce(async ({ of }: { of: string }) => {
    begun.push(of);
    if (of === "broken") throw new Error("broken");
    return `${of} ${state}`;
  });
  const first = read({ of: "a" });
  expect(begun).toEqual([]);
  state = "new";
  const answers = await Promise.all([first, read({ of: "a" }), read({ of: "b" })]);
  expect(answers).toEqual(["a new", "a new", "b new"]);
  expect(begun).toEqual(["a", "b"]);
  state = "newer";
  expect(await read({ of: "a" })).toBe("a newer");
  const failed = await Promise.allSettled([read({ of: "broken" }), read({ of: "broken" })]);
  expect(failed.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(begun).toEqual(["a", "b", "a", "broken"]);
});

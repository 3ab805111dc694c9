import { expect, test } from "bun:test";
import { dateIn, jsonIn, parsed } from "./json-row";

test("times as MySQL and MariaDB write them are times in UTC", () => {
  for (const text of ["2026-12-01 03:41:53.928000", "2026-12-01 03:41:53.928"])
    expect(dateIn(text)).toEqual(new Date("2026-12-01T03:41:53.928Z"));
  expect(dateIn("1999-12-31 23:59:59")).toEqual(new Date("1999-12-31T23:59:59Z"));
});

test("a value is read once, whether it comes as JSON or as its text", () => {
  expect(jsonIn<object>([])).toBeNull();
  expect(jsonIn<object>([{ json: { a: 1 } }])).toEqual({ a: 1 });
  expect(jsonIn<object>([{ json: '{"a":1}' }])).toEqual({ a: 1 });
  expect([parsed(null), parsed("[1]"), parsed([1])]).toEqual([null, [1], [1]]);
});

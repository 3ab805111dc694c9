import { expect, test } from "bun:test";
import fc from "fast-check";
import { repeatedName } from "./json";

test.each([
  ['{"a":1,"a":2}', "a"],
  ['{"a":{"b":1,"b":2},"c":1}', "b"],
  ['[{"a":1},{"a":2}]', undefined],
  ['{"a":{"a":{"a":1}}}', undefined],
  ['{"x":{},"a":1,"b":[{"a":1}],"a" : 2}', "a"],
  ['{"\\u0061":1,"a":2}', "a"],
  ['{"a":"b\\":1,\\"b","b":"a"}', undefined],
  ['{"a\\\\":"{","a":"}"}', undefined],
  ['{"__proto__":1,"constructor":2}', undefined],
])("a name that stands twice in one object: %s", (text, repeated) => {
  expect(repeatedName(text)).toBe(repeated);
});

test("no JSON that was written from a value has a name twice, and one that was put in again is found", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), (value) => {
      const text = JSON.stringify(value, null, 1);
      expect(repeatedName(text)).toBeUndefined();
      const name = Object.keys(value).at(-1) as string;
      expect(repeatedName(`${text.slice(0, -1)},${JSON.stringify(name)}:0}`)).toBe(name);
    }),
  );
});

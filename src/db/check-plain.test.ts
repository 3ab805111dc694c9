import { expect, test } from "bun:test";
import fc from "fast-check";
import mongoose, { Schema } from "mongoose";
import { refusedFields } from "../lib/errors";
import { atMost } from "./at-most";
import { checkPlain } from "./check-plain";
import { modelOf, partOf } from "./model";

const part = partOf<Record<string, unknown>>(
  {
    _id: { type: String, required: true },
    size: { type: Number, min: 1, required: true },
    note: { type: String, default: null },
    tags: [{ _id: false, text: { type: String, required: true, validate: atMost(2) } }],
  },
  { strict: "throw" },
);
const schema = partOf<Record<string, unknown>>(
  {
    _id: { type: String, required: true },
    name: { type: String, required: true, validate: atMost(3) },
    kind: { type: String, enum: ["a", "b"], required: true },
    code: { type: String, match: /^[A-Z]+$/ },
    whole: { type: Number, default: 1, validate: Number.isSafeInteger },
    done: Boolean,
    at: { type: Date, required: true },
    words: { type: [String], default: undefined },
    any: { type: Schema.Types.Mixed, default: undefined, validate: (value: unknown) => value !== "never" },
    parts: { type: [part], required: true },
    cover: {
      type: partOf<Record<string, unknown>>(
        { alt: { type: String, required: true } },
        { _id: false, strict: "throw" },
      ),
      default: undefined,
    },
  },
  { strict: "throw" },
);
const Model = modelOf("Plain", schema)(mongoose.createConnection());

const partly = <T>(...values: T[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
const tag = fc.record({ text: partly("ab", "abc", "𠀀𠀀", "") }, { requiredKeys: [] });
const parts = fc.record(
  {
    _id: fc.constant("p"),
    size: partly<unknown>(0, 1, 2.5, "x", null),
    note: partly<unknown>(null, "n"),
    tags: fc.array(tag, { maxLength: 2 }),
  },
  { requiredKeys: ["_id"] },
);
const documents = fc.record(
  {
    _id: fc.constant("d"),
    name: partly<unknown>("abc", "abcd", "𠀀𠀀𠀀", "", null),
    kind: partly<unknown>("a", "c", null),
    code: partly("AB", "a"),
    whole: partly<unknown>(1, 1.5, null, "two"),
    done: partly<unknown>(true, "maybe"),
    at: partly<unknown>(new Date(0), "no date"),
    words: partly(["a"], []),
    any: partly<unknown>("never", { deep: [1] }, null),
    parts: fc.array(parts, { maxLength: 2 }),
    cover: partly<unknown>({ alt: "x" }, {}, null),
  },
  { requiredKeys: ["_id", "parts"] },
);

test("a plain object is refused when a document made of it is, for the same faults", async () => {
  await fc.assert(
    fc.asyncProperty(documents, async (given) => {
      // A field that is there without a value is none.
      const plain = JSON.parse(JSON.stringify(given), (key, value) =>
        key === "at" && value !== "no date" ? new Date(value) : value,
      );
      const byDocument = await new Model(plain).validate().then(() => undefined, refusedFields);
      let byPlain: ReturnType<typeof refusedFields>;
      try {
        checkPlain(schema, plain);
      } catch (error) {
        byPlain = refusedFields(error);
        expect(byPlain).toBeDefined();
      }
      // A document names the list as well as the entry that is wrong.
      const leaves = (faults: typeof byPlain) =>
        faults
          ?.map(({ path, kind }) => `${path} ${kind}`)
          .filter((one) => !/^parts (?!required)|^cover (?!required)|tags \w/.test(one))
          .toSorted();
      expect(byPlain === undefined).toBe(byDocument === undefined);
      // Of several entries of a list a document leaves out some.
      expect(leaves(byPlain) ?? []).toEqual(expect.arrayContaining(leaves(byDocument) ?? []));
    }),
    { numRuns: 300 },
  );
});

test("a field that the schema does not know is refused, also inside", () => {
  const plain = { _id: "d", name: "a", kind: "a", at: new Date(), parts: [] };
  expect(() => checkPlain(schema, plain)).not.toThrow();
  expect(() => checkPlain(schema, { ...plain, extra: 1 })).toThrow("extra");
  expect(() => checkPlain(schema, { ...plain, parts: [{ _id: "p", size: 1, $set: 1 }] })).toThrow("$set");
});

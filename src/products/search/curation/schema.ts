import { z } from "zod";
import { dataOf, pageOf } from "../../../http/envelopes";
import { countSchema, idSchema } from "../../../http/fields";
import { lineSchema } from "../../index";
import { wordsOf } from "../text";
import { ruleKeyOf } from "./current";

const id = idSchema;
export const managedParam = z.object({ id });
const NO_WORD = "must have a letter or digit";

const term = lineSchema(100).refine((text) => wordsOf(text).length > 0, NO_WORD);
const formOf = (text: string) =>
  wordsOf(text)
    .map(({ surface }) => surface)
    .join(" ");

export const synonymSchema = z
  .strictObject({
    input: term
      .nullish()
      .meta({ description: "Searching for this finds the terms too, but not the other way round" }),
    terms: z.array(term).min(1, "must not be empty").max(20, "must be at most 20 terms"),
  })
  .refine(({ terms }) => new Set(terms.map(formOf)).size === terms.length, {
    path: ["terms"],
    message: "names a term twice",
  })
  .refine(({ input, terms }) => (input ? !terms.map(formOf).includes(formOf(input)) : terms.length > 1), {
    path: ["terms"],
    message: "must be two terms or more, or other terms than input",
  })
  .meta({ id: "SynonymBody" });

const products = (max: number) =>
  z
    .array(id)
    .max(max, `must be at most ${max} products`)
    .refine((ids) => new Set(ids).size === ids.length, "names a product twice")
    .optional();

export const ruleSchema = z
  .strictObject({
    query: lineSchema(200).refine((text) => ruleKeyOf(text) !== "", NO_WORD),
    pinned: products(50).meta({ description: "Ids of products that come first, in this order" }),
    hidden: products(200).meta({ description: "Ids of products that are not shown" }),
    redirect: id.nullish().meta({ description: "Id of the category to show instead" }),
  })
  .refine(
    ({ pinned = [], hidden = [], redirect }) => pinned.length > 0 || hidden.length > 0 || redirect,
    "must pin, hide or redirect",
  )
  .refine(({ pinned = [], hidden = [] }) => !pinned.some((one) => hidden.includes(one)), {
    path: ["hidden"],
    message: "names a product that is pinned",
  })
  .meta({ id: "SearchRuleBody" });

export type SynonymBody = z.output<typeof synonymSchema>;
export type RuleBody = z.output<typeof ruleSchema>;

export const managedListSchema = z.strictObject({
  limit: countSchema(100, 100),
  cursor: z.string().max(500, "is too long").optional(),
});
export type ManagedListQuery = z.output<typeof managedListSchema>;

const managed = {
  id: z.string(),
  version: z.number().int(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
};

const synonymResponse = z
  .object({ ...managed, input: z.string().nullable(), terms: z.array(z.string()) })
  .meta({ id: "Synonym" });
const ruleResponse = z
  .object({
    ...managed,
    query: z.string(),
    pinned: z.array(z.string()),
    hidden: z.array(z.string()),
    redirect: z.string().nullable(),
  })
  .meta({ id: "SearchRule" });

export type SynonymResponse = z.infer<typeof synonymResponse>;
export type RuleResponse = z.infer<typeof ruleResponse>;
export const synonymAnswer = dataOf(synonymResponse);
export const synonymListAnswer = pageOf(synonymResponse);
export const ruleAnswer = dataOf(ruleResponse);
export const ruleListAnswer = pageOf(ruleResponse);

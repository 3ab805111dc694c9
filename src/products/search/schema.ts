import { z } from "zod";
import { dataOf, pageOf } from "../../http/envelopes";
import { countSchema, pageQuery } from "../../http/fields";
import type { FieldCode } from "../../lib/errors";
import { cleanText } from "../../lib/text";
import { itemResponse } from "../answers";
import {
  defaultList,
  type Include,
  includeSchema,
  LIST_PARAMETERS,
  type ProductFilter,
  type ProductListQuery,
  parameter,
  readListKey,
  UNKNOWN_FIELD,
} from "../filters";

/** Most characters of a query. */
const MAX_TEXT = 200;

/** What a search is asked for. */
export interface SearchQuery extends Omit<ProductListQuery, "sort"> {
  text: string;
  filter: ProductFilter;
  include: Include[];
  /** Undefined: the best first. */
  sort: ProductListQuery["sort"] | undefined;
  facets: boolean;
}

const textSchema = z
  .string("must be a string")
  .max(MAX_TEXT, `must be at most ${MAX_TEXT} characters`)
  // Spaces behind a word say that it is finished.
  .transform((text) =>
    text
      .toWellFormed()
      .replace(/\p{Cc}+/gu, " ")
      .normalize("NFC")
      .trimStart(),
  )
  .refine((text) => cleanText(text) !== "", "must not be empty");

/** Reads the query of a search: `q`, `facets`, and whatever a list of products takes. */
export const searchSchema = z
  .object({
    q: parameter('What to look for: words, "a phrase", -word'),
    facets: parameter("false for no facets"),
    ...LIST_PARAMETERS,
  })
  .catchall(z.union([z.string(), z.array(z.string())]))
  .transform((query, ctx): SearchQuery => {
    const list = defaultList();
    const search: SearchQuery = { ...list, text: "", sort: undefined, facets: true };
    const fault = (key: string, message: string, code: FieldCode = "invalid") =>
      ctx.addIssue({ code: "custom", path: [key.slice(0, 100)], message, params: { code } });
    for (const [key, given] of Object.entries(query)) {
      if (given === undefined) continue;
      if (Array.isArray(given)) fault(key, "must be given once");
      else if (key === "q") {
        const read = textSchema.safeParse(given);
        if (read.success) search.text = read.data;
        else fault("q", read.error.issues[0]?.message ?? "is not valid");
      } else if (key === "facets") {
        if (given === "true" || given === "false") search.facets = given === "true";
        else fault("facets", "must be true or false");
      } else if (!readListKey(list, key, given, fault)) fault(key, UNKNOWN_FIELD, "unknown_field");
    }
    if (query.q === undefined) fault("q", "is required", "required");
    if (list.filter.status !== "active")
      fault("filter[status]", "must be active: only active products are searched");
    const { filter, limit, cursor, include, count } = list;
    return {
      ...search,
      filter,
      limit,
      cursor,
      include,
      count,
      sort: query.sort === undefined ? undefined : list.sort,
    };
  });

export const suggestSchema = z.strictObject({
  q: textSchema,
  limit: countSchema(10, 5),
  include: includeSchema,
});
export type SuggestQuery = z.output<typeof suggestSchema>;

export const unansweredSchema = z.strictObject(pageQuery);
export type UnansweredQuery = z.output<typeof unansweredSchema>;

export const unansweredAnswer = pageOf(
  z
    .object({
      q: z.string().meta({ description: "As it was typed last" }),
      count: z.number().int().meta({ description: "How often; forgotten 30 days after the last time" }),
      firstAt: z.iso.datetime(),
      lastAt: z.iso.datetime(),
    })
    .meta({ id: "UnansweredSearch" }),
);

const markedText = z
  .array(z.object({ text: z.string(), marked: z.boolean() }))
  .meta({ description: "The text in parts; what is marked made the product fit" });

const foundResponse = itemResponse.extend({
  highlights: z.object({ name: markedText, description: markedText }),
});

const counted = z.number().int();

const facetsResponse = z
  .object({
    relation: z.enum(["eq", "gte"]).meta({ description: "gte above 10,000 products: at least so many" }),
    brand: z.array(z.object({ value: z.string(), name: z.string(), count: counted })),
    category: z.array(z.object({ id: z.string(), name: z.string(), path: z.string(), count: counted })),
    price: z.array(
      z.object({
        currency: z.string(),
        from: z.number().int().nullable(),
        to: z.number().int().nullable(),
        count: counted,
      }),
    ),
    attributes: z.array(
      z.object({ key: z.string(), values: z.array(z.object({ value: z.string(), count: counted })) }),
    ),
    inStock: z.array(z.object({ value: z.boolean(), count: counted })),
  })
  .meta({ id: "Facets" });

export const searchAnswer = pageOf(foundResponse).extend({
  facets: facetsResponse.optional(),
  search: z.object({
    id: z.string().meta({ description: "Names this search in events of clicks and orders" }),
    didYouMean: z.string().nullable().meta({ description: "What the answer rests on instead of q" }),
    redirect: z.string().nullable().meta({ description: "Path of the category to show instead" }),
  }),
});

export const suggestAnswer = dataOf(
  z.object({
    queries: z.array(z.string()),
    products: z.array(itemResponse),
    brands: z.array(z.object({ value: z.string(), name: z.string() })),
    categories: z.array(z.object({ id: z.string(), name: z.string(), path: z.string() })),
  }),
);

export type MarkedText = z.infer<typeof markedText>;
export type FoundResponse = z.infer<typeof foundResponse>;
export type FacetsResponse = z.infer<typeof facetsResponse>;

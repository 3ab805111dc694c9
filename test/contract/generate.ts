/** Random requests, valid and nearly valid, for any operation of the OpenAPI document. */
import fc, { type Arbitrary } from "fast-check";
import type { Operation, Schema } from "./operations";

/** What earlier answers named, so that requests meet what is there: values by the name of their field. */
export type Known = Map<string, string[]>;

/** One request, as text, so that a failure can be shown and sent again. */
export interface Generated {
  path: string;
  headers: Record<string, string>;
  body: string | undefined;
}

/** Rates of 100 at which something is made wrong on purpose, so that most of a request stays right. */
const WRONG = { value: 1, body: 4 };
/** Of 100 fields that need not be sent, as many are. */
const OPTIONAL = 40;
/** Values kept for each name. */
const MOST_KNOWN = 50;
/** Names whose values are taken from what earlier answers named. */
const NAMED =
  /(^|\.)(id|ids|.*Ids?|sku|slug|email|cursor|path|name|key|code|visitor|If-Match|If-None-Match|\w*\[(id|sku|category)\])$/;

const JUNK: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, "", [], {}, -1, 0.5, 1e21, "\u0000", "\ud800", { $gt: "" }, [
    "",
    null,
  ]),
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.jsonValue({ maxDepth: 3 }),
);
/** What fits a pattern as well as what is just beside it: words that inputs of this API read. */
const WORDS = fc.constantFrom(
  ...["sofa", "USD", "EUR", "Europe/Berlin", "createdAt", "-price", "true", "images,stock", "active", "day"],
  ...[
    "2026-11-01",
    "2026-11-01T10:00:00Z",
    "1",
    "100",
    "0",
    "color:red",
    "Order Completed",
    "products:write",
  ],
);
const TEXT = fc.oneof(
  { arbitrary: WORDS, weight: 3 },
  { arbitrary: fc.string({ unit: "grapheme", maxLength: 40 }), weight: 3 },
  { arbitrary: fc.string({ unit: "binary", maxLength: 200 }), weight: 1 },
);

/**
 * Notes every text of an answer under the name of its field, and ids under what they are of as well.
 * @param kind the last word of the path that was asked, such as `products`
 */
export function remember(known: Known, value: unknown, kind: string, name = ""): void {
  if (Array.isArray(value)) for (const item of value) remember(known, item, kind, name);
  else if (value !== null && typeof value === "object") {
    for (const [key, item] of Object.entries(value))
      remember(known, item, kind, key === "nextCursor" ? "cursor" : key);
  } else if (typeof value === "string" && value.length > 0 && value.length < 300) {
    for (const at of name === "id" ? ["id", `${kind}.id`] : [name]) {
      const values = known.get(at) ?? [];
      if (!values.includes(value)) known.set(at, [...values, value].slice(-MOST_KNOWN));
    }
  }
}

/** What is known for a field: under its name, or as the id of what it is named after (`categoryIds`, `products.id`). */
function metBefore(known: Known, name: string): string[] {
  const [, kind, last = name] = /^(.*)\.([^.]+)$/.exec(name.replace(/\[(\w+)\]$/, ".$1")) ?? [];
  const of = /^(\w*?)(Id|Ids|ids|id)$/.exec(last);
  // The end of a word differs in the plural: category, categories.
  const wanted = of ? (of[1] || kind || "").slice(0, -1) : undefined;
  const ids = wanted && [...known.keys()].find((key) => key.endsWith(".id") && key.startsWith(wanted));
  return known.get(ids || last) ?? known.get("id") ?? [];
}

/** Makes requests; what it makes of a schema is built once. */
export class Generator {
  readonly #known: Known;
  readonly #built = new Map<Operation, Arbitrary<Generated>>();
  /** Those of schemas that the document names: they may hold themselves. */
  readonly #named = new Map<string, Arbitrary<unknown>>();
  readonly #follow: (reference: string) => Schema;

  /**
   * @param document the OpenAPI document, in which references are followed
   * @param known what was learnt, read at each request
   */
  constructor(document: object, known: Known) {
    this.#known = known;
    this.#follow = (reference) =>
      reference
        .split("/")
        .slice(1)
        // biome-ignore lint/suspicious/noExplicitAny: the document is read as it is.
        .reduce((part: any, name) => part[name], document);
  }

  /** @returns the request of an operation that belongs to a seed, as long as the same is known */
  request(operation: Operation, seed: number): Generated {
    const built = this.#built.get(operation) ?? this.#requestOf(operation);
    this.#built.set(operation, built);
    const [made] = fc.sample(built, { seed, numRuns: 1 });
    if (!made) throw new Error("nothing was generated");
    return made;
  }

  #requestOf(operation: Operation): Arbitrary<Generated> {
    const parts = Object.fromEntries(
      operation.parameters.map((parameter) => {
        const name = parameter.in === "path" ? pathName(operation.path, parameter.name) : parameter.name;
        const value = this.#rare(WRONG.value, this.#value(parameter.schema, name), JUNK).map(textOf);
        return [`${parameter.in} ${parameter.name}`, parameter.in === "path" ? value : some(value)];
      }),
    );
    return fc
      .record({ parts: fc.record(parts), body: this.#bodyOf(operation), key: fc.uuid() })
      .map(({ parts, body, key }) => {
        // Nothing and dots would be part of another path.
        const path = operation.path.replace(/\{(\w+)\}/g, (_, name) =>
          encoded((parts[`path ${name}`] ?? "").replace(/^\.{0,2}$/, "x")),
        );
        const query = Object.entries(parts).flatMap(([name, value]) =>
          name.startsWith("query ") && value !== undefined
            ? [`${encoded(name.slice(6))}=${encoded(value)}`]
            : [],
        );
        const headers = Object.fromEntries(
          Object.entries(parts).flatMap(([name, value]) => {
            if (!name.startsWith("header ") || value === undefined) return [];
            // Only what a header can hold; a key of one's own, or nothing would ever be done twice or once.
            const plain = name === "header Idempotency-Key" ? key : value.replace(/[^\x21-\x7e]/g, "");
            return [[name.slice(7), plain]];
          }),
        );
        if (body) headers["content-type"] = body.type;
        return { path: query.length > 0 ? `${path}?${query.join("&")}` : path, headers, body: body?.text };
      });
  }

  #bodyOf({ request }: Operation): Arbitrary<{ type: string; text: string } | undefined> {
    const types = Object.keys(request);
    if (types.length === 0) return fc.constant(undefined);
    return fc.oneof(
      ...types.map((type) =>
        this.#rare(WRONG.body, this.#textOf(type, request[type] ?? {}), fc.string()).map((text) => ({
          type: typeOf(type),
          text,
        })),
      ),
    );
  }

  #textOf(type: string, schema: Schema): Arbitrary<string> {
    const product = this.#value({ $ref: "#/components/schemas/CreateProduct" }, "");
    if (type === "application/json")
      return this.#value(schema, "").map((value) => JSON.stringify(value) ?? "");
    if (type === "application/x-ndjson") {
      return fc
        .array(product, { maxLength: 5 })
        .map((lines) => lines.map((line) => JSON.stringify(line)).join("\n"));
    }
    if (type === "text/csv") {
      const cell = TEXT.map((text) => `"${text.replaceAll('"', '""')}"`);
      return fc
        .array(fc.tuple(cell, cell, fc.nat(9999)), { maxLength: 5 })
        .map((rows) => `sku,name,price\n${rows.map((row) => row.join(",")).join("\n")}\n`);
    }
    return fc.record({ alt: TEXT, picture: fc.boolean() }).map(({ alt, picture }) => form(alt, picture));
  }

  /** Now and then the other one. */
  #rare<T>(percent: number, right: Arbitrary<T>, wrong: Arbitrary<T>): Arbitrary<T> {
    return fc.oneof({ arbitrary: right, weight: 100 - percent }, { arbitrary: wrong, weight: percent });
  }

  /** A value that a schema takes; rarely, in one of its parts, one that it does not. */
  #value(schema: Schema, name: string): Arbitrary<unknown> {
    if (schema.$ref !== undefined) {
      const { $ref } = schema;
      // Looked up when it is needed: by then it is there, also where a schema holds itself.
      if (!this.#named.has($ref)) {
        this.#named.set($ref, fc.constant(null));
        this.#named.set($ref, this.#value(this.#follow($ref), name));
      }
      return fc.constant(null).chain(() => this.#named.get($ref) ?? fc.constant(null));
    }
    return this.#rare(WRONG.value, this.#right(schema, name), JUNK);
  }

  #right(schema: Schema, name: string): Arbitrary<unknown> {
    if (schema.const !== undefined) return fc.constant(schema.const);
    if (schema.enum) return fc.constantFrom(...schema.enum);
    const choices = schema.anyOf ?? schema.oneOf;
    if (choices) return fc.oneof(...choices.map((choice) => this.#value(choice, name)));
    if (schema.allOf) {
      return fc
        .tuple(...schema.allOf.map((part) => this.#value(part, name)))
        .map((parts) => Object.assign({}, ...parts));
    }
    const types = [schema.type ?? (schema.properties ? "object" : [])].flat();
    if (types.length === 0) return fc.jsonValue({ maxDepth: 3 });
    return fc.oneof(...types.map((type) => this.#ofType(type, schema, name)));
  }

  #ofType(type: string, schema: Schema, name: string): Arbitrary<unknown> {
    if (type === "object") return this.#object(schema);
    if (type === "array") {
      const { minItems = 0, maxItems = 5 } = schema;
      const bounds = { minLength: minItems, maxLength: Math.max(minItems, Math.min(5, maxItems)) };
      return fc.array(this.#value(schema.items ?? {}, name), bounds);
    }
    if (type === "integer" || type === "number") return numberOf(schema, type);
    if (type === "boolean") return fc.boolean();
    if (type === "null") return fc.constant(null);
    return this.#text(schema, name);
  }

  #object(schema: Schema): Arbitrary<unknown> {
    const fields = Object.entries(schema.properties ?? {}).map(([name, property]) => {
      const value = this.#value(property, name);
      return [
        name,
        schema.required?.includes(name)
          ? this.#rare(WRONG.value, value, fc.constant(undefined))
          : some(value),
      ] as const;
    });
    const open = schema.additionalProperties;
    const more =
      open !== undefined && open !== false
        ? fc.dictionary(WORDS, open === true ? fc.jsonValue({ maxDepth: 2 }) : this.#value(open, ""), {
            maxKeys: 4,
          })
        : fc.constant({});
    return (
      fc
        .tuple(fc.record(Object.fromEntries(fields)), more)
        // JSON leaves out what is undefined.
        .map(([own, added]) => ({ ...added, ...own }))
    );
  }

  #text(schema: Schema, name: string): Arbitrary<string> {
    // Most that fit the pattern are no currency.
    if (name === "currency") return this.#rare(5, fc.constant("USD"), TEXT);
    const { minLength = 0, maxLength = 200 } = schema;
    const fitting =
      schema.format === "uuid"
        ? fc.uuid({ version: 7 })
        : schema.format === "date-time"
          ? fc
              .date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) })
              .map((date) => date.toISOString())
          : schema.pattern !== undefined && !/\\p\{/.test(schema.pattern)
            ? fc.stringMatching(new RegExp(schema.pattern), { size: "small" })
            : TEXT.map((text) => text.slice(0, maxLength).padEnd(minLength, "x"));
    if (!NAMED.test(name)) return fitting;
    // Read when it is made, not when it is built: the more answers there were, the more is known.
    const met = fc.nat().map((index) => {
      const values = metBefore(this.#known, name);
      return values[index % Math.max(1, values.length)];
    });
    return fc
      .tuple(met, fitting, fc.nat(9))
      .map(([value, otherwise, turn]) => (turn < 7 ? (value ?? otherwise) : otherwise));
  }
}

/** Now and then a value, otherwise nothing. */
const some = <T>(value: Arbitrary<T>): Arbitrary<T | undefined> =>
  fc.oneof(
    { arbitrary: value, weight: OPTIONAL },
    { arbitrary: fc.constant(undefined), weight: 100 - OPTIONAL },
  );

/** Numbers within the bounds, often small, now and then a bound itself. */
function numberOf(
  { minimum, exclusiveMinimum, maximum, exclusiveMaximum }: Schema,
  type: string,
): Arbitrary<number> {
  const min = Math.ceil(minimum ?? (exclusiveMinimum === undefined ? -1000 : exclusiveMinimum + 1));
  const max = Math.floor(maximum ?? (exclusiveMaximum === undefined ? 1e9 : exclusiveMaximum - 1));
  const integer = fc.oneof(
    fc.integer({ min: Math.max(min, -1000), max: Math.max(min, Math.min(max, 1000)) }),
    fc.constantFrom(min, max),
  );
  return type === "integer" ? integer : fc.oneof(integer, fc.double({ min, max, noNaN: true }));
}

/** A path's parameter by what it is an id of: `products.id` in /api/products/{id}. */
const pathName = (path: string, name: string): string =>
  `${
    path
      .slice(0, path.indexOf(`{${name}}`))
      .split("/")
      .filter(Boolean)
      .at(-1) ?? ""
  }.${name}`;

const textOf = (value: unknown): string =>
  typeof value === "string" ? value : (JSON.stringify(value) ?? "undefined");

/** As a URL holds it; half of a surrogate pair has no such form. */
const encoded = (text: string): string => encodeURIComponent(text.toWellFormed());

const BOUNDARY = "a-boundary-of-tests";
const typeOf = (type: string): string =>
  type === "multipart/form-data" ? `${type}; boundary=${BOUNDARY}` : type;

/** A picture of one pixel. */
const PIXEL = atob(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
);

/** A form with a picture, or with something that is none; each character is a byte. */
function form(alt: string, picture: boolean): string {
  const part = (head: string, content: string) =>
    `--${BOUNDARY}\r\nContent-Disposition: form-data; ${head}\r\n\r\n${content}\r\n`;
  return `${part('name="file"; filename="a.png"', picture ? PIXEL : alt)}${part('name="alt"', alt)}--${BOUNDARY}--\r\n`;
}

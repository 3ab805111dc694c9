import type { TestApp } from "../app";

/** A JSON schema, as far as samples are made of it. */
export interface Schema {
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  format?: string;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  exclusiveMaximum?: number;
  additionalProperties?: boolean | Schema;
  default?: unknown;
  $ref?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: a part of the document, read as it is.
type Json = any;

/** One method of one path of the OpenAPI document. */
export interface Operation {
  method: string;
  path: string;
  secured: boolean;
  parameters: { name: string; in: string; schema: Schema }[];
  /** The schema of its JSON body, when it takes one. */
  body: Schema | undefined;
  /** The schemas of the bodies that it takes, by their media type. */
  request: Record<string, Schema>;
  /** Documented answers, with the schema of a JSON one. */
  answers: Record<string, Schema | undefined>;
  /** The media types of each documented answer; none where it has no body. */
  types: Record<string, string[]>;
}

/** Every operation that the application describes, read from its own document with its references followed. */
export async function operationsOf(t: TestApp): Promise<Operation[]> {
  // biome-ignore lint/suspicious/noExplicitAny: the document is read as it is.
  const document: any = await (await t.request("/openapi.json")).json();
  // biome-ignore lint/suspicious/noExplicitAny: see above.
  const follow = (part: any): any => {
    if (typeof part?.$ref !== "string") return part;
    return follow(
      part.$ref
        .split("/")
        .slice(1)
        .reduce((at: Record<string, unknown>, name: string) => at[name], document),
    );
  };
  // biome-ignore lint/suspicious/noExplicitAny: see above.
  const schemaOf = (part: any): Schema | undefined => follow(part?.content?.["application/json"]?.schema);
  return Object.entries<Record<string, Json>>(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      secured:
        (operation.security ?? []).length > 0 &&
        !operation.security.some((one: object) => Object.keys(one).length === 0),
      parameters: (operation.parameters ?? []).map(follow),
      body: schemaOf(operation.requestBody),
      request: Object.fromEntries(
        Object.entries<Json>(follow(operation.requestBody)?.content ?? {}).map(([type, { schema }]) => [
          type,
          schema,
        ]),
      ),
      answers: Object.fromEntries(
        Object.entries(operation.responses).map(([status, answer]) => [status, schemaOf(follow(answer))]),
      ),
      types: Object.fromEntries(
        Object.entries(operation.responses).map(([status, answer]) => [
          status,
          Object.keys(follow(answer).content ?? {}),
        ]),
      ),
    })),
  );
}

export const nameOf = ({ method, path }: Operation): string => `${method} ${path}`;

/** True for a list: its answer has a `page`. */
export const isList = ({ answers }: Operation): boolean => answers["200"]?.properties?.page !== undefined;

const ID = "018f3b1e-0000-7000-8000-000000000000";
/** Texts of the forms that inputs of this API have; the first that fits a pattern is its sample. */
const TEXTS = [
  "sample",
  ID,
  "1",
  "123456",
  "USD",
  "0".repeat(32),
  "a sample password",
  "1.webp",
  "2026-11-01",
  "sample@example.com",
  "SKU-1",
  "AAAA-AAAA",
  "A".repeat(43),
];
const FORMATS: Record<string, string> = {
  uuid: ID,
  email: "sample@example.com",
  date: "2026-11-01",
  "date-time": "2026-11-01T10:00:00Z",
  uri: "https://example.com/",
};

/** A value that a schema takes, or nearly: what a refinement says is not in a schema. */
export function sampleOf(schema: Schema): unknown {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choice = schema.anyOf ?? schema.oneOf;
  if (choice?.[0]) return sampleOf(choice[0]);
  const [type] = [schema.type].flat();
  if (type === "object" || schema.properties) {
    const wanted = Object.entries(schema.properties ?? {}).filter(([name]) =>
      schema.required?.includes(name),
    );
    return Object.fromEntries(wanted.map(([name, property]) => [name, sampleOf(property)]));
  }
  if (type === "array")
    return Array.from({ length: schema.minItems ?? 1 }, () => sampleOf(schema.items ?? {}));
  if (type === "integer" || type === "number")
    return Math.max(1, schema.minimum ?? schema.exclusiveMinimum ?? 1);
  if (type === "boolean") return true;
  if (type === "null") return null;
  const pattern = schema.pattern === undefined ? undefined : new RegExp(schema.pattern, "u");
  const long = (text: string) => text.length >= (schema.minLength ?? 0);
  return (
    (pattern ? undefined : FORMATS[schema.format ?? ""]) ??
    TEXTS.find((text) => long(text) && (pattern?.test(text) ?? true)) ??
    "sample".padEnd(schema.minLength ?? 0, "x")
  );
}

/** The path with a sample, or with what is given, for each parameter in it. */
export const pathOf = (operation: Operation, value?: string): string =>
  operation.path.replace(/\{(\w+)\}/g, (_, name) => {
    const parameter = operation.parameters.find((one) => one.name === name && one.in === "path");
    const { schema = {} } = parameter ?? {};
    return (
      value ??
      encodeURIComponent(schema.pattern || schema.format || schema.enum ? String(sampleOf(schema)) : ID)
    );
  });

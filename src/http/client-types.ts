/**
 * The client's types, made from the OpenAPI document, which says what the routes state of themselves. Types that are
 * worked out already cost a frontend nothing: no inference over a server's source, one file for each purpose.
 */

/** A part of the document, read as it is. */
// biome-ignore lint/suspicious/noExplicitAny: see above.
type Json = any;

interface Operation {
  method: string;
  path: string;
  operation: Json;
}

const HEAD = "// Made from the OpenAPI document by `bun run openapi`. Do not edit.\n";
const NAME = /^[A-Za-z_$][\w$]*$/;
const key = (name: string): string => (NAME.test(name) ? name : JSON.stringify(name));
const literal = (value: unknown): string => JSON.stringify(value);
const lastOf = (reference: string): string => reference.split("/").at(-1) ?? "";
const union = (types: string[]): string => [...new Set(types)].join(" | ") || "never";

const comment = (text: string | undefined): string =>
  text === undefined ? "" : `/** ${text.replaceAll("*/", "*\\/").replace(/\s+/g, " ").trim()} */ `;

/** The TypeScript type of a JSON schema. `sent` is what goes to the server: there a default makes a field optional. */
function typeOf(schema: Json, sent: boolean): string {
  if (schema.$ref) return lastOf(schema.$ref);
  if ("const" in schema) return literal(schema.const);
  if (schema.enum) return union(schema.enum.map(literal));
  if (schema.allOf) return schema.allOf.map((part: Json) => typeOf(part, sent)).join(" & ");
  const choice = schema.anyOf ?? schema.oneOf;
  if (choice) return union(choice.map((part: Json) => typeOf(part, sent)));
  if (schema.format === "binary") return "Blob";
  const one = (type: string): string => {
    if (type === "array") return `${sent ? "readonly " : ""}(${typeOf(schema.items ?? {}, sent)})[]`;
    if (type === "object") return objectOf(schema, sent);
    if (type === "integer") return "number";
    return type;
  };
  const types = [schema.type ?? []].flat();
  return types.length > 0 ? union(types.map(one)) : schema.properties ? objectOf(schema, sent) : "unknown";
}

function objectOf({ properties = {}, required = [], additionalProperties }: Json, sent: boolean): string {
  const fields = Object.entries<Json>(properties).map(([name, schema]) => {
    const optional = required.includes(name) && !(sent && "default" in schema) ? "" : "?";
    return `${comment(schema.description)}${key(name)}${optional}: ${typeOf(schema, sent)}${optional && " | undefined"};`;
  });
  if (fields.length === 0)
    return typeof additionalProperties === "object"
      ? `{ [name: string]: ${typeOf(additionalProperties, sent)} }`
      : "Record<string, never>";
  return `{ ${fields.join(" ")} }`;
}

/** What an address takes: a text, or what becomes one. */
const inAddress = (schema: Json): string =>
  schema.enum
    ? typeOf(schema, true)
    : schema.type === "string" && schema.format
      ? "string"
      : "string | number | boolean";

/** Filters by attribute are named by whoever made the catalogue. */
const ATTRIBUTES = /"filter\[brand\]"/;

function argumentsOf(document: Json, { operation }: Operation): { type: string; needed: boolean } {
  const parameters: Json[] = (operation.parameters ?? []).map((one: Json) =>
    one.$ref ? document.components.parameters[lastOf(one.$ref)] : one,
  );
  const fieldsIn = (place: string): { text: string; needed: boolean } => {
    const found = parameters.filter((one) => one.in === place);
    const fields = found.map(
      ({ name, required, description, schema }) =>
        `${comment(description)}${key(name)}${required ? "" : "?"}: ${inAddress(schema)}${required ? "" : " | undefined"};`,
    );
    if (place === "query" && ATTRIBUTES.test(JSON.stringify(found)))
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a type, not a text.
      fields.push("[attribute: `filter[attr.${string}]`]: string | number | boolean | undefined;");
    return { text: fields.join(" "), needed: found.some(({ required }) => required) };
  };
  const parts: { name: string; type: string; needed: boolean }[] = [];
  for (const [name, place] of [
    ["param", "path"],
    ["query", "query"],
  ] as const) {
    const { text, needed } = fieldsIn(place);
    if (text !== "") parts.push({ name, type: `{ ${text} }`, needed });
  }
  const { content = {}, required = false } = operation.requestBody ?? {};
  const json = content["application/json"]?.schema;
  const form = content["multipart/form-data"]?.schema;
  if (json) parts.push({ name: "json", type: typeOf(json, true), needed: required });
  else if (form) parts.push({ name: "form", type: typeOf(form, true), needed: required });
  else if (operation.requestBody) {
    parts.push({ name: "body", type: "Blob | string", needed: required });
    parts.push({ name: "type", type: union(Object.keys(content).map(literal)), needed: required });
  }
  const fields = parts.map(
    ({ name, type, needed }) => `${name}${needed ? "" : "?"}: ${type}${needed ? "" : " | undefined"}`,
  );
  return { type: `{ ${fields.join("; ")} }`, needed: parts.some(({ needed }) => needed) };
}

interface Outcome {
  status: number;
  /** The schema of a JSON answer; "file", "events" or null when it has none. */
  body: Json | "file" | "events" | null;
}

const successesOf = ({ operation }: Operation): Outcome[] =>
  Object.entries<Json>(operation.responses)
    .filter(([status]) => status < "300")
    .map(([status, { content = {} }]) => ({
      status: Number(status),
      body:
        content["application/json"]?.schema ??
        ("text/event-stream" in content ? "events" : Object.keys(content).length > 0 ? "file" : null),
    }));

/** The codes of the problems that an operation states, and a component for each. */
function codesOf(document: Json, { operation }: Operation): string[] {
  const found = new Set<string>();
  for (const answer of Object.values<Json>(operation.responses)) {
    const { content = {} } = answer.$ref ? document.components.responses[lastOf(answer.$ref)] : answer;
    const schema = content["application/problem+json"]?.schema ?? {};
    for (const { $ref } of schema.oneOf ?? [schema]) {
      if ($ref) found.add(document.components.schemas[lastOf($ref)].allOf[1].properties.code.const);
    }
  }
  return [...found].sort();
}

const okOf = ({ status, body }: Outcome): string =>
  `Ok<${status}, ${body === "file" ? "{ data: File }" : body === null ? "{ data?: undefined }" : typeOf(body, false)}>`;

/** The methods that an operation has in the client: `$get` and its like, `$list` for lists, `$events` for streams. */
function methodsOf(document: Json, one: Operation): string[] {
  const { type, needed } = argumentsOf(document, one);
  const successes = successesOf(one);
  const codes = union(codesOf(document, one).map(literal));
  const given = `args${needed ? "" : "?"}: ${type}`;
  const { summary, description = "" } = one.operation;
  const doc = comment(description.startsWith(summary) ? description : `${summary}. ${description}`);
  if (successes.some(({ body }) => body === "events"))
    return [`${doc}$events(${given}, options?: EventOptions): AsyncIterableIterator<ServerEvent>;`];
  const methods = [
    `${doc}$${one.method}(${given}, options?: CallOptions): Answer<${union(successes.map(okOf))}, ${codes}>;`,
  ];
  const list = successes[0]?.body?.properties;
  if (list?.page && list.data?.items && one.method === "get")
    methods.push(
      `${doc}$list(${given}, options?: ListOptions): List<${typeOf(list.data.items, false)}, ${okOf(successes[0] as Outcome)}>;`,
    );
  return methods;
}

interface Branch {
  methods: string[];
  below: Map<string, Branch>;
}

const branch = (): Branch => ({ methods: [], below: new Map() });
const treeText = ({ methods, below }: Branch): string =>
  `{ ${methods.join("\n")} ${[...below].map(([name, one]) => `${key(name)}: ${treeText(one)};`).join("\n")} }`;

/** Every operation; a path in the client's form, `/api/products/:id`. */
const operationsOf = (document: Json): Operation[] =>
  Object.entries<Json>(document.paths).flatMap(([path, methods]) =>
    Object.entries<Json>(methods).map(([method, operation]) => ({
      method,
      path: path.replace(/\{(\w+)\}/g, ":$1"),
      operation,
    })),
  );

const isProblem = (name: string): boolean => name.endsWith("Problem") && name !== "Problem";

/** The module of the client that has its models: what the document names, and the codes of problems. */
export function clientModels(document: Json): string {
  const { schemas } = document.components;
  const sent = new Set<string>();
  const visit = (part: Json) => {
    if (part === null || typeof part !== "object") return;
    if (typeof part.$ref === "string" && part.$ref.includes("/schemas/")) {
      const name = lastOf(part.$ref);
      if (sent.has(name)) return;
      sent.add(name);
      visit(schemas[name]);
    } else for (const inner of Object.values(part)) visit(inner);
  };
  for (const { operation } of operationsOf(document)) visit(operation.requestBody);
  const models = Object.entries<Json>(schemas)
    .filter(([name]) => !isProblem(name))
    .map(
      ([name, schema]) =>
        `${comment(schema.description)}export type ${name} = ${typeOf(schema, sent.has(name))};`,
    );
  const members = Object.entries<Json>(schemas)
    .filter(([name]) => isProblem(name))
    .map(([, { allOf }]) => {
      const { code, status: _, ...own } = allOf[1].properties;
      const required = allOf[1].required.filter((name: string) => name !== "code" && name !== "status");
      return `${key(code.const)}: ${Object.keys(own).length === 0 ? "unknown" : objectOf({ properties: own, required }, false)};`;
    });
  return `${HEAD}${models.join("\n")}

export type ErrorCode = Problem["code"];

/** What the problem of a code says beside the members that all have. */
export interface ProblemMembers { ${members.join(" ")} }
`;
}

/** Names of the models that a text uses. */
const modelsIn = (document: Json, text: string): string[] =>
  Object.keys(document.components.schemas).filter(
    (name) => !isProblem(name) && new RegExp(`\\b${name}\\b`).test(text),
  );

/**
 * The module of the client that knows the routes: its types and, as a value, which POSTs take an Idempotency-Key.
 * @param document as `openApiDocument` makes it
 */
export function clientRoutes(document: Json): string {
  const root = branch();
  for (const one of operationsOf(document)) {
    let at = root;
    for (const name of one.path.split("/").filter(Boolean)) {
      const next = at.below.get(name) ?? branch();
      at.below.set(name, next);
      at = next;
    }
    at.methods.push(...methodsOf(document, one));
  }
  const keyed = operationsOf(document)
    .filter(({ operation }) =>
      operation.parameters?.some(({ $ref }: Json) => $ref === "#/components/parameters/IdempotencyKey"),
    )
    .map(({ path }) => path);
  const text = treeText(root);
  return `${HEAD}import type { ${modelsIn(document, text).join(", ")} } from "./models.js";
import type { Answer, CallOptions, EventOptions, List, ListOptions, Ok, ServerEvent } from "./types.js";

/** Paths whose POST takes an Idempotency-Key. */
export const KEYED: ReadonlySet<string> = new Set(
  "${keyed.join(" ")}".split(" "),
);

/** Every route, as a chain of the parts of its path. */
export interface Routes ${text}
`;
}

/** The same routes as Hono's typed client takes them: `hc<ApiType>(url)`. */
export function honoApi(document: Json): string {
  const paths = new Map<string, string[]>();
  for (const one of operationsOf(document)) {
    const { type } = argumentsOf(document, one);
    const problems = Object.entries<Json>(one.operation.responses).flatMap(([status, answer]) => {
      if (status < "400") return [];
      const only = { ...one, operation: { responses: { [status]: answer } } };
      const codes = codesOf(document, only).map((code) => `ProblemOf<${literal(code)}, ${status}>`);
      return [`{ input: In; output: ${union(codes)}; outputFormat: "json"; status: ${status} }`];
    });
    const successes = successesOf(one).map(({ status, body }) => {
      const json = body !== null && typeof body === "object";
      return `{ input: In; output: ${json ? typeOf(body, false) : "{}"}; outputFormat: ${json ? '"json"' : '"body"'}; status: ${status} }`;
    });
    const endpoints = union([...successes, ...problems]).replaceAll("input: In", `input: ${type}`);
    paths.set(one.path, [...(paths.get(one.path) ?? []), `$${one.method}: ${endpoints};`]);
  }
  const text = [...paths].map(([path, methods]) => `${literal(path)}: { ${methods.join("\n")} };`).join("\n");
  const used = modelsIn(document, text).filter((name) => name !== "Problem");
  return `${HEAD}import type { Hono } from "hono";
import type { ErrorCode, ProblemMembers, ${used.join(", ")}, Problem } from "./models.js";

type ProblemOf<Code extends ErrorCode, Status> = Omit<Problem, "code" | "status"> & { code: Code; status: Status } & (Code extends keyof ProblemMembers ? ProblemMembers[Code] : unknown);

/** For Hono's typed client: \`hc<ApiType>("http://localhost:5000")\`. */
// biome-ignore lint/complexity/noBannedTypes: as Hono's own blank environment.
export type ApiType = Hono<{}, { ${text} }, "/">;
`;
}

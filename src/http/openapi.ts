// Longer than others: the whole translation of routes into one document, whose parts have no other reader.
import type { Hono } from "hono";
import { findTargetHandler } from "hono/utils/handler";
import { z } from "zod";
import { ERRORS, type ErrorCode } from "../lib/errors";
import {
  type FileAnswer,
  type FormBody,
  isSchema,
  type RawBody,
  type Statement,
  statementOf,
} from "./endpoint";
import type { AppEnv } from "./factory";
import { PROBLEM_MEMBERS, problemSchema } from "./problems";

/** A JSON Schema, or any other part of an OpenAPI document. */
type Json = { [name: string]: unknown };
type Direction = "input" | "output";

/** An OpenAPI 3.1 document. */
export interface OpenApiDocument extends Json {
  paths: Record<string, Record<string, Json>>;
  components: Record<string, Record<string, Json>>;
}

const text = { type: "string" };
const headerOf = (description: string, schema: Json = text): Json => ({ description, schema });

/** Headers of answers that several routes have. */
const HEADERS: Record<string, Json> = {
  ETag: headerOf("Version of what is answered; send it as If-Match or If-None-Match"),
  "Retry-After": headerOf("Seconds to wait before the next try", { type: "integer", minimum: 0 }),
  RateLimit: headerOf("What is left of the limit, as in draft-ietf-httpapi-ratelimit-headers"),
  "RateLimit-Policy": headerOf("The limit, as in draft-ietf-httpapi-ratelimit-headers"),
  "Idempotency-Replayed": headerOf("`true` when this is the answer of an earlier request with the same key"),
  "WWW-Authenticate": headerOf("How to authenticate"),
  "Cache-Control": headerOf("Who may keep the answer, and for how long"),
  "X-Request-Id": headerOf("Id of the request, as in our log"),
};

/** Headers of requests that several routes take. */
const REQUEST_HEADERS: Record<string, Json> = {
  IfMatch: {
    name: "If-Match",
    in: "header",
    description: "ETag of the version that was read, a list of ETags, or `*`; 412 when it is another",
    schema: text,
  },
  IfMatchRequired: {
    name: "If-Match",
    in: "header",
    required: true,
    description:
      "ETag of the version that was read, a list of ETags, or `*`; 412 when it is another, 428 without",
    schema: text,
  },
  IfNoneMatch: {
    name: "If-None-Match",
    in: "header",
    description: "ETag of what the caller has already; 304 when it is still the same",
    schema: text,
  },
  IdempotencyKey: {
    name: "Idempotency-Key",
    in: "header",
    description:
      "Chosen by the caller; the same key with the same request is done once and answered again (24 h)",
    schema: { type: "string", minLength: 1, maxLength: 200, pattern: "^[!-~]{1,200}$" },
  },
};

const refTo = (kind: string, name: string): Json => ({ $ref: `#/components/${kind}/${name}` });
const pascal = (words: string): string =>
  words.replace(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase());

/**
 * Patterns with Unicode properties stay out of the document: validators and generators that compile patterns without
 * the `u` flag read `\p{Cc}` as the letters p, C and c, and refuse what the server takes.
 */
function leaveOutProperties(schema: Json): void {
  const portable = ({ pattern }: Json) => !String(pattern ?? "").includes("\\p{");
  if (!portable(schema)) delete schema.pattern;
  if (Array.isArray(schema.allOf)) {
    const parts = (schema.allOf as Json[]).filter(portable);
    if (parts.length > 0) schema.allOf = parts;
    else delete schema.allOf;
  }
}

/** Turns zod schemas into JSON Schemas; those with a `meta({ id })` become components. */
class Schemas {
  private readonly named: Record<Direction, Map<string, Json>> = { input: new Map(), output: new Map() };

  of(schema: z.ZodType, io: Direction): Json {
    const { properties, $defs = {} } = z.toJSONSchema(z.object({ it: schema }), {
      io,
      unrepresentable: "any",
      override({ zodSchema, jsonSchema }) {
        const { def } = zodSchema._zod;
        if (def.type === "date") Object.assign(jsonSchema, { type: "string", format: "date-time" });
        if (def.type === "file") Object.assign(jsonSchema, { type: "string", format: "binary" });
        leaveOutProperties(jsonSchema as Json);
        // Said once, by the name of the component.
        delete (jsonSchema as Json).id;
      },
    }) as unknown as { properties: { it: Json }; $defs?: Record<string, Json> };
    const point = (part: unknown): unknown =>
      JSON.parse(JSON.stringify(part).replaceAll('"#/$defs/', `"#/${io}/`));
    for (const [name, definition] of Object.entries($defs))
      this.named[io].set(name, point(definition) as Json);
    return point(properties.it) as Json;
  }

  /** The schemas with names; one that is taken otherwise than it is given has two. */
  components(): { schemas: Record<string, Json>; resolve: <Part>(part: Part) => Part } {
    const { input, output } = this.named;
    const plain = (schema: unknown) => JSON.stringify(schema)?.replaceAll(/"#\/(input|output)\//g, '"#/');
    const differs = (name: string) => output.has(name) && plain(input.get(name)) !== plain(output.get(name));
    const resolve = <Part>(part: Part): Part =>
      JSON.parse(
        JSON.stringify(part).replaceAll(/"#\/(input|output)\/([^"]+)"/g, (_, io: string, name: string) =>
          JSON.stringify(`#/components/schemas/${io === "input" && differs(name) ? `${name}Input` : name}`),
        ),
      ) as Part;
    const schemas: Record<string, Json> = {};
    for (const [name, schema] of output) schemas[name] = resolve(schema);
    for (const [name, schema] of input) schemas[differs(name) ? `${name}Input` : name] = resolve(schema);
    return { schemas, resolve };
  }
}

/** The codes of the problems that a route may answer with. */
function errorCodesOf(statement: Statement): Set<ErrorCode> {
  const { caller, permission, params, query, body, ifMatch, idempotent } = statement;
  const codes = new Set<ErrorCode>(statement.errors);
  const add = (condition: unknown, ...more: ErrorCode[]) => {
    if (condition) for (const code of more) codes.add(code);
  };
  add(true, "malformed_request", "internal_error", "service_unavailable");
  add(permission ?? (caller && caller !== "guest"), "unauthenticated", "second_factor_required");
  add(permission ?? caller === "person", "forbidden");
  add(params ?? query ?? body ?? idempotent, "invalid_input");
  add(body, "unsupported_media_type");
  add(body ?? idempotent, "payload_too_large");
  add(isSchema(body), "malformed_json");
  add(ifMatch, "precondition_failed", "version_conflict");
  add(ifMatch === "required", "precondition_required");
  add(idempotent, "idempotency_in_flight", "idempotency_key_reused");
  return codes;
}

function problemResponses(codes: Set<ErrorCode>): Record<string, Json> {
  const byStatus = Map.groupBy(codes, (code) => ERRORS[code][0]);
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      String(status),
      group.length === 1
        ? refTo("responses", pascal(group[0] as string))
        : problemResponse(group as ErrorCode[], {
            oneOf: group.map((code) => refTo("schemas", pascal(`${code}_problem`))),
          }),
    ]),
  );
}

function problemResponse(codes: ErrorCode[], schema: Json): Json {
  const [status] = ERRORS[codes[0] as ErrorCode];
  const headers = [
    ...(status === 401 ? ["WWW-Authenticate"] : []),
    ...(status === 429 ? ["RateLimit", "RateLimit-Policy"] : []),
    ...(status === 429 || status === 503 || status === 409 ? ["Retry-After"] : []),
  ];
  return {
    description: codes.map((code) => `${code}: ${ERRORS[code][1]}`).join("; "),
    ...(headers.length > 0
      ? { headers: Object.fromEntries(headers.map((n) => [n, refTo("headers", n)])) }
      : {}),
    content: { "application/problem+json": { schema } },
  };
}

/** The schema of the problem of one code: what all have, and what only it has. */
const problemSchemaOf = (schemas: Schemas, code: ErrorCode): Json => {
  const members = (PROBLEM_MEMBERS as Partial<Record<ErrorCode, z.ZodType>>)[code];
  const { properties = {}, required = [] } = members ? schemas.of(members, "output") : {};
  return {
    allOf: [
      schemas.of(problemSchema, "output"),
      {
        type: "object",
        properties: {
          code: { const: code },
          status: { const: ERRORS[code][0] },
          ...(properties as Json),
        },
        required: ["code", "status", ...(required as string[])],
      },
    ],
  };
};

function successResponse(
  schemas: Schemas,
  statement: Statement,
  status: string,
  answer: z.ZodType | FileAnswer | null,
): Json {
  const { etag, idempotent, responseHeaders = {} } = statement;
  const shared = [
    ...(etag ? ["ETag"] : []),
    ...(idempotent ? ["Idempotency-Replayed"] : []),
    "Cache-Control",
  ];
  const content = isSchema(answer)
    ? { "application/json": { schema: schemas.of(answer, "output") } }
    : Object.fromEntries(
        (answer?.types ?? []).map((type) => [
          type,
          { schema: type.startsWith("text/") ? text : { type: "string", format: "binary" } },
        ]),
      );
  return {
    description: status === "204" ? "Done" : "Success",
    headers: {
      ...Object.fromEntries(shared.map((name) => [name, refTo("headers", name)])),
      ...Object.fromEntries(Object.entries(responseHeaders).map(([name, says]) => [name, headerOf(says)])),
    },
    ...(answer ? { content } : {}),
  };
}

/** A parameter that comes as a list when it is sent twice, which is refused, is described as it should be sent. */
const takenOnce = (schema: Json): Json => {
  const [one, other] = (schema.anyOf ?? []) as Json[];
  return one?.type === "string" && other?.type === "array" ? one : schema;
};

function parametersOf(schemas: Schemas, path: string, statement: Statement, reads: boolean): Json[] {
  const from = (schema: z.ZodType | undefined, place: "path" | "query"): Json[] => {
    const { properties = {}, required = [] } = schema ? schemas.of(schema, "input") : {};
    return Object.entries(properties as Record<string, Json>).map(([name, { description, ...schemaOf }]) => ({
      name,
      in: place,
      ...(place === "path" || (required as string[]).includes(name) ? { required: true } : {}),
      ...(description ? { description } : {}),
      schema: takenOnce(schemaOf),
    }));
  };
  const { ifMatch, etag, idempotent, requestHeaders = {} } = statement;
  const inPath = from(statement.params, "path");
  const unnamed = [...path.matchAll(/\{(\w+)\}/g)].flatMap(([, name]) =>
    inPath.some((parameter) => parameter.name === name)
      ? []
      : [{ name, in: "path", required: true, schema: text }],
  );
  return [
    ...inPath,
    ...unnamed,
    ...from(statement.query, "query"),
    ...(ifMatch ? [refTo("parameters", ifMatch === "required" ? "IfMatchRequired" : "IfMatch")] : []),
    ...(etag && reads ? [refTo("parameters", "IfNoneMatch")] : []),
    ...(idempotent ? [refTo("parameters", "IdempotencyKey")] : []),
    ...Object.entries(requestHeaders).map(([name, description]) => ({
      name,
      in: "header",
      description,
      schema: text,
    })),
  ];
}

function requestBodyOf(schemas: Schemas, body: z.ZodType | FormBody | RawBody): Json {
  if (isSchema(body)) {
    const required = !body.safeParse(undefined).success;
    return { required, content: { "application/json": { schema: schemas.of(body, "input") } } };
  }
  const description = `At most ${body.max} bytes`;
  if (body.kind === "form") {
    const schema = schemas.of(body.fields, "input");
    return { required: true, description, content: { "multipart/form-data": { schema } } };
  }
  const binary = { schema: { type: "string", format: "binary" } };
  return {
    required: true,
    description,
    content: Object.fromEntries(body.types.map((type) => [type, binary])),
  };
}

const SECURITY = {
  guest: [],
  optional: [{}, { accessToken: [] }, { apiKey: [] }],
  user: [{ accessToken: [] }, { apiKey: [] }],
  person: [{ accessToken: [] }],
} as const;

function operationOf(schemas: Schemas, method: string, path: string, statement: Statement): Json {
  const { id, summary, tag, body, permission } = statement;
  const permissions = permission === undefined ? [] : [permission].flat();
  const caller = statement.caller ?? (permissions.length > 0 ? "user" : "guest");
  const description = [
    statement.description,
    permissions.length > 0
      ? `Needs the permission ${permissions.map((name) => `\`${name}\``).join(" or ")}.`
      : "",
  ];
  const parameters = parametersOf(schemas, path, statement, method === "get");
  const successes = Object.entries(statement.success).map(([status, answer]) => [
    status,
    successResponse(schemas, statement, status, answer ?? null),
  ]);
  const unchanged =
    statement.etag && method === "get"
      ? [["304", { description: "Not changed", headers: { ETag: refTo("headers", "ETag") } }]]
      : [];
  return {
    operationId: id,
    summary,
    description: description.filter(Boolean).join("\n\n") || summary,
    tags: [tag],
    security: SECURITY[caller],
    ...(permissions.length > 0 ? { "x-permissions": permissions } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: requestBodyOf(schemas, body) } : {}),
    responses: {
      ...Object.fromEntries([...successes, ...unchanged]),
      ...problemResponses(errorCodesOf(statement)),
    },
  };
}

/** What each tag of the document holds. */
const TAGS: Record<string, string> = {
  "Sign-in": "Registration, sign-in, sessions and recovery",
  "Second factor": "Authenticator apps and backup codes",
  Passkeys: "Sign-in without a password",
  "API keys": "Keys for servers",
  Users: "A person's own account",
  Administration: "Accounts as administrators see them",
  Roles: "Roles and their permissions",
  Audit: "Who did what to whom",
  Products: "The catalogue",
  Categories: "The tree of categories",
  Pictures: "Pictures of products",
  Inventory: "Locations, stock levels, reservations and movements",
  "Import and export": "Many products at once",
  Search: "Search, suggestions and facets",
  Devices: "Browsers and apps that signed in before",
  Analytics: "Events and sessions of visitors",
  Reports: "What events add up to",
  Health: "For whoever runs the service",
};

const DESCRIPTION = `A commerce backend.

Success is \`{ data }\`; lists add \`page\`. Errors are RFC 9457 problem documents with a stable \`code\`, and \`errors\`
for input that is not valid. A token that is sent must be good, also where none is needed: one that has ended is 401.
Routes under /auth that open a session, and those under /health, read no token.`;

/**
 * The OpenAPI 3.1 document of an application, made from what its routes state (see `endpoint`).
 * @param app with every route mounted
 * @example const document = openApiDocument(createApp(deps));
 */
export function openApiDocument(app: Hono<AppEnv>): OpenApiDocument {
  const schemas = new Schemas();
  const paths: OpenApiDocument["paths"] = {};
  const codes = new Set<ErrorCode>();
  const tags = new Set<string>();
  for (const { method, path: pattern, handler } of app.routes) {
    const statement = statementOf(findTargetHandler(handler));
    if (!statement) continue;
    const path = pattern.replace(/\/$/, "").replaceAll(/:(\w+)(?:\{[^}]*\})?/g, "{$1}") || "/";
    paths[path] ??= {};
    paths[path][method.toLowerCase()] = operationOf(schemas, method.toLowerCase(), path, statement);
    for (const code of errorCodesOf(statement)) codes.add(code);
    tags.add(statement.tag);
  }
  const used = [...codes].sort();
  const problems = Object.fromEntries(
    used.map((code) => [pascal(`${code}_problem`), problemSchemaOf(schemas, code)]),
  );
  const { schemas: named, resolve } = schemas.components();
  return {
    openapi: "3.1.0",
    info: {
      title: "Aizy",
      version: "1",
      description: DESCRIPTION,
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "http://localhost:5000", description: "Development" }],
    tags: [...tags].map((name) => ({ name, description: TAGS[name] ?? name })),
    paths: resolve(paths),
    components: {
      securitySchemes: {
        accessToken: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "From /auth/login" },
        apiKey: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "aizy_…",
          description: "From /auth/api-keys",
        },
      },
      parameters: REQUEST_HEADERS,
      headers: HEADERS,
      responses: Object.fromEntries(
        used.map((code) => [
          pascal(code),
          problemResponse([code], refTo("schemas", pascal(`${code}_problem`))),
        ]),
      ),
      schemas: { ...named, ...resolve(problems) },
    },
  };
}

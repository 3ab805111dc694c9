// Longer than others: what a route can state and the check of each statement, which are read together.
import { zValidator } from "@hono/zod-validator";
import type { Context, MiddlewareHandler, TypedResponse, ValidationTargets } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { z } from "zod";
import type { ERRORS, ErrorCode } from "../lib/errors";
import type { Permission } from "../lib/permissions";
import { replaceBody } from "./compress";
import { type AppEnv, factory } from "./factory";
import { type Caller, type GuardDeps, guard, isForAnyone } from "./guards";
import { hasKnownEncoding, isEmpty, isJson, readText, refuseInput, refuseUnsafeQuery } from "./input";
import { checkPreconditions, isKnown } from "./preconditions";
import { type ProblemOf, problem } from "./problems";

/** Largest JSON body, in bytes, of a route that names no other limit. */
const MAX_BODY = 1024 * 1024;

/** A multipart form. The handler reads it (`takeUpload`), so that a file can be checked while it arrives. */
export interface FormBody<Fields extends z.ZodObject = z.ZodObject> {
  kind: "form";
  /** What each field holds; `z.file()` for the file. */
  fields: Fields;
  /** Bytes. */
  max: number;
}

/** A body that the handler reads as a stream. */
export interface RawBody {
  kind: "raw";
  /** Content types, for the document; the handler refuses others. */
  types: readonly string[];
  /** Bytes. */
  max: number;
}

/** A form of the given fields, of at most `max` bytes. */
export const form = <Fields extends z.ZodObject>(fields: Fields, max: number): FormBody<Fields> => ({
  kind: "form",
  fields,
  max,
});

/** A stream of one of these content types, of at most `max` bytes. */
export const raw = (types: readonly string[], max: number): RawBody => ({ kind: "raw", types, max });

/** A success answer that is not JSON. */
export interface FileAnswer {
  kind: "file";
  types: readonly string[];
}

/** A file of one of these content types. */
export const file = (...types: string[]): FileAnswer => ({ kind: "file", types });

export type SuccessStatus = 200 | 201 | 202 | 204 | 206 | 301 | 302 | 307;

/**
 * Everything that a route says of itself. The checks, the types of the typed client and the OpenAPI document all
 * come from it.
 */
export interface Statement {
  /** Unique name of the operation, such as `createProduct`; generated clients use it. */
  id: string;
  summary: string;
  description?: string;
  tag: string;
  /**
   * Who may call. `guest`: anybody, and no token is read (the default). `optional`: anybody, but a token that is
   * sent must be good. `user`: a person or an API key. `person`: a person who signed in, not an API key.
   */
  caller?: Caller;
  /** What the caller must hold; of several, one is enough. Makes `caller` at least `user`. */
  permission?: Permission | readonly Permission[];
  /** Somebody may come who owes a second factor that their role demands: to get one. */
  enrolling?: true;
  params?: z.ZodType;
  query?: z.ZodType;
  /** A schema is a JSON body. */
  body?: z.ZodType | FormBody | RawBody;
  /** What becomes of text that no database keeps: `refuse` (the default) answers 422, `replace` takes U+FFFD. */
  malformedText?: "refuse" | "replace";
  /** Bytes that a JSON body may have, where `MAX_BODY` is not right. */
  maxBody?: number;
  /** Success answers by status: the schema of a JSON body, `file(…)`, or null for none. */
  success: Partial<Record<SuccessStatus, z.ZodType | FileAnswer | null>>;
  /** What can go wrong beside what follows from the rest of the statement. */
  errors?: readonly ErrorCode[];
  /**
   * Success carries the ETag of a version, and reads answer `If-None-Match` with 304. `if-match`: the version alone does
   * not say that nothing changed, so another part of the route compares (see `shown`).
   */
  etag?: true | "if-match";
  /** Whether `If-Match` is looked at, or must be sent. */
  ifMatch?: "optional" | "required";
  /** The route takes an Idempotency-Key: its handler runs the change through `idempotent`. */
  idempotent?: boolean;
  /** `Cache-Control` of success answers; `no-store` when not given. */
  cache?: string;
  /** Other headers of the request, for the document: name and what it says. */
  requestHeaders?: Record<string, string>;
  /** Other headers of success answers, for the document: name and what it says. */
  responseHeaders?: Record<string, string>;
}

/** The codes that follow from what a statement says. */
type ImpliedCode<S extends Statement> =
  | "malformed_request"
  | "internal_error"
  | "service_unavailable"
  | (S extends { caller: "optional" | "user" | "person" }
      ? "unauthenticated" | "second_factor_required"
      : never)
  | (S extends { caller: "person" } ? "forbidden" : never)
  | (S extends { permission: unknown } ? "unauthenticated" | "second_factor_required" | "forbidden" : never)
  | (S extends { params: unknown } | { query: unknown } | { body: unknown } ? "invalid_input" : never)
  | (S extends { body: unknown } ? "unsupported_media_type" | "payload_too_large" : never)
  | (S extends { body: z.ZodType } ? "malformed_json" : never)
  | (S extends { ifMatch: unknown } ? "precondition_failed" | "version_conflict" : never)
  | (S extends { ifMatch: "required" } ? "precondition_required" : never)
  | (S extends { idempotent: true }
      ? "idempotency_in_flight" | "idempotency_key_reused" | "invalid_input" | "payload_too_large"
      : never);

type StatedCode<S extends Statement> = S extends { errors: readonly (infer Code extends ErrorCode)[] }
  ? Code
  : never;

type StatusOf<Code extends ErrorCode> = (typeof ERRORS)[Code][0];
type WithStatus<Code extends ErrorCode, Status> = Code extends ErrorCode
  ? StatusOf<Code> extends Status
    ? Code
    : never
  : never;

/** The problem answers of codes, one for each status. */
type ProblemAnswers<Code extends ErrorCode> = {
  [Status in StatusOf<Code>]: TypedResponse<ProblemOf<WithStatus<Code, Status>>, Status, "json">;
}[StatusOf<Code>];

/** As @hono/zod-validator types the input of a target. */
type InOf<Target extends keyof ValidationTargets, Schema extends z.ZodType, In = z.input<Schema>> = {
  [T in Target]: In extends ValidationTargets[T]
    ? In
    : { [K in keyof In]: In[K] extends ValidationTargets[T][keyof ValidationTargets[T]] ? In[K] : string };
};
type Optional<T, Condition> = undefined extends Condition ? Partial<T> : T;

type InputOf<S extends Statement> = S extends { params: unknown } | { query: unknown } | { body: unknown }
  ? { in: GivenBy<S>; out: TakenFrom<S> }
  : // biome-ignore lint/complexity/noBannedTypes: as Hono's own BlankInput
    {};

type GivenBy<S> = (S extends { params: infer P extends z.ZodType } ? InOf<"param", P> : unknown) &
  (S extends { query: infer Q extends z.ZodType } ? InOf<"query", Q> : unknown) &
  (S extends { body: infer B extends z.ZodType } ? Optional<{ json: z.input<B> }, z.input<B>> : unknown) &
  (S extends { body: FormBody<infer F> } ? { form: FormInput<z.input<F>> } : unknown);

/** Fields of a form: text, or a file, in the web's own type instead of zod's, which a frontend does not have. */
type FormInput<Fields> = { [K in keyof Fields]: Fields[K] extends string | undefined ? Fields[K] : File };

type TakenFrom<S> = (S extends { params: infer P extends z.ZodType } ? { param: z.output<P> } : unknown) &
  (S extends { query: infer Q extends z.ZodType } ? { query: z.output<Q> } : unknown) &
  (S extends { body: infer B extends z.ZodType } ? { json: z.output<B> } : unknown) &
  (S extends { body: FormBody<infer F> } ? { form: FormInput<z.output<F>> } : unknown);

type Check = (c: Context<AppEnv>) => Promise<Response | undefined>;
const done = async () => undefined;

/** Where the OpenAPI document finds a route's statement. */
const STATEMENT = Symbol("statement");

/** The statement of a handler that `endpoint` made; undefined for any other. */
export const statementOf = (handler: unknown): Statement | undefined =>
  (handler as { [STATEMENT]?: Statement })[STATEMENT];

export const isSchema = (body: Statement["body"] | FileAnswer | null): body is z.ZodType =>
  body != null && !("kind" in body && typeof body.kind === "string");

/** Runs a validator of @hono/zod-validator as one check among others. */
const validates = <Target extends keyof ValidationTargets>(target: Target, schema: z.ZodType): Check => {
  const validate = zValidator(target, schema, (result, c) => {
    if (!result.success) return refuseInput(c, result.error.issues as z.core.$ZodIssue[]);
  });
  return async (c) => (await validate(c as never, done)) as Response | undefined;
};

const tooLarge = (c: Context, max: number) =>
  problem(c, "payload_too_large", `The body must be at most ${max} bytes.`) as never;

/** Refuses a body above `max` bytes, by its length when it is announced and while it is read when not. */
const limitsBody = (max: number): Check => {
  const limit = bodyLimit({ maxSize: max, onError: (c) => tooLarge(c, max) });
  return async (c) => (await limit(c, done as never)) as Response | undefined;
};

function bodyChecks(
  body: NonNullable<Statement["body"]>,
  { maxBody = MAX_BODY, malformedText = "refuse" }: Pick<Statement, "maxBody" | "malformedText">,
): Check[] {
  const max = isSchema(body) ? maxBody : body.max;
  const encoded: Check = async (c) =>
    hasKnownEncoding(c)
      ? undefined
      : problem(c, "unsupported_media_type", "Send the body without a Content-Encoding.");
  if (!isSchema(body)) {
    // Whoever reads the stream counts what arrives; a length that is announced is refused at once.
    return [
      encoded,
      async (c) => (Number(c.req.header("content-length") ?? 0) > max ? tooLarge(c, max) : undefined),
    ];
  }
  const whenEmpty = [undefined, {}].map((value) => body.safeParse(value)).find(({ success }) => success);
  const read = [
    encoded,
    async (c: Context) =>
      isJson(c, whenEmpty !== undefined)
        ? undefined
        : problem(c, "unsupported_media_type", "Send the body as application/json."),
    limitsBody(max),
    (c: Context) => readText(c, malformedText),
    validates("json", body),
  ];
  return [
    async (c) => {
      if (whenEmpty && isEmpty(c)) {
        c.req.addValidatedData("json", whenEmpty.data as object);
        return undefined;
      }
      return firstRefusal(read, c);
    },
  ];
}

/** Runs checks one after the other. @returns the answer of the first that fails */
async function firstRefusal(checks: Check[], c: Context<AppEnv>): Promise<Response | undefined> {
  for (const check of checks) {
    const refused = await check(c);
    if (refused) return refused;
  }
  return undefined;
}

function checksOf(deps: GuardDeps, statement: Statement): Check[] {
  const { params, query, body } = statement;
  const checks: Check[] = isForAnyone(statement) ? [] : [guard(deps, statement)];
  if (params) checks.push(validates("param", params));
  if (query) checks.push(refuseUnsafeQuery, validates("query", query));
  if (body) checks.push(...bodyChecks(body, statement));
  // A body that nobody asked for is still read, to tell whether a repeated request is the same.
  else if (statement.idempotent) checks.push(limitsBody(MAX_BODY));
  if (statement.ifMatch) checks.push(checkPreconditions(statement.ifMatch));
  return checks;
}

/**
 * States what a route is and checks it in one pass: the caller, then the path, query, body and preconditions. The
 * first check that fails answers with its problem. Put it before the handler in a chain of routes.
 * @param deps how a token becomes a caller
 * @param statement what the route takes and gives
 * @example
 * .post(
 *   "/",
 *   endpoint(deps, {
 *     id: "createProduct",
 *     summary: "Create a product",
 *     tag: "Products",
 *     permission: "products:write",
 *     body: createProductSchema,
 *     success: { 201: productAnswer },
 *     errors: ["already_exists"],
 *     idempotent: true,
 *   }),
 *   (c) => idempotent(c, deps, 201, (record) => createProduct(deps, c.get("actor"), c.req.valid("json"), record)),
 * )
 */
export function endpoint<const S extends Statement>(
  deps: GuardDeps,
  statement: S,
): MiddlewareHandler<AppEnv, string, InputOf<S>, ProblemAnswers<ImpliedCode<S> | StatedCode<S>>> {
  const checks = checksOf(deps, statement);
  const cache = statement.cache ?? "no-store";
  const middleware = factory.createMiddleware(async (c, next) => {
    const refused = checks.length === 0 ? undefined : await firstRefusal(checks, c);
    if (refused) return refused;
    await next();
    const { status, headers } = c.res;
    if (!headers.has("Cache-Control")) headers.set("Cache-Control", status < 400 ? cache : "no-store");
    const tag = headers.get("ETag");
    if (
      statement.etag === true &&
      status === 200 &&
      tag &&
      isKnown(c, tag) &&
      /^(GET|HEAD)$/.test(c.req.method)
    ) {
      replaceBody(c, null, 304);
    }
  });
  return Object.assign(middleware, { [STATEMENT]: statement }) as unknown as MiddlewareHandler<
    AppEnv,
    string,
    InputOf<S>,
    ProblemAnswers<ImpliedCode<S> | StatedCode<S>>
  >;
}

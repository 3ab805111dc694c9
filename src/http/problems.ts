import type { Context, ErrorHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { z } from "zod";
import { isUnavailable } from "../db/unavailable";
import {
  AppError,
  ERRORS,
  type ErrorCode,
  type ErrorExtras,
  FIELD_CODES,
  type FieldCode,
  type Problem,
  refusedFields,
} from "../lib/errors";
import { StorageUnavailable } from "../storage/storage";
import { type AppEnv, logOf } from "./factory";

/** `Problem` for the OpenAPI document. */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
    requestId: z.string(),
    errors: z
      .array(
        z
          .object({
            path: z.string().describe("The field, with dots between its parts: variants.0.sku"),
            code: z.enum(Object.keys(FIELD_CODES) as [FieldCode, ...FieldCode[]]),
            message: z.string(),
          })
          .meta({ id: "FieldError" }),
      )
      .optional(),
  })
  // Open: the problem of a code is this one and its own members.
  .meta({
    id: "Problem",
    description: "RFC 9457 problem details",
    additionalProperties: true,
  }) satisfies z.ZodType<Problem>;

/** What the problem of a code says beside the members that all have. */
export const PROBLEM_MEMBERS = {
  precondition_failed: z.object({ currentVersion: z.number().int().optional() }),
  version_conflict: z.object({
    currentVersion: z.number().int(),
    currentQuantity: z.number().int().optional().describe("What is on hand, where a quantity was expected"),
    expectedQuantity: z.number().int().optional(),
  }),
  insufficient_stock: z.object({
    sku: z.string(),
    locationId: z.string().nullable().meta({ description: "null: all locations together have too little" }),
    requested: z.number().int(),
    available: z.number().int(),
  }),
  conflict: z.object({
    reservationStatus: z.string().optional().describe("Why a reservation cannot be changed"),
    exportId: z.string().optional().describe("The export that is being made"),
  }),
} as const satisfies Partial<Record<ErrorCode, z.ZodObject>>;

type MembersOf<Code> = Code extends keyof typeof PROBLEM_MEMBERS
  ? z.infer<(typeof PROBLEM_MEMBERS)[Code]>
  : unknown;

/** The problem document of a code, with the members that only it has; of several codes, one of theirs. */
export type ProblemOf<Code extends ErrorCode> = Code extends ErrorCode
  ? Omit<Problem, "code" | "status"> & { code: Code; status: (typeof ERRORS)[Code][0] } & MembersOf<Code>
  : never;

/** The problem document of an error. */
export function problemOf(
  code: ErrorCode,
  detail: string,
  requestId: string,
  extras: ErrorExtras = {},
): Problem {
  const [status, title] = ERRORS[code];
  return {
    type: `urn:aizy:problem:${code}`,
    title,
    status,
    detail,
    code,
    requestId,
    ...(extras.errors === undefined ? {} : { errors: extras.errors }),
    ...extras.members,
  };
}

/** Answers with a problem document. Typed by its status, so the RPC client sees it on validated routes. */
export function problem<Code extends ErrorCode>(
  c: Context,
  code: Code,
  detail: string,
  extras: ErrorExtras = {},
) {
  if (ERRORS[code][0] === 401) c.header("WWW-Authenticate", "Bearer");
  if (extras.retryAfter !== undefined) c.header("Retry-After", String(Math.ceil(extras.retryAfter)));
  if (extras.rateLimit !== undefined) {
    const { policy, quota, window } = extras.rateLimit;
    // draft-ietf-httpapi-ratelimit-headers-10: r is what is left, t the seconds until there is more.
    c.header("RateLimit-Policy", `"${policy}";q=${quota};w=${window}`);
    c.header("RateLimit", `"${policy}";r=0;t=${Math.ceil(extras.retryAfter ?? window)}`);
  }
  const body = problemOf(code, detail, c.get("requestId") ?? "unknown", extras);
  return c.json(body, ERRORS[code][0] as (typeof ERRORS)[Code][0], {
    "Content-Type": "application/problem+json",
  });
}

/** What Hono's own exceptions mean in our list. */
const BY_STATUS: Partial<Record<ContentfulStatusCode, ErrorCode>> = {
  400: "malformed_request",
  401: "unauthenticated",
  403: "forbidden",
  404: "not_found",
  405: "method_not_allowed",
  408: "request_timeout",
  413: "payload_too_large",
  415: "unsupported_media_type",
  429: "too_many_requests",
};

/** The rules of a model that have a field code of their own. */
const MODEL_RULES: Record<string, FieldCode> = {
  required: "required",
  enum: "not_allowed",
  minlength: "too_short",
  maxlength: "too_long",
  min: "too_small",
  max: "too_large",
};

/** The one place where an error becomes an answer. The text of a 5xx is constant; its cause is logged. */
export const onError: ErrorHandler<AppEnv> = (error, c) => {
  const log = () => (c.get("log") ? logOf(c) : undefined);
  if (error instanceof AppError) {
    if (error.status >= 500) log()?.error({ err: error }, error.code);
    return problem(c, error.code, error.detail, error);
  }
  if (error instanceof HTTPException) {
    const code = BY_STATUS[error.status];
    if (code === "malformed_request" && /malformed json/i.test(error.message)) {
      return problem(c, "malformed_json", "Send one JSON value, in UTF-8, without anything after it.");
    }
    if (code) return problem(c, code, ERRORS[code][1]);
  }
  if (isUnavailable(error)) {
    log()?.error({ err: error }, "a database is not available");
    return problem(c, "service_unavailable", "A database does not answer. Try again shortly.", {
      retryAfter: 2,
    });
  }
  if (error instanceof StorageUnavailable) {
    log()?.error({ err: error }, error.isFull ? "the disk is full" : "stored files are out of reach");
    return problem(c, "service_unavailable", "No file can be kept or read now. Try again later.", {
      retryAfter: error.isFull ? 30 : 5,
    });
  }
  const refused = refusedFields(error);
  if (refused) {
    const errors = refused
      .slice(0, 50)
      .map(({ path, kind }) => ({ path, code: MODEL_RULES[kind] ?? "invalid", message: "is not accepted" }));
    log()?.error({ err: error }, "a model refused what its schema let through");
    return problem(c, "invalid_input", "Some of the input is not valid; see errors.", { errors });
  }
  log()?.error({ err: error }, "unexpected error");
  return problem(c, "internal_error", "The cause is in our log under this request id.");
};

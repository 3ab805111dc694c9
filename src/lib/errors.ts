/**
 * The closed list of what can go wrong, each with one HTTP status and one title (RFC 9457).
 * A service throws `new AppError(code, detail)`; only `http/problems.ts` turns it into an answer.
 */
export const ERRORS = {
  malformed_json: [400, "The body is not valid JSON"],
  malformed_request: [400, "The request is malformed"],
  invalid_cursor: [400, "The cursor is not valid for this list"],
  unauthenticated: [401, "Sign in to do this"],
  invalid_credentials: [401, "The credentials are not right"],
  forbidden: [403, "Not allowed"],
  second_factor_required: [403, "A second factor is needed"],
  origin_not_allowed: [403, "The origin is not allowed"],
  not_found: [404, "Not found"],
  method_not_allowed: [405, "The method is not allowed here"],
  request_timeout: [408, "The request took too long to arrive"],
  conflict: [409, "The change conflicts with the present state"],
  already_exists: [409, "It exists already"],
  version_conflict: [409, "It has changed since you read it"],
  idempotency_in_flight: [409, "The first request with this key is still running"],
  insufficient_stock: [409, "Not enough stock"],
  gone: [410, "No longer there"],
  precondition_failed: [412, "It has changed since you read it"],
  payload_too_large: [413, "The body is too large"],
  unsupported_media_type: [415, "The content type is not supported"],
  invalid_input: [422, "The input is not valid"],
  invalid_code: [422, "The code is not right"],
  idempotency_key_reused: [422, "The key was used for another request"],
  precondition_required: [428, "If-Match is required"],
  too_many_requests: [429, "Too many requests"],
  internal_error: [500, "Something went wrong on our side"],
  service_unavailable: [503, "The service is not ready"],
} as const satisfies Record<string, readonly [number, string]>;

export type ErrorCode = keyof typeof ERRORS;
export type ErrorStatus = (typeof ERRORS)[ErrorCode][0];

/** What can be wrong with a field: a closed list that clients may decide by. */
export const FIELD_CODES = {
  required: "is missing",
  wrong_type: "is of another type",
  invalid: "breaks a rule that the message names",
  invalid_format: "does not have the form that is needed",
  not_allowed: "is none of the allowed values",
  unknown_field: "is not a field here",
  too_short: "has too few characters or items",
  too_long: "has too many characters or items",
  too_small: "is below the least value",
  too_large: "is above the greatest value",
  duplicate: "is there twice",
  not_found: "names something that does not exist",
  ambiguous: "could mean more than one thing",
  too_deep: "would be nested more deeply than allowed",
} as const;

export type FieldCode = keyof typeof FIELD_CODES;

/** One fault in the input: where (a dotted path), what (a stable code) and what to do. */
export interface FieldError {
  path: string;
  code: FieldCode;
  message: string;
}

/** What every error is answered with: RFC 9457 problem details, with a stable code and the request's id. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  requestId: string;
  errors?: FieldError[] | undefined;
}

/** What an error may carry beside its text. */
export interface ErrorExtras {
  errors?: FieldError[];
  /** Members added to the problem document, such as `currentVersion` on a 409. */
  members?: Record<string, string | number | boolean | null>;
  /** Seconds, for Retry-After. */
  retryAfter?: number;
  /** The limit that was reached, for RateLimit and RateLimit-Policy; `window` in seconds. */
  rateLimit?: { policy: string; quota: number; window: number };
  cause?: unknown;
}

/** The one error type that services and stores throw on purpose. `detail` is shown to the caller. */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly errors: FieldError[] | undefined;
  readonly members: ErrorExtras["members"];
  readonly retryAfter: number | undefined;
  readonly rateLimit: ErrorExtras["rateLimit"];

  constructor(
    readonly code: ErrorCode,
    readonly detail: string,
    extras: ErrorExtras = {},
  ) {
    super(`${code}: ${detail}`, { cause: extras.cause });
    this.errors = extras.errors;
    this.members = extras.members;
    this.retryAfter = extras.retryAfter;
    this.rateLimit = extras.rateLimit;
  }

  get status(): ErrorStatus {
    return ERRORS[this.code][0];
  }

  get title(): string {
    return ERRORS[this.code][1];
  }
}

/** A 422 about one field. */
export const invalidInput = (path: string, code: FieldCode, message: string): AppError =>
  new AppError("invalid_input", message, { errors: [{ path, code, message }] });

/**
 * The fields of a document that its model refused, and by which rule. Mongoose's error is known by its name, so that
 * no library is imported; its own texts hold the values and are left out.
 * @returns undefined when `error` is anything else
 */
export function refusedFields(error: unknown): { path: string; kind: string }[] | undefined {
  const { name, errors } = (error ?? {}) as { name?: unknown; errors?: Record<string, { kind?: unknown }> };
  if (name !== "ValidationError" || errors === undefined) return undefined;
  return Object.entries(errors).map(([path, { kind }]) => ({ path, kind: String(kind ?? "invalid") }));
}

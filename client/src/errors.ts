import type { ErrorCode, FieldError, Problem, ProblemMembers } from "./models.js";

/** What can go wrong before there is an answer of the API, or instead of one. */
export type ClientCode = "network_error" | "timeout" | "unexpected_answer";
export type AnyCode = ErrorCode | ClientCode;

/** What the problem of a code says beside the members that all have. */
export type MembersOf<Code> = Code extends keyof ProblemMembers ? ProblemMembers[Code] : unknown;

/** One error type for each of several codes, so that `error.code` tells which `members` there are. */
export type ErrorOf<Code extends AnyCode> = Code extends AnyCode ? ApiError<Code> : never;

/** What became of something since it was read. */
export interface Changes {
  /** As it was read; undefined when this client did not read it. */
  base: unknown;
  current: unknown;
  /** The version that is there now: pass it as `ifMatch` to make the change on top of it. */
  etag: string | undefined;
  /** Fields of the first level that are others now. */
  changed: string[];
  /** Those of them that the refused change would have set too. */
  conflicting: string[];
}

interface Details {
  status?: number;
  problem?: Problem;
  retryAfter?: number;
  cause?: unknown;
  changes?: () => Promise<Changes>;
}

/**
 * The one error that calls throw. `message` may be shown; decide by `code`, which is stable.
 * Holds nothing that was sent, so it may be logged.
 */
export class ApiError<Code extends AnyCode = AnyCode> extends Error {
  override readonly name = "ApiError";
  /** The HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** For input that is not valid: where, what and what to do. */
  readonly fields: readonly FieldError[];
  /** To be named in a question to whoever runs the API. */
  readonly requestId: string | undefined;
  readonly problem: Problem | undefined;
  /** What this code says beside: `available` of `insufficient_stock`, for one. */
  readonly members: MembersOf<Code>;
  /** Seconds after which to ask again. */
  readonly retryAfter: number | undefined;
  readonly #changes: (() => Promise<Changes>) | undefined;

  constructor(
    readonly code: Code,
    message: string,
    { status = 0, problem, retryAfter, cause, changes }: Details = {},
  ) {
    super(message, { cause });
    this.status = status;
    this.problem = problem;
    this.fields = problem?.errors ?? [];
    this.requestId = problem?.requestId;
    this.members = (problem ?? {}) as MembersOf<Code>;
    this.retryAfter = retryAfter;
    this.#changes = changes;
  }

  /** Whether it is one of these codes; narrows `members`. */
  is<Asked extends AnyCode>(...codes: Asked[]): this is ApiError<Asked> {
    return (codes as AnyCode[]).includes(this.code);
  }

  /** What is wrong with a field, such as `email`; undefined when nothing is. */
  field(path: string): FieldError | undefined {
    return this.fields.find((one) => one.path === path);
  }

  /**
   * After a 412: reads again what was to be changed and compares it with what was read before.
   * @throws ApiError when it cannot be read
   */
  async changes(): Promise<Changes | undefined> {
    return this.#changes?.();
  }
}

/** Whether something that was caught is an error of the API, or one of these codes. */
export const isApiError = <Code extends AnyCode = AnyCode>(
  error: unknown,
  ...codes: Code[]
): error is ApiError<Code> => error instanceof ApiError && (codes.length === 0 || error.is(...codes));

/** The error that an answer is. */
export async function errorOf(answer: Response, changes?: () => Promise<Changes>): Promise<ApiError> {
  const { status } = answer;
  // In seconds, as the API says it; proxies that name a date say nothing that would be waited for.
  const wait = Number.parseInt(answer.headers.get("retry-after") ?? "", 10);
  const details = { status, ...(wait >= 0 ? { retryAfter: wait } : {}) };
  const body: unknown = /[/+]json/.test(answer.headers.get("content-type") ?? "")
    ? await answer.json().catch(() => undefined)
    : undefined;
  const problem = body as Problem | undefined;
  if (typeof problem?.code !== "string")
    return new ApiError("unexpected_answer", `No answer of the API: ${status}.`, details);
  return new ApiError(problem.code, problem.detail, {
    ...details,
    problem,
    ...(status === 412 && changes ? { changes } : {}),
  });
}

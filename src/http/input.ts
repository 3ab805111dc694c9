import type { Context } from "hono";
import type { z } from "zod";
import type { FieldCode, FieldError } from "../lib/errors";
import { mayNameProto, maySplitPairs, protoAt, splitPairAt } from "../lib/json";
import { queryOf } from "./host";
import { problem } from "./problems";

/** Longest query string, in characters; a longer one is 422. */
const MAX_QUERY = 8192;
/** Most faults that one answer names. */
const MAX_FAULTS = 50;

/** Our code for what a schema refused: the validator's own words are not part of the contract. */
function codeOf(issue: z.core.$ZodIssue): FieldCode {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === undefined ? "required" : "wrong_type";
    case "too_small":
      return issue.origin === "string" || issue.origin === "array" ? "too_short" : "too_small";
    case "too_big":
      return issue.origin === "string" || issue.origin === "array" ? "too_long" : "too_large";
    case "invalid_value":
      return issue.input === undefined ? "required" : "not_allowed";
    case "invalid_format":
      return "invalid_format";
    case "unrecognized_keys":
      return "unknown_field";
    default:
      return (issue as { params?: { code?: FieldCode } }).params?.code ?? "invalid";
  }
}

/** The faults of a body, query or path, as a problem document names them. */
const fieldErrors = (issues: z.core.$ZodIssue[]): FieldError[] =>
  issues.slice(0, MAX_FAULTS).flatMap((issue) => {
    const path = issue.path.join(".");
    if (issue.code === "unrecognized_keys") {
      return issue.keys.slice(0, 20).map((key) => ({
        path: path === "" ? key.slice(0, 100) : `${path}.${key.slice(0, 100)}`,
        code: "unknown_field" as const,
        message: "is not a field here; remove it or check its spelling",
      }));
    }
    return [{ path, code: codeOf(issue), message: issue.message }];
  });

/** The 422 of a schema that refused its input. */
export const refuseInput = (c: Context, issues: z.core.$ZodIssue[]) =>
  problem(c, "invalid_input", "Some of the input is not valid; see errors.", { errors: fieldErrors(issues) });

/**
 * Whether the request's body is JSON by its content type.
 * @param optional whether a request without a body and without a type is fine
 */
export function isJson(c: Context, optional: boolean): boolean {
  const type = c.req.header("content-type") ?? "";
  if (/^application\/([a-z0-9.+-]+\+)?json\s*(;|$)/i.test(type)) {
    // RFC 8259 §8.1: JSON is UTF-8.
    return /^utf-?8$/i.test(/;\s*charset\s*=\s*"?([^";]*)"?/i.exec(type)?.[1]?.trim() ?? "utf-8");
  }
  return optional && type === "" && isEmpty(c);
}

/** Whether no body was sent, whatever the content type says: some clients always name one. */
export const isEmpty = (c: Context): boolean =>
  c.req.raw.body === null || c.req.header("content-length") === "0";

const utf8 = new TextDecoder("utf-8", { fatal: true });
/**
 * Reads a JSON body as strict UTF-8 and looks for halves of surrogate pairs, which JSON can write and no database
 * keeps: replaced silently, two texts (two passwords) would become one.
 * @param malformed `replace` makes U+FFFD of them, where a text that a browser cut in two is better than none
 */
export async function readText(c: Context, malformed: "refuse" | "replace"): Promise<Response | undefined> {
  const bytes = await c.req.arrayBuffer();
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return problem(c, "malformed_json", "The body is not UTF-8.");
  }
  if (maySplitPairs(text) || (malformed === "refuse" && mayNameProto(text))) {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      // The validator says what is wrong with it.
      return undefined;
    }
    const proto = malformed === "refuse" ? protoAt(value) : undefined;
    if (proto !== undefined) {
      return problem(c, "invalid_input", "Some of the input is not valid; see errors.", {
        errors: [{ path: proto, code: "not_allowed", message: "is not allowed as a key" }],
      });
    }
    const path = splitPairAt(value);
    if (path !== undefined && malformed === "refuse") {
      const message = "must be Unicode text, without half of a surrogate pair";
      return problem(c, "invalid_input", "Some of the input is not valid; see errors.", {
        errors: [{ path, code: "invalid_format", message }],
      });
    }
    if (path !== undefined) {
      text = JSON.stringify(value, (_key, part) => (typeof part === "string" ? part.toWellFormed() : part));
    }
  }
  // The validator, which asks for the body next, finds the text here.
  Object.assign(c.req.bodyCache, { text: Promise.resolve(text) });
  return undefined;
}

/** Whether the body comes as it is. We read no compressed bodies, and must not take their bytes for text. */
export const hasKnownEncoding = (c: Context): boolean =>
  /^(identity)?$/i.test(c.req.header("content-encoding")?.trim() ?? "");

/** Refuses a query that is too long, or that has a name which vanishes from an object before a schema sees it. */
export async function refuseUnsafeQuery(c: Context): Promise<Response | undefined> {
  const query = queryOf(c.req.url);
  if (query.length > MAX_QUERY) {
    return problem(c, "invalid_input", `The query string is longer than ${MAX_QUERY} characters.`);
  }
  if (/_|%5f/i.test(query) && new URLSearchParams(query).has("__proto__")) {
    return problem(c, "invalid_input", "Some of the input is not valid; see errors.", {
      errors: [{ path: "__proto__", code: "unknown_field", message: "is not a field here" }],
    });
  }
  return undefined;
}

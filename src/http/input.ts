import { zValidator } from "@hono/zod-validator";
import type { Context, ValidationTargets } from "hono";
import { resolver, uniqueSymbol } from "hono-openapi";
import type { z } from "zod";
import type { FieldError } from "../lib/errors";
import { queryOf } from "./host";
import { problem } from "./problems";

/** Longest query string, in characters; a longer one is 422. */
const MAX_QUERY = 8192;

const fieldErrors = (issues: z.core.$ZodIssue[]): FieldError[] =>
  issues.slice(0, 50).flatMap((issue) => {
    const path = issue.path.join(".");
    if (issue.code === "unrecognized_keys") {
      return issue.keys.slice(0, 20).map((key) => ({
        path: path === "" ? key.slice(0, 100) : `${path}.${key.slice(0, 100)}`,
        code: "unknown_key",
        message: "is not a known key here",
      }));
    }
    return [{ path, code: issue.code, message: issue.message }];
  });

/** The 422 of a schema that refused its input. */
const refuse = (c: Context, issues: z.core.$ZodIssue[]) =>
  problem(c, "invalid_input", "Some of the input is not valid; see errors.", { errors: fieldErrors(issues) });

/**
 * Validates one part of the request with a zod schema and describes it in the OpenAPI document. Invalid
 * input is answered with a 422 problem, which is typed for the RPC client. Malformed JSON is 400, a body of
 * another content type 415. No body at all is an empty object wherever the schema takes one, whatever the
 * content type says: some HTTP clients always name one.
 */
export function input<Target extends keyof ValidationTargets, Schema extends z.ZodType>(
  target: Target,
  schema: Schema,
) {
  const validate = zValidator(target, schema, (result, c) => {
    if (!result.success) return refuse(c, result.error.issues as z.core.$ZodIssue[]);
  });
  const guarded: typeof validate = async (c, next) => {
    if (target === "json") {
      if (c.req.raw.body === null || c.req.header("content-length") === "0") {
        const empty = schema.safeParse({});
        if (empty.success) {
          c.req.addValidatedData("json", empty.data as object);
          return next();
        }
      }
      const type = c.req.header("content-type") ?? "";
      if (!/^application\/([a-z0-9.+-]+\+)?json\s*(;|$)/i.test(type)) {
        const hasBody = c.req.raw.body !== null || type !== "";
        if (hasBody || !schema.safeParse(undefined).success) {
          return problem(c, "unsupported_media_type", "Send the body as application/json.") as never;
        }
      }
    }
    if (target === "query" && queryOf(c.req.url).length > MAX_QUERY) {
      return problem(c, "invalid_input", `The query string is longer than ${MAX_QUERY} characters.`) as never;
    }
    // Assigned to an object this name vanishes, so that no schema would see it.
    if (target === "query" && new URLSearchParams(queryOf(c.req.url)).has("__proto__")) {
      return problem(c, "invalid_input", "Some of the input is not valid; see errors.", {
        errors: [{ path: "__proto__", code: "unknown_key", message: "is not a known key here" }],
      }) as never;
    }
    return validate(c, next);
  };
  return Object.assign(guarded, { [uniqueSymbol]: { target, ...resolver(schema) } }) as typeof validate;
}

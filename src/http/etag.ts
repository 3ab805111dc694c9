import type { Context } from "hono";
import { AppError } from "../lib/errors";

/** The strong entity tag of a version (RFC 9110 §8.8.3). */
export const etagOf = (version: number): string => `"v${version}"`;

/**
 * The version that the request's If-Match names. `*` and no header give undefined: "whatever there is".
 * @throws AppError precondition_failed for a tag that was never ours, so nothing can match it
 * @throws AppError precondition_required when `required` and the header is missing
 */
export function ifMatch(c: Context, required = false): number | undefined {
  const header = c.req.header("if-match")?.trim();
  if (header === undefined || header === "") {
    if (!required) return undefined;
    throw new AppError("precondition_required", "Send If-Match with the ETag of the version you have read.");
  }
  if (header === "*") return undefined;
  // What guests are shown has a hash behind the version; see `shown` in `cache.ts`.
  const version = /^"v(\d{1,15})(?:-[0-9a-f]{32}(?:-[a-z]+)?)?"$/.exec(header)?.[1];
  if (version === undefined) {
    throw new AppError(
      "precondition_failed",
      "If-Match names no version of this. Read it again and use its ETag.",
    );
  }
  return Number(version);
}

/**
 * Whether If-None-Match names the tag, so that the caller has it already (RFC 9110 §13.1.2: compared weakly). To be
 * asked only of what is there, because `*` names anything.
 */
export function isKnown(c: Context, etag: string): boolean {
  const header = c.req.header("if-none-match")?.trim() ?? "";
  return header === "*" || header.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);
}

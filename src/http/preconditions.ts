import type { Context, TypedResponse } from "hono";
import type { JSONParsed } from "hono/utils/types";
import type { ExpectedVersions } from "../lib/versions";
import type { AppEnv } from "./factory";
import { problem } from "./problems";

/**
 * The strong entity tag of a version (RFC 9110 §8.8.3).
 * @param rest 32 hexadecimal digits of what is shown beside what the version counts
 */
export const etagOf = (version: number, rest?: string): string =>
  rest === undefined ? `"v${version}"` : `"v${version}-${rest}"`;

const NO_VERSION = "If-Match names no version of this. Read it again and use its ETag.";

/** Reads If-Match (RFC 9110 §13.1.1): `*`, or a list of tags, of which those that were never ours match nothing. */
export function versionsOf(header: string): ExpectedVersions {
  if (header === "*") return undefined;
  return header.split(",").flatMap((tag) => {
    // What guests are shown has a hash behind the version; see `shown` in `cache.ts`.
    const version = /^\s*"v(\d{1,15})(?:-[0-9a-f]{32}(?:-[a-z]+)?)?"\s*$/.exec(tag)?.[1];
    return version === undefined ? [] : [Number(version)];
  });
}

/** The check of a route's `ifMatch`. */
export const checkPreconditions =
  (wanted: "optional" | "required") =>
  async (c: Context<AppEnv>): Promise<Response | undefined> => {
    const header = c.req.header("if-match")?.trim() ?? "";
    if (header === "") {
      if (wanted === "optional") return undefined;
      return problem(
        c,
        "precondition_required",
        "Send If-Match with the ETag of the version you have read, or * to overwrite any.",
      );
    }
    const versions = versionsOf(header);
    if (versions?.length === 0) return problem(c, "precondition_failed", NO_VERSION);
    c.set("expectedVersions", versions);
    return undefined;
  };

/**
 * Whether If-None-Match names the tag, so that the caller has it already (RFC 9110 §13.1.2: compared weakly). To be
 * asked only of what is there, because `*` names anything.
 */
export function isKnown(c: Context, etag: string): boolean {
  const header = c.req.header("if-none-match")?.trim() ?? "";
  if (header === "*") return true;
  const weak = etag.replace(/^W\//, "");
  return header.split(",").some((tag) => tag.trim().replace(/^W\//, "") === weak);
}

/** What `c.json({ data }, status)` gives. Its inferred type is too long for the client's declarations. */
export type DataAnswer<Data extends object, Status extends 200 | 201 | 202> = Response &
  TypedResponse<JSONParsed<{ data: Data }>, Status, "json">;

/**
 * Answers `{ data }` with the ETag of its version.
 * @param version where it is no field of the data
 * @param rest see `etagOf`
 * @example (c) => withEtag(c, await readProduct(deps, c.req.valid("param").id))
 */
export function withEtag<Data extends object>(
  c: Context,
  data: Data,
  version = (data as { version?: number }).version ?? 0,
  rest?: string,
): DataAnswer<Data, 200> {
  c.header("ETag", etagOf(version, rest));
  return c.json({ data }, 200) as unknown as DataAnswer<Data, 200>;
}

import { ApiError } from "./errors.js";
import type { Outgoing } from "./upload.js";

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

/** Most redirects that are followed. */
const HOPS = 5;

const elsewhere = (status: number) =>
  new ApiError("unexpected_answer", "A redirect was not followed.", { status });

/** Browsers and their workers know cookies; on servers the setting means nothing, and some refuse it. */
const inBrowser = typeof location !== "undefined";

/**
 * Sends once. Redirects of reads are followed on the same origin; a change is never sent anywhere else, nor is a
 * token: where a browser hides where a redirect leads, it is followed without one.
 * @throws ApiError for a redirect that is not followed; whatever `fetch` throws
 */
export async function sendOnce(fetch: Fetch, { method, url, headers, body, signal, onProgress }: Outgoing) {
  if (onProgress && body !== undefined && typeof XMLHttpRequest !== "undefined") {
    // Most pages upload nothing, and do not load it.
    const { upload } = await import("./upload.js");
    return upload({ method, url, headers, body, signal, onProgress });
  }
  const init: RequestInit = {
    method,
    headers,
    redirect: "manual",
    ...(body === undefined ? {} : { body }),
    ...(signal ? { signal } : {}),
    ...(inBrowser ? { credentials: "include" } : {}),
  };
  let at = url;
  for (let hop = 0; hop <= HOPS; hop++) {
    const answer = await fetch(at, init);
    if (answer.type === "opaqueredirect") {
      if (method !== "GET") throw elsewhere(0);
      const open = new Headers(headers);
      open.delete("authorization");
      return fetch(at, { ...init, headers: open, redirect: "follow", credentials: "omit" });
    }
    const location = answer.headers.get("location");
    if (answer.status < 300 || answer.status >= 400 || answer.status === 304 || location === null)
      return answer;
    await answer.body?.cancel();
    const next = new URL(location, at);
    if (method !== "GET" || next.origin !== new URL(url).origin) throw elsewhere(answer.status);
    at = next.href;
  }
  throw elsewhere(0);
}

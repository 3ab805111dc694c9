import type { ClientOptions } from "./client.js";
import type { Fetch } from "./transport.js";

/** A browser's request, as the server that answers it sees it. */
export interface Forwarded {
  /** The request's `Cookie`. */
  cookie: string | null | undefined;
  /** The origin of the frontend, as in `CORS_ORIGINS`. */
  origin: string;
  /** Gets each `Set-Cookie` of the API. Pass it on to the browser, or the browser is signed out. */
  onSetCookie(cookie: string): void;
  /** Takes the place of the platform's `fetch`. */
  fetch?: Fetch;
}

/**
 * Options of a client with which a server acts for the browser whose request it answers; one for each request.
 * @example createClient(url, forwardCookies({ cookie, origin: "https://shop.example", onSetCookie }))
 */
export function forwardCookies({
  cookie,
  origin,
  onSetCookie,
  fetch = globalThis.fetch,
}: Forwarded): ClientOptions {
  // The API's own cookies and no others.
  const cookies = new Map(
    [...(cookie ?? "").matchAll(/(?:^|; ?)((?:__Secure-)?aizy_\w+)=([^;]*)/g)].map(
      ([, name = "", value = ""]) => [name, value],
    ),
  );
  return {
    restore: true,
    fetch: async (url, init) => {
      const headers = new Headers(init?.headers);
      if (/\/auth\//.test(new URL(url).pathname)) {
        headers.set("origin", origin);
        headers.set("cookie", [...cookies].map((pair) => pair.join("=")).join("; "));
      }
      const answer = await fetch(url, { ...init, headers });
      for (const given of answer.headers.getSetCookie()) {
        const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(given) ?? [];
        if (value === "") cookies.delete(name);
        else cookies.set(name, value);
        onSetCookie(given);
      }
      return answer;
    },
  };
}

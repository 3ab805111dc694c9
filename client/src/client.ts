import { addressOf, brokenOff, Calls, type Given, type Route } from "./calls.js";
import { ApiError } from "./errors.js";
import { listOf } from "./lists.js";
import { wait } from "./retry.js";
import type { Routes } from "./routes.js";
import { type SecretStorage, type Session, SessionKeeper } from "./session.js";
import { type Fetch, sendOnce } from "./transport.js";
import type { CallOptions, EventOptions, ListOptions } from "./types.js";

export interface ClientOptions {
  /** For native apps: where the refresh token is kept. Pages leave it out; theirs is in a cookie. */
  storage?: SecretStorage;
  /** For servers: a key of `POST /auth/api-keys`. Never in a page. */
  apiKey?: string;
  /** Finds out who is signed in before the first call, instead of after the first one that is refused. */
  restore?: boolean;
  /** Sent with each request, such as `Accept-Language`. */
  headers?: Record<string, string>;
  /** Milliseconds after which a call is given up; 30,000 unless given, 0 for never. Uploads have no limit of their own. */
  timeout?: number;
  /** How often what is safe to repeat is sent again; 2 unless given. */
  retries?: number;
  /** Takes the place of the platform's `fetch`. */
  fetch?: Fetch;
}

/** The API: its routes as a chain of the parts of their paths, with the session beside them. */
export type Client = Routes & {
  readonly session: Session;
  /** The whole address of something that the API names by its path, such as a picture. */
  url(path: string): string;
};

/**
 * A client of the API.
 * @param url where it is, such as https://api.shop.example; a path before the routes is kept
 * @throws TypeError for an address that is none, or has a password in it
 * @example
 * const shop = createClient("https://api.shop.example");
 * const { data } = await shop.api.products.$get({ query: { sort: "-createdAt" } });
 */
export function createClient(url: string, options: ClientOptions = {}): Client {
  const at = new URL(url, typeof location === "undefined" ? undefined : location.href);
  if (!/^https?:$/.test(at.protocol) || at.username || at.password)
    throw new TypeError("createClient: give an http address without a password");
  const base = `${at.origin}${at.pathname.replace(/\/+$/, "")}`;
  const {
    storage,
    apiKey,
    restore = storage !== undefined,
    headers = {},
    timeout = 30_000,
    retries = 2,
  } = options;
  // Called through the global object: a browser's `fetch` asks for it, and whoever replaces it later is heard.
  const fetch: Fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const session = new SessionKeeper({
    url: base,
    storage,
    eager: restore,
    refresh: ({ refreshToken }) =>
      sendOnce(fetch, {
        method: "POST",
        url: `${base}/auth/refresh`,
        headers: new Headers({ ...headers, "content-type": "application/json" }),
        body: JSON.stringify(refreshToken === undefined ? {} : { refreshToken }),
        signal: AbortSignal.timeout(timeout || 30_000),
      }).catch((cause: unknown) => {
        throw brokenOff(cause, undefined);
      }),
  });
  const calls = new Calls({ url: base, fetch, headers, apiKey, session, timeout, retries });
  return routes([], {
    calls,
    own: { session, url: (path: string) => (/^https?:/.test(path) ? path : `${base}${path}`) },
    base,
  }) as unknown as Client;
}

interface Tree {
  calls: Calls;
  base: string;
  /** What the client has beside the routes. */
  own: Record<string, unknown>;
}

/** A place in the tree of routes: more of a path, or a method of it. */
const routes = (parts: string[], tree: Tree): unknown =>
  new Proxy(
    {},
    {
      get(_, name) {
        // A place is no promise, whoever awaits it.
        if (typeof name === "symbol" || name === "then") return undefined;
        if (parts.length === 0 && Object.hasOwn(tree.own, name)) return tree.own[name];
        if (!name.startsWith("$")) return routes([...parts, name], tree);
        return methodOf(tree, `/${parts.join("/")}`, name.slice(1));
      },
    },
  );

function methodOf({ calls, base }: Tree, path: string, name: string) {
  const get: Route = { path, method: "GET" };
  if (name === "list")
    return (given: Given = {}, { headers, ...options }: ListOptions = {}) =>
      listOf(
        (cursor, signal) =>
          calls.call(
            get,
            cursor === undefined ? given : { ...given, query: { ...given.query, cursor } },
            headers ? { signal, headers } : { signal },
          ) as never,
        options,
      );
  if (name === "events")
    return async function* (given: Given = {}, options: EventOptions = {}) {
      addressOf(base, path, given);
      // For staff: a shop's visitors do not load it.
      const { eventsOf } = await import("./events.js");
      yield* eventsOf((last) => calls.open(get, given, options, last), options, wait);
    };
  const method = name.toUpperCase();
  const call = (given?: Given, options?: CallOptions) => {
    const answer = calls.call({ path, method }, given, options);
    return Object.assign(answer, {
      result: () =>
        answer.catch((error: unknown) => {
          if (error instanceof ApiError) return { error };
          throw error;
        }),
    });
  };
  // For the keys of caches.
  return Object.assign(call, { route: `${method} ${path}` });
}

import { ApiError, type Changes, errorOf } from "./errors.js";
import { Keys } from "./keys.js";
import { pauseAfter, wait } from "./retry.js";
import { KEYED } from "./routes.js";
import type { Kept, SessionKeeper, Tokens } from "./session.js";
import { type Fetch, sendOnce } from "./transport.js";
import type { CallOptions } from "./types.js";
import type { Outgoing } from "./upload.js";
import { differences, Versions } from "./versions.js";

/** What a call of a route is given. */
export interface Given {
  param?: Record<string, string | number | boolean>;
  query?: Record<string, unknown>;
  json?: unknown;
  form?: Record<string, unknown>;
  body?: Blob | string;
  type?: string;
}

/** A route, by its path as the API states it (`/api/products/:id`), and its method. */
export interface Route {
  path: string;
  method: string;
}

export interface CallParts {
  url: string;
  fetch: Fetch;
  /** Headers of every request, such as the language of mails. */
  headers: Record<string, string>;
  apiKey: string | undefined;
  session: SessionKeeper;
  timeout: number;
  retries: number;
}

/** What opens a session; the answer has its tokens. */
const SIGN_IN = /^\/auth\/(login|refresh|mfa\/challenge|passkeys\/sign-in\/verify)$/;
/** What a native app sends its device token to. */
const KNOWS_DEVICE = /^\/auth\/(login|forgot-password|reset-password)$/;
const SIGN_OUT = "/auth/logout";

/**
 * The address of a call.
 * @throws TypeError for a part of a path that is missing, or would lead to another route
 */
export function addressOf(base: string, path: string, { param = {}, query = {} }: Given): string {
  const filled = path.replace(/:(\w+)/g, (_, name: string) => {
    const value = String(param[name] ?? "");
    if (/^\.{0,2}$/.test(value)) throw new TypeError(`param.${name} is "${value}", which names nothing`);
    return encodeURIComponent(value);
  });
  const words = Object.entries(query).filter(([, value]) => value != null);
  const search = new URLSearchParams(words.map(([name, value]) => [name, String(value)])).toString();
  return `${base}${filled}${search && `?${search}`}`;
}

function formOf(fields: Record<string, unknown>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields))
    if (value instanceof Blob) form.append(name, value);
    else if (value != null) form.append(name, String(value));
  return form;
}

/** What was asked, and what came of it. */
const okOf = async (answer: Response): Promise<object> => {
  const type = answer.headers.get("content-type") ?? "";
  let body: object = { data: undefined };
  if (/[/+]json/.test(type)) body = await answer.json();
  else if (answer.status !== 204) {
    const { fileOf } = await import("./files.js");
    body = { data: await fileOf(answer, type) };
  }
  const extra = {
    status: answer.status,
    etag: answer.headers.get("etag") ?? undefined,
    headers: answer.headers,
  };
  // Beside the body, not in it: whoever copies or stores an answer gets what the API said.
  for (const [name, value] of Object.entries(extra)) Object.defineProperty(body, name, { value });
  return body;
};

/** Makes calls: with the session's token, the version that was read, a key for each change, and again where that is safe. */
export class Calls {
  readonly #parts: CallParts;
  readonly #versions = new Versions();
  readonly #keys = new Keys();

  constructor(parts: CallParts) {
    this.#parts = parts;
    parts.session.subscribe(() => this.#versions.clear());
  }

  /** Calls a route. @throws ApiError; the signal's reason when the call was aborted */
  async call(route: Route, given: Given = {}, options: CallOptions = {}): Promise<object> {
    const { session, url } = this.#parts;
    const address = addressOf(url, route.path, given);
    if (SIGN_IN.test(route.path) || route.path === SIGN_OUT) {
      // While nobody refreshes: the cookie that came last is the one that counts.
      return session.alone(async () => {
        const answer = await this.#change(route, address, await this.#withSecrets(route, given), options);
        const { data } = answer as { data?: Partial<Tokens> };
        if (route.path === SIGN_OUT) await session.end("signed_out");
        else if (data?.accessToken !== undefined) await session.accept(data as Tokens, "signed in");
        return answer;
      });
    }
    return this.#change(route, address, await this.#withSecrets(route, given), options);
  }

  /** An answer as it is, for streams. */
  async open(
    route: Route,
    given: Given,
    { signal, headers }: CallOptions,
    after?: string,
  ): Promise<Response> {
    const outgoing = this.#outgoing(route, addressOf(this.#parts.url, route.path, given), given, {
      signal,
      headers,
    });
    if (after !== undefined) outgoing.headers.set("last-event-id", after);
    const answer = await this.#authorized(route, outgoing, 0);
    if (!answer.ok) throw await errorOf(answer);
    return answer;
  }

  /** What a native app keeps goes along where the API wants it. */
  async #withSecrets({ path }: Route, given: Given): Promise<Given> {
    const kept: Kept = await this.#parts.session.kept();
    const own = {
      ...(KNOWS_DEVICE.test(path) && kept.deviceToken ? { deviceToken: kept.deviceToken } : {}),
      ...(path === SIGN_OUT && kept.refreshToken ? { refreshToken: kept.refreshToken } : {}),
    };
    return Object.keys(own).length === 0 ? given : { ...given, json: { ...own, ...(given.json as object) } };
  }

  #outgoing(route: Route, url: string, given: Given, options: CallOptions): Outgoing {
    const headers = new Headers({ ...this.#parts.headers, ...options.headers });
    let body: BodyInit | undefined = given.body;
    if (given.json !== undefined) {
      headers.set("content-type", "application/json");
      body = JSON.stringify(given.json);
    } else if (given.form) body = formOf(given.form);
    else if (given.type) headers.set("content-type", given.type);
    return {
      method: route.method,
      url,
      headers,
      body,
      signal: options.signal,
      onProgress: options.onProgress,
    };
  }

  async #change(route: Route, url: string, given: Given, options: CallOptions): Promise<object> {
    const outgoing = this.#outgoing(route, url, given, options);
    const { method, headers, body } = outgoing;
    const keyed =
      method === "POST" && KEYED.has(route.path)
        ? this.#keys.take(url, body, options.idempotencyKey)
        : undefined;
    if (keyed) headers.set("idempotency-key", keyed.key);
    const overwrites = /^(PUT|PATCH|DELETE)$/.test(method);
    const expected =
      overwrites || options.ifMatch !== undefined ? this.#versions.of(url, options.ifMatch) : {};
    if (expected.etag !== undefined) headers.set("if-match", expected.etag);
    const changes = () => this.#changes(route, given, expected.data);
    const timeout = options.timeout ?? (body instanceof FormData || given.body ? 0 : this.#parts.timeout);
    for (let tries = 1; ; tries++) {
      try {
        const answer = await this.#authorized(route, outgoing, timeout);
        if (!answer.ok) throw await errorOf(answer, changes);
        const read = await okOf(answer).catch((error: unknown) => {
          throw brokenOff(error, options.signal);
        });
        keyed?.done(true);
        this.#learn(method, url, read as { etag?: string; data: unknown });
        return read;
      } catch (error) {
        if (!(error instanceof ApiError)) {
          keyed?.done(false);
          throw error;
        }
        const repeatable = method === "GET" || keyed !== undefined;
        const pause = repeatable && tries <= this.#parts.retries ? pauseAfter(error, tries) : undefined;
        // A refusal is an end; what broke off may have been done all the same.
        if (pause === undefined) {
          keyed?.done(error.status >= 400 && error.status < 500 && !error.is("idempotency_in_flight"));
          throw error;
        }
        await wait(pause, options.signal).catch((reason: unknown) => {
          keyed?.done(false);
          throw reason;
        });
      }
    }
  }

  #learn(method: string, url: string, { etag, data }: { etag?: string; data: unknown }): void {
    if (method !== "GET") this.#versions.forget(url);
    if (etag !== undefined && method !== "DELETE" && method !== "POST")
      this.#versions.remember(url, etag, data);
  }

  async #changes({ path }: Route, given: Given, base: unknown): Promise<Changes> {
    const { param } = given;
    const { data: current, etag } = (await this.call({ path, method: "GET" }, param ? { param } : {})) as {
      data: unknown;
      etag?: string;
    };
    const changed = base === undefined ? [] : differences(base, current);
    const conflicting = changed.filter((name) => Object.hasOwn((given.json ?? {}) as object, name));
    return { base, current, etag, changed, conflicting };
  }

  /** Sends with the token of who is signed in; once more with a new one when it is refused. */
  async #authorized({ path }: Route, outgoing: Outgoing, timeout: number): Promise<Response> {
    const { session, apiKey } = this.#parts;
    const opens = SIGN_IN.test(path);
    if (apiKey !== undefined) return this.#send(outgoing, apiKey, timeout);
    if (opens || path === SIGN_OUT) return this.#send(outgoing, opens ? undefined : session.token, timeout);
    const token = await session.tokenForCall();
    const answer = await this.#send(outgoing, token, timeout);
    if (answer.status !== 401) return answer;
    const error = await errorOf(answer.clone());
    if (!error.is("unauthenticated")) return answer;
    const renewed = await session.renew(token);
    // Nothing was done yet. Whoever is a guest by now may still read what everybody may.
    if (!renewed && (token === undefined || outgoing.method !== "GET")) return answer;
    await answer.body?.cancel();
    return this.#send(outgoing, session.token, timeout);
  }

  async #send(outgoing: Outgoing, token: string | undefined, timeout: number): Promise<Response> {
    const headers = new Headers(outgoing.headers);
    if (token !== undefined && !headers.has("authorization")) headers.set("authorization", `Bearer ${token}`);
    const signals = [outgoing.signal ?? [], timeout > 0 ? AbortSignal.timeout(timeout) : []].flat();
    const signal = signals.length > 1 ? AbortSignal.any(signals) : signals[0];
    try {
      signal?.throwIfAborted();
      return await sendOnce(this.#parts.fetch, { ...outgoing, headers, signal });
    } catch (error) {
      throw brokenOff(error, outgoing.signal);
    }
  }
}

/** What a request that broke off is to its caller: their own reason, or an error of ours. */
export function brokenOff(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  if (error instanceof ApiError) return error;
  return (error as { name?: unknown } | null)?.name === "TimeoutError"
    ? new ApiError("timeout", "The API took too long to answer.", { cause: error })
    : new ApiError("network_error", "The API cannot be reached.", { cause: error });
}

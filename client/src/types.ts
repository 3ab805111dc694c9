import type { ClientCode, ErrorOf } from "./errors.js";
import type { ErrorCode } from "./models.js";

/** What a call gives: the body of the answer, with its status and headers beside it. */
export type Ok<Status extends number, Body> = Body & {
  readonly status: Status;
  /** The tag of the version that was read, for `ifMatch`. */
  readonly etag?: string | undefined;
  readonly headers: Headers;
};

/**
 * A call under way. Awaited, it gives the answer or throws an `ApiError`; `result()` never throws one and gives
 * `{ data, error }` instead.
 */
export interface Answer<Body, Code extends ErrorCode> extends Promise<Body> {
  result(): Promise<
    | (Body & { readonly error?: undefined })
    | { readonly data?: undefined; readonly error: ErrorOf<Code | ClientCode> }
  >;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** Milliseconds until the call is given up with the code `timeout`; 0 for never. */
  timeout?: number | undefined;
  headers?: Record<string, string> | undefined;
  /** Names a logical change; made by the client when not given. */
  idempotencyKey?: string | undefined;
  /** What was read before and is changed now: its version goes along as `If-Match`. Or an ETag; `*` overwrites. */
  ifMatch?: object | string | undefined;
  /** Told how much of a body has been sent. */
  onProgress?: ((progress: { loaded: number; total: number }) => void) | undefined;
}

export interface ListOptions extends Pick<CallOptions, "signal" | "headers"> {
  /** Asks for the next page while this one is gone through; on unless false. */
  prefetch?: boolean | undefined;
}

/** A list, item by item; `pages()` gives it page by page. */
export interface List<Item, Page> extends AsyncIterable<Item> {
  pages(): AsyncIterableIterator<Page>;
  /** The first so many items. */
  take(count: number): Promise<Item[]>;
}

export interface EventOptions extends Pick<CallOptions, "signal" | "headers"> {
  /** Goes on after this message. */
  lastEventId?: string | undefined;
}

/** One message of a stream of server-sent events. */
export interface ServerEvent {
  event: string;
  id: string | undefined;
  /** What was sent, from JSON. */
  data: unknown;
}

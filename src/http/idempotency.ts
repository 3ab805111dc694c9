import { createHash } from "node:crypto";
import type { Context } from "hono";
import { type IdempotencyStore, type IdempotentRequest, LEASE_MS } from "../db/idempotency";
import { isUnavailable } from "../db/unavailable";
import type { BaseDeps } from "../deps";
import { AppError } from "../lib/errors";
import type { JsonValue } from "../lib/json";
import { jitter } from "../lib/random";
import { type AppEnv, logOf } from "./factory";
import { queryOf } from "./host";
import type { DataAnswer } from "./preconditions";
import { problemOf } from "./problems";

/**
 * Handed to a service: called inside the transaction of the change with what will be answered, so that the
 * change and its answer are recorded together. Does nothing when the request has no Idempotency-Key.
 */
export type RecordAnswer<Tx> = (tx: Tx, data: JsonValue | object) => Promise<void>;

const KEY = /^[\x21-\x7e]{1,200}$/;

/**
 * Frees a key whose request failed, once the database answers again: whoever repeats the request then is not told for
 * a whole lease that it is still running. @throws what the database said last when the lease is over
 */
async function free<Tx>(store: IdempotencyStore<Tx>, request: IdempotentRequest): Promise<void> {
  for (let waited = 0; ; ) {
    try {
      return await store.release(request);
    } catch (error) {
      if (!isUnavailable(error) || waited > LEASE_MS) throw error;
      const wait = jitter(500, 1500);
      waited += wait;
      await new Promise((resolve) => setTimeout(resolve, wait).unref());
    }
  }
}

const answerWith = <Data extends object, Status extends 200 | 201 | 202>(
  c: Context<AppEnv>,
  data: Data,
  status: Status,
): DataAnswer<Data, Status> => c.json({ data }, status) as unknown as DataAnswer<Data, Status>;

/**
 * Runs a change at most once for an Idempotency-Key of the caller and answers `{ data }` with `status`.
 * Same key and same request: the first answer again, with `Idempotency-Replayed: true`. Another request: 422.
 * Still running: 409. A 5xx is not recorded. See draft-ietf-httpapi-idempotency-key-header.
 */
export async function idempotent<Tx, Data extends object, Status extends 200 | 201 | 202>(
  c: Context<AppEnv>,
  deps: Pick<BaseDeps, "clock" | "random">,
  store: IdempotencyStore<Tx>,
  status: Status,
  work: (record: RecordAnswer<Tx>) => Promise<Data>,
  /** What makes two requests the same, where it is not the bytes of the body (a form has random boundaries). */
  content?: Uint8Array,
): Promise<DataAnswer<Data, Status>> {
  const key = c.req.header("idempotency-key");
  if (key === undefined) return answerWith<Data, Status>(c, await work(async () => undefined), status);
  if (!KEY.test(key)) {
    throw new AppError("invalid_input", "Idempotency-Key must be 1 to 200 visible ASCII characters.");
  }
  const request = {
    callerId: c.get("actor").callerId,
    key,
    hash: new Uint8Array(
      createHash("sha256")
        .update(`${c.req.method} ${c.req.path}\n${queryOf(c.req.url)}\n`)
        .update(content ?? new Uint8Array(await c.req.arrayBuffer()))
        .digest(),
    ),
    now: deps.clock.now(),
    leaseToken: deps.random.id(),
  };
  const freeSoon = () =>
    free(store, request).catch((cause) => logOf(c).warn({ err: cause }, "an idempotency key was not freed"));
  const claim = await store.claim(request).catch((error) => {
    // It may have been made all the same, and only its answer was lost.
    if (isUnavailable(error)) void freeSoon();
    throw error;
  });
  if (claim.state === "other_request") {
    throw new AppError(
      "idempotency_key_reused",
      "This Idempotency-Key was used with another request. Use a new key for a new request.",
    );
  }
  if (claim.state === "in_flight") {
    throw new AppError(
      "idempotency_in_flight",
      "The first request with this key is still running. Ask again.",
      {
        retryAfter: 1,
      },
    );
  }
  if (claim.state === "done") {
    const { answer } = claim;
    c.header("Idempotency-Replayed", "true");
    if (answer.status < 400) {
      // What is replayed has the shape that `work` gave the first time.
      return answerWith<Data, Status>(
        c,
        (answer.body as unknown as { data: Data }).data,
        answer.status as Status,
      );
    }
    // A refusal is typed as every thrown one is: not here, but by the client (`ApplyGlobalResponse`).
    return c.json(answer.body, answer.status as never, {
      "Content-Type": "application/problem+json",
    }) as unknown as DataAnswer<Data, Status>;
  }
  try {
    const data = await work((tx, body) =>
      store.complete(request, { status, body: { data: JSON.parse(JSON.stringify(body)) as JsonValue } }, tx),
    );
    return answerWith<Data, Status>(c, data, status);
  } catch (error) {
    if (error instanceof AppError && error.status < 500) {
      const body = problemOf(error.code, error.detail, c.get("requestId"), error);
      await store.complete(request, { status: error.status, body: body as unknown as JsonValue });
    } else {
      // Who is told that the database is away does not wait for it once more.
      if (isUnavailable(error)) void freeSoon();
      else await free(store, request);
    }
    throw error;
  }
}

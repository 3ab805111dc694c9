import { AsyncLocalStorage } from "node:async_hooks";
import type { Span } from "@opentelemetry/api";
import type { AddressClass } from "../http/address";

/** Who a request comes from, as far as the log says it. */
export interface CalledBy {
  /** What kind of address; the address itself is personal. */
  from: AddressClass;
  /** The person who called, or whose API key did, once that is known. */
  userId?: string;
}

/** What a piece of work was started by: jobs that it enqueues keep it, and lines and spans are found by it. */
export interface Scope {
  /** The request that began it all; null for work that a process plans by itself. */
  requestId: string | null;
  /** The job that runs now. */
  job?: string;
  /** Who the request comes from; asked only where a line is written. */
  calledBy?: () => CalledBy;
  /** The span that runs now, as W3C Trace Context writes it, and itself; only while traces are on. */
  traceparent?: string;
  span?: Span;
}

const scopes = new AsyncLocalStorage<Scope | undefined>();

export const currentScope = (): Scope | undefined => scopes.getStore();

/** Runs `work`, and whatever it awaits, in a scope; `undefined` is none. */
export const inScope = <T>(scope: Scope | undefined, work: () => T): T => scopes.run(scope, work);

/** What every line of the log says that is written in a scope: the request, the job and the caller. */
export const fieldsOf = (scope = currentScope()): Record<string, unknown> =>
  scope === undefined
    ? {}
    : {
        ...(scope.requestId === null ? {} : { requestId: scope.requestId }),
        ...(scope.job === undefined ? {} : { job: scope.job }),
        ...scope.calledBy?.(),
      };

/** What a job keeps of the scope that it comes from. */
export const jobOrigin = (
  scope = currentScope(),
): { requestId: string | null; traceparent: string | null } => ({
  requestId: scope?.requestId ?? null,
  traceparent: scope?.traceparent ?? null,
});

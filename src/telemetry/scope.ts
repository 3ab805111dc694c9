import { AsyncLocalStorage } from "node:async_hooks";
import type { Span } from "@opentelemetry/api";

/** What a piece of work was started by: jobs that it enqueues keep it, and lines and spans are found by it. */
export interface Scope {
  /** The request that began it all; null for work that a process plans by itself. */
  requestId: string | null;
  /** The job that runs now. */
  job?: string;
  /** The span that runs now, as W3C Trace Context writes it, and itself; only while traces are on. */
  traceparent?: string;
  span?: Span;
}

const scopes = new AsyncLocalStorage<Scope | undefined>();

export const currentScope = (): Scope | undefined => scopes.getStore();

/** Runs `work`, and whatever it awaits, in a scope; `undefined` is none. */
export const inScope = <T>(scope: Scope | undefined, work: () => T): T => scopes.run(scope, work);

/** What a job keeps of the scope that it comes from. */
export const jobOrigin = (
  scope = currentScope(),
): { requestId: string | null; traceparent: string | null } => ({
  requestId: scope?.requestId ?? null,
  traceparent: scope?.traceparent ?? null,
});

import type { BaseDeps } from "../deps";
import type { Actor } from "../lib/actor";
import type { JsonValue } from "../lib/json";
import type { AuditAction } from "./actions";

/** Who did it: a person, a server's key, the system itself (a job, a command), or someone unknown. */
export interface AuditActor {
  kind: "user" | "apiKey" | "system" | "anonymous";
  /** The person's or the key's id; null for the others. */
  id: string | null;
}

/** Who did what to whom, from where. */
export interface AuditEntry {
  id: string;
  at: Date;
  action: AuditAction;
  actor: AuditActor;
  /** Whose account it was done to; null when it was nobody's. */
  subjectUserId: string | null;
  ip: string | null;
  userAgent: string | null;
  /** What else there is to know. Never a password, a code, a token or a hash. */
  detail: Record<string, JsonValue>;
}

export const ANONYMOUS: AuditActor = { kind: "anonymous", id: null };
export const SYSTEM: AuditActor = { kind: "system", id: null };

/** A person who acts, by their id. */
export const person = (id: string): AuditActor => ({ kind: "user", id });

/** The caller of a guarded route as the log names them. */
export const auditActor = (actor: Actor): AuditActor =>
  actor.kind === "user" ? person(actor.userId) : { kind: "apiKey", id: actor.callerId.slice("key:".length) };

/**
 * An entry with an id and the present time. Make it before the transaction that records it: that may run again.
 * @param subjectUserId the actor's own account when left out
 * @param origin where the request came from; null for what the system does
 */
export const newAuditEntry = (
  deps: Pick<BaseDeps, "clock" | "random">,
  action: AuditAction,
  {
    actor,
    subjectUserId = actor.kind === "user" ? actor.id : null,
    origin,
    detail = {},
  }: {
    actor: AuditActor;
    subjectUserId?: string | null;
    origin: { ip: string; userAgent: string } | null;
    detail?: AuditEntry["detail"];
  },
): AuditEntry => ({
  id: deps.random.id(),
  at: deps.clock.now(),
  action,
  actor,
  subjectUserId,
  ip: origin?.ip ?? null,
  userAgent: origin?.userAgent ?? null,
  detail,
});

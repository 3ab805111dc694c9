import { AppError } from "./errors";
import type { Permission } from "./permissions";

/** Who calls: a person by an access token, or a server by an API key. */
export interface Actor {
  kind: "user" | "apiKey";
  /** Keys of idempotency and limits belong to it: `user:ID` or `key:ID`. */
  callerId: string;
  /** The person; for an API key, its owner. */
  userId: string;
  /** The sign-in; null for an API key. */
  sessionId: string | null;
  permissions: ReadonlySet<Permission>;
}

/** @throws AppError forbidden, naming the permission, when the caller does not hold it */
export function demand(actor: Actor, permission: Permission): void {
  if (!actor.permissions.has(permission)) {
    throw new AppError("forbidden", `This needs the permission ${permission}.`);
  }
}

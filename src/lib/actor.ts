import { AppError } from "./errors";
import type { Permission } from "./permissions";

/** The person behind a call, as the check of who calls has just read them. */
export interface Owner {
  id: string;
  email: string;
  name: string;
  avatarId: string | null;
  avatarWidths: unknown;
  createdAt: Date;
  version: number;
  /** Names, sorted. */
  roles: string[];
}

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
  /** Absent where no request made the actor. */
  owner?: Owner;
}

/** @throws AppError forbidden, naming the permissions, when the caller holds none of them */
export function demandSome(actor: Actor, permissions: readonly Permission[]): void {
  if (!permissions.some((permission) => actor.permissions.has(permission))) {
    throw new AppError("forbidden", `This needs the permission ${permissions.join(" or ")}.`);
  }
}

/** @throws AppError forbidden, naming the permission, when the caller does not hold it */
export const demand = (actor: Actor, permission: Permission): void => demandSome(actor, [permission]);

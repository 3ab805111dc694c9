import type { UserRow } from "../store";
import type { ManagedUserResponse, UserStatus } from "./schema";

/** A person as administrators see them: without hashes and internal fields. */
export const toManagedUser = (user: UserRow & { roleNames: string[] }): ManagedUserResponse => ({
  id: user.id,
  email: user.email,
  name: user.name,
  status: (user.status ?? "active") as UserStatus,
  roles: user.roleNames,
  emailVerifiedAt: user.emailVerifiedAt?.toISOString() ?? null,
  bannedAt: user.bannedAt?.toISOString() ?? null,
  banReason: user.banReason,
  version: user.version,
  createdAt: user.createdAt.toISOString(),
  updatedAt: user.updatedAt.toISOString(),
});

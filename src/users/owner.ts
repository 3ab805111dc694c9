/** The person behind a call, as part of the one statement that checks who calls. */
import { dateIn, parsed } from "../db/json-row";
import type { Owner } from "../lib/actor";
import { isPermission, type Permission } from "../lib/permissions";

/** What `OWNER` gives, with what its holder may do. */
export interface OwnerJson {
  id: string;
  email: string;
  name: string;
  avatarId: string | null;
  avatarWidths: unknown;
  createdAt: string;
  version: number;
  roles: unknown;
  permissions: unknown;
}

const namesIn = (list: unknown): string[] => (parsed(list) as string[] | null) ?? [];

/** @returns the person, and what their roles let them do now, of the permissions that this version knows */
export function ownerOf({ permissions, ...row }: OwnerJson): { owner: Owner; permissions: Permission[] } {
  const owner = {
    ...row,
    avatarWidths: parsed(row.avatarWidths),
    createdAt: dateIn(row.createdAt),
    roles: namesIn(row.roles).sort(),
  };
  return { owner, permissions: [...new Set(namesIn(permissions))].filter(isPermission) };
}

import { Prisma } from "../generated/prisma/client";

/** For a statement that has `users` as `u`: the person with their roles and permissions as one JSON value. */
export const OWNER = Prisma.sql`JSON_OBJECT(
  'id', u.id, 'email', u.email, 'name', u.name, 'avatarId', u.avatar_id, 'avatarWidths', u.avatar_widths,
  'createdAt', u.created_at, 'version', u.version,
  'roles', (SELECT JSON_ARRAYAGG(r.name)
    FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id),
  'permissions', (SELECT JSON_ARRAYAGG(rp.permission_name)
    FROM user_roles ur JOIN role_permissions rp ON rp.role_id = ur.role_id WHERE ur.user_id = u.id))`;

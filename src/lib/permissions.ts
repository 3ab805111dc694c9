/** What a permission allows. Constants in code; who holds which is data in MySQL. */
export const PERMISSIONS = {
  "products:write": "Create, change and delete products and categories",
  "products:import": "Import and export the catalogue",
  "inventory:read": "See stock levels, movements and reservations",
  "inventory:write": "Change stock levels, transfers and reservations",
  "reservations:write": "Reserve stock, and commit or release it: for checkouts",
  "users:read": "List people and read their accounts",
  "users:write": "Ban people and change their accounts",
  "roles:write": "Grant and take away roles",
  "audit:read": "Read the audit log",
  "analytics:read": "Read reports about behaviour",
  "analytics:write": "Send events from a server, and make keys that pages send them with",
  "jobs:write": "See background jobs, retry and discard them",
} as const;

export type Permission = keyof typeof PERMISSIONS;

export const ALL_PERMISSIONS = Object.keys(PERMISSIONS) as Permission[];

/** The roles that a new installation has, in the order in which they are made. Administrators may add others. */
export const DEFAULT_ROLES: Record<
  "customer" | "manager" | "admin",
  { description: string; permissions: Permission[] }
> = {
  customer: { description: "Buys; no permissions beyond their own account", permissions: [] },
  manager: {
    description: "Runs the shop: catalogue, stock and reports",
    permissions: [
      "products:write",
      "products:import",
      "inventory:read",
      "inventory:write",
      "reservations:write",
      "analytics:read",
      "analytics:write",
    ],
  },
  admin: { description: "May do everything", permissions: ALL_PERMISSIONS },
};

/**
 * The role that makes its holder an administrator. It holds every permission, and is neither changed nor
 * deleted, so that there is always a way to give what somebody lost.
 */
export const ADMIN_ROLE = "admin";
/** The role that everyone gets with their account; it is not deleted. */
export const BASE_ROLE = "customer";

/** True when the text names a permission that this version knows. */
export const isPermission = (name: string): name is Permission => Object.hasOwn(PERMISSIONS, name);

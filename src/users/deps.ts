import type { AuditDeps } from "../audit";
import type { RoleStore } from "./roles/store";
import type { SettingStore } from "./settings.store";
import type { UserStore } from "./store";

/** People, their roles and settings: what sign-in stands on. */
export interface UserDeps extends AuditDeps {
  users: UserStore;
  roles: RoleStore;
  settings: SettingStore;
}

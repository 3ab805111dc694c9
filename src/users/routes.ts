import { factory } from "../http/factory";
import { peopleRoutes } from "./admin/routes";
import { avatarRoutes } from "./me/avatar.routes";
import type { AccountDeps } from "./me/deps";
import { meRoutes } from "./me/routes";
import { permissionRoutes, roleRoutes } from "./roles/routes";

/** /api/users */
export const userRoutes = (deps: AccountDeps) =>
  factory
    .createApp()
    .route("/me", meRoutes(deps))
    .route("/avatars", avatarRoutes(deps))
    .route("/permissions", permissionRoutes(deps))
    .route("/roles", roleRoutes(deps))
    .route("/", peopleRoutes(deps));

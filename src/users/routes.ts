import type { Deps } from "../deps";
import { factory } from "../http/factory";
import { meRoutes } from "./me/routes";

/** /api/users */
export const userRoutes = (deps: Deps) => factory.createApp().route("/me", meRoutes(deps));

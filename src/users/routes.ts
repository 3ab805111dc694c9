import { requirePerson } from "../auth/guard";
import { userResponse } from "../auth/schema";
import type { Deps } from "../deps";
import { dataOf, describe } from "../http/describe";
import { factory } from "../http/factory";
import { readMe } from "./service";

const tag = "Users";

/** /api/users */
export const userRoutes = (deps: Deps) =>
  factory
    .createApp()
    .get(
      "/me",
      describe({ summary: "Read your account", tag, response: dataOf(userResponse), secured: true }),
      requirePerson(deps),
      async (c) => c.json({ data: await readMe(deps, c.get("actor")) }, 200),
    );

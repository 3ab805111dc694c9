import type { Deps } from "../../deps";
import { describe } from "../../http/describe";
import { factory } from "../../http/factory";
import { input } from "../../http/input";
import { originOf } from "../browser";
import { requirePerson } from "../guard";
import { devicesAnswer, forgottenAnswer, listDevicesSchema } from "./schema";
import { forgetDevices, listDevices } from "./service";

const tag = "Sign-in";

/** /auth/devices */
export const deviceRoutes = (deps: Deps) =>
  factory
    .createApp()
    .get(
      "/",
      describe({
        summary: "List your known devices",
        tag,
        response: devicesAnswer,
        secured: true,
        errors: ["invalid_cursor"],
      }),
      requirePerson(deps),
      input("query", listDevicesSchema),
      async (c) => c.json(await listDevices(deps, c.get("actor"), c.req.valid("query")), 200),
    )
    .delete(
      "/",
      describe({
        summary: "Forget all your devices but this one",
        tag,
        response: forgottenAnswer,
        secured: true,
      }),
      requirePerson(deps),
      async (c) =>
        c.json({ data: await forgetDevices(deps, c.get("actor"), undefined, originOf(deps, c)) }, 200),
    )
    .delete(
      "/:id",
      describe({
        summary: "Forget one of your devices",
        tag,
        status: 204,
        errors: ["not_found"],
        secured: true,
      }),
      requirePerson(deps),
      async (c) => {
        await forgetDevices(deps, c.get("actor"), c.req.param("id"), originOf(deps, c));
        return c.body(null, 204);
      },
    );

import { endpoint } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { originOf } from "../browser";
import type { AuthDeps } from "../deps";
import { forgetDevices } from "./forget";
import { listDevices } from "./list";
import { devicesAnswer, forgottenAnswer, listDevicesSchema } from "./schema";

const tag = "Sign-in";

/** /auth/devices */
export const deviceRoutes = (deps: AuthDeps) =>
  factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        id: "listDevices",
        summary: "List your known devices",
        tag,
        caller: "person",
        query: listDevicesSchema,
        success: { 200: devicesAnswer },
        errors: ["invalid_cursor"],
      }),
      async (c) => c.json(await listDevices(deps, c.get("actor"), c.req.valid("query")), 200),
    )
    .delete(
      "/",
      endpoint(deps, {
        id: "forgetDevices",
        summary: "Forget all your devices but this one",
        tag,
        caller: "person",
        success: { 200: forgottenAnswer },
      }),
      async (c) =>
        c.json({ data: await forgetDevices(deps, c.get("actor"), undefined, originOf(deps, c)) }, 200),
    )
    .delete(
      "/:id",
      endpoint(deps, {
        id: "forgetDevice",
        summary: "Forget one of your devices",
        tag,
        caller: "person",
        success: { 204: null },
        errors: ["not_found"],
      }),
      async (c) => {
        await forgetDevices(deps, c.get("actor"), c.req.param("id"), originOf(deps, c));
        return c.body(null, 204);
      },
    );

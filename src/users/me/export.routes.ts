import { originOf } from "../../auth";
import { endpoint, file } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { fileBody } from "../../http/file";
import { idempotent } from "../../http/idempotency";
import type { AccountDeps } from "./deps";
import { listExports, openExport, readExport, requestExport } from "./export";
import { exportAnswer, exportListAnswer, exportParam } from "./schema";

const tag = "Users";

/** /api/users/me/export: archives of one's data. */
export const exportRoutes = (deps: AccountDeps) =>
  factory
    .createApp()
    .post(
      "/",
      endpoint(deps, {
        id: "requestExportOfMe",
        summary: "Ask for an archive of your data",
        description: "A job makes it; ask for its state, or wait for the mail.",
        tag,
        caller: "person",
        success: { 202: exportAnswer },
        errors: ["conflict", "too_many_requests"],
        idempotent: true,
      }),
      (c) =>
        idempotent(c, deps, deps.idempotency.mysql, 202, (record) =>
          requestExport(deps, c.get("actor"), originOf(deps, c), record),
        ),
    )
    .get(
      "/",
      endpoint(deps, {
        id: "listExportsOfMe",
        summary: "List the archives of your data, the newest first",
        tag,
        caller: "person",
        success: { 200: exportListAnswer },
      }),
      async (c) => c.json({ data: await listExports(deps, c.get("actor")) }, 200),
    )
    .get(
      "/:id",
      endpoint(deps, {
        id: "readExportOfMe",
        summary: "Read the state of an archive",
        tag,
        caller: "person",
        params: exportParam,
        success: { 200: exportAnswer },
        errors: ["not_found"],
      }),
      async (c) => c.json({ data: await readExport(deps, c.get("actor"), c.req.valid("param").id) }, 200),
    )
    .get(
      "/:id/download",
      endpoint(deps, {
        id: "downloadExportOfMe",
        summary: "Fetch an archive",
        description: "A zip file of JSON and NDJSON.",
        tag,
        caller: "person",
        params: exportParam,
        success: { 200: file("application/zip") },
        errors: ["not_found", "conflict", "gone"],
      }),
      async (c) => {
        const { id } = c.req.valid("param");
        const { file, name } = await openExport(deps, c.get("actor"), id, originOf(deps, c));
        const content = await fileBody(c, file);
        c.header("Cache-Control", "no-store");
        c.header("Content-Type", "application/zip");
        c.header("Content-Disposition", `attachment; filename="${name}"`);
        return c.body(content, 200);
      },
    );

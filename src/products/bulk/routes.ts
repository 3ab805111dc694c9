import { managerOf } from "../../audit";
import { endpoint, file, raw } from "../../http/endpoint";
import { factory } from "../../http/factory";
import { fileBody } from "../../http/file";
import { idempotent } from "../../http/idempotency";
import { sendEvents } from "../../http/sse";
import { AppError } from "../../lib/errors";
import type { ProductDeps } from "../deps";
import { formatOfType, receiveImport } from "./files";
import type { BulkDocument } from "./model";
import { readBulk, readExport, readFaults } from "./read-job";
import { bulkAnswer, bulkParam, exportSchema, importQuery, MAX_IMPORT } from "./schema";
import { dropReceived, startExport, startImport } from "./start";
import { watchBulk } from "./watch";

const tag = "Import and export";

const notCsv = () =>
  new AppError("unsupported_media_type", "The export of another shop is CSV. Send it as text/csv.");

const IMPORTS_ALLOWED = { permission: "products:import" } as const;

const EVENTS =
  "Server-sent events: `progress` when something changed, `end` when it is done or has failed, each with the job as " +
  "its data; a comment every 15 seconds when nothing happens. Ends when the right to import does.";

/** What both have: a job as it stands, and its events. */
const jobRoutes = (deps: ProductDeps, kind: BulkDocument["kind"]) => {
  return factory
    .createApp()
    .get(
      "/:id",
      endpoint(deps, {
        ...IMPORTS_ALLOWED,
        id: kind === "import" ? "readImport" : "readExport",
        summary: `Read an ${kind}`,
        tag,
        params: bulkParam,
        success: { 200: bulkAnswer },
        errors: ["not_found"],
      }),
      async (c) => c.json({ data: await readBulk(deps, kind, c.req.valid("param").id) }, 200),
    )
    .get(
      "/:id/events",
      endpoint(deps, {
        ...IMPORTS_ALLOWED,
        id: kind === "import" ? "watchImport" : "watchExport",
        summary: `Follow an ${kind}`,
        description: EVENTS,
        tag,
        params: bulkParam,
        success: { 200: file("text/event-stream") },
        errors: ["not_found"],
      }),
      async (c) => {
        const { id } = c.req.valid("param");
        await readBulk(deps, kind, id);
        return sendEvents(c, deps, IMPORTS_ALLOWED, (signal) => watchBulk(deps, kind, id, signal));
      },
    );
};

/** /api/products/import */
export const importRoutes = (deps: ProductDeps) => {
  return factory
    .createApp()
    .post(
      "/",
      endpoint(deps, {
        ...IMPORTS_ALLOWED,
        id: "startImport",
        summary: "Import products from a file",
        description:
          "The body is the file itself: text/csv or application/x-ndjson, at most 256 MB. It becomes a job; read it, " +
          "or follow its events. See docs/catalogue.md for what a line says.",
        tag,
        query: importQuery,
        body: raw(["text/csv", "application/x-ndjson"], MAX_IMPORT),
        success: { 202: bulkAnswer },
        errors: ["request_timeout"],
        idempotent: true,
      }),
      async (c) => {
        const format = formatOfType(c.req.header("content-type"));
        const { dryRun = false, allowRename = false, from } = c.req.valid("query");
        if (from !== undefined && format !== "csv") throw notCsv();
        const received = await receiveImport(deps, c.req.raw.body, format);
        try {
          return await idempotent(
            c,
            deps,
            deps.idempotency.mongo,
            202,
            (record) =>
              startImport(
                deps,
                managerOf(c),
                received,
                { format, dryRun, allowRename, ...(from === undefined ? {} : { from }) },
                record,
              ),
            received.hash,
          );
        } finally {
          await dropReceived(deps, received);
        }
      },
    )
    .route("/", jobRoutes(deps, "import"))
    .get(
      "/:id/faults",
      endpoint(deps, {
        ...IMPORTS_ALLOWED,
        id: "readImportFaults",
        summary: "Get the refused rows of an import as CSV, the first 10,000",
        tag,
        params: bulkParam,
        success: { 200: file("text/csv") },
        responseHeaders: { "Content-Disposition": "Name of the file" },
        errors: ["not_found"],
      }),
      async (c) => {
        const text = await readFaults(deps, c.req.valid("param").id);
        c.header("Content-Disposition", 'attachment; filename="faults.csv"');
        return c.body(text, 200, { "Content-Type": "text/csv; charset=utf-8" });
      },
    );
};

/** /api/products/export */
export const exportRoutes = (deps: ProductDeps) => {
  return factory
    .createApp()
    .post(
      "/",
      endpoint(deps, {
        ...IMPORTS_ALLOWED,
        id: "startExport",
        summary: "Export every product",
        description: "Becomes a job; its file can be downloaded for seven days, and imported again.",
        tag,
        body: exportSchema,
        success: { 202: bulkAnswer },
        errors: [],
        idempotent: true,
      }),
      (c) => {
        const request = c.req.valid("json");
        return idempotent(c, deps, deps.idempotency.mongo, 202, (record) =>
          startExport(deps, managerOf(c), request, record),
        );
      },
    )
    .route("/", jobRoutes(deps, "export"))
    .get(
      "/:id/file",
      endpoint(deps, {
        ...IMPORTS_ALLOWED,
        id: "downloadExport",
        summary: "Download an export",
        tag,
        params: bulkParam,
        success: { 200: file("text/csv", "application/x-ndjson") },
        responseHeaders: { "Content-Disposition": "Name of the file" },
        errors: ["not_found", "conflict"],
      }),
      async (c) => {
        const stored = await readExport(deps, c.req.valid("param").id);
        const content = await fileBody(c, stored);
        c.header("Content-Disposition", `attachment; filename="${stored.name}"`);
        c.header("Content-Type", stored.type);
        return c.body(content, 200);
      },
    );
};

import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { Deps } from "../../deps";
import { endpoint } from "../../http/endpoint";
import { type AppEnv, factory } from "../../http/factory";
import { fileBody } from "../../http/file";
import { idempotent } from "../../http/idempotency";
import type { LargerBody } from "../../http/middleware";
import type { BulkDocument } from "./model";
import { bulkAnswer, bulkParam, exportSchema, importQuery, MAX_IMPORT } from "./schema";
import {
  dropReceived,
  formatOf,
  readBulk,
  readExport,
  readFaults,
  receiveImport,
  startExport,
  startImport,
  watchBulk,
} from "./service";

const tag = "Import and export";

/** The route that takes a whole catalogue, as a stream. */
export const IMPORTS: LargerBody = {
  method: "POST",
  path: /^\/api\/products\/import\/?$/,
  max: MAX_IMPORT,
};

/** Between two checks that who watches still may, in milliseconds. */
const RECHECK = 5000;

const guards = (deps: Deps) => ({
  guard: requireUser(deps),
  mayImport: requirePermission("products:import"),
});

const EVENTS =
  "Server-sent events: `progress` when something changed, `end` when it is done or has failed, each with the job as " +
  "its data; a comment every 15 seconds when nothing happens. Ends when the right to import does.";

/** Answers with the events of a job. */
function events(c: Context<AppEnv>, deps: Deps, kind: BulkDocument["kind"], id: string) {
  const { guard, mayImport } = guards(deps);
  c.header("Cache-Control", "no-store");
  c.header("X-Accel-Buffering", "no");
  return streamSSE(c, async (stream) => {
    const over = new AbortController();
    stream.onAbort(() => over.abort());
    const pass = async () => undefined;
    const check = setInterval(async () => {
      try {
        await guard(c, pass);
        await mayImport(c, pass);
      } catch {
        over.abort();
      }
    }, RECHECK);
    try {
      const signal = AbortSignal.any([over.signal, deps.stopping.signal]);
      for await (const message of watchBulk(deps, kind, id, signal)) {
        if (message === null) await stream.write(": still here\n\n");
        else await stream.writeSSE(message);
      }
    } catch (error) {
      // Here, because Hono would send the error's text; the client connects again by itself.
      c.get("log").warn({ err: error }, "the events of a job ended");
    } finally {
      clearInterval(check);
    }
  });
}

/** What both have: a job as it stands, and its events. */
const jobRoutes = (deps: Deps, kind: BulkDocument["kind"]) => {
  const { guard, mayImport } = guards(deps);
  return factory
    .createApp()
    .get(
      "/:id",
      guard,
      mayImport,
      endpoint(deps, {
        id: "readBulk",
        summary: `Read an ${kind}`,
        tag,
        params: bulkParam,
        success: { 200: bulkAnswer },
        errors: ["forbidden", "not_found"],
      }),
      async (c) => c.json({ data: await readBulk(deps, kind, c.req.valid("param").id) }, 200),
    )
    .get(
      "/:id/events",
      guard,
      mayImport,
      endpoint(deps, {
        id: "readBulkAgain",
        summary: `Follow an ${kind}`,
        description: EVENTS,
        tag,
        params: bulkParam,
        success: { 200: null },
        errors: ["forbidden", "not_found"],
      }),
      async (c) => {
        const { id } = c.req.valid("param");
        await readBulk(deps, kind, id);
        return events(c, deps, kind, id);
      },
    );
};

/** /api/products/import */
export const importRoutes = (deps: Deps) => {
  const { guard, mayImport } = guards(deps);
  return factory
    .createApp()
    .post(
      "/",
      guard,
      mayImport,
      endpoint(deps, {
        id: "receiveImport",
        summary: "Import products from a file",
        description:
          "The body is the file itself: text/csv or application/x-ndjson, at most 256 MB. It becomes a job; read it, " +
          "or follow its events. See docs/catalogue.md for what a line says.",
        tag,
        query: importQuery,
        success: { 202: bulkAnswer },
        errors: ["forbidden", "payload_too_large", "unsupported_media_type"],
        idempotent: true,
      }),
      async (c) => {
        const format = formatOf(c.req.header("content-type"));
        const { dryRun = false } = c.req.valid("query");
        const received = await receiveImport(deps, c.req.raw.body, format);
        try {
          return await idempotent(
            c,
            deps,
            deps.idempotency.mongo,
            202,
            (record) => startImport(deps, c.get("actor"), received, { format, dryRun }, record),
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
      guard,
      mayImport,
      endpoint(deps, {
        id: "readFaults",
        summary: "Get the refused rows of an import as CSV, the first 10,000",
        tag,
        params: bulkParam,
        success: { 200: null },
        errors: ["forbidden", "not_found"],
      }),
      async (c) => {
        const text = await readFaults(deps, c.req.valid("param").id);
        c.header("Content-Disposition", 'attachment; filename="faults.csv"');
        c.header("Cache-Control", "no-store");
        return c.body(text, 200, { "Content-Type": "text/csv; charset=utf-8" });
      },
    );
};

/** /api/products/export */
export const exportRoutes = (deps: Deps) => {
  const { guard, mayImport } = guards(deps);
  return factory
    .createApp()
    .post(
      "/",
      guard,
      mayImport,
      endpoint(deps, {
        id: "startExport",
        summary: "Export every product",
        description: "Becomes a job; its file can be downloaded for seven days, and imported again.",
        tag,
        body: exportSchema,
        success: { 202: bulkAnswer },
        errors: ["forbidden"],
        idempotent: true,
      }),
      (c) => {
        const request = c.req.valid("json");
        return idempotent(c, deps, deps.idempotency.mongo, 202, (record) =>
          startExport(deps, c.get("actor"), request, record),
        );
      },
    )
    .route("/", jobRoutes(deps, "export"))
    .get(
      "/:id/file",
      guard,
      mayImport,
      endpoint(deps, {
        id: "readExport",
        summary: "Download an export",
        tag,
        params: bulkParam,
        success: { 200: null },
        errors: ["forbidden", "not_found", "conflict"],
      }),
      async (c) => {
        const file = await readExport(deps, c.req.valid("param").id);
        const content = await fileBody(c, file);
        c.header("Content-Disposition", `attachment; filename="${file.name}"`);
        c.header("Content-Type", file.type);
        c.header("Cache-Control", "no-store");
        return c.body(content, 200);
      },
    );
};

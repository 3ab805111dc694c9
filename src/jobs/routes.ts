import { type AuditDeps, managerOf } from "../audit";
import { endpoint } from "../http/endpoint";
import { factory } from "../http/factory";
import { discardJob, listJobs, retryJob } from "./admin";
import { jobParam, jobsAnswer, jobsQuery } from "./schema";

const JOBS = { tag: "Jobs", permission: "jobs:write" } as const;

/** /api/jobs */
export const jobRoutes = (deps: AuditDeps) =>
  factory
    .createApp()
    .get(
      "/",
      endpoint(deps, {
        ...JOBS,
        id: "listJobs",
        summary: "List jobs, the newest first, and how much there is to do",
        query: jobsQuery,
        success: { 200: jobsAnswer },
      }),
      async (c) => c.json({ data: await listJobs(deps, c.req.valid("query")) }, 200),
    )
    .post(
      "/:id/retry",
      endpoint(deps, {
        ...JOBS,
        id: "retryJob",
        summary: "Let a job run now, with all of its tries",
        params: jobParam,
        success: { 204: null },
        errors: ["not_found"],
      }),
      async (c) => {
        await retryJob(deps, managerOf(c), c.req.valid("param").id);
        return c.body(null, 204);
      },
    )
    .delete(
      "/:id",
      endpoint(deps, {
        ...JOBS,
        id: "discardJob",
        summary: "Discard a job that nobody runs",
        params: jobParam,
        success: { 204: null },
        errors: ["not_found"],
      }),
      async (c) => {
        await discardJob(deps, managerOf(c), c.req.valid("param").id);
        return c.body(null, 204);
      },
    );

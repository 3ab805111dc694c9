import { z } from "zod";
import type { BaseDeps } from "../deps";
import { endpoint } from "../http/endpoint";
import { dataOf } from "./envelopes";
import { factory } from "./factory";

const answer = (ping: Promise<"up" | "read_only">, log: (error: unknown) => void) =>
  ping.catch((error) => {
    log(error);
    return "down" as const;
  });

const up = z.enum(["up", "down"]);
const database = z
  .enum(["up", "read_only", "down"])
  .meta({ description: "read_only: it answers, and takes no writes" });
const liveAnswer = dataOf(z.object({ status: z.literal("up") }));
const readyAnswer = dataOf(
  z.object({
    status: up,
    mysql: database,
    mongodb: database,
    jobs: up.meta({ description: "down: the runner of background jobs stands still; see the log" }),
    server: up.meta({ description: "down: it was asked to stop, and answers a little longer" }),
  }),
);

/** /health: `live` says the process runs; `ready` says both databases answer, or which does not. */
export const healthRoutes = (
  deps: Pick<BaseDeps, "authenticate" | "jobs" | "log" | "mysql" | "mongo" | "stopping">,
) =>
  factory
    .createApp()
    .get(
      "/live",
      endpoint(deps, {
        id: "checkLive",
        summary: "Is the process alive?",
        tag: "Health",
        success: { 200: liveAnswer },
      }),
      (c) => c.json({ data: { status: "up" as const } }, 200),
    )
    .get(
      "/ready",
      endpoint(deps, {
        id: "checkReady",
        summary: "Can requests be served?",
        tag: "Health",
        success: { 200: readyAnswer, 503: readyAnswer },
      }),
      async (c) => {
        const say = (name: string) => (error: unknown) =>
          deps.log.warn({ err: error }, `${name} does not answer`);
        const [mysql, mongodb] = await Promise.all([
          answer(deps.mysql.ping(), say("MySQL")),
          answer(deps.mongo.ping(), say("MongoDB")),
        ]);
        const jobs = deps.jobs.isStalled?.() ? ("down" as const) : ("up" as const);
        const server = deps.stopping.signal.aborted ? ("down" as const) : ("up" as const);
        const parts = { mysql, mongodb, jobs, server };
        return Object.values(parts).every((state) => state === "up")
          ? c.json({ data: { status: "up" as const, ...parts } }, 200)
          : c.json({ data: { status: "down" as const, ...parts } }, 503);
      },
    );

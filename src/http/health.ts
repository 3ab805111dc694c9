import { z } from "zod";
import { whyDown } from "../db/why-down";
import type { BaseDeps } from "../deps";
import { endpoint } from "../http/endpoint";
import { dataOf } from "./envelopes";
import { factory } from "./factory";

type Database = Parameters<typeof whyDown>[1];

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
    why: z.array(z.string()).optional().meta({ description: "Why a database is not up, in words" }),
  }),
);

/** /health: `live` says the process runs; `ready` says both databases answer, or which does not. */
export const healthRoutes = (
  deps: Pick<BaseDeps, "authenticate" | "jobs" | "log" | "mysql" | "mongo" | "stopping">,
) => {
  const said = new Map<Database, string>();
  /** How a database is, and why unless it is well; logged when that changes. */
  const look = async (database: Database, ping: Promise<"up" | "read_only">) => {
    const say = (why: string, error?: unknown) => {
      if (said.get(database) !== why) deps.log.warn({ err: error }, `not ready: ${why}`);
      said.set(database, why);
      return why;
    };
    try {
      const state = await ping;
      if (state === "read_only") return { state, why: say(`${database} answers, and takes no writes`) };
      said.delete(database);
      return { state };
    } catch (error) {
      return { state: "down" as const, why: say(whyDown(error, database), error) };
    }
  };
  return factory
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
        const databases = await Promise.all([
          look("MySQL", deps.mysql.ping()),
          look("MongoDB", deps.mongo.ping()),
        ]);
        const [mysql, mongodb] = [databases[0].state, databases[1].state];
        const why = databases.flatMap((database) => database.why ?? []);
        const jobs = deps.jobs.isStalled?.() ? ("down" as const) : ("up" as const);
        const server = deps.stopping.signal.aborted ? ("down" as const) : ("up" as const);
        const parts = { mysql, mongodb, jobs, server, ...(why.length > 0 && { why }) };
        // Where writes do not go, reads do: nobody would answer these if all servers were taken out.
        return [mysql, mongodb, jobs, server].includes("down")
          ? c.json({ data: { status: "down" as const, ...parts } }, 503)
          : c.json({ data: { status: "up" as const, ...parts } }, 200);
      },
    );
};

import type { Deps } from "../deps";
import { endpoint } from "../http/endpoint";
import { describe } from "./describe";
import { factory } from "./factory";

const answer = (ping: Promise<void>, log: (error: unknown) => void) =>
  ping.then(
    () => "up" as const,
    (error) => {
      log(error);
      return "down" as const;
    },
  );

/** /health: `live` says the process runs; `ready` says both databases answer, or which does not. */
export const healthRoutes = (deps: Deps) =>
  factory
    .createApp()
    .get(
      "/live",
      endpoint(deps, {
        id: "getLiveAgain",
        summary: "Is the process alive?",
        tag: "Health",
        success: { 200: null },
      }),
      (c) => c.json({ data: { status: "up" as const } }, 200),
    )
    .get(
      "/ready",
      endpoint(deps, {
        id: "getReady",
        summary: "Can requests be served?",
        tag: "Health",
        success: { 200: null },
      }),
      async (c) => {
        const say = (name: string) => (error: unknown) =>
          deps.log.warn({ err: error }, `${name} does not answer`);
        const [mysql, mongodb] = await Promise.all([
          answer(deps.mysql.ping(), say("MySQL")),
          answer(deps.mongo.ping(), say("MongoDB")),
        ]);
        const up = mysql === "up" && mongodb === "up";
        c.header("Cache-Control", "no-store");
        return up
          ? c.json({ data: { status: "up" as const, mysql, mongodb } }, 200)
          : c.json({ data: { status: "down" as const, mysql, mongodb } }, 503);
      },
    );

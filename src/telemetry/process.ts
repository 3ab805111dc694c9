import { monitorEventLoopDelay } from "node:perf_hooks";
import type { AuthDeps } from "../auth";
import { lostLines } from "./log";

/** How often the event loop is looked at, in milliseconds. */
const RESOLUTION = 20;

/**
 * Adds what a process of the server knows of itself to its measurements: how busy its connections to the databases and
 * its hashing queue are, how many lines of its log were lost, and the longest time that its event loop stood still since
 * somebody asked.
 */
export function measureProcess({ metrics, mysql, mongo, passwords, log }: AuthDeps): void {
  const connections = "Connections in use and requests that wait for one";
  metrics.gauge("aizy_mysql_connections", connections, "state", async () => mysql.pool(), "sum");
  metrics.gauge("aizy_mongodb_connections", connections, "state", async () => mongo.pool(), "sum");
  metrics.gauge(
    "aizy_password_hashes",
    "Password hashes by state",
    "state",
    async () => passwords.load(),
    "sum",
  );
  metrics.gauge(
    "aizy_log_lines_lost",
    "Lines of the log that nobody took, since the process began",
    "of",
    async () => ({ process: lostLines(log) }),
    "sum",
  );
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION });
  delays.enable();
  metrics.gauge(
    "aizy_event_loop_lag_seconds",
    "Longest time that the event loop stood still since the last look",
    "of",
    async () => {
      const longest = Math.max(0, delays.max / 1e6 - RESOLUTION) / 1000;
      delays.reset();
      return { process: longest };
    },
  );
}

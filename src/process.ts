import type { Logger } from "./telemetry/log";

/** Calls `stop` at the first signal that asks this process to end. */
export function onStopSignal(stop: (reason: string) => unknown): void {
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
}

/**
 * Logs what nobody caught, and calls `stop`: what such an error has left behind is unknown, so this process should
 * finish what it has begun, end with a code other than 0, and leave its work to a new one.
 */
export function onUncaughtError(log: Logger, stop: (reason: string) => unknown): void {
  const reason = "an error that nobody caught";
  const end = (error: unknown) => {
    log.fatal({ err: error }, reason);
    stop(reason);
  };
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
}

import pino from "pino";
import type { Config } from "../config";

export type Logger = pino.Logger;

/** Paths of values that no log line may hold, whatever object they come in. */
const SECRETS = [
  "password",
  "otp",
  "code",
  "token",
  "refreshToken",
  "accessToken",
  "authorization",
  "cookie",
];

/**
 * One JSON line an event on stdout (pino's worker transports fail in compiled binaries, pino#10246).
 * In development `pino-pretty` is put behind it when it is installed.
 */
export async function createLogger(config: Pick<Config, "environment" | "logLevel">): Promise<Logger> {
  const options: pino.LoggerOptions = {
    level: config.logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: [...SECRETS, ...SECRETS.map((name) => `*.${name}`)], censor: "[redacted]" },
  };
  if (config.environment !== "development") return pino(options);
  const pretty = await import("pino-pretty").catch(() => undefined);
  return pretty
    ? pino(options, pretty.default({ sync: true, translateTime: "HH:MM:ss", singleLine: true }))
    : pino(options);
}

/** A logger that says nothing, for tests. */
export const silentLogger = (): Logger => pino({ level: "silent" });

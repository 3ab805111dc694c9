import { type Config, ConfigError, parseConfig } from "./config";
import { checkMongoUri } from "./db/mongo";

/** `parseConfig` for a program: what is wrong is printed, and the process ends with 1. */
export function configOrExit(env: Record<string, string | undefined>): Config {
  try {
    const config = parseConfig(env);
    checkMongoUri(config.mongodbUri);
    return config;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

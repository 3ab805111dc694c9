import { type Config, ConfigError, parseConfig } from "./config";
import { checkMongoUri, connectMongo, type Mongo, whenConnected } from "./db/mongo";
import { checkMySql, connectMySql } from "./db/prisma";
import { DatabaseUnusable } from "./db/requirements";
import { createLogger } from "./telemetry/log";
import { createDeps, type Deps } from "./wire";

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

/** What a command works with: unlike a server it waits as long as the databases work on what it asks. */
export async function commandDeps(config: Config): Promise<Deps> {
  const caller = { patient: true };
  return createDeps(config, await createLogger(config), {
    mysql: connectMySql(config.databaseUrl, config.databasePool, caller),
    mongo: connectMongo(config.mongodbUri, config.mongodbPool, caller),
  });
}

/** Waits until the databases of a program are there: where one is not, the reason is printed, and the process ends with 1. */
export async function databasesOrExit({ databaseUrl }: Config, mongo?: Mongo): Promise<void> {
  try {
    await checkMySql(databaseUrl);
    if (mongo) await whenConnected(mongo);
  } catch (error) {
    if (!(error instanceof DatabaseUnusable)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

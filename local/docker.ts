/** MySQL and MongoDB from compose.yaml, where a Docker engine answers. */
import { join } from "node:path";
import type { Engine, Report } from "./engine";
import { CHECKOUT, CHECKOUT_ID } from "./paths";
import type { Secrets } from "./secrets";

/** Whether a Docker engine (not only its client) and compose answer. */
export async function dockerAnswers(): Promise<boolean> {
  if (!Bun.which("docker")) return false;
  for (const command of [
    ["docker", "version", "--format", "{{.Server.Version}}"],
    ["docker", "compose", "version"],
  ]) {
    const child = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
    const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
    const code = await child.exited;
    clearTimeout(timer);
    if (code !== 0) return false;
  }
  return true;
}

/** The databases of compose.yaml, in a project of this checkout, on free ports of 127.0.0.1. */
export function dockerEngine(secrets: Secrets, report: Report): Engine {
  const compose = async (...words: string[]): Promise<string> => {
    const child = Bun.spawn(
      [
        "docker",
        "compose",
        "--project-name",
        `aizy-${CHECKOUT_ID}`,
        "--file",
        join(CHECKOUT, "compose.yaml"),
        ...words,
      ],
      {
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
        // The application's own settings are not needed to start databases, but compose wants them all.
        env: {
          JWT_SECRET: secrets.JWT_SECRET,
          DATA_KEY: secrets.DATA_KEY,
          SMTP_URL: "smtp://localhost",
          MAIL_FROM: "no-reply@localhost",
          APP_URL: "http://localhost:3000",
          CORS_ORIGINS: "http://localhost:3000",
          ...process.env,
          MYSQL_PASSWORD: secrets.MYSQL_PASSWORD,
          MYSQL_APP_PASSWORD: secrets.MYSQL_PASSWORD,
          MYSQL_MIGRATE_PASSWORD: secrets.MYSQL_PASSWORD,
          MONGO_PASSWORD: secrets.MYSQL_PASSWORD,
          MONGO_APP_PASSWORD: secrets.MYSQL_PASSWORD,
        },
      },
    );
    const [out, errors] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    if ((await child.exited) !== 0)
      throw new Error(`docker compose ${words.join(" ")} failed:\n${errors.trim()}`);
    return out.trim();
  };
  const start = async (service: string, inner: number) => {
    report(
      `${service === "mysql" ? "MySQL  " : "MongoDB"}    starting its container (the first time Docker fetches the image)`,
    );
    await compose("up", "--detach", "--wait", service);
    const address = await compose("port", service, String(inner));
    return { address, stop: async () => void (await compose("stop", service)) };
  };
  return {
    async mysql() {
      const { address, stop } = await start("mysql", 3306);
      const url = `mysql://root:${secrets.MYSQL_PASSWORD}@${address}/aizy_users?allowPublicKeyRetrieval=true`;
      return { env: { DATABASE_URL: url }, children: [], stop };
    },
    async mongodb() {
      const { address, stop } = await start("mongo", 27017);
      await compose("run", "--rm", "mongo-init");
      // Direct: the replica set knows itself by its name inside Docker's network. As root, since tests make databases.
      const uri = `mongodb://root:${secrets.MYSQL_PASSWORD}@${address}/aizy?authSource=admin&directConnection=true`;
      return { env: { MONGODB_URI: uri }, children: [], stop };
    },
  };
}

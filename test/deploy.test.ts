/** What deploy/ and compose.yaml say agrees with what the server takes. */
import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { parseConfig } from "../src/config";

const text = (path: string) => readFile(path, "utf8");
/** Every variable that .env.example names. */
const known = new Set(
  [...(await text(".env.example")).matchAll(/^(?:# )?([A-Z][A-Z0-9_]+)=/gm)].map(([, name]) => name),
);
/** What no deployment sets, because the image or the manifest does. */
const GIVEN = ["NODE_ENV"];
const unknown = (names: string[]) => names.filter((name) => !known.has(name) && !GIVEN.includes(name));

interface Manifest {
  kind: string;
  data: Record<string, string>;
}

test("every variable of compose.yaml is one of .env.example", async () => {
  const { services } = Bun.YAML.parse(await text("compose.yaml")) as {
    services: { migrate: { environment: Record<string, string> } };
  };
  const names = Object.keys(services.migrate.environment);
  expect(names).toContain("DATABASE_URL");
  expect(unknown(names)).toEqual([]);
});

test("the secrets of deploy/env.sh and the settings of the Kubernetes manifest make a production server", async () => {
  const made = await Bun.$`sh deploy/env.sh`.text();
  const secrets = Object.fromEntries(
    [...made.matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
  );
  const manifests = Bun.YAML.parse(await text("deploy/kubernetes.yaml")) as Manifest[];
  const settings = manifests.find(({ kind }) => kind === "ConfigMap")?.data ?? {};
  expect(unknown([...Object.keys(settings), ...Object.keys(secrets)])).toEqual([]);
  const config = parseConfig({
    ...secrets,
    ...settings,
    DATABASE_URL: "mysql://aizy:secret@mysql:3306/aizy_users",
    MONGODB_URI: "mongodb://mongo:27017/aizy?replicaSet=rs0",
  });
  expect(config).toMatchObject({
    environment: "production",
    drainSeconds: 10,
    metricsToken: secrets.METRICS_TOKEN,
  });
  const again = await Bun.$`sh deploy/env.sh`.text();
  expect(again).not.toContain(secrets.JWT_SECRET ?? "");
});

test("each alert names a series that the server has", async () => {
  const alerts = await text("deploy/alerts.yaml");
  const documented = await text("docs/operations.md");
  const series = [...alerts.matchAll(/\b((?:aizy|http)_[a-z_]+?)(?:_bucket|_count)?\{/g)].map(
    ([, name]) => name ?? "",
  );
  expect(series.length).toBeGreaterThan(5);
  expect(series.filter((name) => !documented.includes(`\`${name}\``))).toEqual([]);
});

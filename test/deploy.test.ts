/** What deploy/ and compose.yaml say agrees with what the server takes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ipaddr from "ipaddr.js";
import { parseConfig } from "../src/config";
import { withConnection } from "../src/db/prisma";
import { splitStatements } from "../src/db/sql-script";
import { useTestApp } from "./app";
import { nginxPath } from "./nginx";
import { startProgram, startServer } from "./processes";
import { promtoolPath } from "./promtool";

useTestApp();

const folder = await mkdtemp(join(tmpdir(), "aizy-deploy-"));
afterAll(() => rm(folder, { recursive: true }));

const text = (path: string) => readFile(path, "utf8");
/** Every variable that .env.example names. */
const known = new Set(
  [...(await text(".env.example")).matchAll(/^(?:# )?([A-Z][A-Z0-9_]+)=/gm)].map(([, name]) => name),
);
/** What no deployment sets, because the image or the manifest does. */
const GIVEN = ["NODE_ENV"];
const unknown = (names: string[]) => names.filter((name) => !known.has(name) && !GIVEN.includes(name));

let files = 0;
/** What deploy/env.sh makes, by name. */
async function makeSecrets(): Promise<Record<string, string>> {
  const file = join(folder, `${files++}.env`);
  await Bun.$`sh deploy/env.sh ${file}`.quiet();
  return Object.fromEntries(
    [...(await text(file)).matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value]),
  );
}

test("deploy/env.sh writes secrets for its owner's eyes alone, and never over others", async () => {
  const file = join(folder, "once.env");
  const run = () => Bun.$`umask 022; sh deploy/env.sh ${file}`.nothrow().quiet();
  expect((await run()).exitCode).toBe(0);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const before = await text(file);
  const again = await run();
  expect([again.exitCode, again.stderr.toString()]).toEqual([
    1,
    expect.stringContaining("It stays as it is"),
  ]);
  expect(await text(file)).toBe(before);
  // As `> FILE` makes it before the script begins.
  await writeFile(file, "");
  const redirected = await run();
  expect([redirected.exitCode, redirected.stderr.toString()]).toEqual([
    1,
    expect.stringContaining("without `>`"),
  ]);
  expect((await makeSecrets()).JWT_SECRET).not.toBe((await makeSecrets()).JWT_SECRET);
});

/** Whether the client of Docker has compose; it needs no engine to check a file. */
const hasCompose =
  Bun.which("docker") !== null && (await Bun.$`docker compose version`.nothrow().quiet()).exitCode === 0;

interface Container {
  command?: string[];
  envFrom: { secretRef?: { name: string; optional?: true }; configMapRef?: { name: string } }[];
  env?: { name: string; valueFrom: { secretKeyRef: { name: string; key: string; optional?: true } } }[];
  lifecycle?: { preStop: { exec: { command: [string, string] } } };
}
interface Manifest {
  kind: string;
  data: Record<string, string>;
  spec: { template: { spec: { terminationGracePeriodSeconds?: number; containers: [Container] } } };
}

test("every variable of compose.yaml is one of .env.example", async () => {
  const compose = await text("compose.yaml");
  const { services } = Bun.YAML.parse(compose) as {
    services: Record<string, { environment: Record<string, string>; volumes?: string[]; image?: string }>;
  };
  const { app, migrate } = services;
  const names = Object.keys({ ...app?.environment, ...migrate?.environment });
  expect(names).toContain("DATABASE_URL");
  expect(unknown(names)).toEqual([]);
  // What the file asks for is what one command makes, beside the addresses to be filled in.
  const wanted = [...compose.matchAll(/\$\{([A-Z_]+):\?/g)].map(([, name]) => name ?? "");
  const made = await makeSecrets();
  expect(wanted.filter((name) => made[name] === undefined)).toEqual([]);
  // What is to be filled in is empty, so that compose itself asks for it.
  expect(Object.keys(made).filter((name) => made[name] === "")).toEqual([
    "APP_URL",
    "CORS_ORIGINS",
    "SMTP_URL",
    "MAIL_FROM",
  ]);
  for (const service of ["app", "migrate"])
    expect(JSON.stringify(services[service]?.environment)).not.toMatch(/root|MYSQL_PASSWORD|MONGO_PASSWORD/);
});

test("with the defaults of compose.yaml the server is reached through Caddy alone, and believes it alone", async () => {
  let compose = await text("compose.yaml");
  for (let before = ""; before !== compose; ) {
    before = compose;
    compose = compose.replace(/\$\{\w+:-([^${}]*)\}/g, "$1");
  }
  const { services, networks } = Bun.YAML.parse(compose) as {
    services: Record<string, Record<string, unknown>>;
    networks: Record<string, { ipam?: { config: { subnet: string; ip_range: string }[] } } | null>;
  };
  const { app, caddy } = services;
  const { proxy } = (caddy?.networks ?? {}) as Record<string, { ipv4_address: string }>;
  const address = proxy?.ipv4_address ?? "";
  expect(app).toMatchObject({
    ports: [{ host_ip: "127.0.0.1", target: 5000 }],
    environment: { TRUSTED_PROXIES: address },
    networks: ["default", "proxy"],
  });
  expect(caddy).toMatchObject({ profiles: ["tls"], ports: ["80:80", "443:443", "443:443/udp"] });
  // Docker gives the other half away.
  const [given] = networks.proxy?.ipam?.config ?? [];
  expect(ipaddr.parse(address).match(ipaddr.parseCIDR(given?.subnet ?? ""))).toBe(true);
  expect(ipaddr.parse(address).match(ipaddr.parseCIDR(given?.ip_range ?? ""))).toBe(false);
});

describe("deploy/kubernetes.yaml", () => {
  const S3 = ["S3_ENDPOINT", "S3_REGION", "S3_BUCKET", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"];
  const read = async () => {
    const sample = await text("deploy/kubernetes.yaml");
    // The hosts of the sample, which a server refuses.
    const manifests = Bun.YAML.parse(sample.replaceAll("shop.example", "shop.test")) as Manifest[];
    const of = (kind: string) => manifests.find((one) => one.kind === kind);
    const [server] = of("Deployment")?.spec.template.spec.containers ?? [];
    return { settings: of("ConfigMap")?.data ?? {}, server, of };
  };
  /** The environment of a container: the last source wins. */
  const environmentOf = (container: Container | undefined, secret: object, settings: object) =>
    Object.assign({}, ...(container?.envFrom ?? []).map((from) => (from.configMapRef ? settings : secret)));

  test("a secret from deploy/env.sh and the settings make a production server, and the settings count", async () => {
    const { settings, server } = await read();
    // Filled in for compose.yaml, with other addresses.
    const secret: Record<string, string> = {
      ...(await makeSecrets()),
      APP_URL: "https://other.test",
      CORS_ORIGINS: "https://other.test",
      MAIL_FROM: "no-reply@other.test",
      DATABASE_URL: "mysql://aizy:secret@mysql:3306/aizy_users",
      MONGODB_URI: "mongodb://mongo:27017/aizy?replicaSet=rs0",
      SMTP_URL: "smtp://mail.shop.test:587",
    };
    expect(unknown([...Object.keys(settings), ...Object.keys(secret)])).toEqual([]);
    expect(parseConfig(environmentOf(server, secret, settings))).toMatchObject({
      environment: "production",
      drainSeconds: Number(settings.DRAIN_SECONDS),
      appUrl: "https://shop.test",
      corsOrigins: ["https://shop.test"],
      mailFrom: settings.MAIL_FROM,
      metricsToken: secret.METRICS_TOKEN,
    });
  });

  test("the sample's own hosts are refused", async () => {
    const { settings, server } = await read();
    const sample = Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [name, value.replaceAll("shop.test", "shop.example")]),
    );
    expect(() => parseConfig(environmentOf(server, {}, sample))).toThrow(/APP_URL: names shop\.example/);
  });

  test("without a shared store for files no copy starts", async () => {
    const { server } = await read();
    const asked = (server?.env ?? []).map(({ name, valueFrom: { secretKeyRef } }) => [name, secretKeyRef]);
    expect(asked).toEqual(S3.map((name) => [name, { name: "aizy", key: name }]));
    expect(await text("deploy/kubernetes.yaml")).not.toContain("mountPath: /data");
  });

  test("a copy that goes has the time that it takes", async () => {
    const { settings, server, of } = await read();
    const [program, pause] = server?.lifecycle?.preStop.exec.command ?? ["", ""];
    expect(program).toBe("sleep");
    // Ten seconds are for requests in flight: STOP_LIMIT in src/index.ts.
    const needed = Number(pause) + Number(settings.DRAIN_SECONDS) + 10;
    expect(of("Deployment")?.spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(needed);
    expect(Number(pause)).toBeGreaterThan(0);
  });
});

describe("the users of deploy/mysql-users.sh", () => {
  const databaseUrl = process.env.DATABASE_URL ?? "";
  const names = { app: `aizy_t${process.pid}`, migrate: `aizy_tm${process.pid}` };
  const urlOf = (user: string) => {
    const url = new URL(databaseUrl);
    url.username = user;
    url.password = "abc123";
    url.searchParams.set("allowPublicKeyRetrieval", "true");
    return url.href;
  };
  beforeAll(async () => {
    const sql = await Bun.$`sh deploy/mysql-users.sh`
      .env({
        ...process.env,
        MYSQL_CLIENT: "cat",
        MYSQL_APP_USER: names.app,
        MYSQL_MIGRATE_USER: names.migrate,
        MYSQL_APP_PASSWORD: "abc123",
        MYSQL_MIGRATE_PASSWORD: "abc123",
        MYSQL_ROOT_PASSWORD: "",
        MYSQL_DATABASE: new URL(databaseUrl).pathname.slice(1),
      })
      .text();
    await withConnection(databaseUrl, async (connection) => {
      for (const statement of splitStatements(sql)) await connection.query(statement);
    });
  });
  afterAll(() =>
    withConnection(databaseUrl, async (connection) => {
      for (const name of Object.values(names)) await connection.query(`DROP USER IF EXISTS '${name}'@'%'`);
    }),
  );

  test("the server lives with the rights on rows alone; tables are for migrations", async () => {
    const server = await startServer({ DATABASE_URL: urlOf(names.app) });
    const answer = await fetch(`${server.address}/auth/register`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ email: `${names.app}@example.com`, password: "a long password", name: "Test" }),
    });
    expect(answer.status).toBe(202);
    await server.line(/"kind":"mail\.verification_code"[^\n]*"msg":"job"/);
    await server.kill("SIGTERM");
    const alter = (user: string) =>
      withConnection(urlOf(user), async (connection) => {
        await connection.query("CREATE TABLE not_for_the_server (id INT)");
        await connection.query("DROP TABLE not_for_the_server");
      });
    await expect(alter(names.app)).rejects.toMatchObject({ errno: 1142 });
    await alter(names.migrate);
    const migrated = startProgram(["src/db/migrate.ts"], { DATABASE_URL: urlOf(names.migrate) });
    expect([await migrated.ended(), migrated.output()]).toEqual([
      0,
      expect.stringContaining("nothing to apply"),
    ]);
  });
});

/** What a server measures, and the expressions of the board and of the alerts. */
async function everything() {
  const server = await startServer({ METRICS_TOKEN: "token-of-this-test" });
  const read = async () =>
    (
      await fetch(`${server.address}/metrics`, { headers: { authorization: "Bearer token-of-this-test" } })
    ).text();
  await read();
  const metrics = await read();
  await server.kill("SIGTERM");
  const board = JSON.parse(await text("deploy/grafana.json")) as {
    panels: { title: string; targets?: { expr: string }[] }[];
  };
  const shown = board.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  const { groups } = Bun.YAML.parse(await text("deploy/alerts.yaml")) as {
    groups: { rules: { expr: string }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules.map(({ expr }) => expr));
  return { metrics, shown, rules };
}

describe("the alerts and the board", () => {
  let seen: Awaited<ReturnType<typeof everything>>;
  beforeAll(async () => {
    seen = await everything();
  });
  const promtool = promtoolPath();
  const tried = async (words: string[]) => {
    const { exitCode, stdout, stderr } = await Bun.$`${promtool} ${words}`.nothrow().quiet();
    return [exitCode, exitCode === 0 ? "" : `${stdout}${stderr}`];
  };

  test.skipIf(promtool === undefined)(
    "promtool accepts them, and the sample of a configuration",
    async () => {
      expect(await tried(["check", "rules", "deploy/alerts.yaml"])).toEqual([0, ""]);
      expect(await tried(["check", "config", "--syntax-only", "deploy/prometheus.yaml"])).toEqual([0, ""]);
    },
  );

  test.skipIf(promtool === undefined)("each fires when it should, and only then", async () => {
    expect(await tried(["test", "rules", "deploy/alerts.test.yaml"])).toEqual([0, ""]);
  });

  test("each has a case where it fires and one where it does not", async () => {
    const { groups } = Bun.YAML.parse(await text("deploy/alerts.yaml")) as {
      groups: { rules: { alert: string }[] }[];
    };
    const { tests } = Bun.YAML.parse(await text("deploy/alerts.test.yaml")) as {
      tests: { alert_rule_test: { alertname: string; exp_alerts?: unknown[] }[] }[];
    };
    const cases = tests.flatMap(({ alert_rule_test }) => alert_rule_test);
    for (const { alert } of groups.flatMap(({ rules }) => rules)) {
      const fires = cases
        .filter(({ alertname }) => alertname === alert)
        .map(({ exp_alerts = [] }) => exp_alerts.length > 0);
      expect([alert, new Set(fires)]).toEqual([alert, new Set([true, false])]);
    }
  });

  test("rates are of counters, values of gauges, and quantiles of sums by bound", () => {
    const { metrics, rules, shown } = seen;
    const types = new Map(
      [...metrics.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = "", type]) => [name, type]),
    );
    const typeOf = (name: string) => types.get(name) ?? types.get(name.replace(/_(?:bucket|count|sum)$/, ""));
    for (const expr of [...rules, ...shown]) {
      for (const [, name = ""] of expr.matchAll(/\b(?:rate|irate|increase|resets)\((\w+)/g))
        expect([expr, typeOf(name)]).toEqual([expr, expect.stringMatching(/^(?:counter|histogram)$/)]);
      for (const [before, name = ""] of expr.matchAll(/(?:(?<!\w)\w+\()?\b((?:aizy|http|process)_\w+)/g))
        if (!/^(?:rate|irate|increase|resets)\(/.test(before))
          expect([expr, typeOf(name)]).toEqual([expr, "gauge"]);
      expect([expr, /histogram_quantile\([\d.]+, (?!sum by \(le\b)/.test(expr)]).toEqual([expr, false]);
    }
    // A series that begins with its first event hides it.
    const counters = [...types].flatMap(([name, type]) => (type === "counter" ? [name] : []));
    expect(counters.filter((name) => !new RegExp(`^${name}\\b`, "m").test(metrics))).toEqual([]);
  });

  test("each series of the alerts and of the board is one that the server has, with its labels", () => {
    const { metrics, shown, rules } = seen;
    const has = new Set([...metrics.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name ?? ""));
    // Prometheus adds these to every series.
    const labels = new Set(["job", "instance"]);
    for (const [, inside = ""] of metrics.matchAll(/^\w+\{(.*?)\}/gm))
      for (const [, label = ""] of inside.matchAll(/(\w+)=/g)) labels.add(label);

    expect([shown.length > 10, rules.length > 5]).toEqual([true, true]);
    for (const expr of [...shown, ...rules]) {
      const names = [...expr.matchAll(/\b(?:aizy|http|process)_\w+/g)].map(([name]) =>
        name.replace(/^(http_request_duration_seconds)_(?:bucket|count)$/, "$1"),
      );
      expect([expr, names.filter((name) => !has.has(name))]).toEqual([expr, []]);
      const used = [
        ...[...expr.matchAll(/(\w+)!?=~?"/g)].map(([, label]) => label ?? ""),
        ...[...expr.matchAll(/by \((.*?)\)/g)].flatMap(([, list = ""]) => list.split(", ")),
      ];
      expect([expr, used.filter((label) => !labels.has(label))]).toEqual([expr, []]);
    }
    // What is measured and on no panel is likely forgotten.
    expect([...has].filter((name) => !shown.some((expr) => expr.includes(name)))).toEqual([]);
  });
});

describe("deploy/backup.sh", () => {
  const backups = join(folder, "backups");
  const old = "2026-01-02T03-10-00Z";
  /** Stands where Docker is, and does what it is asked for with this checkout and this test's databases. */
  const docker = `#!/bin/sh
echo "$*" > ${folder}/asked
for word; do case $word in *:/backups) place=\${word%:/backups} ;; /backups/*) name=\${word#/backups/} ;; esac; done
exec ${process.execPath} src/backup/backup.cli.ts "$place/$name"
`;
  const back = async (env: Record<string, string> = {}) => {
    const done = await Bun.$`sh deploy/backup.sh`
      .env({ ...process.env, PATH: `${folder}/bin:${process.env.PATH}`, BACKUPS: backups, ...env })
      .nothrow()
      .quiet();
    return [done.exitCode, `${done.stdout}${done.stderr}`];
  };
  const names = async () => (await readdir(backups)).sort();
  beforeAll(async () => {
    await mkdir(join(folder, "bin"));
    await writeFile(join(folder, "bin/docker"), docker);
    await chmod(join(folder, "bin/docker"), 0o755);
    for (const name of [old, "2026-11-29T03-10-00Z", "kept by hand"])
      await mkdir(join(backups, name), { recursive: true });
    const longAgo = new Date(Date.now() - 20 * 24 * 3600 * 1000);
    for (const name of [old, "kept by hand"]) await utimes(join(backups, name), longAgo, longAgo);
  });

  test("one that fails, or cannot be copied, leaves the old ones", async () => {
    const before = await names();
    expect((await back({ MONGODB_URI: "" }))[0]).not.toBe(0);
    expect(await names()).toEqual(before);
    expect((await back({ BACKUP_COPY: "exit 3" }))[0]).toBe(3);
    expect(await names()).toContain(old);
  }, 120_000);

  test("a new one is there and elsewhere, and what is too old is gone", async () => {
    const elsewhere = join(folder, "elsewhere");
    const done = await back({ BACKUP_COPY: `cp -r "$BACKUP" ${elsewhere}` });
    expect(done).toEqual([0, expect.stringContaining("rows of MySQL")]);
    // The form that docs/operations.md gives.
    expect(await text(join(folder, "asked"))).toMatch(
      /^compose run --rm .*--volume \S+:\/backups app bun dist\/src\/backup\/backup\.cli\.js \/backups\/\S+\n$/,
    );
    const left = await names();
    expect(left).not.toContain(old);
    expect(left.slice(0, 1)).toEqual(["2026-11-29T03-10-00Z"]);
    expect(left).toContain("kept by hand");
    expect(await readdir(elsewhere)).toContain("manifest.json");
  }, 120_000);
});

describe("what the tools say of the samples", () => {
  test("every script is one for sh", async () => {
    for (const name of (await readdir("deploy")).filter((file) => file.endsWith(".sh")))
      expect([name, (await Bun.$`sh -n deploy/${name}`.nothrow().quiet()).exitCode]).toEqual([name, 0]);
  });

  test.skipIf(!Bun.which("systemd-analyze"))("systemd takes the timer and its service", async () => {
    const said = await Bun.$`systemd-analyze verify deploy/aizy-backup.service deploy/aizy-backup.timer`
      .nothrow()
      .quiet();
    expect([said.exitCode, `${said.stderr}`]).toEqual([0, ""]);
  });

  test.skipIf(nginxPath() === undefined)("nginx takes its configuration", async () => {
    const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
    await Bun.$`openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=api.shop.test -keyout ${key} -out ${certificate}`.quiet();
    const sample = (await text("deploy/nginx.conf"))
      .replace(/ssl_certificate_key .*;/, `ssl_certificate_key ${key};`)
      .replace(/ssl_certificate .*;/, `ssl_certificate ${certificate};`);
    await writeFile(join(folder, "nginx.conf"), `pid ${folder}/pid;\n${sample}`);
    const said = await Bun.$`${nginxPath()} -t -c ${folder}/nginx.conf -e stderr`.nothrow().quiet();
    expect([said.exitCode, `${said.stderr}`]).toEqual([0, expect.stringContaining("test is successful")]);
  });

  test.skipIf(!hasCompose)("docker compose takes compose.yaml, with TLS and without", async () => {
    const file = join(folder, "compose.env");
    await Bun.$`sh deploy/env.sh ${file}`.quiet();
    const filled = (await text(file)).replace(/^(APP_URL|CORS_ORIGINS|SMTP_URL|MAIL_FROM)=$/gm, "$1=x");
    await writeFile(file, filled);
    for (const profile of [[], ["--profile", "tls"]]) {
      const said = await Bun.$`docker compose --env-file ${file} ${profile} config --quiet`.nothrow().quiet();
      expect([said.exitCode, `${said.stderr}`]).toEqual([0, ""]);
    }
  });
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canStart, copyCheckout, newcomer, PATIENCE, processesOf, startIn } from "../test/checkout";
import { chooseWay, NoDatabases } from "./join";
import { CHECKOUT } from "./paths";
import { freePort } from "./processes";
import { mirrorOf } from "./root";
import { localSecrets } from "./secrets";

describe("choosing the databases", () => {
  const machine = { docker: false, root: true, debian: true, linux: true };

  test("Docker comes before Debian's packages", () => {
    expect(chooseWay({ ...machine, docker: true }, ["mysql"])).toBe("docker");
    expect(chooseWay(machine, ["mysql"])).toBe("debian");
  });

  test("where neither is possible, the message names every way", () => {
    for (const lacking of [{ root: false }, { debian: false }, { linux: false }]) {
      const ask = () => chooseWay({ ...machine, ...lacking }, ["mysql", "mongodb"]);
      expect(ask).toThrow(NoDatabases);
      expect(ask).toThrow(/MySQL and MongoDB[\s\S]*DATABASE_URL[\s\S]*MONGODB_URI[\s\S]*Docker[\s\S]*Debian/);
    }
    expect(() => chooseWay({ ...machine, root: false }, ["mongodb"])).toThrow("needs MongoDB,");
  });
});

describe("the mirror of Debian's packages", () => {
  test("is read from both forms of apt's sources", () => {
    const deb822 =
      "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n";
    const security =
      "Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n";
    const other = "deb [signed-by=/x] https://packages.example/cloud cloud main\n";
    expect(mirrorOf([other, `${security}\n${deb822}`])).toBe("http://mirror.example/debian");
    expect(mirrorOf([other, "deb http://mirror.example/debian bookworm main contrib\n"])).toBe(
      "http://mirror.example/debian",
    );
    expect(mirrorOf([other, "# deb http://mirror.example/debian bookworm main\n"])).toBeUndefined();
    expect(mirrorOf([])).toBeUndefined();
  });
});

describe("secrets of a checkout", () => {
  const folder = mkdtempSync(join(tmpdir(), "aizy-secrets-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  test("processes that start at once get the same ones, readable by their owner alone", async () => {
    const script = `import { localSecrets } from ${JSON.stringify(join(CHECKOUT, "local/secrets.ts"))};
      console.log(JSON.stringify(localSecrets(${JSON.stringify(folder)})));`;
    const answers = await Promise.all(
      Array.from({ length: 8 }, () =>
        new Response(Bun.spawn([process.execPath, "-e", script]).stdout).text(),
      ),
    );
    expect(new Set(answers).size).toBe(1);
    expect(JSON.parse(answers[0] ?? "")).toEqual(localSecrets(folder));
    const { mode } = await Bun.file(join(folder, "secrets.json")).stat();
    expect(mode & 0o077).toBe(0);
  });

  test("a damaged file is named, not replaced", () => {
    const file = join(folder, "secrets.json");
    writeFileSync(file, '{"JWT_SECRET":"half');
    expect(() => localSecrets(folder)).toThrow(file);
    expect(readFileSync(file, "utf8")).toBe('{"JWT_SECRET":"half');
  });
});

describe.skipIf(!canStart)("bin/dev (needs root on Debian and databases that are not given)", () => {
  let checkout = "";
  beforeAll(() => {
    checkout = copyCheckout();
  });
  afterAll(() => rmSync(checkout, { recursive: true, force: true }));

  test(
    "serves from databases of its own beside another checkout's; a second one is refused; kill -9 loses nothing; it leaves nothing behind",
    async () => {
      const port = await freePort();
      const env = newcomer({ PORT: String(port) });
      const address = `http://localhost:${port}`;
      const first = startIn(["bin/dev"], checkout, env);
      await first.until(/Aizy is ready/);
      expect(first.output()).toContain(`${address}/docs`);
      expect(first.output()).toContain(`${address}/dev/mail`);
      const ready = (await (await fetch(`${address}/health/ready`)).json()) as { data: unknown };
      expect(ready.data).toEqual({ status: "up", mysql: "up", mongodb: "up", jobs: "up", server: "up" });
      const list = (await (await fetch(`${address}/api/products?limit=1`)).json()) as {
        data: { id: string }[];
      };
      expect(list.data).toHaveLength(1);

      // This run's databases are those of another checkout; the ports show that they are others.
      const ports = JSON.parse(readFileSync(join(checkout, ".data/ports.json"), "utf8")) as {
        postgres: number;
      };
      const { port: ours } = JSON.parse(process.env.AIZY_LOCAL_POSTGRES ?? "{}") as { port: number };
      expect(ports.postgres).not.toBe(ours);

      const second = startIn(["bin/dev"], checkout, newcomer());
      expect(await second.end()).toBe(1);
      expect(second.output()).toContain(`bin/dev runs already for this checkout: ${address}`);

      // A script joins the same databases while it runs.
      const script = startIn(
        [process.execPath, "local/run.ts", "sh", "-c", "echo at $DATABASE_URL"],
        checkout,
      );
      expect(await script.end()).toBe(0);

      // The server and the databases end with the two that own them.
      for (const line of processesOf(checkout)) {
        if (/local\/(dev|supervisor)\.ts/.test(line)) process.kill(Number.parseInt(line, 10), "SIGKILL");
      }
      await first.end();

      const third = startIn(["bin/dev"], checkout, env);
      await third.until(/Aizy is ready/);
      expect(third.output()).toContain("0 products made, 60 present");
      const again = (await (await fetch(`${address}/api/products?limit=1`)).json()) as {
        data: { id: string }[];
      };
      expect(again.data[0]?.id).toBe(list.data[0]?.id);

      // An error that nobody caught, in a file that was changed meanwhile: neither leaves a server half alive.
      const crash = join(checkout, "crash");
      const changed = join(checkout, "src/index.ts");
      const listening = () => third.output().match(/listening on/g)?.length ?? 0;
      const starts = listening();
      writeFileSync(
        changed,
        `${readFileSync(changed, "utf8")}
        setInterval(async () => {
          if (!(await Bun.file(${JSON.stringify(crash)}).exists())) return;
          await Bun.file(${JSON.stringify(crash)}).delete();
          throw new Error("a test made this");
        }, 50);`,
      );
      const listensAgain = async (times: number) => {
        for (const deadline = Date.now() + PATIENCE; listening() < times; await Bun.sleep(20)) {
          if (Date.now() > deadline) throw new Error(`it did not listen again:\n${third.output()}`);
        }
        expect((await fetch(`${address}/health/live`)).status).toBe(200);
      };
      await listensAgain(starts + 1);
      writeFileSync(crash, "");
      await third.until(/The server ended with 1; .* Starting it again/);
      await listensAgain(starts + 2);
      expect(third.output()).toContain("a test made this");

      third.child.kill("SIGTERM");
      expect(await third.end()).toBe(0);
      expect(third.output()).toContain("stopped");
      for (const deadline = Date.now() + PATIENCE; processesOf(checkout).length > 0; await Bun.sleep(50)) {
        if (Date.now() > deadline) expect(processesOf(checkout)).toEqual([]);
      }
    },
    PATIENCE * 3,
  );

  test("a port that is taken is said before anything starts", async () => {
    const holder = createServer();
    const port = await new Promise<number>((resolve) => {
      holder.listen(0, () => resolve((holder.address() as { port: number }).port));
    });
    try {
      const run = startIn(["bin/dev"], checkout, newcomer({ PORT: String(port) }));
      expect(await run.end()).toBe(1);
      expect(run.output()).toContain(`Port ${port} is taken`);
      expect(run.output()).not.toContain("MySQL");
    } finally {
      holder.close();
    }
  });
});

describe.skipIf(!canStart)("without root and without Docker", () => {
  test("a command ends with 1 and names the three ways", async () => {
    const checkout = copyCheckout();
    try {
      // Somebody's own checkout: they may write into it, and that is all they may.
      const NOBODY = 65_534;
      chmodSync(checkout, 0o755);
      chownSync(checkout, NOBODY, NOBODY);
      const bun = join(checkout, "bun");
      cpSync(process.execPath, bun);
      const run = startIn(
        [
          "setpriv",
          "--reuid",
          String(NOBODY),
          "--regid",
          String(NOBODY),
          "--clear-groups",
          bun,
          "local/run.ts",
          "true",
        ],
        checkout,
        { PATH: "/usr/bin:/bin", HOME: checkout },
      );
      expect(await run.end()).toBe(1);
      expect(run.output()).toContain("There are three ways to have them");
      expect(run.output()).toContain("you are not root");
      for (const way of ["DATABASE_URL=", "MONGODB_URI=", "Docker", "Debian"])
        expect(run.output()).toContain(way);
    } finally {
      rmSync(checkout, { recursive: true, force: true });
    }
  });
});

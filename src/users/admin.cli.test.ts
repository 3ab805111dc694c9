import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { admin as runAdmin, useTestApp } from "../../test/app";

/** A hang guard, far above what any test takes, also where others share the machine. */
setDefaultTimeout(180_000);

const t = useTestApp();
const admin = (words: string[], password?: string) => runAdmin(t, words, password);

/** Runs the command in a process of its own, with a text on its standard input. */
async function adminProcess(words: string[], stdin = "") {
  const child = Bun.spawn([process.execPath, "src/users/admin.cli.ts", ...words], {
    env: process.env,
    stdin: new Blob([stdin]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { out, err, code };
}
const signIn = async (email: string, password: string) => {
  const answer = await t.request("/auth/login", { method: "POST", json: { email, password } });
  return { status: answer.status, token: (await answer.json()).data?.accessToken };
};
const rolesOf = async (email: string) => {
  const user = await t.deps.users.findByEmail(email);
  return user ? t.deps.roles.namesOf(user.id) : [];
};

describe("bun run admin", () => {
  test("makes the first administrator, also where no roles are yet, with a password from standard input", async () => {
    await t.deps.mysql.on().role.deleteMany();
    const made = await adminProcess(
      ["create", "First@Example.com", "--name", "Ann"],
      "a fine long password\nmore\n",
    );
    expect(made).toEqual({
      out: "First@Example.com can sign in and has the role admin.\n",
      err: "",
      code: 0,
    });
    const { token } = await signIn("first@example.com", "a fine long password");
    const list = await t.request("/api/users?filter[role]=admin", { token });
    expect((await list.json()).data).toMatchObject([
      { email: "First@Example.com", name: "Ann", roles: ["admin", "customer"], status: "active" },
    ]);
    const user = await t.deps.users.findByEmail("first@example.com");
    const entries = await t.deps.mysql.on().auditEntry.findMany({
      where: { subjectUserId: user?.id ?? "", actorKind: "system" },
    });
    expect(entries).toMatchObject([{ action: "account.created", detail: { role: "admin" }, ip: null }]);
  });

  test("makes a password and shows it once, on standard output alone", async () => {
    const { out, err, code } = await admin(["create", "made@example.com", "--generate", "--role", "manager"]);
    expect([err, code]).toEqual(["", 0]);
    const password = /shown only now\): (\S{24})\n/.exec(out)?.[1] ?? "";
    expect((await signIn("made@example.com", password)).status).toBe(200);
    expect(await rolesOf("made@example.com")).toEqual(["customer", "manager"]);
  });

  test("changes no account that is there, and gives an unproved address to whoever has the server", async () => {
    const person = await t.signIn({ email: "there@example.com" });
    const again = await admin(["create", "there@example.com"], "another long password");
    expect(again.code).toBe(1);
    expect(again.err).toContain("grant there@example.com admin");
    expect((await signIn(person.email, person.password)).status).toBe(200);
    await t.request("/auth/register", {
      method: "POST",
      json: { email: "pending@example.com", password: "planted by a stranger", name: "Eve" },
    });
    expect((await admin(["create", "pending@example.com"], "the owner's password")).code).toBe(0);
    await t.runner.runDue();
    expect(t.mails.at(-1)?.subject).toBe("You already have an account");
    expect((await signIn("pending@example.com", "planted by a stranger")).status).toBe(401);
    expect((await signIn("pending@example.com", "the owner's password")).status).toBe(200);
  });

  test("grants, takes away and lists; the last administrator stays", async () => {
    await t.signIn({ email: "second@example.com", name: "Bea" });
    expect((await admin(["grant", "SECOND@example.com", "admin"])).code).toBe(0);
    const holders = (await admin(["list"])).out;
    expect(holders).toContain("second@example.com  Bea  active\n");
    for (const line of holders.trim().split("\n").slice(1)) {
      expect((await admin(["revoke", line.split("  ")[0] ?? "", "admin"])).code).toBe(0);
    }
    const last = (await admin(["list", "admin"])).out.split("  ")[0] ?? "";
    const refused = await admin(["revoke", last, "admin"]);
    expect(refused.code).toBe(1);
    expect(refused.err).toContain("last administrator");
    expect(await rolesOf(last.toLowerCase())).toContain("admin");
    expect((await admin(["list", "no-such-role"])).err).toContain("there are admin, customer, manager");
    expect((await admin(["grant", "nobody@example.com", "admin"])).err).toContain("Nobody has the address");
  });

  test("takes no password from the command line and says how to give one", async () => {
    for (const word of ["--password=secret123456", "--password"]) {
      const { code, err } = await admin(["create", "x@example.com", word, "secret123456"]);
      expect(code).toBe(2);
      expect(err).toContain("standard input");
      expect(err).not.toContain("secret123456");
    }
    const faults: [string[], string, RegExp][] = [
      [["create", "x@example.com"], "short", /at least 8 characters/],
      [["create", "x@example.com"], "x@example.com", /must not be your address/],
      [["create", "not an address"], "a fine long password", /one email address/],
      [["create", "x@example.com", "--role", "king"], "a fine long password", /There is no role king/],
      [["create"], "", /Usage/],
      [["grant", "x@example.com"], "", /Usage/],
      [["drop", "everything"], "", /Usage/],
      [["list", "admin", "more", "words"], "", /Usage/],
      [["list", "--force"], "", /Usage/],
      [[], "", /Usage/],
    ];
    expect(await adminProcess(["create", "x@example.com"])).toMatchObject({
      err: expect.stringContaining("standard input"),
      code: 2,
    });
    for (const [words, password, what] of faults) {
      const { code, err } = await admin(words, password);
      expect([words, code === 1 || code === 2]).toEqual([words, true]);
      expect(err).toMatch(what);
    }
    expect(await t.deps.users.findByEmail("x@example.com")).toBeNull();
  });

  test("on a terminal it asks twice and shows nothing of what is typed", async () => {
    let shown = "";
    let changed = Promise.withResolvers<void>();
    const child = Bun.spawn([process.execPath, "src/users/admin.cli.ts", "create", "tty@example.com"], {
      env: process.env,
      terminal: {
        data(_terminal, bytes) {
          shown += new TextDecoder().decode(bytes);
          changed.resolve();
        },
      },
    });
    const until = async (text: string) => {
      while (!shown.includes(text)) {
        changed = Promise.withResolvers();
        await Promise.race([changed.promise, Bun.sleep(1000)]);
      }
    };
    await until("Password: ");
    child.terminal?.write("typed and not shown\r");
    await until("Again: ");
    child.terminal?.write("typed and not shown\r");
    expect(await child.exited).toBe(0);
    expect(shown).toContain("tty@example.com can sign in");
    expect(shown).not.toContain("typed");
    expect((await signIn("tty@example.com", "typed and not shown")).status).toBe(200);
  });
});

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CHECKOUT } from "../local/paths";
import { ensureRoles } from "../src/users/roles/ensure";
import { useTestApp } from "../test/app";
import { eventually, startProgram } from "../test/processes";
import { seed, seedAdministrator } from "./seed";

const t = useTestApp();
const ADMINISTRATOR = { email: "root@example.com", password: "a long enough password" };

/** What production demands beside the databases. */
const PRODUCTION = {
  SMTP_URL: "smtp://127.0.0.1:2525",
  MAIL_FROM: "no-reply@shop.test",
  APP_URL: "https://shop.test",
  CORS_ORIGINS: "https://shop.test",
};

/** A second administrator, who may do everything while the first one goes. */
const successor = async () => {
  const { accessToken } = await t.signIn({ roles: ["admin"] });
  return { token: accessToken };
};

/** Everything that the seed writes, with the times and versions that any change would move. */
async function everything() {
  const db = t.deps.mongo.connection;
  const read = (name: string) => db.collection(name).find({}).sort({ _id: 1 }).toArray();
  const [products, categories, locations, levels, movements, pictures] = await Promise.all(
    ["products", "categories", "stockLocations", "stockLevels", "stockMovements", "pictures"].map(read),
  );
  const users = await t.deps.mysql.on().user.findMany({ include: { roles: true }, orderBy: { id: "asc" } });
  const roles = await t.deps.mysql
    .on()
    .role.findMany({ include: { permissions: true }, orderBy: { id: "asc" } });
  return { products, categories, locations, levels, movements, pictures, users, roles };
}

const demoSeed = () => seed(t.deps, ADMINISTRATOR, true);

describe("the seed", () => {
  test("in production makes roles alone, and with --demo nothing", async () => {
    const production = { NODE_ENV: "production", SEED_ADMIN_PASSWORD: "", ...PRODUCTION };
    const demo = startProgram(["prisma/seed.ts", "--demo"], production);
    expect(await demo.ended()).toBe(1);
    expect(demo.output()).toContain("NODE_ENV is production");
    const bare = startProgram(["prisma/seed.ts"], production);
    expect([await bare.ended(), bare.output()]).toEqual([
      0,
      "Roles in place. Administrator skipped: SEED_ADMIN_PASSWORD is not set.\n",
    ]);
    const { roles, ...rest } = await everything();
    expect(roles.map(({ name }) => name).sort()).toEqual(["admin", "customer", "manager"]);
    expect(Object.values(rest).flat()).toEqual([]);
  }, 120_000);

  test("without a password makes no administrator, and no other account either", async () => {
    await ensureRoles(t.deps);
    expect(await seedAdministrator(t.deps, ADMINISTRATOR.email, undefined)).toContain("skipped");
    expect(await t.deps.mysql.on().user.count()).toBe(0);
  }, 60_000);

  test("refuses an administrator who could not sign in or would be guessed", async () => {
    for (const [env, why] of [
      [{ SEED_ADMIN_PASSWORD: "short" }, "SEED_ADMIN_PASSWORD must be at least 8 characters"],
      [{ SEED_ADMIN_EMAIL: "nobody", SEED_ADMIN_PASSWORD: "a long enough password" }, "SEED_ADMIN_EMAIL"],
    ] as const) {
      const program = startProgram(["prisma/seed.ts"], env);
      expect(await program.ended()).toBe(1);
      expect(program.output()).toContain(why);
    }
    expect(await t.deps.mysql.on().user.count()).toBe(0);
  }, 60_000);

  test("killed half-way it goes on; two at once make everything once; one more changes nothing", async () => {
    const env = { SEED_ADMIN_EMAIL: ADMINISTRATOR.email, SEED_ADMIN_PASSWORD: ADMINISTRATOR.password };
    const start = () => startProgram(["prisma/seed.ts", "--demo"], env);
    const killed = start();
    const products = t.deps.mongo.connection.collection("products");
    await eventually(async () => (await products.countDocuments()) >= 5, "the first products");
    await killed.kill("SIGKILL");
    expect(await products.countDocuments()).toBeLessThan(60);

    const programs = [start(), start()];
    const codes = await Promise.all(programs.map((program) => program.ended()));
    expect([codes, programs.map((program) => program.output())]).toEqual([
      [0, 0],
      [expect.any(String), expect.any(String)],
    ]);
    const first = await everything();
    expect(first.products?.length).toBe(60);
    expect(first.pictures?.length).toBe(60);
    expect(first.users.length).toBe(1);
    expect(await demoSeed()).toContain("0 products made, 60 present");
    expect(await everything()).toEqual(first);
  }, 240_000);

  test("leaves alone what people changed", async () => {
    const products = t.deps.mongo.connection.collection("products");
    const changed = await products.findOne({});
    await products.updateOne({ _id: changed?._id }, { $set: { name: "Ours now" } });
    await t.deps.mysql.on().rolePermission.deleteMany({ where: { role: { name: "manager" } } });
    const before = await everything();
    await seed(t.deps, { ...ADMINISTRATOR, password: "another password by now" }, true);
    expect(await everything()).toEqual(before);
  }, 60_000);

  test("brings nothing back that was deleted: products, categories, pictures, roles, the administrator", async () => {
    const { token } = await successor();
    const remove = async (path: string) => {
      const etag = (await t.request(path, { token })).headers.get("etag");
      const answer = await t.request(path, {
        method: "DELETE",
        token,
        headers: etag === null ? {} : { "if-match": etag },
      });
      expect([path, answer.status]).toEqual([path, 204]);
    };
    const { products, categories, pictures, roles } = await everything();
    const leaf = categories?.find(({ ancestors }) => ancestors.length > 0);
    const inside = products?.filter(({ categoryIds }) => categoryIds.includes(leaf?._id)) ?? [];
    expect(inside.length).toBeGreaterThan(1);
    for (const { _id } of inside) await remove(`/api/products/${_id}`);
    await remove(`/api/products/categories/${leaf?._id}`);
    const picture = pictures?.find(({ productId }) => inside.every(({ _id }) => _id !== productId));
    await remove(`/api/products/${picture?.productId}/images/${picture?._id}`);
    await remove(`/api/users/roles/${roles.find(({ name }) => name === "manager")?.id}`);
    // Another SKU makes it no other product.
    const renamed = products?.find(({ _id }) => inside.every((one) => one._id !== _id));
    await t.deps.mongo.connection
      .collection("products")
      .updateOne(
        { _id: renamed?._id },
        { $set: { "variants.0.sku": "X", "variants.0.skuKey": "x", skuKeys: ["x"] } },
      );
    const first = await t.deps.users.findByEmail(ADMINISTRATOR.email);
    await t.deps.mysql.on().user.delete({ where: { id: first?.id ?? "" } });

    const before = await everything();
    expect(before.roles.map(({ name }) => name).sort()).toEqual(["admin", "customer"]);
    for (const program of [
      startProgram(["prisma/seed.ts", "--demo"], { SEED_ADMIN_PASSWORD: ADMINISTRATOR.password }),
      startProgram(["prisma/seed.ts"], { SEED_ADMIN_PASSWORD: ADMINISTRATOR.password }),
    ]) {
      expect([await program.ended(), program.output()]).toEqual([
        0,
        expect.stringContaining("there is one already"),
      ]);
    }
    expect(await everything()).toEqual(before);
  }, 120_000);
});

test("a permission that a newer version knows reaches the role that administers, and no other", async () => {
  await t.deps.mysql.on().permission.deleteMany({ where: { name: "audit:read" } });
  await ensureRoles(t.deps);
  const holders = await t.deps.mysql.on().rolePermission.findMany({
    where: { permissionName: "audit:read" },
    select: { role: { select: { name: true } } },
  });
  expect(holders).toEqual([{ role: { name: "admin" } }]);
});

test("compose.yaml seeds without the demo catalogue", () => {
  const command = /command: (\[.*seed.*\])/.exec(readFileSync(join(CHECKOUT, "compose.yaml"), "utf8"))?.[1];
  expect(JSON.parse(command ?? "")).toEqual([
    "sh",
    "-c",
    "bun dist/src/db/migrate.js && bun dist/prisma/seed.js",
  ]);
});

import { describe, expect, test } from "bun:test";
import { ensureRoles } from "../src/users/roles/ensure";
import { useTestApp } from "../test/app";
import { startProgram } from "../test/processes";
import { seed, seedAdministrator } from "./seed";

const t = useTestApp();
const ADMINISTRATOR = { email: "root@example.com", password: "a long enough password" };

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

describe("the seed", () => {
  test("without a password makes no administrator, and no other account either", async () => {
    await ensureRoles(t.deps);
    expect(await seedAdministrator(t.deps, ADMINISTRATOR.email, undefined)).toContain("skipped");
    expect(await t.deps.mysql.on().user.count()).toBe(0);
  }, 60_000);

  test("two at once make everything once; one more changes nothing", async () => {
    const env = { SEED_ADMIN_EMAIL: ADMINISTRATOR.email, SEED_ADMIN_PASSWORD: ADMINISTRATOR.password };
    const programs = [1, 2].map(() => startProgram(["prisma/seed.ts"], env));
    const codes = await Promise.all(programs.map((program) => program.ended()));
    expect([codes, programs.map((program) => program.output())]).toEqual([
      [0, 0],
      [expect.any(String), expect.any(String)],
    ]);
    const first = await everything();
    expect(first.products?.length).toBe(60);
    expect(first.users.length).toBe(1);
    await seed(t.deps, ADMINISTRATOR);
    expect(await everything()).toEqual(first);
  }, 120_000);

  test("leaves alone what people changed", async () => {
    const products = t.deps.mongo.connection.collection("products");
    const changed = await products.findOne({});
    await products.updateOne({ _id: changed?._id }, { $set: { name: "Ours now" } });
    await t.deps.mysql.on().rolePermission.deleteMany({ where: { role: { name: "manager" } } });
    const before = await everything();
    await seed(t.deps, { ...ADMINISTRATOR, password: "another password by now" });
    expect(await everything()).toEqual(before);
  }, 60_000);
});

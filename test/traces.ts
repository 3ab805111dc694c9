import type { TestApp } from "./app";

/**
 * How many rows of a person each table has that refers to people. The tables are those that the database
 * names, so that no new one is forgotten.
 */
export async function rowsOf(t: TestApp, userId: string): Promise<Record<string, number>> {
  const db = t.deps.mysql.on();
  const references = await db.$queryRaw<{ name: string; field: string }[]>`
    SELECT table_name AS name, column_name AS field FROM information_schema.key_column_usage
    WHERE table_schema = DATABASE() AND referenced_table_name = 'users'`;
  const counts: Record<string, number> = {};
  for (const { name, field } of references) {
    const [row] = await db.$queryRawUnsafe<{ n: unknown }[]>(
      `SELECT COUNT(*) AS n FROM \`${name}\` WHERE \`${field}\` = ?`,
      userId,
    );
    counts[name] = Number(row?.n);
  }
  return counts;
}

/** Everything in both databases as text, hashes and all. */
export async function everything(t: TestApp): Promise<string> {
  const db = t.deps.mysql.on();
  const tables = await db.$queryRaw<{ name: string }[]>`
    SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()`;
  const parts: string[] = [];
  for (const { name } of tables) {
    const rows = await db.$queryRawUnsafe<object[]>(`SELECT * FROM \`${name}\``);
    parts.push(JSON.stringify(rows, (_, value) => (typeof value === "bigint" ? String(value) : value)));
  }
  for (const { name } of await t.deps.mongo.connection.listCollections()) {
    parts.push(JSON.stringify(await t.deps.mongo.connection.collection(name).find().toArray()));
  }
  return parts.join("\n");
}

/**
 * One row as one value: a statement that gives each row as `JSON_OBJECT(…) AS json` is decoded once, and a list that
 * stands in it is no row for each of its members. Prisma reads MySQL's JSON itself; MariaDB's comes as a text.
 * @example jsonIn<{ id: string }>(await mysql.on().$queryRaw`SELECT JSON_OBJECT('id', id) AS json FROM users`)
 */
export const jsonIn = <Row>(rows: { json: unknown }[]): Row | null => {
  const [row] = rows;
  return row === undefined ? null : (parsed(row.json) as Row);
};

/** A JSON value that may still be its text. */
export const parsed = (json: unknown): unknown => (typeof json === "string" ? JSON.parse(json) : json);

/**
 * A DATETIME as JSON writes it, which is in UTC: MySQL with six digits behind the point, MariaDB with as many as it has.
 * @example dateIn("2026-12-01 03:41:53.928000") // 2026-12-01T03:41:53.928Z
 */
export const dateIn = (text: string): Date => new Date(`${text.slice(0, 10)}T${text.slice(11, 23)}Z`);

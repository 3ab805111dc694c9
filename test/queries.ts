/** What a command of MongoDB or a statement of MySQL asks by. */
import type { Document } from "mongodb";

/**
 * The fields that a filter names, also under `$and`; of alternatives those that each of them names.
 * @param first the first field of the shard key: a range of it does not say where to ask, and is told apart
 */
export function fieldsOf(filter: Document, first: string): string[] {
  return Object.entries(filter).flatMap(([key, value]) => {
    if (key === "$and") return (value as Document[]).flatMap((part) => fieldsOf(part, first));
    if (key === "$or") {
      const parts = (value as Document[]).map((part) => new Set(fieldsOf(part, first)));
      return [...parts.reduce((all, part) => all.intersection(part))];
    }
    if (key.startsWith("$")) throw new Error(`what ${key} asks is not known here`);
    const isValue = typeof value !== "object" || value === null || "$in" in value || "$eq" in value;
    return [key === first && !isValue ? `${key} range` : key];
  });
}

/** The filters of a command. */
export function filtersOf(name: string, command: Document): Document[] {
  if (name === "update") return command.updates.map(({ q }: Document) => q);
  if (name === "delete") return command.deletes.map(({ q }: Document) => q);
  if (name === "aggregate") return [command.pipeline[0]?.$match ?? {}];
  return ["find", "findAndModify", "count", "distinct"].includes(name)
    ? [command.filter ?? command.query ?? {}]
    : [];
}

/** Documents that a command may add: those inserted, and the filters of upserts. */
export function addedBy(name: string, command: Document): Document[] {
  if (name === "insert") return command.documents;
  if (name === "update")
    return command.updates.flatMap(({ q, upsert }: Document) => (upsert === true ? [q] : []));
  return name === "findAndModify" && command.upsert === true ? [command.query] : [];
}

/** A text up to the first bracket that closes what it did not open. */
function untilClosed(text: string): string {
  let depth = 0;
  for (const [index, sign] of [...text].entries()) {
    if (sign === "(") depth++;
    if (sign === ")" && --depth < 0) return text.slice(0, index);
  }
  return text;
}

/** Leaves alternatives and refusals out of a condition, and what is asked inside of it. */
function plain(condition: string): string {
  let text = condition.replace(/ IN \([^()]*\)/g, " = ?");
  for (let at = text.indexOf("(SELECT"); at >= 0; at = text.indexOf("(SELECT"))
    text = `${text.slice(0, at)}?${text.slice(at + untilClosed(text.slice(at + 1)).length + 2)}`;
  for (let before = ""; before !== text; ) {
    before = text;
    text = text.replace(/(NOT )?\(([^()]*)\)/g, (_, not, inside) =>
      not || / OR /.test(inside) ? "TRUE" : inside,
    );
  }
  return text.replace(/NOT [\w.]+ = \S+/g, "TRUE");
}

/**
 * What a statement asks of each of its tables: the columns that have to have a value, or a range. Nothing of what it
 * only inserts.
 */
export function columnsOf(statement: string): { table: string; columns: string[] }[] {
  const text = statement
    .replace(/\s+/g, " ")
    .replaceAll("`", "")
    .replace(/ ON DUPLICATE KEY UPDATE .*| FOR UPDATE| LOCK IN SHARE MODE/g, "");
  const asked: { table: string; columns: string[] }[] = [];
  const last = (path = "") => path.split(".").at(-1) ?? "";
  for (const match of text.matchAll(/\b(?:FROM|UPDATE) ([\w.]+)(?: (?:AS )?([a-z]\w*))?/g)) {
    const table = last(match[1]);
    const rest = untilClosed(text.slice(match.index));
    for (const [, joined, alias, ...sides] of rest.matchAll(
      /JOIN ([\w.]+) ([a-z]\w*) ON ([\w.]+) = ([\w.]+)/g,
    )) {
      const side = sides.find((one) => one.startsWith(`${alias}.`));
      asked.push({ table: last(joined), columns: [last(side)] });
    }
    const condition = plain(rest)
      .split(" WHERE ")[1]
      ?.split(/ (?:ORDER|GROUP) BY | LIMIT /)[0];
    const columns = [...(condition ?? "").matchAll(/([\w.]+) (=|<=|>=|<|>) /g)].flatMap(
      ([, path = "", operator]) => {
        const of = path.split(".").at(-2);
        if (of !== undefined && of !== table && of !== match[2]) return [];
        return [operator === "=" ? last(path) : `${last(path)} range`];
      },
    );
    asked.push({ table, columns });
  }
  return asked;
}

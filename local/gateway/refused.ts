/** What the engine lacks, or answers wrongly without an error: it is refused here, with the reason. */
import type { Document } from "bson";
import { decodePlain } from "./bson.ts";
import type { Command } from "./command.ts";
import { MongoError } from "./errors.ts";

const CHANGE_STREAM = Buffer.from("\x03$changeStream\0");
const DATE_TRUNC = Buffer.from("\x03$dateTrunc\0");

/** @throws MongoError when the command asks for something of this list */
export function refuseUnsupported(command: Command): void {
  if (command.name === "aggregate" && command.body.includes(CHANGE_STREAM)) throw lacking("change streams");
  if (command.name === "create" && command.fields.has("timeseries")) throw lacking("time-series collections");
  if (command.body.includes(DATE_TRUNC) && truncatesDays(decodePlain(command.body))) {
    throw new MongoError(
      115,
      "CommandNotSupported",
      "the local MongoDB engine truncates to days and weeks wrongly (times before noon land on the day before); " +
        "use $dateToString, $dateDiff from a fixed day, or a unit up to hour or from month (see docs/engines.md)",
    );
  }
}

const lacking = (what: string): MongoError =>
  new MongoError(59, "CommandNotFound", `the local MongoDB engine has no ${what} (see docs/engines.md)`);

/** Whether a $dateTrunc by day or week, or by a unit that only the data tells, is anywhere inside. */
function truncatesDays(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(truncatesDays);
  if (value === null || typeof value !== "object") return false;
  return Object.entries(value as Document).some(([key, inner]) => {
    if (key !== "$dateTrunc") return truncatesDays(inner);
    const unit: unknown = inner?.unit;
    return typeof unit !== "string" || unit === "day" || unit === "week" || unit.startsWith("$");
  });
}

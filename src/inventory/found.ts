import { AppError } from "../lib/errors";

/** What was looked up. @throws AppError not_found when there is none */
export function mustExist<Found>(found: Found | null, what: "location" | "level" | "reservation"): Found {
  if (found === null) throw new AppError("not_found", `There is no such ${what}.`);
  return found;
}

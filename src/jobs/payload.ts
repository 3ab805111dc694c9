import { JobRefused } from "./runner";

/**
 * A text of a job's payload.
 * @throws JobRefused when it is not there: another try would find the same
 * @example textIn(job.payload, "userId")
 */
export function textIn(payload: unknown, key: string): string {
  const value = (payload as Record<string, unknown> | null)?.[key];
  if (typeof value !== "string") throw new JobRefused(`the payload has no ${key}`);
  return value;
}

import { AppError } from "./errors";

/**
 * The versions that a change may start from, as `If-Match` names them; undefined when any will do. An empty list
 * matches none.
 */
export type ExpectedVersions = readonly number[] | undefined;

/** The refusal of a change that started from another version than the current one. */
export const staleVersion = (currentVersion: number): AppError =>
  new AppError("precondition_failed", "It has changed since you read it. Read it again and use its ETag.", {
    members: { currentVersion },
  });

/**
 * Whether a change may start from the current version.
 * @throws AppError precondition_failed with the current version
 */
export function expectVersion(expected: ExpectedVersions, currentVersion: number): void {
  if (expected !== undefined && !expected.includes(currentVersion)) throw staleVersion(currentVersion);
}

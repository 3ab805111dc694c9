import type { Origin } from "../../auth";
import type { NewJob } from "../../jobs/jobs";
import type { Actor } from "../../lib/actor";
import { after, MINUTE } from "../../lib/clock";
import { AppError } from "../../lib/errors";
import type { ExpectedVersions } from "../../lib/versions";
import { keepRenditions, readPicture } from "../../media";
import type { StoredFile } from "../../storage/storage";
import { changeProfile, type Me } from "./account";
import type { AccountDeps } from "./deps";

/** Widths that are kept; a picture is never made larger than it is. */
const AVATAR_WIDTHS = [96, 320, 640] as const;
/** Long enough for the slowest upload to be recorded; then what is not recorded is removed. */
const UNRECORDED = 15 * MINUTE;

/** Where the files of a picture lie. */
export const avatarFolder = (id: string): string => `avatars/${id}`;

const cleaning = (jobId: string, id: string, runAt: Date): NewJob => ({
  id: jobId,
  kind: "avatars.clean",
  payload: { id },
  runAt,
});

/** Puts a picture, or none, in the place of the caller's; a job removes the files of the one before. */
function replace(
  deps: AccountDeps,
  actor: Actor,
  avatar: { id: string; widths: number[] } | null,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<Me> {
  const now = deps.clock.now();
  const jobId = deps.random.id();
  return changeProfile(deps, actor, { field: "avatar", expected, origin }, async ({ avatarId }, tx) => {
    if (avatar === null && avatarId === null) return null;
    await deps.users.setAvatar(actor.userId, avatar, now, tx);
    if (avatarId) await deps.jobs.mysql.enqueue(cleaning(jobId, avatarId, now), tx);
    return { avatarId: avatar?.id ?? null, avatarWidths: avatar?.widths ?? null };
  });
}

/**
 * Checks, encodes and keeps the caller's picture. A job that is made before the first file removes the files
 * again when no record follows, so a crash leaves nothing behind. Takes up to 200 MB: call it `inTurn`.
 * @param expected from If-Match
 * @throws AppError invalid_input, payload_too_large, precondition_failed
 */
export async function setAvatar(
  deps: AccountDeps,
  actor: Actor,
  bytes: Uint8Array,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<Me> {
  const { renditions } = await readPicture(bytes, AVATAR_WIDTHS);
  const id = deps.random.id();
  const unrecorded = after(deps.clock.now(), UNRECORDED);
  await deps.jobs.mysql.enqueue(cleaning(deps.random.id(), id, unrecorded));
  await keepRenditions(deps.storage, avatarFolder(id), renditions);
  return replace(deps, actor, { id, widths: renditions.map(({ width }) => width) }, expected, origin);
}

/** Removes the caller's picture; nothing there is no error. @throws AppError precondition_failed */
export async function removeAvatar(
  deps: AccountDeps,
  actor: Actor,
  expected: ExpectedVersions,
  origin: Origin,
): Promise<void> {
  await replace(deps, actor, null, expected, origin);
}

/**
 * A file of a picture that someone shows.
 * @param known whether the caller has it already
 * @returns null when it is there and known
 * @throws AppError not_found
 */
export async function readAvatarFile(
  deps: AccountDeps,
  id: string,
  file: string,
  known: boolean,
): Promise<StoredFile | null> {
  const widths = await deps.users.findAvatar(id);
  const shown = widths?.includes(Number(file.split(".")[0])) ?? false;
  if (shown && known) return null;
  const stored = shown ? await deps.storage.get(`${avatarFolder(id)}/${file}`) : null;
  if (!stored) throw new AppError("not_found", "There is no such picture.");
  return stored;
}

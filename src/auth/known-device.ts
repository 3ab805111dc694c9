import type { Deps } from "../deps";
import type { Origin } from "./service";

/** The device that a request comes from, when it is a known one of this person; null for strangers. */
export const knownDevice = (deps: Deps, userId: string | undefined, origin: Origin): string | null =>
  userId !== undefined && origin.deviceToken ? deps.tokens.readDevice(origin.deviceToken, userId) : null;

import type { AuthDeps } from "./deps";
import { anyKnownDevice } from "./devices/known";
import type { Origin } from "./origin";
import type { RequestKind } from "./throttle";

/** Counts a request that costs work or a mail against where it comes from. @throws AppError too_many_requests */
export const countRequest = async (deps: AuthDeps, kind: RequestKind, origin: Origin): Promise<void> =>
  deps.throttle.request(kind, origin.ip, await anyKnownDevice(deps, origin));

import { DAY, MINUTE } from "../../lib/clock";
import type { TimeFlag } from "../model";

/** How long events and sessions are kept, in milliseconds: 13 months, as data protection authorities advise. */
export const RETENTION = 395 * DAY;
/** From when on events are kept for sure: whole days, so that no bucket is counted from a part of its events. */
export const keptSince = (now: Date): Date => new Date(Math.ceil((now.getTime() - RETENTION) / DAY) * DAY);
/** How far ahead of us a corrected time may be before it is called impossible: clocks tick unevenly. */
export const AHEAD = MINUTE;
/** A correction above this is worth a flag, though it is made. */
const SKEW = DAY;

export interface PlacedTime {
  at: Date;
  flags: TimeFlag[];
}

/**
 * When an event happened, by our clock: `timestamp + (receivedAt − sentAt)`, as in Segment's specification,
 * which is right whatever the client's clock says, as long as it ran evenly. A time that cannot be (ahead of
 * us, or older than anything that is kept) is flagged and the event placed where it was received; the
 * client's own times stay beside it. Nothing happens after it was received, or a clock that is a little ahead would
 * put events in another order.
 */
export function placeTime(clientAt: Date | null, sentAt: Date | null, receivedAt: Date): PlacedTime {
  if (clientAt === null) return { at: receivedAt, flags: [] };
  const skew = sentAt === null ? 0 : receivedAt.getTime() - sentAt.getTime();
  const corrected = clientAt.getTime() + skew;
  const flags: TimeFlag[] = Math.abs(skew) > SKEW ? ["clock_skew"] : [];
  const age = receivedAt.getTime() - corrected;
  if (age < -AHEAD) return { at: receivedAt, flags: [...flags, "future"] };
  // A day of the kept time is left, so that no event is placed in a bucket that is being cleared.
  if (age > RETENTION - DAY) return { at: receivedAt, flags: [...flags, "too_old"] };
  return { at: new Date(Math.min(corrected, receivedAt.getTime())), flags };
}

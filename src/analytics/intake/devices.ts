import { after, DAY } from "../../lib/clock";
import type { AnalyticsDeps } from "../deps";
import { SESSION_GAP } from "../sessions/sessionise";
import { visitorOf } from "../visitor";
import { dayVisitor } from "./privacy";
import type { ReadEvent } from "./read";

/** Salts are kept for the day after theirs, because a visit may go on past midnight. */
const SALT_KEPT = 2 * DAY;

/**
 * Gives events without any id a device for the day. One that was active within the last half hour under
 * yesterday's salt keeps yesterday's, so that midnight ends no session.
 */
export async function nameDevices(deps: AnalyticsDeps, events: ReadEvent[]): Promise<void> {
  const nameless = events.flatMap(({ document, needsDevice }) =>
    needsDevice === null ? [] : [{ document, ...needsDevice }],
  );
  if (nameless.length === 0) return;
  const now = deps.clock.now();
  const saltOf = (time: Date) => {
    const day = time.toISOString().slice(0, 10);
    const expiresAt = after(new Date(`${day}T00:00:00Z`), SALT_KEPT);
    return { day, fresh: deps.random.bytes(32), expiresAt };
  };
  const days = { before: saltOf(after(now, -DAY)), today: saltOf(now) };
  const { before, today } = await deps.analytics.state.daySalts(days);
  const yesterdays = nameless.map(({ address, userAgent }) => dayVisitor(before, address, userAgent));
  const recent = { from: after(now, -SESSION_GAP), to: now };
  const active = await deps.analytics.events.activeDevices([...new Set(yesterdays)], recent);
  nameless.forEach(({ document, address, userAgent }, index) => {
    const yesterday = yesterdays[index];
    document.device =
      yesterday !== undefined && active.has(yesterday) ? yesterday : dayVisitor(today, address, userAgent);
    document.visitor = visitorOf(document);
  });
}

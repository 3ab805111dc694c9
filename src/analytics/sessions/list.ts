import { AppError } from "../../lib/errors";
import { type Page, pageFrom } from "../../lib/paging";
import type { AnalyticsDeps } from "../deps";
import type { SessionDocument } from "../model";
import { resolvePeriod } from "../reports/period";
import type { PeriodQuery } from "../reports/schema";
import { settleForReader } from "../settle";
import { toEvent } from "./event";
import type { EventResponse, SessionResponse } from "./schema";

const FUNNEL = ["none", "viewed", "added", "ordered"] as const;

export const toSession = (session: SessionDocument): SessionResponse => ({
  id: session._id,
  visitor: session.visitor,
  userId: session.userId,
  bot: session.bot,
  start: session.start.toISOString(),
  end: session.end.toISOString(),
  durationSeconds: (session.end.getTime() - session.start.getTime()) / 1000,
  counts: session.counts,
  revenue: Object.entries(session.revenue).map(([currency, amount]) => ({ amount, currency })),
  bounced: session.bounced,
  funnel: FUNNEL[session.funnel],
  source: session.source,
  landing: session.landing,
});

/** Sessions that began in a period, the newest first. @throws AppError invalid_cursor */
export async function listSessions(
  deps: AnalyticsDeps,
  query: PeriodQuery & { visitor?: string | undefined; limit: number; cursor?: string | undefined },
): Promise<Page<SessionResponse>> {
  await settleForReader(deps);
  const { limit, cursor, visitor, traffic } = query;
  const range = resolvePeriod(query, deps.clock.now());
  // What was not asked for follows the clock and is no part of what makes a list the same list.
  const filter = {
    list: "sessions",
    from: query.from ?? null,
    to: query.to ?? null,
    timezone: query.timezone,
    ...(visitor === undefined ? { traffic } : { visitor }),
  };
  const position = cursor === undefined ? undefined : deps.cursors.decode(cursor, filter);
  const rows = await deps.analytics.sessions.list({
    range,
    of: visitor === undefined ? { bot: traffic === "bots" } : { visitor },
    after: position === undefined ? null : { start: new Date(Number(position[0])), id: String(position[1]) },
    limit,
  });
  return pageFrom(deps, rows, limit, filter, toSession, (last) => [last.start.getTime(), last._id]);
}

async function findSession(deps: AnalyticsDeps, id: string): Promise<SessionDocument> {
  const session = await deps.analytics.sessions.find(id);
  if (!session) throw new AppError("not_found", "There is no such session.");
  return session;
}

/** @throws AppError not_found */
export async function readSession(deps: AnalyticsDeps, id: string): Promise<SessionResponse> {
  await settleForReader(deps);
  return toSession(await findSession(deps, id));
}

/** The events of a session, the oldest first. @throws AppError not_found, invalid_cursor */
export async function listSessionEvents(
  deps: AnalyticsDeps,
  id: string,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<Page<EventResponse>> {
  const { visitor, start, end } = await findSession(deps, id);
  const filter = { list: "sessionEventsInOrder", id };
  const position = cursor === undefined ? undefined : deps.cursors.decode(cursor, filter);
  const rows = await deps.analytics.events.list({
    visitor,
    range: { from: start, to: new Date(end.getTime() + 1) },
    after:
      position === undefined
        ? null
        : { at: new Date(Number(position[0])), sequence: Number(position[1]), id: String(position[2]) },
    limit,
  });
  return pageFrom(deps, rows, limit, filter, toEvent, (last) => [
    last.at.getTime(),
    last.sequence ?? 0,
    last._id,
  ]);
}

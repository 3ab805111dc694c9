import { type EventDocument, type Flag, TIME_FLAGS, type TimeFlag } from "../model";
import { messageIdOf } from "../visitor";
import type { EventResponse } from "./schema";

const isTimeFlag = (flag: Flag): flag is TimeFlag => (TIME_FLAGS as readonly string[]).includes(flag);

/** An event as the API shows it. */
export const toEvent = (event: EventDocument): EventResponse => ({
  id: messageIdOf(event),
  type: event.type,
  name: event.name,
  at: event.at.toISOString(),
  clientAt: event.clientAt?.toISOString() ?? null,
  sentAt: event.sentAt?.toISOString() ?? null,
  receivedAt: event.receivedAt.toISOString(),
  timeFlags: event.timeFlags.filter(isTimeFlag),
  flags: event.timeFlags,
  anonymousId: event.device?.startsWith("~") ? null : event.device,
  userId: event.userId,
  bot: event.bot,
  origin: event.origin,
  address: event.address,
  userAgent: event.userAgent,
  page: event.page,
  source: event.source,
  properties: event.properties,
});

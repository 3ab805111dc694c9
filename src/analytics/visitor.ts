import { isbot } from "isbot";
import { remembered } from "../lib/remembered";
import type { EventDocument } from "./model";

const isProgram = remembered(isbot, 200);

/** Whether a program sent it, by its user agent; who sends none is not called one. */
export const isBot = (userAgent: string | null): boolean => userAgent !== null && isProgram(userAgent);

/** The visitor of an event before settling has looked around it. */
export const visitorOf = (event: Pick<EventDocument, "bot" | "device" | "userId">): string => {
  if (event.bot) return `b:${event.device ?? event.userId}`;
  return event.userId === null ? `d:${event.device}` : `u:${event.userId}`;
};

/** Whether it is no visit by itself: a webhook, a nightly job. */
export const isBackground = ({
  origin,
  page,
  type,
}: Pick<EventDocument, "origin" | "page" | "type">): boolean =>
  origin === "server" && isOutsidePages({ page, type });

export const isOutsidePages = ({ page, type }: Pick<EventDocument, "page" | "type">): boolean =>
  page === null && type !== "page" && type !== "screen";

/** Before the ids of events that a server's key sent. No message id has a space, so no browser can send such an id. */
const SERVER = "server ";

/** The id under which an event is stored: a browser that guesses a message id makes no server's event a duplicate. */
export const eventIdOf = (messageId: string, origin: EventDocument["origin"]): string =>
  origin === "server" ? `${SERVER}${messageId}` : messageId;

/** The message id of a stored event. */
export const messageIdOf = ({ _id }: Pick<EventDocument, "_id">): string =>
  _id.startsWith(SERVER) ? _id.slice(SERVER.length) : _id;

/** What a row of the fault table must keep to. */
import type { Differences } from "./compare";
import type { Call } from "./load";

/** The longest time to a recovery, and to a refusal while a database is down, in seconds. */
const [RECOVERY, REFUSAL] = [5, 3];

/** What a fault may bring about that others may not. */
export interface Allowed {
  /** It makes every answer of a database slow, so that refusals are slow too. */
  slow?: true;
  /** It ends a server process, and the connections of its requests with it. */
  ends?: true;
  /**
   * It may fall between the sending of a mail and the record that it was sent: the queue sends a mail at least once,
   * and once more where nobody knows.
   */
  mailsTwice?: true;
}

/** What came of a fault. */
export interface Outcome extends Differences {
  calls: Call[];
  /** Seconds from the end of the fault to the end of the last call that failed. */
  recovered: number;
  /** SKUs whose stock does not add up. */
  differences: number;
}

/** Whether a call was not answered, or with a failure of the server. */
export const failed = ({ status }: Call): boolean => status === 0 || status >= 500;

/** Refusals while a database is down, and how long the slowest took, in seconds. */
export function refusalsOf(calls: Call[]): { refused: Call[]; slowest: number; silent: number } {
  const refused = calls.filter(({ status }) => status === 503);
  return {
    refused,
    slowest: Math.max(0, ...refused.map(({ began, ended }) => ended - began)) / 1000,
    silent: refused.filter(({ retryAfter }) => retryAfter === null).length,
  };
}

/** What of the bounds an outcome does not keep to, in words; nothing when all is well. */
export function missedBounds(outcome: Outcome, allowed: Allowed): string[] {
  const { calls, recovered, lost, doubled, mailsDoubled, differences } = outcome;
  const { slowest, silent } = refusalsOf(calls);
  const wrong = calls.filter((call) => call.status >= 500 && call.status !== 503);
  const unanswered = calls.filter(({ status }) => status === 0);
  const say = (when: boolean, what: string) => (when ? [what] : []);
  return [
    ...say(lost.length > 0, `${lost.length} lost`),
    ...say(doubled.length > 0, `${doubled.length} doubled`),
    ...say(mailsDoubled.length > 0 && !allowed.mailsTwice, `${mailsDoubled.length} mails doubled`),
    ...say(differences > 0, `the stock of ${differences} SKUs differs`),
    ...say(wrong.length > 0, `${wrong.length} answers of ${[...new Set(wrong.map(({ status }) => status))]}`),
    ...say(unanswered.length > 0 && !allowed.ends, `${unanswered.length} calls without an answer`),
    ...say(silent > 0, `${silent} refusals without Retry-After`),
    ...say(slowest > REFUSAL && !allowed.slow, `a refusal took ${slowest.toFixed(1)} s`),
    ...say(recovered > RECOVERY, `recovered after ${recovered.toFixed(1)} s`),
  ];
}

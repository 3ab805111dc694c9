/** Whether ids of a visitor may be kept. `anonymous`: events without ids. `denied`: nothing is sent. */
export type Consent = "granted" | "anonymous" | "denied";

export interface AnalyticsOptions {
  /** What is known of it. Unless given, `granted` when it was before and not taken back, else `anonymous`. */
  consent?: Consent;
  /** Sends what waits after so many milliseconds; 3000 unless given. */
  every?: number;
}

export interface Analytics {
  /** Something a visitor did, by its name in the e-commerce specification, such as "Product Viewed". */
  track(event: string, properties?: object): void;
  /** A page that is shown. */
  page(properties?: object): void;
  /** Who it is, by the shop's own id; null when nobody is any more. Counts with consent only. */
  identify(userId: string | null, traits?: object): void;
  /** Changes the consent: less of it forgets the ids at once. */
  consent(consent: Consent): void;
  /** Sends what waits. */
  flush(): Promise<void>;
}

const KEY = "aizy.analytics";
/** Most events that wait while there is no connection, and most bytes that a page may send while it is closed. */
const MOST = 500;
const ROOM = 60_000;

/**
 * Reports what visitors do. Events are sent in batches and wait while there is no connection; what a closing page has
 * left is sent by the browser. With consent it is kept too, and sent again by the next page: each event counts once.
 * @param url where events go, such as https://api.shop.example/api/x
 */
export function createAnalytics(url: string, { consent, every = 3000 }: AnalyticsOptions = {}): Analytics {
  const { navigator } = globalThis;
  /** What this page has left is kept apart from what other tabs have. */
  const mine = `${KEY}.${crypto.randomUUID()}`;
  // A browser may forbid storage altogether: then nothing is kept.
  const guarded = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch {
      return undefined;
    }
  };
  const stored = () => guarded(() => localStorage.getItem(KEY)) ?? undefined;
  let allowed: Consent = consent ?? (stored() ? "granted" : "anonymous");
  let waiting: { messageId: string }[] = [];
  let userId: string | undefined;
  let id: string | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let sending: Promise<void> | undefined;
  let pause = every;

  const refused = () =>
    allowed === "denied" ||
    navigator.doNotTrack === "1" ||
    ("globalPrivacyControl" in navigator && navigator.globalPrivacyControl === true);
  const keep = () =>
    guarded(() => {
      if (!id) return;
      localStorage.setItem(KEY, id);
      if (waiting.length > 0) localStorage.setItem(mine, JSON.stringify(waiting));
      else localStorage.removeItem(mine);
    });
  /** What pages left that are gone, or are about to send it too: each event counts once. */
  const takeLeft = () =>
    guarded(() => {
      for (const name of Object.keys(localStorage).filter((one) => one.startsWith(KEY))) {
        const left = localStorage.getItem(name) ?? "[]";
        if (name !== KEY || !id) localStorage.removeItem(name);
        if (id && name !== KEY && name !== mine) waiting.push(...(JSON.parse(left) as typeof waiting));
      }
    });
  const settle = () => {
    id = allowed === "granted" && !refused() ? (stored() ?? crypto.randomUUID()) : undefined;
    // What was reported with an id is not sent after the consent to it is taken back.
    if (!id) waiting = refused() ? [] : waiting.filter((event) => !("anonymousId" in event));
    takeLeft();
    keep();
    if (waiting.length > 0) later();
  };
  const later = () => {
    timer ??= setTimeout(() => void flush(), pause);
  };
  const batchOf = () => {
    let room = ROOM;
    return waiting.slice(0, 100).filter((event, index) => {
      room -= JSON.stringify(event).length * 3;
      return index === 0 || room > 0;
    });
  };
  const send = async (batch: typeof waiting) => {
    // As text, which browsers send to another origin without asking first, also while a page closes.
    const body = JSON.stringify({ sentAt: new Date().toISOString(), batch });
    const answer = await fetch(url, {
      method: "POST",
      body,
      keepalive: true,
      credentials: "omit",
      headers: { "content-type": "text/plain" },
    });
    if (answer.status === 429 || answer.status >= 500) throw answer;
    const sent = new Set(batch);
    waiting = waiting.filter((event) => !sent.has(event));
    keep();
  };
  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    sending ??= (async () => {
      try {
        while (waiting.length > 0 && !refused()) await send(batchOf());
        pause = every;
      } catch {
        // No connection, or not now: it goes on waiting.
        pause = Math.min(pause * 2, 300_000);
        later();
      } finally {
        sending = undefined;
      }
    })();
    return sending;
  };
  const add = (type: string, rest: object) => {
    if (refused()) return;
    const { href, search } = location;
    const { title, referrer } = document;
    const event = {
      messageId: crypto.randomUUID(),
      type,
      timestamp: new Date().toISOString(),
      ...(id ? { anonymousId: id, userId } : {}),
      ...rest,
      context: { page: { url: href, title, search, referrer }, locale: navigator.language },
    };
    waiting = [...waiting, event].slice(-MOST);
    keep();
    if (waiting.length >= 50) void flush();
    else later();
  };

  addEventListener("online", () => void flush());
  // Taken back in another tab: for this one too.
  addEventListener("storage", (event) => {
    const { key, newValue } = event as StorageEvent;
    if (key !== KEY || newValue !== null) return;
    allowed = "denied";
    settle();
  });
  document.addEventListener("visibilitychange", () => {
    // Also what is under way: whether it arrives is not known to a page that is gone, and counts once. What fails waits.
    if (document.visibilityState === "hidden" && waiting.length > 0 && !refused())
      send(batchOf()).catch(() => undefined);
  });
  settle();
  return {
    track: (event, properties = {}) => add("track", { event, properties }),
    page: (properties = {}) => add("page", { properties }),
    identify(person, traits = {}) {
      userId = person ?? undefined;
      if (id && person !== null) add("identify", { traits });
      // Whoever comes next on this device is somebody else.
      else if (id) {
        id = crypto.randomUUID();
        keep();
      }
    },
    consent(given) {
      allowed = given;
      if (given !== "granted") userId = undefined;
      settle();
    },
    flush,
  };
}

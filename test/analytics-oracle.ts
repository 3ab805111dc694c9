/**
 * The reports of analytics again, from raw events alone and as plainly as they can be said: no rollup, no
 * stored session, no visitor that the sessioniser wrote, and zones by `Intl` where the reports use Temporal.
 * Tests hold the reports against it.
 */
import type { EventDocument } from "../src/analytics/model";

const MINUTE = 60_000;
const QUARTER = 15 * MINUTE;
const DAY = 24 * 60 * MINUTE;

/** What a report is asked. Times in milliseconds, at whole quarters of an hour. */
export interface Ask {
  from: number;
  to: number;
  timezone: string;
  bot: boolean;
}

interface Visit {
  visitor: string;
  events: EventDocument[];
  /** What servers reported of it. */
  joined: EventDocument[];
  start: number;
  end: number;
}

const inOrder = (a: EventDocument, b: EventDocument) =>
  a.at.getTime() - b.at.getTime() || (a.sequence ?? 0) - (b.sequence ?? 0) || (a._id < b._id ? -1 : 1);

const cutAtPauses = (line: EventDocument[]): EventDocument[][] =>
  line.toSorted(inOrder).reduce<EventDocument[][]>((visits, event) => {
    const last = visits.at(-1)?.at(-1);
    if (last && event.at.getTime() - last.at.getTime() <= 30 * MINUTE) visits.at(-1)?.push(event);
    else visits.push([event]);
    return visits;
  }, []);

/** Visits: events without a pause, parted at every midnight that is a day or more after they began. */
const visitsOf = (line: EventDocument[]): EventDocument[][] =>
  cutAtPauses(line).flatMap((events) => {
    const begun = Math.ceil((events[0]?.at.getTime() ?? 0) / DAY);
    const nights = Map.groupBy(events, ({ at }) => Math.max(0, Math.floor(at.getTime() / DAY) - begun));
    return [...nights.values()];
  });

/** What a server reports without a page is no visit. */
const isBackground = ({ origin, page, type }: EventDocument) =>
  origin === "server" && page === null && type !== "page";

/** The visit that still goes on when something happens in the background. */
const during = (visits: EventDocument[][], event: EventDocument) =>
  visits
    .filter(([first]) => first && inOrder(first, event) < 0)
    .filter((visit) =>
      visit.some(
        (other) =>
          !isBackground(other) &&
          inOrder(other, event) < 0 &&
          event.at.getTime() - other.at.getTime() <= 30 * MINUTE,
      ),
    )
    .at(-1);

/** Whose each event is. */
function visitorsOf(events: EventDocument[]): Map<EventDocument, string> {
  const visitors = new Map<EventDocument, string>();
  for (const event of events) {
    if (event.bot) visitors.set(event, `b:${event.device ?? event.userId}`);
    else if (event.userId !== null) visitors.set(event, `u:${event.userId}`);
  }
  const devices = Map.groupBy(
    events.filter(({ bot, device }) => !bot && device !== null),
    ({ device }) => device,
  );
  for (const line of devices.values()) {
    const visits = visitsOf(line.filter((event) => !isBackground(event)));
    const joined = line.filter(isBackground).toSorted(inOrder);
    for (const visit of visits) {
      visit.push(...joined.filter((event) => during(visits, event) === visit));
      visit.sort(inOrder);
    }
    nameVisits(visits);
    for (const event of joined.filter((event) => during(visits, event) === undefined)) {
      const last = line
        .filter((other) => !isBackground(other) && other.at < event.at)
        .filter((other) => event.at.getTime() - other.at.getTime() <= 30 * DAY)
        .toSorted(inOrder)
        .at(-1);
      const owner = last && visitors.get(last);
      const own = event.userId === null ? `d:${event.device}` : `u:${event.userId}`;
      visitors.set(event, owner && (event.userId === null || owner.startsWith("d:")) ? owner : own);
    }
  }
  return visitors;

  function nameVisits(visits: EventDocument[][]) {
    for (const visit of visits)
      visit.forEach((event, index) => {
        if (event.userId !== null) return;
        const before = visit.slice(0, index).findLast(({ userId }) => userId !== null);
        const person = (before ?? visit.find(({ userId }) => userId !== null))?.userId;
        visitors.set(event, person ? `u:${person}` : `d:${event.device}`);
      });
  }
}

interface Calendar {
  timezone: string;
  at(time: number): Record<string, string>;
}
let calendar: Calendar | undefined;

/** What the clocks and calendars of a zone show at a time, kept while the same zone is asked for. */
function calendarOf(timezone: string): Calendar {
  if (calendar?.timezone === timezone) return calendar;
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: timezone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    weekday: "short",
  });
  const known = new Map<number, Record<string, string>>();
  calendar = {
    timezone,
    at(time) {
      const kept = known.get(time);
      if (kept) return kept;
      const parts = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, value]));
      known.set(time, parts);
      return parts;
    },
  };
  return calendar;
}

/** The cuts of a period at the hours, days, weeks and months of a zone, by its calendar at each quarter of an hour. */
export function cuts(
  { from, to, timezone }: Pick<Ask, "from" | "to" | "timezone">,
  interval: string,
): number[] {
  const { at: local } = calendarOf(timezone);
  const found = [from];
  let before = local(from);
  for (let time = from + QUARTER; time < to; time += QUARTER) {
    const now = local(time);
    const newDay = now.day !== before.day || now.month !== before.month;
    const begins = {
      // At the full hour; where clocks jump over one, an hour after the last.
      hour:
        Number(now.minute) === 0 || (now.hour !== before.hour && time - (found.at(-1) ?? 0) >= 4 * QUARTER),
      day: newDay,
      week: newDay && now.weekday === "Mon",
      month: newDay && now.month !== before.month,
    }[interval];
    if (begins) found.push(time);
    before = now;
  }
  return [...found, to];
}

const rate = (part: number, whole: number) =>
  whole === 0 ? null : Math.round((part / whole) * 10_000) / 10_000;
const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);

/** The most of something first, ties by name. */
const ranked = <Row extends Record<string, unknown>>(rows: Row[], by: string, name: string): Row[] =>
  rows.toSorted((a, b) => Number(b[by]) - Number(a[by]) || (String(a[name]) < String(b[name]) ? -1 : 1));

/** One line of the books: an order that was placed, or something that was taken back. */
interface Entry {
  event: EventDocument;
  confirmed: boolean;
  order?: { gross: number; products: EventDocument["products"] };
  refund?: { amount: number; units: number; cancelled: boolean };
  currency: string;
}

const units = (products: EventDocument["products"]) => sum(products.map(({ quantity }) => quantity));

/** The books of one order, and the event whose visit has the conversion. */
function bookOrder(own: EventDocument[], visitors: Map<EventDocument, string>) {
  const all = own.toSorted(inOrder);
  const fromServers = all.filter(({ origin }) => origin === "server");
  const confirmed = fromServers.some(({ kind }) => kind === "order" || kind === "update");
  const believed = confirmed ? fromServers : all;
  const placed =
    believed.find(({ kind }) => kind === "order") ?? believed.find(({ kind }) => kind === "update");
  const versions = believed.filter((event) => event === placed || event.kind === "update");
  const currency = versions.findLast((event) => event.currency !== null)?.currency ?? null;
  const gross = versions.findLast(({ amountMissing }) => !amountMissing)?.revenue ?? 0;
  const products = versions.findLast((event) => event.products.length > 0)?.products ?? [];
  const entries: Entry[] = [];
  if (placed)
    entries.push({ event: placed, confirmed, order: { gross, products }, currency: currency ?? "XXX" });
  const seen: string[] = [];
  const taken = () => ({
    amount: sum(
      entries
        .filter((entry) => entry.currency === (currency ?? "XXX"))
        .map(({ refund }) => refund?.amount ?? 0),
    ),
    units: sum(entries.map(({ refund }) => refund?.units ?? 0)),
  });
  for (const event of believed.filter(({ kind }) => kind === "refund" || kind === "cancel")) {
    if (event.refundId && seen.includes(event.refundId)) continue;
    if (event.refundId) seen.push(event.refundId);
    const whole = event.kind === "cancel" || (event.amountMissing && event.products.length === 0);
    const other = event.currency !== null && currency !== null && event.currency !== currency;
    const leftover = placed ? gross - taken().amount : undefined;
    const leftUnits = placed ? units(products) - taken().units : undefined;
    entries.push({
      event,
      confirmed: placed ? confirmed : event.origin === "server",
      refund: {
        amount: other
          ? event.revenue
          : whole
            ? (leftover ?? 0)
            : Math.min(event.revenue, leftover ?? event.revenue),
        units: whole ? (leftUnits ?? 0) : Math.min(units(event.products), leftUnits ?? units(event.products)),
        cancelled:
          event.kind === "cancel" && placed !== undefined && !entries.some(({ refund }) => refund?.cancelled),
      },
      currency: event.currency ?? currency ?? "XXX",
    });
  }
  const reported = all.filter(({ kind, origin }) => kind === "order" && origin === "browser");
  const converting =
    placed &&
    (reported.find((event) => visitors.get(event) === visitors.get(placed)) ?? reported[0] ?? placed);
  return { entries, converting };
}

/** All that reports say of these events, computed when asked for. */
export function createOracle(everything: EventDocument[]) {
  const visitors = visitorsOf(everything);
  const visits: Visit[] = [...Map.groupBy(everything, (event) => visitors.get(event) ?? "")].flatMap(
    ([visitor, line]) => {
      const visits: Visit[] = visitsOf(line.filter((event) => !isBackground(event))).map((events) => ({
        visitor,
        events,
        joined: [],
        start: events[0]?.at.getTime() ?? 0,
        end: events.at(-1)?.at.getTime() ?? 0,
      }));
      for (const event of line.filter(isBackground)) {
        const last = visits.findLast(({ events: [first] }) => first && inOrder(first, event) < 0);
        if (last && event.at.getTime() - last.end <= 30 * DAY) last.joined.push(event);
      }
      return visits;
    },
  );
  /** Everybody who was named on a device. */
  const named = Map.groupBy(
    everything.filter(({ bot, device, userId }) => !bot && device !== null && userId !== null),
    ({ device }) => `d:${device}`,
  );
  /** A device on which one person alone was named is that person. */
  const identityOf = (visitor: string): string => {
    const persons = new Set((named.get(visitor) ?? []).map(({ userId }) => userId));
    return persons.size === 1 ? `u:${[...persons][0]}` : visitor;
  };
  const firstStarts = new Map(
    [...Map.groupBy(visits, ({ visitor }) => identityOf(visitor))].map(([visitor, own]) => [
      visitor,
      Math.min(...own.map(({ start }) => start)),
    ]),
  );
  const firstStart = (visitor: string) => firstStarts.get(visitor) ?? Number.NaN;

  const books = [
    ...Map.groupBy(
      everything.filter(({ kind }) => ["order", "update", "refund", "cancel"].includes(kind ?? "")),
      ({ _id, bot, orderId }) => JSON.stringify(orderId === null ? [bot, _id, null] : [bot, null, orderId]),
    ).values(),
  ].map((own) => bookOrder(own, visitors));
  const entries = books.flatMap((book) => book.entries);
  const converting = new Set(books.map((book) => book.converting));

  const has = (visit: Visit, kind: string) =>
    [...visit.events, ...visit.joined].some((event) =>
      kind === "order" ? converting.has(event) : event.kind === kind,
    );
  const looks = (visit: Visit, kind: string) => visit.events.filter((event) => event.kind === kind).length;
  const bounced = (visit: Visit) =>
    !has(visit, "order") &&
    visit.events.every(
      ({ kind, type }) => ["page", "view", "list"].includes(kind ?? "") || type === "identify",
    ) &&
    ["page", "view", "list"].every((kind) => looks(visit, kind) <= 1);
  const inSteps = (events: EventDocument[], kinds: string[]): boolean =>
    kinds.length === 0 ||
    events.some(
      (event, index) =>
        (kinds[0] === "order" ? converting.has(event) : event.kind === kinds[0]) &&
        inSteps(events.slice(index + 1), kinds.slice(1)),
    );
  const sourceOf = (visit: Visit) => {
    const source = visit.events.find(({ page }) => page !== null)?.source ?? "direct";
    return source === "internal" ? "direct" : source;
  };

  const part = ({ from, to, bot }: Omit<Ask, "timezone">) => {
    const begun = visits.filter(
      ({ start, visitor }) => start >= from && start < to && visitor.startsWith("b:") === bot,
    );
    const events = everything.filter(
      (event) => event.bot === bot && event.at.getTime() >= from && event.at.getTime() < to,
    );
    const came = new Set(begun.map(({ visitor }) => identityOf(visitor)));
    const isNew = (visitor: string) => firstStart(visitor) >= from && firstStart(visitor) < to;
    return { begun, events, came, fresh: new Set([...came].filter(isNew)) };
  };

  const figures = (ask: Omit<Ask, "timezone">) => {
    const { begun, events, came, fresh } = part(ask);
    const count = (kind: string) => events.filter((event) => event.kind === kind).length;
    const told = new Set(events);
    const own = entries.filter(({ event }) => told.has(event));
    const money = (confirmed: boolean) =>
      [
        ...Map.groupBy(
          own.filter((entry) => entry.confirmed === confirmed),
          ({ currency }) => currency,
        ),
      ]
        .map(([currency, lines]) => {
          const gross = sum(lines.map(({ order }) => order?.gross ?? 0));
          const refunded = sum(lines.map(({ refund }) => refund?.amount ?? 0));
          return { currency, gross, refunded, net: gross - refunded, amount: gross - refunded };
        })
        .filter(({ gross, refunded }) => gross !== 0 || refunded !== 0)
        .sort((a, b) => (a.currency < b.currency ? -1 : 1));
    return {
      visitors: came.size,
      newVisitors: fresh.size,
      sessions: begun.length,
      bounceRate: rate(begun.filter(bounced).length, begun.length),
      conversions: begun.filter((visit) => has(visit, "order")).length,
      conversionRate: rate(begun.filter((visit) => has(visit, "order")).length, begun.length),
      averageSessionSeconds:
        begun.length === 0
          ? null
          : Math.round(sum(begun.map(({ start, end }) => Math.round((end - start) / 1000))) / begun.length),
      events: events.length,
      pageviews: count("page"),
      productViews: count("view"),
      productsAdded: count("add"),
      checkouts: count("checkout"),
      searches: count("search"),
      orders: own.filter(({ order }) => order).length,
      confirmedOrders: own.filter(({ order, confirmed }) => order && confirmed).length,
      cancelledOrders: own.filter(({ refund }) => refund?.cancelled).length,
      units: sum(own.map(({ order }) => units(order?.products ?? []))),
      unitsRefunded: sum(own.map(({ refund }) => refund?.units ?? 0)),
      revenue: money(true),
      unconfirmedRevenue: money(false),
    };
  };

  /** The clicks, views and additions that came from a search, the last with their id within a day before them. */
  const behind = Map.groupBy(
    everything.filter(
      ({ kind, searchId }) => searchId !== null && ["click", "view", "add"].includes(kind ?? ""),
    ),
    (event) =>
      everything
        .filter(
          (search) =>
            search.kind === "search" &&
            search.searchId === event.searchId &&
            search.bot === event.bot &&
            inOrder(search, event) < 0 &&
            event.at.getTime() - search.at.getTime() <= DAY,
        )
        .toSorted(inOrder)
        .at(-1),
  );

  const searchRow = (searches: EventDocument[]) => {
    const followed = searches.map((search) => {
      const after = behind.get(search) ?? [];
      const clicks = after.filter(({ kind }) => kind === "click");
      const ordered = after.some((hit) =>
        everything.some(
          (order) =>
            order.kind === "order" &&
            visitors.get(order) === visitors.get(hit) &&
            inOrder(hit, order) < 0 &&
            order.at.getTime() - hit.at.getTime() <= DAY &&
            order.products.some(({ id }) => hit.products.some((product) => product.id === id)),
        ),
      );
      const wait = Math.min(...clicks.map(({ at }) => at.getTime())) - search.at.getTime();
      return { clicks: clicks.length, ordered, wait };
    });
    const clicked = followed.filter(({ clicks }) => clicks > 0);
    const mean = sum(clicked.map(({ wait }) => wait)) / clicked.length;
    return {
      searches: searches.length,
      withoutResult: searches.filter(({ results }) => results === 0).length,
      clicked: clicked.length,
      clicks: sum(followed.map(({ clicks }) => clicks)),
      clickThroughRate: rate(clicked.length, searches.length),
      averageSecondsToClick: clicked.length === 0 ? null : Math.round(mean) / 1000,
      ordered: followed.filter(({ ordered }) => ordered).length,
    };
  };

  return {
    /** Visitor, first and last time and number of events of each session, sorted. */
    sessions: () =>
      visits.map(({ visitor, start, end, events }) => `${visitor} ${start} ${end} ${events.length}`).sort(),

    overview(ask: Ask) {
      const bots = figures({ ...ask, bot: true });
      return {
        ...figures(ask),
        bots: { visitors: bots.visitors, sessions: bots.sessions, events: bots.events },
      };
    },

    timeseries(ask: Ask, interval: string) {
      const edges = cuts(ask, interval);
      return edges.slice(1).map((to, index) => ({
        start: new Date(edges[index] ?? 0).toISOString(),
        end: new Date(to).toISOString(),
        ...figures({ ...ask, from: edges[index] ?? 0, to }),
      }));
    },

    products(ask: Ask, sort: string) {
      const { events } = part(ask);
      const told = events.filter(({ kind }) => ["view", "click", "add"].includes(kind ?? ""));
      const here = new Set(events);
      const bought = entries.filter(({ event, order }) => order && here.has(event));
      const ids = new Set([
        ...told.flatMap(({ products }) => products.map(({ id }) => id)),
        ...bought.flatMap(({ order }) => order?.products.map(({ id }) => id) ?? []),
      ]);
      const rows = [...ids].map((id) => {
        const own = told.filter(({ products }) => products.some((product) => product.id === id));
        const count = (kind: string) => own.filter((event) => event.kind === kind).length;
        const sold = bought.flatMap(
          ({ order }) => order?.products.filter((product) => product.id === id) ?? [],
        );
        const [views, adds, orders] = [count("view"), count("add"), sold.length];
        return {
          id,
          name: null,
          views,
          clicks: count("click"),
          adds,
          orders,
          quantity: sum(sold.map(({ quantity }) => quantity)),
          addRate: rate(adds, views),
          orderRate: rate(orders, views),
        };
      });
      return ranked(rows, sort, "id");
    },

    categories(ask: Ask, sort: string) {
      const { events } = part(ask);
      const placed = new Set(entries.flatMap(({ event, order }) => (order ? [event] : [])));
      const told = events.filter(
        (event) => ["view", "list", "add"].includes(event.kind ?? "") || placed.has(event),
      );
      const names = new Set(told.flatMap(({ categories }) => categories));
      const rows = [...names].map((category) => {
        const own = told.filter(({ categories }) => categories.includes(category));
        const count = (...kinds: string[]) => own.filter(({ kind }) => kinds.includes(kind ?? "")).length;
        return {
          category,
          views: count("view", "list"),
          adds: count("add"),
          orders: own.filter((event) => placed.has(event)).length,
        };
      });
      return ranked(rows, sort, "category");
    },

    funnel(ask: Ask) {
      const { begun } = part(ask);
      const reached = [["view"], ["view", "add"], ["view", "add", "order"]].map(
        (kinds) =>
          begun.filter(({ events, joined }) => inSteps([...events, ...joined].toSorted(inOrder), kinds))
            .length,
      );
      const [viewed = 0, , ordered = 0] = reached;
      return {
        sessions: begun.length,
        steps: ["viewed", "added", "ordered"].map((step, index) => {
          const before = index === 0 ? begun.length : (reached[index - 1] ?? 0);
          const sessions = reached[index] ?? 0;
          return { step, sessions, rate: rate(sessions, before), dropped: before - sessions };
        }),
        conversionRate: rate(ordered, viewed),
      };
    },

    searches(ask: Ask) {
      const searches = part(ask).events.filter(({ kind }) => kind === "search");
      const rows = [...Map.groupBy(searches, ({ query }) => query ?? "")].map(([query, own]) => ({
        query,
        ...searchRow(own),
      }));
      return {
        total: searchRow(searches),
        top: ranked(rows, "searches", "query"),
        withoutResult: ranked(rows, "withoutResult", "query").filter(
          ({ withoutResult }) => withoutResult > 0,
        ),
      };
    },

    retention(ask: Ask) {
      const edges = cuts(ask, "week");
      const weeks = edges.slice(1).map((to, index) => part({ ...ask, from: edges[index] ?? 0, to }));
      return weeks.map(({ fresh }, index) => {
        const returned = weeks
          .slice(index, index + 13)
          .map(({ came }, offset) => (offset === 0 ? fresh : fresh.intersection(came)).size);
        return {
          week: new Date(edges[index] ?? 0).toISOString(),
          visitors: fresh.size,
          returned,
          rates: returned.map((count) => rate(count, fresh.size)),
        };
      });
    },

    sources(ask: Ask, attribution: "session" | "last_non_direct" = "session") {
      const { begun } = part(ask);
      const row = (own: Visit[]) => {
        const converted = own.filter((visit) => has(visit, "order")).length;
        return {
          sessions: own.length,
          newVisitors: own.filter(({ visitor, start }) => firstStart(identityOf(visitor)) === start).length,
          bounceRate: rate(own.filter(bounced).length, own.length),
          conversions: converted,
          conversionRate: rate(converted, own.length),
        };
      };
      // Of the sources that these tests have.
      const channelOf = (source: string) =>
        source.endsWith(" / organic")
          ? "organic_search"
          : source.endsWith(" / referral")
            ? "referral"
            : "direct";
      const wonBy = (visit: Visit) =>
        attribution === "session" || sourceOf(visit) !== "direct"
          ? sourceOf(visit)
          : (visits
              .filter(
                ({ visitor, start }) =>
                  visitor === visit.visitor && start < visit.start && visit.start - start <= 30 * DAY,
              )
              .filter((other) => sourceOf(other) !== "direct")
              .toSorted((a, b) => a.start - b.start)
              .map(sourceOf)
              .at(-1) ?? "direct");
      const by = <Name extends string>(name: Name, of: (visit: Visit) => string) =>
        [...Map.groupBy(begun, of)].map(([value, own]) => ({ [name]: value, ...row(own) }));
      return {
        channels: ranked(
          by("channel", (visit) => channelOf(wonBy(visit))),
          "sessions",
          "channel",
        ),
        sources: ranked(
          by("source", wonBy).map((found) => ({
            ...found,
            channel: channelOf(String((found as { source?: string }).source)),
          })),
          "sessions",
          "source",
        ),
      };
    },
  };
}

export type Oracle = ReturnType<typeof createOracle>;

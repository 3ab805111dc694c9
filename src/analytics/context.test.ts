import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { z } from "zod";
import { ARRIVAL } from "../../test/analytics";
import { readContext } from "./intake/context";
import { type Arrival, readBatch } from "./intake/read";
import { batchSchema, eventSchema } from "./intake/schema";

/** As much of a JSON schema as tells where texts may stand. */
interface JsonSchema {
  type?: string;
  format?: string;
  anyOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
}

/** The paths of every optional text of a schema, found in the schema itself: a new one is tried unnamed. */
function optionalTexts(schema: JsonSchema, path: string[] = []): { path: string[]; time: boolean }[] {
  const kinds = schema.anyOf ?? [schema];
  return kinds.flatMap(({ properties = {}, required = [] }) =>
    Object.entries(properties).flatMap(([name, field]) => {
      const text = (field.anyOf ?? [field]).find(({ type }) => type === "string");
      if (text && !required.includes(name)) {
        return [{ path: [...path, name], time: text.format === "date-time" }];
      }
      return optionalTexts(field, [...path, name]);
    }),
  );
}

const jsonOf = (schema: z.ZodType) => z.toJSONSchema(schema, { io: "input" }) as JsonSchema;
const OF_EVENT = optionalTexts(jsonOf(eventSchema));
const OF_CONTEXT = OF_EVENT.filter(({ path }) => path[0] === "context").map(({ path, time }) => ({
  path: path.slice(1),
  time,
}));

/**
 * What browsers and libraries send for what they do not know. The longest is longer than any text may be, but all
 * fields of an event can have it within the size of an event.
 */
const blank = fc.constantFrom(null, "", " ", "\t\r\n", "\u00a0\u2003\ufeff", " ".repeat(2100));
const told = (path: string[], time: boolean) =>
  time
    ? fc.constantFrom("2026-11-23T10:00:00Z", "2026-11-23T10:00:00+05:45")
    : fc.constantFrom(
        `https://shop.example/${path.join("/")}?utm_source=Mail&utm_medium=`,
        "203.0.113.9",
        " x ",
      );

type Fill = { path: string[]; value: unknown; blank: unknown }[];

/** Some fields told, some blank, some neither. */
const fill = (fields: { path: string[]; time: boolean }[]): fc.Arbitrary<Fill> =>
  fc
    .tuple(
      ...fields.map(({ path, time }) =>
        fc.record({
          path: fc.constant(path),
          value: fc.option(told(path, time), { nil: undefined }),
          blank: fc.option(blank, { nil: undefined }),
        }),
      ),
    )
    .map((all) => all.filter(({ value, blank }) => value !== undefined || blank !== undefined));

/** The same object twice: with the blank fields, and without them. */
function pair(fields: Fill): [blank: Record<string, unknown>, absent: Record<string, unknown>] {
  const make = (withBlanks: boolean) => {
    const root: Record<string, unknown> = {};
    for (const { path, value, blank } of fields) {
      let place = root;
      for (const name of path.slice(0, -1)) {
        place[name] ??= {};
        place = place[name] as Record<string, unknown>;
      }
      const last = path.at(-1) ?? "";
      if (value !== undefined) place[last] = value;
      else if (withBlanks) place[last] = blank;
    }
    return root;
  };
  return [make(true), make(false)];
}

const arrival = (origin: Arrival["origin"], context: Arrival["context"]): Arrival => ({
  ...ARRIVAL,
  origin,
  address: "198.51.100.7",
  receivedAt: new Date("2026-11-23T11:00:00Z"),
  context,
});

describe("an optional text that is empty is absent", () => {
  test("the schema says which there are", () => {
    const paths = OF_EVENT.map(({ path }) => path.join("."));
    expect(paths).toEqual(
      expect.arrayContaining([
        ...["event", "name", "category", "anonymousId", "userId", "timestamp", "sentAt"],
        ...["ip", "userAgent", "page.url", "page.path", "page.referrer", "page.title"].map(
          (name) => `context.${name}`,
        ),
        ...["context.campaign.source", "context.campaign.medium"],
      ]),
    );
  });

  test("in an event and in its batch's context, whatever else is told", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("track", "page", "identify"),
        fc.constantFrom<Arrival["origin"][]>("browser", "server"),
        fill(OF_EVENT),
        fill(OF_CONTEXT),
        (type, origin, ofEvent, ofContext) => {
          const [blankEvent, event] = pair(ofEvent);
          const [blankContext, context] = pair(ofContext);
          const read = (fields: object, shared: object) =>
            readBatch([{ messageId: "m", type, ...fields }], arrival(origin, readContext(shared).context));
          expect(readContext(blankContext).ignored).toEqual([]);
          expect(read(blankEvent, blankContext)).toEqual(read(event, context));
        },
      ),
      { numRuns: 500 },
    );
  });

  test("in what reports read of properties, which stay as they were sent", () => {
    const names = [
      "url",
      "path",
      "product_id",
      "sku",
      "category",
      "search_id",
      "query",
      "order_id",
      "currency",
    ];
    fc.assert(
      fc.property(
        fc.constantFrom("page", "Products Searched", "Order Completed", "Product Viewed"),
        fc.dictionary(fc.constantFrom(...names, "referrer", "revenue", "results"), blank),
        (name, properties) => {
          const event = {
            messageId: "m",
            ...(name === "page" ? { type: name } : { type: "track", event: name }),
            anonymousId: "a",
          };
          const [blank, absent] = [{ ...event, properties }, event].map(
            (sent) => readBatch([sent], arrival("browser", null)).events[0]?.document,
          );
          expect({ ...blank, properties: {} }).toEqual({ ...absent, properties: {} } as typeof blank &
            object);
          if (name !== "page") expect(blank?.properties).toEqual(properties);
        },
      ),
    );
  });

  test("in a batch", () => {
    const batch = { batch: [] };
    for (const empty of ["", "  ", null]) {
      expect(batchSchema.parse({ ...batch, sentAt: empty, context: empty })).toEqual(
        batchSchema.parse(batch),
      );
    }
    expect(batchSchema.safeParse({ ...batch, sentAt: "now" }).success).toBe(false);
  });

  test("and what must be there is still missed", () => {
    const reasons = [
      { messageId: " ", type: "page" },
      { messageId: "m", type: "" },
      { messageId: "m", type: "track", event: " \n" },
      { messageId: "m", type: "identify", userId: "" },
    ].map((event) => readBatch([event], arrival("browser", null)).rejected[0]?.reason.split(":")[0]);
    expect(reasons).toEqual(["messageId", "type", "event", "userId"]);
  });
});

test("consent has many shapes, and the strictest of batch and event counts", () => {
  const rejects = (batch: unknown, event: unknown) =>
    readBatch(
      [{ messageId: "m", type: "page", anonymousId: "a", context: { consent: event } }],
      arrival("browser", { consent: batch }),
    ).rejected.length === 1;
  const refusals = [
    false,
    0,
    "no",
    " Denied ",
    { analytics: false },
    { analytics_storage: "denied", ad_storage: "granted" },
    { categoryPreferences: { Analytics: "false" } },
    { categoryPreferences: { statistics: 0 } },
    { categoryPreferences: ["marketing"] },
    { categoryPreferences: "all" },
    ["necessary"],
    [],
    5,
    { categoryPreferences: { analytics: {} } },
  ];
  const given = [
    true,
    "granted",
    { analytics: "Yes" },
    { analytics_storage: "granted" },
    { categoryPreferences: { analytics: true, advertising: false } },
    ["necessary", "analytics"],
    {},
    null,
    " ",
    undefined,
  ];
  for (const refusal of refusals) {
    for (const other of given) {
      expect([refusal, other, rejects(refusal, other)]).toEqual([refusal, other, true]);
      expect([other, refusal, rejects(other, refusal)]).toEqual([other, refusal, true]);
    }
  }
  for (const one of given)
    for (const other of given) expect([one, other, rejects(one, other)]).toEqual([one, other, false]);
});

describe("what can be forgiven", () => {
  const read = (more: Record<string, unknown>) => {
    const event = { messageId: "m", type: "track", event: "Order Completed", anonymousId: "a", ...more };
    return readBatch([event], arrival("browser", null)).events[0]?.document;
  };

  test("addresses, titles and names that are too long are cut, and what is on two lines is put on one", () => {
    const url = `https://shop.example/${"a".repeat(5000)}`;
    const long = "\u{1F600}".repeat(600);
    const page = read({
      type: "page",
      event: null,
      name: long,
      context: { page: { url, title: `${long}x` } },
    });
    expect([page?.name.isWellFormed(), page?.name.length, page?.page?.title?.length]).toEqual([
      true,
      500,
      1000,
    ]);
    expect([page?.page?.url?.length, page?.timeFlags]).toEqual([4000, ["shortened"]]);
    const lines = read({
      event: "Order\r\nCompleted",
      context: { page: { title: "a\u0000b\n" }, userAgent: "x".repeat(5000) },
    });
    expect(lines).toMatchObject({ name: "Order Completed", kind: "order", page: { title: "a b" } });
    const category = read({
      event: "Product Viewed",
      properties: { category: `${"\u{1F600}".repeat(150)}` },
    });
    expect([category?.categories[0]?.length, category?.categories[0]?.isWellFormed()]).toEqual([200, true]);
    expect(category?.timeFlags).toEqual(["shortened"]);
    // Whoever is named by an id that was cut would be somebody else.
    expect(read({ anonymousId: "x".repeat(101) })).toBeUndefined();
  });

  test("numbers as text count; what cannot be read is flagged, never silently 1 or 0", () => {
    const of = (properties: Record<string, unknown>) => {
      const {
        revenue,
        products,
        timeFlags = [],
      } = read({ properties: { currency: "EUR", ...properties } }) ?? {};
      return [revenue, products?.map(({ quantity }) => quantity), timeFlags];
    };
    const line = (quantity: unknown) => ({ products: [{ product_id: "p", quantity }] });
    expect(of({ total: " 49.90 ", ...line("3") })).toEqual([4990, [3], []]);
    expect(of({ total: 1.005, ...line(2) })).toEqual([101, [2], []]);
    for (const total of ["49,90", "1,299.00", "1 299", "€5", "1e3", -5, true, 1e13]) {
      expect([total, ...of({ total })]).toEqual([total, 0, [], ["unreadable_amount"]]);
    }
    expect(of({})).toEqual([0, [], ["missing_amount"]]);
    expect(of({ total: 0 })).toEqual([0, [], []]);
    for (const quantity of ["many", 1.5, -1, "1,5"]) {
      expect(of({ total: 1, ...line(quantity) })).toEqual([100, [1], ["unreadable_quantity"]]);
    }
    expect(of({ total: 1, ...line(null) })).toEqual([100, [1], []]);
    for (const products of [[{ name: "Lamp", quantity: 3 }], ["p"], "p", { 0: { product_id: "p" } }]) {
      expect([products, ...of({ total: 1, products })]).toEqual([products, 100, [], ["unreadable_product"]]);
    }
    expect(of({ total: 1, currency: "euro" })).toEqual([100, [], ["unreadable_currency"]]);
    const search = read({ event: "Products Searched", properties: { query: "x", results: "1,2" } });
    expect(search).toMatchObject({ results: null, timeFlags: ["unreadable_number"] });
    expect(read({ event: "Products Searched", properties: { results: "12" } })).toMatchObject({
      results: 12,
    });
  });
});

describe("a batch's context that cannot be read in part", () => {
  test("loses the part, and says which and why", () => {
    const { context, ignored } = readContext({
      ip: 5,
      userAgent: [],
      page: { url: "https://shop.example/", title: 5, referrer: [] },
      campaign: "mail",
      library: { name: "x" },
    });
    expect(context).toEqual({ page: { url: "https://shop.example/" }, library: { name: "x" } });
    expect(ignored).toEqual([
      { path: "context.ip", reason: "must be a string" },
      { path: "context.userAgent", reason: "must be a string" },
      { path: "context.page.referrer", reason: "must be a string" },
      { path: "context.page.title", reason: "must be a string" },
      { path: "context.campaign", reason: expect.any(String) },
    ]);
  });

  test("never takes an unclear consent for a given one", () => {
    for (const consent of [
      "no",
      5,
      { categoryPreferences: { Analytics: "false", a: 1 } },
      { categoryPreferences: [] },
    ]) {
      const { context, ignored } = readContext({ consent, page: { title: "Home" } });
      expect(context.page).toEqual({ title: "Home" });
      if (consent === 5) expect(ignored.map(({ path }) => path)).toEqual(["context.consent"]);
      const [own, silent] = [{ consent: { categoryPreferences: { analytics: true } } }, {}].map((more) =>
        readBatch(
          [{ messageId: "m", type: "page", anonymousId: "a", context: more }],
          arrival("browser", context),
        ),
      );
      // The strictest of batch and event counts.
      expect(own?.rejected).toMatchObject([{ code: "no_consent" }]);
      expect(silent?.rejected).toMatchObject([{ code: "no_consent" }]);
    }
  });
});

import { beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { type SignedInPerson, useTestApp } from "../../test/app";
import { createStock, type TestStock } from "../../test/stock";
import { AppError } from "../lib/errors";
import { expireDue } from "./expiry";
import { end, heldOf, hold } from "./holds";
import { StockLedger } from "./ledger";
import { DEFAULT_SETTINGS } from "./stock";
import { verifyAll } from "./verify";

const t = useTestApp();
let manager: SignedInPerson;
let stock: TestStock;

beforeAll(async () => {
  manager = await t.signIn({ roles: ["manager"] });
  stock = await createStock(t, manager);
});

/** What can be done, on SKUs and locations by number. */
type Operation =
  | { do: "adjust"; sku: number; at: number; delta: number }
  | { do: "set"; sku: number; at: number; expected: number; quantity: number }
  | { do: "transfer"; from: number; lines: { sku: number; quantity: number }[] }
  | { do: "reserve"; lines: { sku: number; quantity: number; at: number | null }[]; minutes: number }
  | { do: "commit" | "release" | "renew"; which: number }
  | { do: "part"; commit: boolean; which: number; sku: number; quantity: number }
  | { do: "wait"; minutes: number };

const SKUS = 3;
const LOCATIONS = 2;
const sku = fc.nat(SKUS - 1);
const at = fc.nat(LOCATIONS - 1);
const quantity = fc.integer({ min: 1, max: 8 });

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    do: fc.constant("adjust" as const),
    sku,
    at,
    delta: fc.integer({ min: -6, max: 12 }).filter((n) => n !== 0),
  }),
  fc.record({
    do: fc.constant("set" as const),
    sku,
    at,
    expected: fc.nat(10),
    quantity: fc.nat(12),
  }),
  fc.record({
    do: fc.constant("transfer" as const),
    from: at,
    lines: fc.array(fc.record({ sku, quantity }), { minLength: 1, maxLength: 3 }),
  }),
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("reserve" as const),
      lines: fc.array(fc.record({ sku, quantity, at: fc.option(at) }), { minLength: 1, maxLength: 4 }),
      minutes: fc.integer({ min: 1, max: 20 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom("commit" as const, "release", "renew"), which: fc.nat(12) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("part" as const),
      commit: fc.boolean(),
      which: fc.nat(6),
      sku,
      quantity: fc.integer({ min: 1, max: 4 }),
    }),
  },
  fc.record({ do: fc.constant("wait" as const), minutes: fc.integer({ min: 0, max: 12 }) }),
);

interface Cell {
  onHand: number;
  reserved: number;
}

interface Part {
  sku: number;
  at: number;
  quantity: number;
  /** Its place among the lines that were sent. */
  line: number;
}

/** Stock as one would write it on a napkin: numbers in a table, one thing after the other. */
class Napkin {
  cells = Array.from({ length: SKUS }, () =>
    Array.from({ length: LOCATIONS }, (): Cell => ({ onHand: 0, reserved: 0 })),
  );
  reservations: { parts: Part[]; until: number; open: boolean }[] = [];
  now = 0;

  cell(sku: number, at: number): Cell {
    return this.cells[sku]?.[at] as Cell;
  }
  free(sku: number, at: number): number {
    const { onHand, reserved } = this.cell(sku, at);
    return onHand - reserved;
  }

  /** @returns whether it is to succeed */
  run(op: Operation): boolean {
    switch (op.do) {
      case "adjust":
        if (op.delta < 0 && this.free(op.sku, op.at) + op.delta < 0) return false;
        this.cell(op.sku, op.at).onHand += op.delta;
        return true;
      case "set": {
        const cell = this.cell(op.sku, op.at);
        if (cell.onHand !== op.expected || op.quantity < cell.reserved) return false;
        cell.onHand = op.quantity;
        return true;
      }
      case "transfer": {
        const wanted = Array.from({ length: SKUS }, (_, sku) =>
          op.lines.filter((line) => line.sku === sku).reduce((sum, line) => sum + line.quantity, 0),
        );
        if (wanted.some((sum, sku) => sum > this.free(sku, op.from))) return false;
        for (const [sku, sum] of wanted.entries()) {
          this.cell(sku, op.from).onHand -= sum;
          this.cell(sku, 1 - op.from).onHand += sum;
        }
        return true;
      }
      case "reserve": {
        const before = structuredClone(this.cells);
        const parts: Part[] = [];
        const take = (of: (typeof op.lines)[number], at: number, quantity: number) => {
          this.cell(of.sku, at).reserved += quantity;
          parts.push({ sku: of.sku, at, quantity, line: op.lines.indexOf(of) });
        };
        for (const line of [
          ...op.lines.filter((line) => line.at !== null),
          ...op.lines.filter((line) => line.at === null),
        ]) {
          const places = line.at === null ? [0, 1] : [line.at];
          const whole = places.find((place) => this.free(line.sku, place) >= line.quantity);
          if (whole !== undefined) take(line, whole, line.quantity);
          else {
            let rest = line.quantity;
            for (const place of places) {
              const some = Math.min(rest, this.free(line.sku, place));
              if (some > 0) take(line, place, some);
              rest -= some;
            }
            if (rest > 0) {
              this.cells = before;
              return false;
            }
          }
        }
        parts.sort((a, b) => a.line - b.line);
        this.reservations.push({ parts, until: this.now + op.minutes, open: true });
        return true;
      }
      case "wait":
        this.now += op.minutes;
        for (const reservation of this.reservations) {
          if (reservation.open && reservation.until <= this.now) this.close(reservation, false);
        }
        return true;
      case "part": {
        const reservation = this.reservations[op.which];
        const own = reservation?.parts.filter((part) => part.sku === op.sku) ?? [];
        if (!reservation?.open || own.reduce((sum, part) => sum + part.quantity, 0) < op.quantity)
          return false;
        let rest = op.quantity;
        for (const part of own) {
          const units = Math.min(rest, part.quantity);
          part.quantity -= units;
          rest -= units;
          this.cell(op.sku, part.at).reserved -= units;
          if (op.commit) this.cell(op.sku, part.at).onHand -= units;
        }
        if (reservation.parts.every((part) => part.quantity === 0)) reservation.open = false;
        return true;
      }
      default: {
        const reservation = this.reservations[op.which];
        if (!reservation?.open) return false;
        if (op.do === "renew") reservation.until = this.now + 15;
        else this.close(reservation, op.do === "commit");
        return true;
      }
    }
  }

  private close(reservation: Napkin["reservations"][number], sold: boolean): void {
    reservation.open = false;
    for (const { sku, at, quantity } of reservation.parts) {
      this.cell(sku, at).reserved -= quantity;
      if (sold) this.cell(sku, at).onHand -= quantity;
    }
  }
}

const RUNS = process.env.AIZY_LONG === "1" ? 300 : 40;

test(`random operations agree with a napkin, through the API and the database (${RUNS} histories)`, async () => {
  const locations = [await stock.location(1), await stock.location(2)] as const;
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 25 }), async (operations) => {
      const skus = await Promise.all(Array.from({ length: SKUS }, () => stock.sku()));
      const napkin = new Napkin();
      const ids: string[] = [];
      const post = async (op: Operation): Promise<boolean> => {
        switch (op.do) {
          case "adjust":
            return (
              (
                await stock.post("/adjust", {
                  sku: skus[op.sku],
                  locationId: locations[op.at],
                  delta: op.delta,
                  reason: "property",
                })
              ).status === 200
            );
          case "set":
            return (
              (
                await stock.post("/set", {
                  sku: skus[op.sku],
                  locationId: locations[op.at],
                  expected: op.expected,
                  quantity: op.quantity,
                  reason: "property",
                })
              ).status === 200
            );
          case "transfer":
            return (
              (
                await stock.post("/transfers", {
                  fromLocationId: locations[op.from],
                  toLocationId: locations[1 - op.from],
                  lines: op.lines.map((line) => ({ sku: skus[line.sku], quantity: line.quantity })),
                })
              ).status === 201
            );
          case "reserve": {
            const answer = await stock.reserve(
              op.lines.map((line) => ({
                sku: skus[line.sku] ?? "",
                quantity: line.quantity,
                ...(line.at === null ? {} : { locationId: locations[line.at] }),
              })),
              { ttlSeconds: op.minutes * 60 },
            );
            if (answer.status !== 201) return false;
            ids.push(answer.data.id);
            return true;
          }
          case "wait":
            t.clock.advance(op.minutes * 60_000);
            // The access token has its own time.
            Object.assign(manager, await t.signIn({ roles: ["manager"] }));
            await expireDue(t.deps);
            return true;
          case "part": {
            const lines = [{ sku: skus[op.sku], quantity: op.quantity }];
            const path = `/reservations/${ids[op.which]}/${op.commit ? "commit" : "release"}`;
            return ids[op.which] !== undefined && (await stock.post(path, { lines })).status === 200;
          }
          default: {
            const id = ids[op.which];
            if (id === undefined) return false;
            const body = op.do === "renew" ? { ttlSeconds: 900 } : {};
            return (await stock.post(`/reservations/${id}/${op.do}`, body)).status === 200;
          }
        }
      };
      for (const op of operations) {
        expect([op, await post(op)]).toEqual([op, napkin.run(op)]);
      }
      const levels = await t.deps.inventory.levelsOf(skus.map((sku) => sku.toLowerCase()));
      for (const [index, name] of skus.entries()) {
        for (const [place, locationId] of locations.entries()) {
          const level = levels.find((one) => one.sku === name && one.locationId === locationId);
          expect({ onHand: level?.onHand ?? 0, reserved: level?.reserved ?? 0 }).toEqual(
            napkin.cell(index, place),
          );
        }
      }
    }),
    { numRuns: RUNS },
  );
  expect((await verifyAll(t.deps)).differences).toEqual([]);
}, 600_000);

test("the rules alone: whatever is decided, nothing is oversold and the movements add up (2,000 histories)", () => {
  const now = new Date("2026-01-01T00:00:00Z");
  const locations = ["a", "b"].map((id, priority) => ({
    _id: id,
    code: id,
    codeKey: id,
    name: id,
    priority,
    active: true,
    levelCount: 0,
    version: 1,
    createdAt: now,
    updatedAt: now,
  }));
  const backorder = fc.option(fc.integer({ min: 1, max: 5 }));
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), backorder, (operations, limit) => {
      const ledger = new StockLedger({ levels: [], locations, reservations: [] });
      const settings =
        limit === null
          ? DEFAULT_SETTINGS
          : { ...DEFAULT_SETTINGS, backorder: "allow" as const, backorderLimit: limit };
      let id = 0;
      const context = { actorId: "system", now, newId: () => String(++id) };
      const ids: string[] = [];
      ledger.attempt(context, () => {
        for (let sku = 0; sku < SKUS; sku++) {
          for (const { _id } of locations) {
            ledger.createLevel({ sku: String(sku), skuKey: String(sku) }, _id, settings);
          }
        }
      });
      const place = (index: number) => locations[index]?._id ?? "";
      const levelOf = (sku: number, index: number) => {
        const level = ledger.levelAt(String(sku), place(index));
        if (!level) throw new Error("no level");
        return level;
      };
      for (const op of operations) {
        const before = ledger.changes();
        try {
          ledger.attempt(context, () => {
            if (op.do === "adjust")
              ledger.shift(levelOf(op.sku, op.at), { kind: "adjust", onHand: op.delta });
            else if (op.do === "transfer") {
              for (const line of op.lines) {
                ledger.shift(levelOf(line.sku, op.from), { kind: "transfer", onHand: -line.quantity });
                ledger.shift(levelOf(line.sku, 1 - op.from), { kind: "transfer", onHand: line.quantity });
              }
            } else if (op.do === "reserve") {
              const lines = op.lines.map((line) => ({
                sku: String(line.sku),
                skuKey: String(line.sku),
                quantity: line.quantity,
                locationId: line.at === null ? undefined : place(line.at),
              }));
              const until = new Date(now.getTime() + op.minutes * 60_000);
              ids.push(hold(ledger, lines, until, null)._id);
            } else if (op.do === "commit" || op.do === "release") {
              end(ledger, ids[op.which] ?? "none", op.do === "commit" ? "committed" : "released");
            } else if (op.do === "part") {
              const wanted = [{ sku: String(op.sku), skuKey: String(op.sku), quantity: op.quantity }];
              end(ledger, ids[op.which] ?? "none", op.commit ? "committed" : "released", wanted);
            }
          });
        } catch (error) {
          if (!(error instanceof AppError)) throw error;
          // Refused: not a trace of it.
          const after = ledger.changes();
          expect(after.movements.length).toBe(before.movements.length);
          expect(after.createdLevels).toEqual(before.createdLevels);
        }
      }
      const { createdLevels, movements, createdReservations } = ledger.changes();
      for (const level of createdLevels) {
        const own = movements.filter(({ levelId }) => levelId === level._id);
        expect(own.map(({ sequence }) => sequence)).toEqual(own.map((_, index) => index + 1));
        expect(own.reduce((sum, { onHand }) => sum + onHand, 0)).toBe(level.onHand);
        expect(own.reduce((sum, { reserved }) => sum + reserved, 0)).toBe(level.reserved);
        expect(level.available).toBe(level.onHand - level.reserved);
        expect(level.available).toBeGreaterThanOrEqual(-(limit ?? 0));
        const held = createdReservations
          .filter(({ status }) => status === "active")
          .flatMap(({ lines }) => lines.flatMap(({ allocations }) => allocations))
          .filter(({ levelId }) => levelId === level._id)
          .reduce((sum, allocation) => sum + heldOf(allocation), 0);
        expect(level.reserved).toBe(held);
        for (const [index, { before, after, onHand, reserved }] of own.entries()) {
          expect(after).toEqual({ onHand: before.onHand + onHand, reserved: before.reserved + reserved });
          if (index > 0) expect(before).toEqual(own[index - 1]?.after as typeof before);
        }
      }
    }),
    { numRuns: 2000 },
  );
}, 120_000);

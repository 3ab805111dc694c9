import { money } from "aizy-backend/format";
import { useState, useSyncExternalStore } from "react";

interface Line {
  sku: string;
  name: string;
  price: { amount: number; currency: string };
  quantity: number;
}

/** What somebody wants, and the id of the order that it becomes: the same until the basket is another. */
interface Kept {
  order: string;
  lines: Line[];
}

const empty = (): Kept => ({ order: crypto.randomUUID(), lines: [] });
let basket = empty();
const listeners = new Set<() => void>();

function put(lines: Line[]): void {
  basket = { order: crypto.randomUUID(), lines };
  for (const listener of listeners) listener();
}

export const useBasket = () =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => basket,
  );

export function addToBasket(one: Omit<Line, "quantity">): void {
  const { lines } = basket;
  const known = lines.find(({ sku }) => sku === one.sku);
  put(
    known
      ? lines.map((line) => (line === known ? { ...line, quantity: line.quantity + 1 } : line))
      : [...lines, { ...one, quantity: 1 }],
  );
}

export function Basket() {
  const { order, lines } = useBasket();
  const [said, setSaid] = useState("");
  const reserve = async () => {
    const answer = await fetch("/checkout", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ order, lines: lines.map(({ sku, quantity }) => ({ sku, quantity })) }),
    });
    const { problem } = (await answer.json()) as { problem?: string };
    setSaid(problem ?? "It is yours for 15 minutes.");
  };
  return (
    <>
      <h1>Basket</h1>
      <ul className="lines">
        {lines.map(({ sku, name, price, quantity }) => (
          <li key={sku}>
            <span>
              {quantity} × {name}
            </span>
            <span>{money({ ...price, amount: price.amount * quantity })}</span>
            <button
              type="button"
              className="quiet"
              onClick={() => put(lines.filter((one) => one.sku !== sku))}
            >
              Remove {name}
            </button>
          </li>
        ))}
      </ul>
      {lines.length === 0 ? <p>It is empty.</p> : null}
      <button type="button" disabled={lines.length === 0} onClick={reserve}>
        Order
      </button>
      <p role="status">{said}</p>
    </>
  );
}

import type { ListedProduct } from "aizy-backend/client";
import { money } from "aizy-backend/format";
import { type AnchorHTMLAttributes, type FormEvent, type ReactNode, useState } from "react";
import { go, shop, tell } from "./shop";

/** A link to another page of the shop. */
export const Link = ({ href, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) => (
  <a
    {...rest}
    href={href}
    onClick={(event) => {
      if (event.metaKey || event.ctrlKey) return;
      event.preventDefault();
      go(href);
    }}
  />
);

/** A picture in the width that is needed. */
export function Picture({ of, sizes }: { of: ListedProduct["picture"]; sizes: string }) {
  if (of === null) return <div className="picture" />;
  const sources = of.sources.filter(({ type }) => type === "image/webp");
  return (
    <img
      className="picture"
      alt={of.alt}
      width={of.width}
      height={of.height}
      loading="lazy"
      sizes={sizes}
      srcSet={sources.map((one) => `${shop.url(one.url)} ${one.width}w`).join(", ")}
      src={shop.url(sources.at(-1)?.url ?? "")}
    />
  );
}

export const Products = ({ all, search }: { all: ListedProduct[]; search?: string }) => (
  <ul className="products">
    {all.map((one) => (
      <li key={one.id}>
        <Link href={`/product/${one.slug}${search ? `?search=${search}` : ""}`}>
          <Picture of={one.picture} sizes="16rem" />
          {one.name}
        </Link>
        <span>{money(one.price)}</span>
        {one.inStock ? null : <small>Not in stock</small>}
      </li>
    ))}
  </ul>
);

interface FormProps {
  label: string;
  /** What the form does; what goes wrong is told below it. */
  run(fields: Record<string, string>, form: HTMLFormElement): Promise<unknown>;
  children?: ReactNode;
}

export function Form({ label, run, children }: FormProps) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    setBusy(true);
    setProblem("");
    try {
      await run(Object.fromEntries(new FormData(form)) as Record<string, string>, form);
    } catch (error) {
      setProblem(tell(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={submit}>
      {children}
      <button type="submit" disabled={busy}>
        {label}
      </button>
      <p role="alert">{problem}</p>
    </form>
  );
}

interface FieldProps {
  name: string;
  label: string;
  type?: string;
  autoComplete?: string;
  defaultValue?: string;
}

export const Field = ({ label, ...rest }: FieldProps) => (
  <label>
    {label}
    <input required {...rest} />
  </label>
);

import { money } from "aizy-backend/format";
import { useEffect, useState } from "react";
import { addToBasket } from "./basket";
import { Link, Picture, Products } from "./parts";
import { analytics, go, shop, useLoaded } from "./shop";

const SORTS = { "-createdAt": "Newest", price: "Cheapest", name: "By name" };

export function Catalogue({ query }: { query: URLSearchParams }) {
  const chosen = (name: string) => query.get(name) ?? "";
  const menu = useLoaded("menu", async () => (await shop.api.products.menu.$get()).data);
  const list = useLoaded(query.toString(), async (signal) => {
    const filters = {
      ...(chosen("category") ? { "filter[category]": chosen("category") } : {}),
      ...(chosen("stock") ? { "filter[inStock]": true } : {}),
      ...(chosen("sort") ? { sort: chosen("sort") } : {}),
      ...(chosen("cursor") ? { cursor: chosen("cursor") } : {}),
    };
    return shop.api.products.$get({ query: { ...filters, limit: 12 } }, { signal });
  });
  const choose = (name: string, value: string) => {
    const next = new URLSearchParams(query);
    if (name !== "cursor") next.delete("cursor");
    if (value === "") next.delete(name);
    else next.set(name, value);
    go(`/?${next}`);
  };
  const { nextCursor = null } = list.value?.page ?? {};
  return (
    <>
      <h1>Everything</h1>
      <div className="filters">
        <label>
          Category
          <select value={chosen("category")} onChange={(event) => choose("category", event.target.value)}>
            <option value="">All</option>
            {menu.value?.map(({ id, name, slug, count }) => (
              <option key={id} value={slug}>
                {name} ({count})
              </option>
            ))}
          </select>
        </label>
        <label>
          Order
          <select value={chosen("sort")} onChange={(event) => choose("sort", event.target.value)}>
            {Object.entries(SORTS).map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <label className="check">
          <input
            type="checkbox"
            checked={chosen("stock") !== ""}
            onChange={(event) => choose("stock", event.target.checked ? "1" : "")}
          />
          In stock
        </label>
      </div>
      <p role="alert">{list.problem}</p>
      {list.value ? <Products all={list.value.data} /> : null}
      {nextCursor === null ? null : (
        <button type="button" onClick={() => choose("cursor", nextCursor)}>
          More
        </button>
      )}
    </>
  );
}

export function ProductPage({ slug, search }: { slug: string; search: string | null }) {
  const [sku, setSku] = useState("");
  const loaded = useLoaded(
    slug,
    async (signal) =>
      (
        await shop.api.products[":id"].$get(
          { param: { id: slug }, query: { include: "breadcrumbs,stock" } },
          { signal },
        )
      ).data,
  );
  const product = loaded.value;
  useEffect(() => {
    if (!product) return;
    document.title = product.name;
    analytics.track("Product Viewed", { product_id: product.id, ...(search ? { search_id: search } : {}) });
  }, [product, search]);
  if (!product) return <p role="alert">{loaded.problem}</p>;
  const variant = product.variants.find((one) => one.sku === sku) ?? product.variants[0];
  const orderable = product.stock?.some((one) => one.sku === variant?.sku && one.orderable);
  return (
    <article className="product">
      <Picture of={product.picture} sizes="(min-width: 50rem) 30rem, 100vw" />
      <div>
        <p>
          {product.breadcrumbs?.map((one) => (
            <Link key={one.id} href={`/?category=${one.slug}`}>
              {one.name}{" "}
            </Link>
          ))}
        </p>
        <h1>{product.name}</h1>
        <p>{product.description}</p>
        {product.variants.length > 1 ? (
          <label>
            Version
            <select value={variant?.sku} onChange={(event) => setSku(event.target.value)}>
              {product.variants.map((one) => (
                <option key={one.sku} value={one.sku}>
                  {one.name ?? one.sku}
                </option>
              ))}
            </select>
          </label>
        ) : null}
        {variant ? (
          <p>
            <strong>{money(variant.price)}</strong>{" "}
            <button
              type="button"
              disabled={!orderable}
              onClick={() => {
                addToBasket({ sku: variant.sku, name: product.name, price: variant.price });
                analytics.track("Product Added", { product_id: product.id, quantity: 1 });
              }}
            >
              {orderable ? "Into the basket" : "Not in stock"}
            </button>
          </p>
        ) : null}
      </div>
    </article>
  );
}

export function Search({ query }: { query: URLSearchParams }) {
  const q = query.get("q") ?? "";
  const brand = query.get("brand");
  const { value, problem } = useLoaded(query.toString(), (signal) =>
    shop.api.products.search.$get({ query: { q, ...(brand ? { "filter[brand]": brand } : {}) } }, { signal }),
  );
  const to = (name: string) => `/search?${new URLSearchParams({ q, ...(name ? { brand: name } : {}) })}`;
  return (
    <>
      <h1>Search: {q}</h1>
      <p role="alert">{problem}</p>
      <aside aria-label="Brands" className="filters">
        {brand ? <Link href={to("")}>All brands</Link> : null}
        {value?.facets?.brand.map((one) => (
          <Link key={one.value} href={to(one.name)} aria-current={one.name === brand}>
            {one.name} ({one.count})
          </Link>
        ))}
      </aside>
      {value?.data.length === 0 ? <p>Nothing was found.</p> : null}
      {value ? <Products all={value.data} search={value.search.id} /> : null}
    </>
  );
}

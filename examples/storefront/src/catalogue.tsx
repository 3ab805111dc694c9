import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { money } from "aizy-backend/format";
import { pagesOf, queryOf } from "aizy-backend/react";
import { useEffect, useState } from "react";
import { addToBasket } from "./basket";
import { Link, Picture, Products } from "./parts";
import { analytics, go, shop, tell } from "./shop";

const SORTS = { "-createdAt": "Newest", price: "Cheapest", name: "By name" };

export function Catalogue({ query }: { query: URLSearchParams }) {
  const chosen = (name: string) => query.get(name) ?? "";
  const menu = useQuery(queryOf(shop.api.products.menu.$get));
  const filters = {
    ...(chosen("category") ? { "filter[category]": chosen("category") } : {}),
    ...(chosen("stock") ? { "filter[inStock]": true } : {}),
    ...(chosen("sort") ? { sort: chosen("sort") } : {}),
  };
  const list = useInfiniteQuery(pagesOf(shop.api.products.$get, { query: { ...filters, limit: 12 } }));
  const choose = (name: string, value: string) => {
    const next = new URLSearchParams(query);
    if (value === "") next.delete(name);
    else next.set(name, value);
    go(`/?${next}`);
  };
  return (
    <>
      <h1>Everything</h1>
      <div className="filters">
        <label>
          Category
          <select value={chosen("category")} onChange={(event) => choose("category", event.target.value)}>
            <option value="">All</option>
            {menu.data?.data.map(({ id, name, slug, count }) => (
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
      <p role="alert">{tell(list.error)}</p>
      {list.data ? <Products all={list.data.pages.flatMap(({ data }) => data)} /> : null}
      {list.hasNextPage ? (
        <button type="button" disabled={list.isFetching} onClick={() => list.fetchNextPage()}>
          More
        </button>
      ) : null}
    </>
  );
}

export function ProductPage({ slug, search }: { slug: string; search: string | null }) {
  const [sku, setSku] = useState("");
  const { data, error } = useQuery(
    queryOf(shop.api.products[":id"].$get, { param: { id: slug }, query: { include: "breadcrumbs,stock" } }),
  );
  const product = data?.data;
  useEffect(() => {
    if (!product) return;
    document.title = product.name;
    analytics.track("Product Viewed", { product_id: product.id, ...(search ? { search_id: search } : {}) });
  }, [product, search]);
  if (!product) return <p role="alert">{tell(error)}</p>;
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
  const { data: found, error } = useQuery(
    queryOf(shop.api.products.search.$get, { query: { q, ...(brand ? { "filter[brand]": brand } : {}) } }),
  );
  const to = (name: string) => `/search?${new URLSearchParams({ q, ...(name ? { brand: name } : {}) })}`;
  return (
    <>
      <h1>Search: {q}</h1>
      <p role="alert">{tell(error)}</p>
      <aside aria-label="Brands" className="filters">
        {brand ? <Link href={to("")}>All brands</Link> : null}
        {found?.facets?.brand.map((one) => (
          <Link key={one.value} href={to(one.name)} aria-current={one.name === brand}>
            {one.name} ({one.count})
          </Link>
        ))}
      </aside>
      {found?.data.length === 0 ? <p>Nothing was found.</p> : null}
      {found ? <Products all={found.data} search={found.search.id} /> : null}
    </>
  );
}

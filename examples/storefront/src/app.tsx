import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { queryOf } from "aizy-backend/react";
import { useId, useState } from "react";
import { Account, Register, SignIn } from "./account";
import { Basket, useBasket } from "./basket";
import { Catalogue, ProductPage, Search } from "./catalogue";
import { Link } from "./parts";
import { analytics, go, shop, useAddress, useUser } from "./shop";

/** Suggestions while somebody types. */
function SearchBox() {
  const [typed, setTyped] = useState("");
  const list = useId();
  const { data } = useQuery({
    ...queryOf(shop.api.products.search.suggest.$get, { query: { q: typed, limit: 5 } }),
    enabled: typed.trim() !== "",
    placeholderData: keepPreviousData,
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        go(`/search?q=${encodeURIComponent(typed)}`);
      }}
    >
      <search>
        <input
          type="search"
          aria-label="Search"
          placeholder="Search"
          list={list}
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
        />
        <datalist id={list}>
          {data?.data.products.map(({ id, name }) => (
            <option key={id} value={name} />
          ))}
        </datalist>
      </search>
    </form>
  );
}

/** Ids are kept when they are allowed, and not before. */
function Consent() {
  const [asked, setAsked] = useState(localStorage.getItem("consent") === null);
  if (!asked) return null;
  const decide = (yes: boolean) => {
    analytics.consent(yes ? "granted" : "denied");
    localStorage.setItem("consent", yes ? "yes" : "no");
    setAsked(false);
  };
  return (
    <section className="consent" aria-label="Privacy">
      <p>May we recognise your browser, to learn what people look for?</p>
      <button type="button" onClick={() => decide(true)}>
        Yes
      </button>
      <button type="button" onClick={() => decide(false)}>
        No
      </button>
    </section>
  );
}

function Page() {
  const { pathname, searchParams } = new URL(useAddress(), location.origin);
  const [, place = "", name = ""] = pathname.split("/");
  if (place === "product")
    return <ProductPage slug={decodeURIComponent(name)} search={searchParams.get("search")} />;
  if (place === "search") return <Search query={searchParams} />;
  if (place === "register") return <Register />;
  if (place === "sign-in") return <SignIn />;
  if (place === "account") return <Account />;
  if (place === "basket") return <Basket />;
  return <Catalogue query={searchParams} />;
}

export function App() {
  const user = useUser();
  const { lines } = useBasket();
  return (
    <>
      <header>
        <nav aria-label="Shop">
          <Link href="/">Storefront</Link>
          <SearchBox />
          <Link href="/basket">Basket ({lines.reduce((sum, { quantity }) => sum + quantity, 0)})</Link>
          {user ? <Link href="/account">Your account</Link> : <Link href="/sign-in">Sign in</Link>}
        </nav>
      </header>
      <main>
        <Page />
      </main>
      <Consent />
    </>
  );
}

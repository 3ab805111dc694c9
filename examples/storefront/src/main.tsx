import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { analytics, shop } from "./shop";
import "./style.css";

analytics.page();
// Guests are told 401 here, which is no error: nobody is signed in.
shop.session.restore().catch(() => undefined);
createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <App />
  </StrictMode>,
);

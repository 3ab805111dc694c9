import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { analytics, answers, shop } from "./shop";
import "./style.css";

analytics.page();
// Guests are told 401 here, which is no error: nobody is signed in.
shop.session.restore().catch(() => undefined);
createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <QueryClientProvider client={answers}>
      <App />
    </QueryClientProvider>
  </StrictMode>,
);

import "../styles/chat.css";
import { mount } from "svelte";
import { Access } from "../chat/access";
import { placeOf } from "../chat/address";
import App from "../chat/components/App.svelte";
import { Columns } from "../chat/columns.svelte";
import { CreditNotices } from "../chat/notices";
import { Page } from "../chat/page.svelte";
import type { PageState } from "../chat/types";
import { followKeyboard } from "../chat/viewport";
import { loadStrings } from "../i18n";

const target = document.getElementById("playground");
const source = document.getElementById("playground-state");

if (target && source?.textContent) {
  await loadStrings();
  const state = JSON.parse(source.textContent) as PageState;
  const page = new Page(state);
  const columns = new Columns(page, state.conversation);
  const access = new Access(page, () => columns.ids);

  target.replaceChildren();
  mount(App, { target, props: { columns, access, notices: new CreditNotices(page) } });
  if (state.conversation?.running) columns.main.answering.follow(state.conversation.running);
  page.connect();
  const { compared } = placeOf(location.href);
  if (compared.length) void columns.add(compared);
  followKeyboard();

  addEventListener("pagehide", () => columns.leavePage());
  addEventListener("popstate", () => void columns.main.conversations.follow(location.href));
  addEventListener("offline", () => (page.isOnline = false));
  addEventListener("online", () => {
    page.isOnline = true;
    page.hurry();
    columns.retrySaving();
  });
}

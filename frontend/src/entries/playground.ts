import "../styles/chat.css";
import { mount } from "svelte";
import { Access } from "../chat/access";
import { Answering } from "../chat/answering.svelte";
import App from "../chat/components/App.svelte";
import { Conversations } from "../chat/conversations";
import { CreditNotices } from "../chat/notices";
import { Page } from "../chat/page.svelte";
import { Session } from "../chat/session.svelte";
import type { PageState } from "../chat/types";
import { followKeyboard } from "../chat/viewport";
import { loadStrings } from "../i18n";

const target = document.getElementById("playground");
const source = document.getElementById("playground-state");

if (target && source?.textContent) {
  await loadStrings();
  const state = JSON.parse(source.textContent) as PageState;
  const page = new Page(state);
  const session = new Session(page, state.conversation);
  const answering = new Answering(session);
  const conversations = new Conversations(session, answering);
  const access = new Access(page, () => (session.id === null ? [] : [session.id]));

  target.replaceChildren();
  mount(App, { target, props: { session, answering, conversations, access, notices: new CreditNotices(page) } });
  if (state.conversation?.running) answering.follow(state.conversation.running);
  page.connect();
  followKeyboard();

  addEventListener("pagehide", () => session.leavePage());
  addEventListener("popstate", () => void conversations.follow(location.href));
  addEventListener("offline", () => (page.isOnline = false));
  addEventListener("online", () => {
    page.isOnline = true;
    page.hurry();
    session.retrySaving();
  });
}

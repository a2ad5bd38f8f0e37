import "../styles/chat.css";
import { mount } from "svelte";
import { Answering } from "../chat/answering.svelte";
import App from "../chat/components/App.svelte";
import { Conversations } from "../chat/conversations";
import { CreditNotices } from "../chat/notices";
import { Session } from "../chat/session.svelte";
import type { PageState } from "../chat/types";
import { followKeyboard } from "../chat/viewport";
import { loadStrings } from "../i18n";

const target = document.getElementById("playground");
const source = document.getElementById("playground-state");

if (target && source?.textContent) {
  await loadStrings();
  const state = JSON.parse(source.textContent) as PageState;
  const session = new Session(state);
  const answering = new Answering(session);
  const conversations = new Conversations(session, answering);

  target.replaceChildren();
  mount(App, { target, props: { session, answering, conversations, notices: new CreditNotices(session) } });
  answering.connect(state.conversation?.running ?? null);
  followKeyboard();

  addEventListener("pagehide", () => session.leave());
  addEventListener("offline", () => (session.isOnline = false));
  addEventListener("online", () => {
    session.isOnline = true;
    answering.hurry();
  });
}

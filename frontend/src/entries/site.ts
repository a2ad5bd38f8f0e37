import "../styles/site.css";
import { loadStrings } from "../i18n";
import { prepareCode } from "../site/code";
import { listenForCopies } from "../site/copy";
import { listenForMenus } from "../site/menu";
import { prepareTabs } from "../site/tabs";
import { listenForTheme } from "../site/theme";

listenForTheme();
listenForMenus();
listenForCopies();
prepareTabs();
await loadStrings();
prepareCode();

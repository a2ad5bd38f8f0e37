import "../styles/site.css";
import { loadStrings } from "../i18n";
import { prepareCode } from "../site/code";
import { listenForCopies } from "../site/copy";
import { listenForMenus } from "../site/menu";
import { prepareNotices } from "../site/notices";
import { prepareTabs } from "../site/tabs";
import { listenForTheme } from "../site/theme";

listenForTheme();
listenForMenus();
listenForCopies();
prepareNotices();
prepareTabs();
await loadStrings();
prepareCode();

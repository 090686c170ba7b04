// Starts the page.
import { render } from "preact";
import { App } from "./app/app";
import { startDrafts } from "./app/drafts";
import { startRouting } from "./app/route";
import { startSession } from "./app/session";
import { refreshAll, startStore } from "./app/store";
import { startTheme } from "./app/theme";

startTheme();
await startSession(refreshAll);
startRouting();
startStore();
startDrafts();
render(<App />, document.getElementById("app")!);

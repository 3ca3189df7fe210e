/** The customer's chat: mounts on `#app` of the page that Django serves, by itself or inside another site's frame. */
import "../shared/base.css";
import { openStorage } from "../shared/storage";
import { openApi, renewCookie } from "./api";
import { openEmbedded } from "./embedded";
import { startLanguage } from "./languages/active.svelte";
import { openFileServer } from "./files/fileServer";
import { openPage } from "./page";

const target = document.getElementById("app");
if (target === null) throw new Error("The page has no #app.");

if (target.dataset.site === undefined) {
  void openAlone(target);
} else {
  void openEmbedded(target, target.dataset.site);
}

async function openAlone(target: HTMLElement): Promise<void> {
  const storage = openStorage();
  await startLanguage({ storage });
  openPage({ target, storage, api: openApi(renewCookie), files: openFileServer() });
}

// Sorts the keys of every locale, so that files differ only by what was added.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../src/locales/", import.meta.url));
for (const name of readdirSync(folder)) {
  const texts = Object.entries(JSON.parse(readFileSync(folder + name, "utf8")));
  texts.sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(folder + name, `${JSON.stringify(Object.fromEntries(texts), undefined, 2)}\n`);
}

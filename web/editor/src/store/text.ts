// Texts of the interface in the language that is set. A locale is one file of ../locales, found by its name.
import { useSettings } from "./settings";

type Texts = Readonly<Record<string, string>>;

const files = import.meta.glob<Texts>("../locales/*.json", { eager: true, import: "default" });
export const LOCALES: ReadonlyMap<string, Texts> = new Map(
  Object.entries(files).map(([path, texts]) => [path.replace(/^.*\/(.*)\.json$/, "$1"), texts]),
);

/** The text of a key, with {names} filled in. A key without a text is shown itself. */
export function textIn(language: string, key: string, values: Readonly<Record<string, string | number>> = {}): string {
  const text = LOCALES.get(language)?.[key] ?? LOCALES.get("en")?.[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** `t("queue.waiting", { n: 3 })` for components: they are drawn anew when the language changes. */
export function useText(): (key: string, values?: Readonly<Record<string, string | number>>) => string {
  const language = useSettings((settings) => settings.language);
  return (key, values) => textIn(language, key, values);
}

/** The same outside of components. */
export function text(key: string, values?: Readonly<Record<string, string | number>>): string {
  return textIn(useSettings.getState().language, key, values);
}
